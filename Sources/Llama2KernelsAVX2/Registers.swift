internal import X86Intrinsics

/// What the kernels of this module do with 256-bit registers of bytes.

@inline(__always) func load32(_ p: UnsafeRawPointer) -> __m256i { l2s_m256i_load(p) }

@inline(__always) func store32(_ x: __m256i, _ p: UnsafeMutableRawPointer) { l2s_m256i_store(p, x) }

/// 16 bytes, in both halves.
@inline(__always) func load16Twice(_ p: UnsafeRawPointer) -> __m256i {
    _mm256_broadcastsi128_si256(l2s_m128i_load(p))
}

/// The bits of each double word moved; what crosses into a neighbouring byte is masked away by the caller.
@inline(__always) func shiftRight(_ x: __m256i, _ by: Int) -> __m256i {
    by == 0 ? x : _mm256_srlv_epi32(x, _mm256_set1_epi32(Int32(truncatingIfNeeded: by)))
}

@inline(__always) func shiftLeft(_ x: __m256i, _ by: Int) -> __m256i {
    by == 0 ? x : _mm256_sllv_epi32(x, _mm256_set1_epi32(Int32(truncatingIfNeeded: by)))
}

/// Left for a positive `by`, right for a negative one.
@inline(__always) func shift(_ x: __m256i, _ by: Int) -> __m256i { by < 0 ? shiftRight(x, 0 &- by) : shiftLeft(x, by) }

@inline(__always) func mask(_ x: __m256i, _ bytes: Int8) -> __m256i {
    _mm256_and_si256(x, _mm256_set1_epi8(bytes))
}

/// What Scales goes by: 32 bits and a float of each of eight rows.
typealias Words = __m256i
typealias RowFloats = __m256

@inline(__always) func maskBytes(_ x: Words, _ byte: UInt8) -> Words { mask(x, Int8(bitPattern: byte)) }
@inline(__always) func maskWords(_ x: Words, _ bits: UInt32) -> Words { _mm256_and_si256(x, _mm256_set1_epi32(Int32(bitPattern: bits))) }
@inline(__always) func or(_ x: Words, _ y: Words) -> Words { _mm256_or_si256(x, y) }
@inline(__always) func twice(_ x: Words) -> Words { _mm256_add_epi32(x, x) }
@inline(__always) func oneMore(_ x: Words) -> Words { _mm256_add_epi32(x, _mm256_set1_epi32(1)) }
/// x - by as a float.
@inline(__always) func floats(_ x: Words, less by: Int32) -> RowFloats { floats(_mm256_sub_epi32(x, _mm256_set1_epi32(by))) }
/// Byte i (0...3) of each lane, which is signed, as a float.
@inline(__always) func signedByte(_ x: Words, _ i: Int) -> RowFloats {
    floats(_mm256_srav_epi32(shiftLeft(x, 24 &- 8 &* i), _mm256_set1_epi32(24)))
}
@inline(__always) func times(_ x: RowFloats, _ y: RowFloats) -> RowFloats { _mm256_mul_ps(x, y) }
@inline(__always) func plus(_ x: RowFloats, _ y: RowFloats) -> RowFloats { _mm256_add_ps(x, y) }
@inline(__always) func minus(_ x: RowFloats, _ y: RowFloats) -> RowFloats { _mm256_sub_ps(x, y) }
@inline(__always) func storeFloats(_ x: RowFloats, _ p: UnsafeMutablePointer<Float>) { _mm256_storeu_ps(p, x) }

/// The sums of neighbouring 16-bit lanes.
@inline(__always) func widened(_ pairs: __m256i) -> __m256i { _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)) }

/// Four bytes of activations in every double word.
@inline(__always) func group(_ q: UnsafeRawPointer) -> __m256i {
    _mm256_set1_epi32(q.loadUnaligned(as: Int32.self))
}

@inline(__always) func splat(_ x: Float) -> __m256 { _mm256_set1_ps(x) }

/// 16 bytes of each of 8 rows: c[i] holds bytes 4i..<4i+4 of row r in lane r.
struct Columns {
    let c0: __m256i, c1: __m256i, c2: __m256i, c3: __m256i

