internal import X86Intrinsics

/// Blocks of 32 that hold their own scales.

/// Sixteen bytes of nibbles: low ones, then high ones.
@inline(__always) private func nibbles(_ x: Columns16) -> Bytes32 {
    Bytes32(x.map { mask($0, 15) }, x.map { mask(shiftRight($0, 4), 15) })
}

@inline(__always) private func twice(_ p: UnsafeRawPointer, _ stride: Int) -> Bytes32 {
    let x = Columns16(p, stride)
    return Bytes32(x, x)
}

/// One half before the weights.
@inline(__always) private func oneHalf(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
    ColumnHeader(halves16(p, stride, first: true))
}

extension Q4_0: ColumnFormat {
    static var together: Int { 1 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader { oneHalf(p, stride) }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _: Int) -> Bytes32 { twice(p + 2, stride) }
    @inline(__always) static func columnWeights(_ x: Bytes32, _: ColumnHeader, _: Int) -> Bytes32 { nibbles(x.a) }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _: Int) -> ColumnScales { ColumnScales(h.d) }
}

extension Q4_1: ColumnFormat {
    static var together: Int { 1 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        let none = _mm512_setzero_si512(), x = Columns16(none, none, none, none)
        if let both = gathered16(p, stride) { return ColumnHeader(lowHalves16(both), x, lowHalves16(shiftRight(both, 16)), x) }
        return ColumnHeader(halves16(p, stride), x, halves16(p + 2, stride), x)
    }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _: Int) -> Bytes32 { twice(p + 4, stride) }
    @inline(__always) static func columnWeights(_ x: Bytes32, _: ColumnHeader, _: Int) -> Bytes32 { nibbles(x.a) }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _: Int) -> ColumnScales { ColumnScales(h.d, offset: h.m) }
}

/// 16 more in byte i of group g where bit 4 g + i of its lane of `bits` is set.
@inline(__always) private func withFifthBits(_ x: Bytes32, _ bits: __m512i) -> Bytes32 {
    let more = _mm512_set1_epi8(16)
    return whereBits(x, bits) { _mm512_mask_add_epi8($0, $1, $0, more) }
}

/// f(w, k), where k has bit 4 g + i of a lane of `bits` for byte i of group g of this lane.
@inline(__always) func whereBits(_ x: Bytes32, _ bits: __m512i, _ f: (__m512i, __mmask64) -> __m512i) -> Bytes32 {
    /// Byte n of each lane, four times, and of it the four bits of an even or an odd group.
    @inline(__always) func spread(_ n: Int8) -> __m512i {
        let a = Int32(n) &* 0x0101_0101
        return _mm512_shuffle_epi8(
            bits, _mm512_add_epi8(_mm512_set1_epi32(a), _mm512_set4_epi32(0x0c0c_0c0c, 0x0808_0808, 0x0404_0404, 0)))
    }
    let even = _mm512_set1_epi32(0x0804_0201), odd = _mm512_set1_epi32(Int32(bitPattern: 0x8040_2010))
    @inline(__always) func one(_ w: __m512i, _ byte: __m512i, _ which: __m512i) -> __m512i { f(w, _mm512_test_epi8_mask(byte, which)) }
    @inline(__always) func four(_ w: Columns16, _ n: Int8) -> Columns16 {
        let first = spread(n), second = spread(n &+ 1)
        return Columns16(one(w.c0, first, even), one(w.c1, first, odd), one(w.c2, second, even), one(w.c3, second, odd))
    }
    return Bytes32(four(x.a, 0), four(x.b, 2))
}

extension Q5_0: ColumnFormat {
    static var together: Int { 1 }
    /// The half and the fifth bits behind it: one double word and half of another.
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        let x = Columns16(p, stride), bits = _mm512_or_si512(shiftRight(x.c0, 16), shiftLeft(x.c1, 16))
        return ColumnHeader(lowHalves16(x.c0), Columns16(bits, bits, bits, bits))
    }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _: Int) -> Bytes32 { twice(p + 6, stride) }
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _: Int) -> Bytes32 {
        withFifthBits(nibbles(x.a), h.x.c0)
    }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _: Int) -> ColumnScales { ColumnScales(h.d) }
}

extension Q5_1: ColumnFormat {
    static var together: Int { 1 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        let x = Columns16(p, stride)
        return ColumnHeader(lowHalves16(x.c0), x, lowHalves16(shiftRight(x.c0, 16)), x)
    }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _: Int) -> Bytes32 { twice(p + 8, stride) }
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _: Int) -> Bytes32 {
        withFifthBits(nibbles(x.a), h.x.c1)
    }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _: Int) -> ColumnScales { ColumnScales(h.d, offset: h.m) }
}

extension Q8_0: ColumnFormat {
    static var together: Int { 1 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader { oneHalf(p, stride) }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _: Int) -> Bytes32 { Bytes32(p + 2, stride) }
    @inline(__always) static func columnWeights(_ x: Bytes32, _: ColumnHeader, _: Int) -> Bytes32 {
        x.map { _mm512_xor_si512($0, _mm512_set1_epi8(-128)) }
    }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _: Int) -> ColumnScales { ColumnScales(h.d) }
}

/// The sixteen values of IQ4, 128 added: see `nonlinear` in Formats/IQ.swift.
@inline(__always) private func nonlinear(_ x: Bytes32) -> Bytes32 {
    let values = _mm512_set4_epi32(
        Int32(bitPattern: 0xf1d9_c5b5), Int32(bitPattern: 0xa699_8d81), Int32(bitPattern: 0x766a_5d4f), 0x3f2d_1801)
    return x.map { _mm512_shuffle_epi8(values, $0) }
}

extension IQ4_NL: ColumnFormat {
    static var together: Int { 1 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader { oneHalf(p, stride) }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _: Int) -> Bytes32 { twice(p + 2, stride) }
    @inline(__always) static func columnWeights(_ x: Bytes32, _: ColumnHeader, _: Int) -> Bytes32 { nonlinear(nibbles(x.a)) }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _: Int) -> ColumnScales { ColumnScales(h.d) }
}

extension IQ4_XS: ColumnFormat {
    static var together: Int { 1 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        let x = Columns16(p, stride)
        return ColumnHeader(lowHalves16(x.c0), x)
    }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader {
        ColumnHeader(h.d, Columns16(shiftRight(h.x.c0, 8), shiftRight(h.x.c1, 16), h.x.c2, h.x.c3))
    }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 { twice(p + (8 &+ 16 &* b), stride) }
    @inline(__always) static func columnWeights(_ x: Bytes32, _: ColumnHeader, _: Int) -> Bytes32 { nonlinear(nibbles(x.a)) }
    /// Six bits less 32, four in one place and two in another.
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales {
        let low = _mm512_and_si512(shiftRight(h.x.c1, 4 &* b), _mm512_set1_epi32(15))
        let high = _mm512_and_si512(shiftRight(h.x.c0, 12 &+ 2 &* b), _mm512_set1_epi32(0x30))
        return ColumnScales(_mm512_mul_ps(h.d, floats(_mm512_sub_epi32(_mm512_or_si512(low, high), _mm512_set1_epi32(32)))))
    }
}
