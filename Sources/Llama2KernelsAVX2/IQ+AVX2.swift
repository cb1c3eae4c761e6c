internal import BlockTables
internal import X86Intrinsics

/// Four grid entries of eight weights.
@inline(__always) private func eights(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64) -> __m256i {
    _mm256_set_epi64x(Int64(bitPattern: d), Int64(bitPattern: c), Int64(bitPattern: b), Int64(bitPattern: a))
}

/// Formats with magnitudes from tables and signs apart from them: at most 62, or 15.
protocol SignedGrid: KernelFormat {}

extension SignedGrid {
    @inline(__always) static var usesTables: Bool { true }
    @inline(__always) static var oneBias: Int { 0 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _ indexes: UnsafeRawPointer) -> __m256i {
        let (magnitudes, negative) = parts(p, b, indexes)
        let w = _mm256_sub_epi8(_mm256_xor_si256(magnitudes, negative), negative)
        return _mm256_add_epi8(w, _mm256_set1_epi8(Int8(truncatingIfNeeded: bias)))
    }
}

/// Sixteen numbers: the bytes at `low`, and above them the bits of `mask` from the bytes at `high`, moved there by `powers`.
/// shared: which of those bytes each lane takes (of four that are there).
@inline(__always) private func storeWide(
    _ low: UnsafeRawPointer, _ high: UnsafeRawPointer, _ shared: __m256i, _ powers: __m256i, _ mask: Int16, _ out: UnsafeMutableRawPointer
) {
    let four = _mm256_set1_epi32(high.loadUnaligned(as: Int32.self))
    let spread = _mm256_and_si256(_mm256_shuffle_epi8(four, shared), _mm256_set1_epi16(255))
    let bits = _mm256_and_si256(_mm256_mullo_epi16(spread, powers), _mm256_set1_epi16(mask))
    store32(_mm256_or_si256(_mm256_cvtepu8_epi16(l2s_m128i_load(low)), bits), out)
}

/// Four times seven signs as four times eight: the eighth makes the number of negative ones even.
@inline(__always) private func evenSigns(_ sevens: UInt32) -> UInt32 {
    let spread = sevens & 0x7f | (sevens & 0x3f80) << 1 | (sevens & 0x1f_c000) << 2 | (sevens & 0xfe0_0000) << 3
    var parity = spread ^ spread >> 4
    parity ^= parity >> 2
    parity ^= parity >> 1
    return spread | (parity & 0x0101_0101) << 7
}

