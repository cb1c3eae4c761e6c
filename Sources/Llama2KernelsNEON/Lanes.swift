internal import ArmIntrinsics

/// Sixteen lanes in four registers. Members as in Llama2Kernels/Lanes.swift.
struct F32x16 {
    var a: float32x4_t, b: float32x4_t, c: float32x4_t, d: float32x4_t

    @inline(__always) init(_ a: float32x4_t, _ b: float32x4_t, _ c: float32x4_t, _ d: float32x4_t) {
        self.a = a
        self.b = b
        self.c = c
        self.d = d
    }
    @inline(__always) init(splat x: Float) {
        let v = vdupq_n_f32(x)
        self.init(v, v, v, v)
    }
    @inline(__always) init(load p: UnsafePointer<Float>) {
        self.init(l2s_load_floats(p), l2s_load_floats(p + 4), l2s_load_floats(p + 8), l2s_load_floats(p + 12))
    }
    @inline(__always) init(loadHalf p: UnsafeRawPointer) {
        self.init(l2s_load_halves(p), l2s_load_halves(p + 8), l2s_load_halves(p + 16), l2s_load_halves(p + 24))
    }
    @inline(__always) init(loadBF16 p: UnsafeRawPointer) {
        let x = vreinterpretq_u16_u8(l2s_load(p)), y = vreinterpretq_u16_u8(l2s_load(p + 16)), zero = vdupq_n_u16(0)
        self.init(
            vreinterpretq_f32_u16(vzip1q_u16(zero, x)), vreinterpretq_f32_u16(vzip2q_u16(zero, x)),
            vreinterpretq_f32_u16(vzip1q_u16(zero, y)), vreinterpretq_f32_u16(vzip2q_u16(zero, y)))
    }
    @inline(__always) private init(bytes x: int8x16_t) {
        self.init(
            vcvtq_f32_s32(l2s_widen(x, 0)), vcvtq_f32_s32(l2s_widen(x, 1)), vcvtq_f32_s32(l2s_widen(x, 2)),
            vcvtq_f32_s32(l2s_widen(x, 3)))
    }
    @inline(__always) init(loadInt8 p: UnsafeRawPointer) { self.init(bytes: vreinterpretq_s8_u8(l2s_load(p))) }
    /// The low, or high, four bits of 16 bytes, signed.
    @inline(__always) init(loadLowHalves p: UnsafeRawPointer) {
        let up = vshlq_s8(vreinterpretq_s8_u8(l2s_load(p)), vdupq_n_s8(4))
        self.init(bytes: vshlq_s8(up, vdupq_n_s8(-4)))
    }
    @inline(__always) init(loadHighHalves p: UnsafeRawPointer) {
        self.init(bytes: vshlq_s8(vreinterpretq_s8_u8(l2s_load(p)), vdupq_n_s8(-4)))
    }
    @inline(__always) func store(_ p: UnsafeMutablePointer<Float>) {
        l2s_store_floats(p, a)
        l2s_store_floats(p + 4, b)
        l2s_store_floats(p + 8, c)
        l2s_store_floats(p + 12, d)
    }
    @inline(__always) func storeHalf(_ p: UnsafeMutableRawPointer) {
        l2s_store_halves(p, a)
        l2s_store_halves(p + 8, b)
        l2s_store_halves(p + 16, c)
        l2s_store_halves(p + 24, d)
    }
    /// The lowest byte of each lane.
    @inline(__always) func storeLowBytes(_ p: UnsafeMutableRawPointer) {
        l2s_store(
            p,
            l2s_low_bytes(
                vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b), vreinterpretq_u32_f32(c), vreinterpretq_u32_f32(d)))
    }

    @inline(__always) static func + (x: F32x16, y: F32x16) -> F32x16 {
        F32x16(vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b), vaddq_f32(x.c, y.c), vaddq_f32(x.d, y.d))
    }
    @inline(__always) static func - (x: F32x16, y: F32x16) -> F32x16 {
        F32x16(vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b), vsubq_f32(x.c, y.c), vsubq_f32(x.d, y.d))
    }
    @inline(__always) static func * (x: F32x16, y: F32x16) -> F32x16 {
        F32x16(vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b), vmulq_f32(x.c, y.c), vmulq_f32(x.d, y.d))
    }
    @inline(__always) static func / (x: F32x16, y: F32x16) -> F32x16 {
        F32x16(vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b), vdivq_f32(x.c, y.c), vdivq_f32(x.d, y.d))
    }
    /// x * y + z, rounded once.
    @inline(__always) static func fma(_ x: F32x16, _ y: F32x16, _ z: F32x16) -> F32x16 {
        F32x16(vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d))
    }
    @inline(__always) static func max(_ x: F32x16, _ y: F32x16) -> F32x16 {
        F32x16(greater(x.a, y.a), greater(x.b, y.b), greater(x.c, y.c), greater(x.d, y.d))
    }
    @inline(__always) static func min(_ x: F32x16, _ y: F32x16) -> F32x16 { select(x, lessThan: y, x, y) }
    /// Into the second-level cache. An address that is not there does nothing.
    @inline(__always) static func prefetch(_ p: UnsafeRawPointer) { l2s_prefetch_l2(p) }
    @inline(__always) static var fetchesOnce: Bool { false }
    @inline(__always) static func prefetchOnce(_ p: UnsafeRawPointer) { l2s_prefetch_l2(p) }
    /// a < b ? x : y, lane by lane; y when either is NaN.
    @inline(__always) static func select(_ a: F32x16, lessThan b: F32x16, _ x: F32x16, _ y: F32x16) -> F32x16 {
        F32x16(
            vbslq_f32(vcltq_f32(a.a, b.a), x.a, y.a), vbslq_f32(vcltq_f32(a.b, b.b), x.b, y.b),
            vbslq_f32(vcltq_f32(a.c, b.c), x.c, y.c), vbslq_f32(vcltq_f32(a.d, b.d), x.d, y.d))
    }
    @inline(__always) var lowBitsAsExponent: F32x16 {
        @inline(__always) func up(_ x: float32x4_t) -> float32x4_t {
            vreinterpretq_f32_u32(l2s_lanes_left(vreinterpretq_u32_f32(x), 23))
        }
        return F32x16(up(a), up(b), up(c), up(d))
    }
    /// The greatest lane, by the same tree as `sum`.
    @inline(__always) var largest: Float {
        let s = greater(greater(a, c), greater(b, d))
        let x = s[0] > s[2] ? s[0] : s[2], y = s[1] > s[3] ? s[1] : s[3]
        return x > y ? x : y
    }
    @inline(__always) var sum: Float {
        let s = vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d))
        return (s[0] + s[2]) + (s[1] + s[3])
    }
}

