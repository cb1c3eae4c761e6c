internal import BlockTables
internal import X86Intrinsics

/// Weights of formats with tables: their entries are gathered for 16 rows at once, numbers of entries and signs taken apart in lanes. (On Zen 5 a
/// gather brings sixteen entries of four bytes in 13 cycles and eight of eight bytes in 7. Where bytes are looked up in registers: AVX512VBMI.)

/// An entry of eight weights for each row: two groups of four columns.
@inline(__always) private func eight(_ table: UnsafePointer<UInt64>, _ numbers: __m512i) -> (__m512i, __m512i) {
    let a = l2s_m512i_gather_eights(table, _mm512_castsi512_si256(numbers))
    let b = l2s_m512i_gather_eights(table, l2s_m512i_high_half(numbers))
    let even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0)
    let odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1)
    return (_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b))
}

/// Four such entries: a block.
@inline(__always) private func eights(_ table: UnsafePointer<UInt64>, _ number: (Int) -> __m512i) -> Bytes32 {
    let a = eight(table, number(0)), b = eight(table, number(1)), c = eight(table, number(2)), d = eight(table, number(3))
    return Bytes32(Columns16(a.0, a.1, b.0, b.1), Columns16(c.0, c.1, d.0, d.1))
}

/// Eight entries of four weights: a block.
@inline(__always) private func fours(_ table: UnsafePointer<UInt32>, _ number: (Int) -> __m512i) -> Bytes32 {
    @inline(__always) func entry(_ i: Int) -> __m512i { l2s_m512i_gather_fours(table, number(i)) }
    return Bytes32(Columns16(entry(0), entry(1), entry(2), entry(3)), Columns16(entry(4), entry(5), entry(6), entry(7)))
}

/// Magnitudes with the sign of bit 4 g + i of `signs` for byte i of group g, and `bias` added.
@inline(__always) private func signed(_ x: Bytes32, _ signs: __m512i, _ bias: Int) -> Bytes32 {
    let more = _mm512_set1_epi8(Int8(truncatingIfNeeded: bias))
    return whereBits(x, signs) { _mm512_mask_sub_epi8(_mm512_add_epi8($0, more), $1, more, $0) }
}

/// Four times seven signs as four times eight: the eighth makes the number of negative ones even.
@inline(__always) private func evenSigns(_ sevens: __m512i) -> __m512i {
    @inline(__always) func part(_ mask: Int32, _ by: Int) -> __m512i { shiftLeft(_mm512_and_si512(sevens, _mm512_set1_epi32(mask)), by) }
    let spread = _mm512_or_si512(
        _mm512_or_si512(part(0x7f, 0), part(0x3f80, 1)), _mm512_or_si512(part(0x1f_c000, 2), part(0xfe0_0000, 3)))
    var parity = _mm512_xor_si512(spread, shiftRight(spread, 4))
    parity = _mm512_xor_si512(parity, shiftRight(parity, 2))
    parity = _mm512_xor_si512(parity, shiftRight(parity, 1))
    return _mm512_or_si512(spread, shiftLeft(mask(parity, 1), 7))
}

extension IQ2_XXS {
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        let numbers = x.a[2 &* (b & 1)]
        return signed(eights(l2s_iq2_xxs_grids()) { bits(numbers, 8 &* $0, 8) }, evenSigns(h.high.a[b]), bias)
    }
}

extension IQ2_XS {
    @inline(__always) static func columnWeights(_ x: Bytes32, _: ColumnHeader, _ b: Int) -> Bytes32 {
        let first = x.a[2 &* (b & 1)], second = x.a[2 &* (b & 1) &+ 1]
        @inline(__always) func word(_ i: Int) -> __m512i { i < 2 ? first : second }
        @inline(__always) func seven(_ i: Int) -> __m512i { shiftLeft(bits(word(i), 16 &* (i & 1) &+ 9, 7), 7 &* i) }
        let signs = evenSigns(_mm512_or_si512(_mm512_or_si512(seven(0), seven(1)), _mm512_or_si512(seven(2), seven(3))))
        return signed(eights(l2s_iq2_xs_grids()) { bits(word($0), 16 &* ($0 & 1), 9) }, signs, bias)
    }
}

extension IQ2_S {
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        signed(
            eights(l2s_iq2_s_grids()) { _mm512_or_si512(bits(x.a[b], 8 &* $0, 8), shiftLeft(bits(h.x.c0, 8 &* b &+ 2 &* $0, 2), 8)) },
            x.b[b], bias)
    }
}

extension IQ3_XXS {
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        let first = x.a[2 &* (b & 1)], second = x.a[2 &* (b & 1) &+ 1]
        return signed(
            fours(l2s_iq3_xxs_grids()) { bits($0 < 4 ? first : second, 8 &* ($0 & 3), 8) }, evenSigns(h.high.a[b]), bias)
    }
}

extension IQ3_S {
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        let first = x.a[2 &* (b & 1)], second = x.a[2 &* (b & 1) &+ 1], high = h.y.c0
        return signed(
            fours(l2s_iq3_s_grids()) {
                _mm512_or_si512(bits($0 < 4 ? first : second, 8 &* ($0 & 3), 8), shiftLeft(bits(high, 8 &* b &+ $0, 1), 8))
            }, h.high.a[b], bias)
    }
}

extension IQ1_S {
    /// 0, 1 or 2 to 8 (w - 1) + delta + 16.
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        let low = x.a[b], high = h.x[b >> 1], at = 16 &* (b & 1)
        let negative = _mm512_test_epi32_mask(high, _mm512_set1_epi32(b & 1 == 0 ? 0x8000 : Int32.min))
        let delta = _mm512_mask_blend_epi32(negative, _mm512_set1_epi8(9), _mm512_set1_epi8(7))
        return eights(l2s_iq1_s_grids()) { _mm512_or_si512(bits(low, 8 &* $0, 8), shiftLeft(bits(high, at &+ 3 &* $0, 3), 8)) }
            .map { _mm512_add_epi8(shiftLeft($0, 3), delta) }
    }
}