extension IQ2_XXS: SignedGrid {
    static var capacity: Capacity { .two }
    static var bias: Int { 64 }
    static var oneCapacity: Capacity { .four }
    @inline(__always) static func parts(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> (magnitudes: __m256i, negative: __m256i) {
        let p = p + (2 &+ 8 &* b)
        @inline(__always) func grid(_ i: Int) -> UInt64 { l2s_iq2_xxs_grid(UInt32(byte(p, i))) }
        let signs = evenSigns(p.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        return (eights(grid(0), grid(1), grid(2), grid(3)), expandBits(signs))
    }
}

extension IQ2_XS: SignedGrid {
    static var capacity: Capacity { .two }
    static var bias: Int { 64 }
    static var oneCapacity: Capacity { .four }
    @inline(__always) static func parts(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> (magnitudes: __m256i, negative: __m256i) {
        let p = p + (2 &+ 8 &* b)
        @inline(__always) func grid(_ i: Int) -> UInt64 { l2s_iq2_xs_grid(word(p, 2 &* i) & 511) }
        @inline(__always) func seven(_ i: Int) -> UInt32 { (word(p, 2 &* i) >> 9) << UInt32(truncatingIfNeeded: 7 &* i) }
        let signs = evenSigns(seven(0) | seven(1) | seven(2) | seven(3))
        return (eights(grid(0), grid(1), grid(2), grid(3)), expandBits(signs))
    }
}

extension IQ2_S: SignedGrid {
    static var capacity: Capacity { .two }
    static var bias: Int { 64 }
    static var oneCapacity: Capacity { .four }
    static var usesIndexes: Bool { true }
    /// A byte and two bits of one that four share.
    @inline(__always) static func storeIndexes(_ p: UnsafeRawPointer, _ out: UnsafeMutableRawPointer) {
        let powers = _mm256_set_epi16(4, 16, 64, 256, 4, 16, 64, 256, 4, 16, 64, 256, 4, 16, 64, 256)
        let four = _mm256_set_epi64x(0x0303_0303_0303_0303, 0x0202_0202_0202_0202, 0x0101_0101_0101_0101, 0)
        storeWide(p + 2, p + 66, four, powers, 0x300, out)
        storeWide(p + 18, p + 70, four, powers, 0x300, out + 32)
    }
    @inline(__always) static func parts(_ p: UnsafeRawPointer, _ b: Int, _ indexes: UnsafeRawPointer) -> (magnitudes: __m256i, negative: __m256i) {
        @inline(__always) func grid(_ i: Int) -> UInt64 { l2s_iq2_s_grids()[Int(word(indexes, 8 &* b &+ 2 &* i))] }  // ten bits: `storeIndexes`
        let signs = p.loadUnaligned(fromByteOffset: 34 &+ 4 &* b, as: UInt32.self)
        return (eights(grid(0), grid(1), grid(2), grid(3)), expandBits(signs))
    }
}

/// Eight grid entries of four weights.
@inline(__always) private func fours(_ four: (Int) -> UInt32) -> __m256i {
    @inline(__always) func f(_ i: Int) -> Int32 { Int32(bitPattern: four(i)) }
    return _mm256_set_epi32(f(7), f(6), f(5), f(4), f(3), f(2), f(1), f(0))
}

extension IQ3_XXS: SignedGrid {
    static var capacity: Capacity { .two }
    static var bias: Int { 64 }
    static var oneCapacity: Capacity { .four }
    @inline(__always) static func parts(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> (magnitudes: __m256i, negative: __m256i) {
        let grid = p + (2 &+ 8 &* b)
        let signs = evenSigns(p.loadUnaligned(fromByteOffset: 66 &+ 4 &* b, as: UInt32.self))
        return (fours { l2s_iq3_xxs_grid(UInt32(byte(grid, $0))) }, expandBits(signs))
    }
}

extension IQ3_S: SignedGrid {
    static var capacity: Capacity { .eight }
    static var bias: Int { 16 }
    static var oneCapacity: Capacity { .sixteen }
    static var usesIndexes: Bool { true }
    /// A byte and a bit of one that eight share.
    @inline(__always) static func storeIndexes(_ p: UnsafeRawPointer, _ out: UnsafeMutableRawPointer) {
        let powers = _mm256_set_epi16(2, 4, 8, 16, 32, 64, 128, 256, 2, 4, 8, 16, 32, 64, 128, 256)
        let eight = _mm256_set_epi64x(0x0101_0101_0101_0101, 0x0101_0101_0101_0101, 0, 0)
        var i = 0
        while i < 4 {
            storeWide(p + (2 &+ 16 &* i), p + (66 &+ 2 &* i), eight, powers, 0x100, out + 32 &* i)
            i &+= 1
        }
    }
    @inline(__always) static func parts(_ p: UnsafeRawPointer, _ b: Int, _ indexes: UnsafeRawPointer) -> (magnitudes: __m256i, negative: __m256i) {
        let magnitudes = fours { l2s_iq3_s_grids()[Int(word(indexes, 16 &* b &+ 2 &* $0))] }  // nine bits: `storeIndexes`
        let signs = p.loadUnaligned(fromByteOffset: 74 &+ 4 &* b, as: UInt32.self)
        return (magnitudes, expandBits(signs))
    }
}

/// 0, 1 or 2 to 8 (w - 1) + delta + 16, delta a byte of 1 or -1.
@inline(__always) private func ternary(_ grid: __m256i, _ delta: __m256i) -> __m256i {
    _mm256_add_epi8(shiftLeft(grid, 3), _mm256_add_epi8(delta, _mm256_set1_epi8(8)))
}

extension IQ1_S: KernelFormat {
    @inline(__always) static var usesTables: Bool { true }
    static var capacity: Capacity { .eight }
    static var bias: Int { 16 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        let high = word(p, 34 &+ 2 &* b)
        @inline(__always) func grid(_ i: Int) -> UInt64 {
            l2s_iq1_s_grid(UInt32(byte(p, 2 &+ 4 &* b &+ i)) | (high >> UInt32(truncatingIfNeeded: 3 &* i) & 7) << 8)
        }
        let delta = 1 &- Int8(truncatingIfNeeded: (high >> 15) << 1)
        return ternary(eights(grid(0), grid(1), grid(2), grid(3)), _mm256_set1_epi8(delta))
    }
}

extension IQ1_M: KernelFormat {
    @inline(__always) static var usesTables: Bool { true }
    static var capacity: Capacity { .eight }
    static var bias: Int { 16 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        let high = word(p, 32 &+ 2 &* b)
        @inline(__always) func grid(_ i: Int) -> UInt64 {
            l2s_iq1_s_grid(UInt32(byte(p, 4 &* b &+ i)) | (high >> UInt32(truncatingIfNeeded: 4 &* i) & 7) << 8)
        }
        /// Eight bytes of 1 or -1.
        @inline(__always) func signs(_ i: Int) -> UInt64 {
            high >> UInt32(truncatingIfNeeded: 4 &* i &+ 3) & 1 == 0 ? 0x0101_0101_0101_0101 : 0xffff_ffff_ffff_ffff
        }
        return ternary(eights(grid(0), grid(1), grid(2), grid(3)), eights(signs(0), signs(1), signs(2), signs(3)))
    }
}

/// The sixteen values of IQ4, in order: see `nonlinear` in Formats/IQ.swift.
@inline(__always) private func nonlinearWeights(_ p: UnsafeRawPointer) -> __m256i {
    let low = Int64(bitPattern: 0xf6ea_ddcf_bfad_9881), high = Int64(bitPattern: 0x7159_4535_2619_0d01)
    return _mm256_shuffle_epi8(_mm256_set_epi64x(high, low, high, low), nibbles(p))
}

extension IQ4_NL: KernelFormat {
    static var capacity: Capacity { .signed }
    static var bias: Int { 0 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i { nonlinearWeights(p + 2) }
}

extension IQ4_XS: KernelFormat {
    static var capacity: Capacity { .signed }
    static var bias: Int { 0 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i { nonlinearWeights(p + (8 &+ 16 &* b)) }
}
