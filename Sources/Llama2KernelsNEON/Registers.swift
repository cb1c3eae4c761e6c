internal import ArmIntrinsics

/// 32 bytes, in order of columns.
struct Bytes32 {
    let a: uint8x16_t  // 0 ..< 16
    let b: uint8x16_t  // 16 ..< 32

    @inline(__always) init(_ a: uint8x16_t, _ b: uint8x16_t) {
        self.a = a
        self.b = b
    }
    @inline(__always) init(_ p: UnsafeRawPointer) { self.init(l2s_load(p), l2s_load(p + 16)) }
    @inline(__always) init(repeating x: UInt8) { self.init(vdupq_n_u8(x), vdupq_n_u8(x)) }

    @inline(__always) static func & (x: Bytes32, y: UInt8) -> Bytes32 {
        Bytes32(vandq_u8(x.a, vdupq_n_u8(y)), vandq_u8(x.b, vdupq_n_u8(y)))
    }
    @inline(__always) static func | (x: Bytes32, y: Bytes32) -> Bytes32 { Bytes32(vorrq_u8(x.a, y.a), vorrq_u8(x.b, y.b)) }
    @inline(__always) static func - (x: Bytes32, y: Bytes32) -> Bytes32 { Bytes32(vsubq_u8(x.a, y.a), vsubq_u8(x.b, y.b)) }
    @inline(__always) static func - (x: Bytes32, y: UInt8) -> Bytes32 { x - Bytes32(repeating: y) }
    /// Each byte moved right; left for a negative number.
    @inline(__always) static func >> (x: Bytes32, by: Int) -> Bytes32 {
        by < 0
            ? Bytes32(l2s_bytes_left(x.a, 0 &- by), l2s_bytes_left(x.b, 0 &- by))
            : by == 0 ? x : Bytes32(l2s_bytes_right(x.a, by), l2s_bytes_right(x.b, by))
    }
    @inline(__always) func negated(where mask: Bytes32) -> Bytes32 {
        Bytes32(vsubq_u8(veorq_u8(a, mask.a), mask.a), vsubq_u8(veorq_u8(b, mask.b), mask.b))
    }
}

@inline(__always) func signedBytes(_ p: UnsafeRawPointer) -> int8x16_t { vreinterpretq_s8_u8(l2s_load(p)) }

/// Bit i of `bits` in all bits of byte i.
@inline(__always) func expandBits(_ bits: UInt32) -> Bytes32 {
    let one = l2s_two(0x8040_2010_0804_0201, 0x8040_2010_0804_0201)
    @inline(__always) func sixteen(_ first: UInt32) -> uint8x16_t {
        let low = vdup_n_u8(UInt8(truncatingIfNeeded: bits >> first)), high = vdup_n_u8(UInt8(truncatingIfNeeded: bits >> (first &+ 8)))
        return vtstq_u8(vcombine_u8(low, high), one)
    }
    return Bytes32(sixteen(0), sixteen(16))
}

/// 16 bytes of each of 4 rows: c[i] holds bytes 4i..<4i+4 of row r in lane r.
struct Columns {
    let c0: uint32x4_t, c1: uint32x4_t, c2: uint32x4_t, c3: uint32x4_t

    @inline(__always) init(_ p: UnsafeRawPointer, _ stride: Int) {
        self.init(l2s_load(p), l2s_load(p + stride), l2s_load(p + 2 &* stride), l2s_load(p + 3 &* stride))
    }

    /// The 4x4 transpose.
    @inline(__always) init(_ r0: uint8x16_t, _ r1: uint8x16_t, _ r2: uint8x16_t, _ r3: uint8x16_t) {
        let x0 = vreinterpretq_u32_u8(r0), x1 = vreinterpretq_u32_u8(r1)
        let x2 = vreinterpretq_u32_u8(r2), x3 = vreinterpretq_u32_u8(r3)
        let t0 = vreinterpretq_u64_u32(vtrn1q_u32(x0, x1)), t1 = vreinterpretq_u64_u32(vtrn2q_u32(x0, x1))
        let t2 = vreinterpretq_u64_u32(vtrn1q_u32(x2, x3)), t3 = vreinterpretq_u64_u32(vtrn2q_u32(x2, x3))
        c0 = vreinterpretq_u32_u64(vtrn1q_u64(t0, t2))
        c1 = vreinterpretq_u32_u64(vtrn1q_u64(t1, t3))
        c2 = vreinterpretq_u32_u64(vtrn2q_u64(t0, t2))
        c3 = vreinterpretq_u32_u64(vtrn2q_u64(t1, t3))
    }