/// x > y ? x : y; y when either is NaN, as the instruction for it would not have it.
@inline(__always) private func greater(_ x: float32x4_t, _ y: float32x4_t) -> float32x4_t { vbslq_f32(vcgtq_f32(x, y), x, y) }

struct I32x16 {
    var a: int32x4_t, b: int32x4_t, c: int32x4_t, d: int32x4_t

    @inline(__always) init(splat x: Int32) {
        a = vdupq_n_s32(x)
        b = a
        c = a
        d = a
    }
    @inline(__always) var asFloat: F32x16 { F32x16(vcvtq_f32_s32(a), vcvtq_f32_s32(b), vcvtq_f32_s32(c), vcvtq_f32_s32(d)) }
    @inline(__always) mutating func add(_ other: I32x16) {
        a = vaddq_s32(a, other.a)
        b = vaddq_s32(b, other.b)
        c = vaddq_s32(c, other.c)
        d = vaddq_s32(d, other.d)
    }
    @inline(__always) mutating func addSignedDot(_ w: UnsafeRawPointer, _ q: UnsafeRawPointer) {
        let x = vreinterpretq_s8_s32(vdupq_n_s32(q.loadUnaligned(as: Int32.self)))
        a = l2s_dot(a, signedBytes(w), x)
        b = l2s_dot(b, signedBytes(w + 16), x)
        c = l2s_dot(c, signedBytes(w + 32), x)
        d = l2s_dot(d, signedBytes(w + 48), x)
    }
    /// Weights without a sign are at most 63, so that nothing differs.
    @inline(__always) mutating func addDot(_ w: UnsafeRawPointer, _ q: UnsafeRawPointer) { addSignedDot(w, q) }
    @inline(__always) init(signedStart c: UnsafePointer<Int32>) { self.init(splat: 0) }
    @inline(__always) init(signedHalfStart c: Int32) { self.init(splat: 0) }
    @inline(__always) static func multiplies(_ type: UInt32, _ tokens: Int) -> Bool { true }
    /// Sixteen registers of 32 hold the sums of four tokens.
    @inline(__always) static var tokensInRegisters: Int { 4 }
}

/// What is exclusive-ored onto signed weight bytes of lane blocks: nothing here.
var signedFlip: UInt8 { @inline(__always) get { 0 } }

/// Nothing is unpacked by way of the scratch here.
var unpackScratchBytes: Int { @inline(__always) get { 0 } }

/// Not used where tiles are of four tokens.
@inline(__always) func scaledSums(_ c: UnsafePointer<Int32>, _ s: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>) {}
@inline(__always) func shiftedStarts(_ c: UnsafePointer<Int32>, _ by: Int32, _ out: UnsafeMutablePointer<Int32>) {}
@inline(__always) func placeOfSums(_ scratch: UnsafeRawPointer) -> UnsafeMutablePointer<Float> {
    UnsafeMutableRawPointer(mutating: scratch).assumingMemoryBound(to: Float.self)
}
