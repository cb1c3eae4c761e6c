internal import BlockTables
internal import X86Intrinsics

/// Weights of formats with tables, looked up in registers: one instruction takes 64 numbers to bytes of a table of 128 (on Zen 5 it starts twice a
/// cycle, where a gather of sixteen numbers takes 13). So grids lie there as planes: a byte has the numbers of the magnitudes of two weights of an entry
/// (one of eight magnitudes each) or of four (one of three). Such a number and a sign are looked up once more and are a weight, biased.
///
/// A register is 64 entries, four of each of 16 rows: entry k of row 4 L + i is byte 4 k + i of 128-bit lane L. So planes of weights that are
/// interleaved have groups of four columns in the lanes of their rows.

/// Bytes n0 ... n3 of each row in the places of its entries 0 ... 3.
@inline(__always) private func placed(_ x: __m512i, _ n0: Int32, _ n1: Int32, _ n2: Int32, _ n3: Int32) -> __m512i {
    @inline(__always) func from(_ n: Int32) -> Int32 { 0x0c08_0400 &+ n &* 0x0101_0101 }
    return _mm512_shuffle_epi8(x, _mm512_set4_epi32(from(n3), from(n2), from(n1), from(n0)))
}

/// Bit `first` + k `step` of each row for its entry k.
@inline(__always) private func bitsOfEntries(_ x: __m512i, _ first: Int, _ step: Int) -> __mmask64 {
    @inline(__always) func at(_ k: Int) -> Int { first &+ k &* step }
    @inline(__always) func byte(_ k: Int) -> Int32 { Int32(truncatingIfNeeded: at(k) >> 3) }
    @inline(__always) func bit(_ k: Int) -> Int32 { Int32(truncatingIfNeeded: 0x0101_0101 << (at(k) & 7)) }
    return _mm512_test_epi8_mask(placed(x, byte(0), byte(1), byte(2), byte(3)), _mm512_set4_epi32(bit(3), bit(2), bit(1), bit(0)))
}

@inline(__always) private func load64(_ p: UnsafePointer<UInt8>) -> __m512i { _mm512_loadu_si512(p) }

/// Numbers of 64 entries: eight bits, and one to three more where there are as many.
private struct Numbers {
    let low: __m512i, seventh: __mmask64, eighth: __mmask64, ninth: __mmask64, tenth: __mmask64

    @inline(__always) init(_ low: __m512i, _ eighth: __mmask64 = 0, _ ninth: __mmask64 = 0, _ tenth: __mmask64 = 0) {
        self.low = low
        seventh = _mm512_movepi8_mask(low)
        self.eighth = eighth
        self.ninth = ninth
        self.tenth = tenth
    }

    /// Bytes of a table of 256: a lane that is not looked up stays its number for the second look.
    @inline(__always) func of256(_ t: UnsafePointer<UInt8>) -> __m512i {
        let first = _mm512_mask2_permutex2var_epi8(load64(t), low, ~seventh, load64(t + 64))
        return _mm512_mask2_permutex2var_epi8(load64(t + 128), first, seventh, load64(t + 192))
    }
    @inline(__always) func of512(_ t: UnsafePointer<UInt8>) -> __m512i { _mm512_mask_blend_epi8(eighth, of256(t), of256(t + 256)) }
    @inline(__always) func of1024(_ t: UnsafePointer<UInt8>) -> __m512i { _mm512_mask_blend_epi8(ninth, of512(t), of512(t + 512)) }
    @inline(__always) func of2048(_ t: UnsafePointer<UInt8>) -> __m512i { _mm512_mask_blend_epi8(tenth, of1024(t), of1024(t + 1024)) }
}

/// Seven bits as eight, of which an even number is set; the eighth of what comes in does not count.
@inline(__always) private func even(_ sevens: __m512i) -> __m512i {
    let t = l2s_even_signs_table()
    return _mm512_permutex2var_epi8(load64(t), sevens, load64(t + 64))
}

/// Four times seven bits of each lane so.
@inline(__always) private func evenSigns(_ sevens: __m512i) -> __m512i {
    even(_mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x352e_2720_150e_0700), sevens))
}