    @inline(__always) init(_ c0: uint32x4_t, _ c1: uint32x4_t, _ c2: uint32x4_t, _ c3: uint32x4_t) {
        self.c0 = c0
        self.c1 = c1
        self.c2 = c2
        self.c3 = c3
    }

    @inline(__always) init() {
        let zero = vdupq_n_u32(0)
        self.init(zero, zero, zero, zero)
    }

    /// Byte i (0...15) of each row, as an integer.
    @inline(__always) func byte(_ i: Int) -> uint32x4_t { bits(self[i >> 2], 8 &* (i & 3), 8) }

    @inline(__always) subscript(_ i: Int) -> uint32x4_t {
        switch i & 3 {
        case 0: c0
        case 1: c1
        case 2: c2
        default: c3
        }
    }
}

/// What Scales goes by: 32 bits and a float of each of four rows.
typealias Words = uint32x4_t
typealias RowFloats = float32x4_t

/// The bits of each lane moved.
@inline(__always) func shiftRight(_ x: Words, _ by: Int) -> Words { by == 0 ? x : l2s_lanes_right(x, by) }
@inline(__always) func shiftLeft(_ x: Words, _ by: Int) -> Words { by == 0 ? x : l2s_lanes_left(x, by) }
@inline(__always) func maskWords(_ x: Words, _ bits: UInt32) -> Words { vandq_u32(x, vdupq_n_u32(bits)) }
@inline(__always) func maskBytes(_ x: Words, _ byte: UInt8) -> Words { maskWords(x, UInt32(byte) &* 0x0101_0101) }
@inline(__always) func or(_ x: Words, _ y: Words) -> Words { vorrq_u32(x, y) }
@inline(__always) func twice(_ x: Words) -> Words { vaddq_u32(x, x) }
@inline(__always) func oneMore(_ x: Words) -> Words { vaddq_u32(x, vdupq_n_u32(1)) }
/// Byte i (0...3) of each lane, which is signed, as a float.
@inline(__always) func signedByte(_ x: Words, _ i: Int) -> RowFloats {
    floats(l2s_signed_right(vreinterpretq_s32_u32(shiftLeft(x, 24 &- 8 &* i)), 24))
}
@inline(__always) func splat(_ x: Float) -> RowFloats { vdupq_n_f32(x) }
@inline(__always) func times(_ x: RowFloats, _ y: RowFloats) -> RowFloats { vmulq_f32(x, y) }
@inline(__always) func plus(_ x: RowFloats, _ y: RowFloats) -> RowFloats { vaddq_f32(x, y) }
@inline(__always) func minus(_ x: RowFloats, _ y: RowFloats) -> RowFloats { vsubq_f32(x, y) }
@inline(__always) func storeFloats(_ x: RowFloats, _ p: UnsafeMutablePointer<Float>) { l2s_store_floats(p, x) }
/// The half in the low 16 bits of each lane, as floats.
@inline(__always) func lowHalves(_ x: Words) -> RowFloats { l2s_low_halves(x) }

/// `count` bits from bit `first` on of each lane, as an integer.
@inline(__always) func bits(_ x: uint32x4_t, _ first: Int, _ count: Int) -> uint32x4_t {
    let shifted = shiftRight(x, first)
    return first &+ count == 32 ? shifted : maskWords(shifted, 1 << UInt32(truncatingIfNeeded: count) &- 1)
}

/// The half at `p` of 4 rows, as floats.
@inline(__always) func halves(_ p: UnsafeRawPointer, _ stride: Int) -> float32x4_t { l2s_gather_halves(p, stride) }

@inline(__always) func floats(_ x: uint32x4_t) -> float32x4_t { vcvtq_f32_u32(x) }

@inline(__always) func floats(_ x: int32x4_t) -> float32x4_t { vcvtq_f32_s32(x) }

/// An integer below 2^31, less `by`, as a float.
@inline(__always) func floats(_ x: uint32x4_t, less by: Int32) -> float32x4_t {
    vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_u32(x), vdupq_n_s32(by)))
}

/// A panel's rows are one piece of the file: while some rows are read, the same share of the next ones is fetched, in file
/// order. An address that is not mapped does nothing.
@inline(__always) func prefetch(_ p: UnsafeRawPointer, _ bytes: Int) {
    var line = 0
    while line < bytes {
        l2s_prefetch_l1(p + line)
        line &+= 64
    }
}