    @inline(__always) init(_ p: UnsafeRawPointer, _ stride: Int) {
        // 1. register j: rows j, j+4. Two loads and a blend: an insertion from memory starts once a cycle only (Zen 3)
        @inline(__always) func two(_ r: Int) -> __m256i {
            l2s_m256i_pair(p + r &* stride, p + (r &+ 4) &* stride)
        }
        let r0 = two(0), r1 = two(1), r2 = two(2), r3 = two(3)
        // 2. the 4x4 transpose inside each 128-bit lane
        let t0 = _mm256_unpacklo_epi32(r0, r1), t1 = _mm256_unpackhi_epi32(r0, r1)
        let t2 = _mm256_unpacklo_epi32(r2, r3), t3 = _mm256_unpackhi_epi32(r2, r3)
        c0 = _mm256_unpacklo_epi64(t0, t2)
        c1 = _mm256_unpackhi_epi64(t0, t2)
        c2 = _mm256_unpacklo_epi64(t1, t3)
        c3 = _mm256_unpackhi_epi64(t1, t3)
    }

    @inline(__always) init(_ c0: __m256i, _ c1: __m256i, _ c2: __m256i, _ c3: __m256i) {
        self.c0 = c0
        self.c1 = c1
        self.c2 = c2
        self.c3 = c3
    }

    @inline(__always) init() {
        let zero = _mm256_setzero_si256()
        self.init(zero, zero, zero, zero)
    }

    /// Byte i (0...15) of each row, as an integer.
    @inline(__always) func byte(_ i: Int) -> __m256i { bits(self[i >> 2], 8 &* (i & 3), 8) }

    @inline(__always) subscript(_ i: Int) -> __m256i {
        switch i & 3 {
        case 0: c0
        case 1: c1
        case 2: c2
        default: c3
        }
    }
}

/// The half at `p` of 8 rows, as floats; put together in registers, never through memory.
@inline(__always) func halves(_ p: UnsafeRawPointer, _ stride: Int) -> __m256 {
    @inline(__always) func h(_ r: Int) -> Int16 { p.loadUnaligned(fromByteOffset: r &* stride, as: Int16.self) }
    return _mm256_cvtph_ps(_mm_set_epi16(h(7), h(6), h(5), h(4), h(3), h(2), h(1), h(0)))
}

/// The half in the low 16 bits of each lane, as floats.
@inline(__always) func lowHalves(_ x: __m256i) -> __m256 { l2s_m256i_low_halves(x) }

/// `count` bits from bit `first` on of each lane, as an integer.
@inline(__always) func bits(_ x: __m256i, _ first: Int, _ count: Int) -> __m256i {
    let shifted = shiftRight(x, first)
    if first &+ count == 32 { return shifted }
    return _mm256_and_si256(shifted, _mm256_set1_epi32(1 << Int32(truncatingIfNeeded: count) &- 1))
}

@inline(__always) func floats(_ x: __m256i) -> __m256 { _mm256_cvtepi32_ps(x) }

/// Bit i of `bits` in all bits of byte i.
@inline(__always) func expandBits(_ bits: UInt32) -> __m256i {
    let bytes = _mm256_set_epi64x(0x0303_0303_0303_0303, 0x0202_0202_0202_0202, 0x0101_0101_0101_0101, 0)
    let one = _mm256_set1_epi64x(Int64(bitPattern: 0x8040_2010_0804_0201))
    let spread = _mm256_shuffle_epi8(_mm256_set1_epi32(Int32(bitPattern: bits)), bytes)
    return _mm256_cmpeq_epi8(_mm256_and_si256(spread, one), one)
}

/// A panel's rows are one piece of the file: while some rows are read, the same share of the next ones is fetched, in file
/// order; a few lines at a time, or the loads of this one would queue behind them. Into L1 (Zen 3, one thread, from memory:
/// Q4_K 0.90 to 0.97 of a bare read against L2 only, and 0.4 without). An address that is not mapped does nothing.
@inline(__always) func prefetch(_ p: UnsafeRawPointer, _ bytes: Int) {
    var line = 0
    while line < bytes {
        l2s_prefetch_t0(p + line)
        line &+= 64
    }
}

/// The next panel of floats, fetched into the second-level cache, a part beside each piece of work: all at once it would keep the conversion
/// waiting, and the memory idle while there is arithmetic to do. In file order too: columns of sixteen rows, each on a page of its own, come at half the speed.
struct NextPanel {
    var p: UnsafeRawPointer, left: Int
    let part: Int

    @inline(__always) init(_ p: UnsafeRawPointer, _ bytes: Int, parts: Int) {
        self.p = p
        left = (bytes &+ 63) >> 6
        part = (left &+ parts &- 1) / parts
    }

    @inline(__always) mutating func fetchPart() {
        let end = left > part ? left &- part : 0
        while left > end {
            l2s_prefetch_t1(p)
            p += 64
            left &-= 1
        }
    }
}