/// Planes of four columns: those of entries 0 ... 3 as groups.
@inline(__always) private func interleaved(_ p0: __m512i, _ p1: __m512i, _ p2: __m512i, _ p3: __m512i) -> Columns16 {
    let a = _mm512_unpacklo_epi8(p0, p1), b = _mm512_unpacklo_epi8(p2, p3)
    let c = _mm512_unpackhi_epi8(p0, p1), d = _mm512_unpackhi_epi8(p2, p3)
    return Columns16(_mm512_unpacklo_epi16(a, b), _mm512_unpackhi_epi16(a, b), _mm512_unpacklo_epi16(c, d), _mm512_unpackhi_epi16(c, d))
}

/// Four entries of four weights. first, second: bytes of both planes (l2s_iq3_s_pairs); weights: from them (l2s_iq3_s_weights);
/// signs: of each row's block, of which entries `entry` ..< `entry` + 4 are these.
@inline(__always) private func fours(
    _ first: __m512i, _ second: __m512i, _ weights: UnsafePointer<UInt8>, _ signs: __m512i, _ entry: Int32
) -> Columns16 {
    let byte = entry >> 1, four = placed(signs, byte, byte, byte &+ 1, byte &+ 1)
    // four signs of each entry, the first two or the last two of them moved to bits 3 and 4
    @inline(__always) func joined(_ x: __m512i, _ moved: Int64) -> __m512i {
        _mm512_or_si512(x, mask(_mm512_multishift_epi64_epi8(_mm512_set1_epi64(moved), four), 0x18))
    }
    let a = joined(first, 0x3931_2921_150d_053d), b = joined(second, 0x3b33_2b23_170f_073f)
    let even = load64(weights), odd = load64(weights + 64)
    return interleaved(
        _mm512_permutexvar_epi8(a, even), _mm512_permutexvar_epi8(shiftRight(a, 2), odd),
        _mm512_permutexvar_epi8(b, even), _mm512_permutexvar_epi8(shiftRight(b, 2), odd))
}

/// Four entries of eight weights: a block. first, second: bytes of both planes (l2s_iq2_s_halves); weights: from them (l2s_iq2_weights);
/// signs: a byte of each entry.
@inline(__always) private func eights(_ first: __m512i, _ second: __m512i, _ weights: UnsafePointer<UInt8>, _ signs: __m512i) -> Bytes32 {
    let low = _mm512_set1_epi8(15), even = load64(weights), odd = load64(weights + 64)
    @inline(__always) func joined(_ x: __m512i, _ signs: __m512i) -> __m512i { _mm512_or_si512(_mm512_and_si512(low, x), _mm512_andnot_si512(low, signs)) }
    @inline(__always) func four(_ x: __m512i, _ signs: (__m512i, __m512i)) -> Columns16 {
        let a = joined(x, signs.0), b = joined(shiftRight(x, 4), signs.1)
        return interleaved(
            _mm512_permutexvar_epi8(a, even), _mm512_permutexvar_epi8(a, odd), _mm512_permutexvar_epi8(b, even), _mm512_permutexvar_epi8(b, odd))
    }
    let a = four(first, (shiftLeft(signs, 4), shiftLeft(signs, 2))), b = four(second, (signs, shiftRight(signs, 2)))
    return Bytes32(Columns16(a.c0, b.c0, a.c1, b.c1), Columns16(a.c2, b.c2, a.c3, b.c3))
}

extension IQ2_XXS {
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        let n = Numbers(placed(x.a[2 &* (b & 1)], 0, 1, 2, 3)), t = l2s_iq2_xxs_halves_table()
        return eights(n.of256(t), n.of256(t + 256), l2s_iq2_weights_table(), placed(evenSigns(h.high.a[b]), 0, 1, 2, 3))
    }
}

extension IQ2_XS {
    @inline(__always) static func columnWeights(_ x: Bytes32, _: ColumnHeader, _ b: Int) -> Bytes32 {
        // low bytes of two entries, then high ones
        let i = 2 &* (b & 1), first = placed(x.a[i], 0, 2, 1, 3), second = placed(x.a[i &+ 1], 0, 2, 1, 3)
        let high = _mm512_unpackhi_epi64(first, second)
        let n = Numbers(_mm512_unpacklo_epi64(first, second), _mm512_test_epi8_mask(high, _mm512_set1_epi8(1)))
        let t = l2s_iq2_xs_halves_table()
        return eights(n.of512(t), n.of512(t + 512), l2s_iq2_weights_table(), even(shiftRight(high, 1)))
    }
}

extension IQ2_S {
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        let t = l2s_iq2_s_halves_table()
        let n = Numbers(placed(x.a[b], 0, 1, 2, 3), bitsOfEntries(h.x.c0, 8 &* b, 2), bitsOfEntries(h.x.c0, 8 &* b &+ 1, 2))
        return eights(n.of1024(t), n.of1024(t + 1024), l2s_iq2_weights_table(), placed(x.b[b], 0, 1, 2, 3))
    }
}

extension IQ3_XXS {
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        let signs = evenSigns(h.high.a[b]), t = l2s_iq3_xxs_pairs_table()
        @inline(__always) func half(_ i: Int) -> Columns16 {
            let n = Numbers(placed(x.a[2 &* (b & 1) &+ i], 0, 1, 2, 3))
            return fours(n.of256(t), n.of256(t + 256), l2s_iq3_xxs_weights_table(), signs, Int32(truncatingIfNeeded: 4 &* i))
        }
        return Bytes32(half(0), half(1))
    }
}

extension IQ3_S {
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        let t = l2s_iq3_s_pairs_table()
        @inline(__always) func half(_ i: Int) -> Columns16 {
            let n = Numbers(placed(x.a[2 &* (b & 1) &+ i], 0, 1, 2, 3), bitsOfEntries(h.y.c0, 8 &* b &+ 4 &* i, 1))
            return fours(n.of512(t), n.of512(t + 512), l2s_iq3_s_weights_table(), h.high.a[b], Int32(truncatingIfNeeded: 4 &* i))
        }
        return Bytes32(half(0), half(1))
    }
}

/// The block of IQ1's entries. low: their low bytes; high: a row's double word with the other bits, those of entry k from `at` + k `step` on;
/// negative: all bits of an entry's byte where its delta is -1.
@inline(__always) private func ternary(_ low: __m512i, _ high: __m512i, _ at: Int, _ step: Int, _ negative: __m512i) -> Bytes32 {
    @inline(__always) func bit(_ i: Int) -> __mmask64 { bitsOfEntries(high, at &+ i, step) }
    let n = Numbers(placed(low, 0, 1, 2, 3), bit(0), bit(1), bit(2)), t = l2s_iq1_s_halves_table()
    return eights(n.of2048(t), n.of2048(t + 2048), l2s_iq1_weights_table(), negative)
}

extension IQ1_S {
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        let high = h.x[b >> 1], at = 16 &* (b & 1)
        let negative = _mm512_movm_epi8(bitsOfEntries(high, at &+ 15, 0))
        return ternary(x.a[b], high, at, 3, negative)
    }
}

extension IQ1_M: ColumnFormat {
    static var together: Int { 4 }
    /// x: scales in the last bytes, and spread over them d; y: the high bits of numbers and the signs of deltas.
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        let x = Columns16(p + 40, stride)
        @inline(__always) func part(_ y: __m512i, _ by: Int, _ mask: Int32) -> __m512i {
            _mm512_and_si512(shiftRight(y, by), _mm512_set1_epi32(mask))
        }
        let d = _mm512_or_si512(
            _mm512_or_si512(part(x.c2, 12, 0xf), part(x.c2, 24, 0xf0)), _mm512_or_si512(part(x.c3, 4, 0xf00), part(x.c3, 16, 0xf000)))
        return ColumnHeader(lowHalves16(d), x, lowHalves16(d), Columns16(p + 32, stride))
    }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader { ColumnHeader(h.d, h.x.oddWords, h.d, h.y.secondHalf) }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 {
        let x = Columns16(p + 16 &* (b >> 2), stride)
        return Bytes32(x, x)
    }
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        let high = h.y[b >> 1], at = 16 &* (b & 1)
        return ternary(x.a[b], high, at, 4, _mm512_movm_epi8(bitsOfEntries(high, at &+ 3, 4)))
    }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales {
        let first = 16 &* (b >> 1 & 1) &+ 6 &* (b & 1)
        @inline(__always) func scale(_ first: Int) -> __m512 { _mm512_mul_ps(odd(h.d, bits(h.x.c2, first, 3)), _mm512_set1_ps(0.125)) }
        return ColumnScales(scale(first), scale(first &+ 3))
    }
}
