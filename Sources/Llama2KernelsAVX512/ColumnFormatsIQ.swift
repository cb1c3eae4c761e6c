internal import X86Intrinsics

/// Formats with tables, but for their weights: which bytes of 16 rows are transposed and what scales are in them. (Weights: ColumnWeightsIQ.swift,
/// a file of its own in each module.)

/// `count` bits of each lane from bit `first` on.
@inline(__always) func bits(_ x: __m512i, _ first: Int, _ count: Int) -> __m512i {
    let shifted = shiftRight(x, first)
    return first &+ count == 32 ? shifted : _mm512_and_si512(shifted, _mm512_set1_epi32(1 << Int32(truncatingIfNeeded: count) &- 1))
}

/// (d (1/2 + n)) by
@inline(__always) private func fraction(_ d: __m512, _ n: __m512i, _ by: Float) -> __m512 {
    _mm512_mul_ps(_mm512_mul_ps(d, _mm512_add_ps(_mm512_set1_ps(0.5), floats(n))), _mm512_set1_ps(by))
}

/// d (1 + 2 n)
@inline(__always) func odd(_ d: __m512, _ n: __m512i) -> __m512 {
    _mm512_mul_ps(d, floats(_mm512_add_epi32(_mm512_set1_epi32(1), _mm512_add_epi32(n, n))))
}

/// Sixteen bytes, eight of each of two blocks.
@inline(__always) private func twoBlocks(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 {
    let x = Columns16(p + 16 &* (b >> 1), stride)
    return Bytes32(x, x)
}

/// Double words of blocks 4 ..< 8 where those of blocks 0 ..< 4 were.
@inline(__always) private func secondWords(_ h: ColumnHeader) -> ColumnHeader {
    ColumnHeader(h.d, h.x, h.d, h.y, Bytes32(h.high.b, h.high.b))
}

extension IQ2_XXS: ColumnFormat {
    static var together: Int { 2 }
    /// The double words of signs and scales, one a block.
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        let a = Columns16(p + 2, stride), b = Columns16(p + 18, stride), c = Columns16(p + 34, stride), d = Columns16(p + 50, stride)
        let scale = halves16(p, stride)
        return ColumnHeader(scale, a, scale, b, Bytes32(Columns16(a.c1, a.c3, b.c1, b.c3), Columns16(c.c1, c.c3, d.c1, d.c3)))
    }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader { secondWords(h) }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 { twoBlocks(p + 2, stride, b) }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales {
        ColumnScales(fraction(h.d, bits(h.high.a[b], 28, 4), 0.25))
    }
}

extension IQ2_XS: ColumnFormat {
    static var together: Int { 2 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        ColumnHeader(halves16(p, stride), Columns16(p + 58, stride))
    }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader { ColumnHeader(h.d, h.x.oddWords) }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 { twoBlocks(p + 2, stride, b) }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales {
        ColumnScales(fraction(h.d, bits(h.x.c2, 8 &* b, 4), 0.25), fraction(h.d, bits(h.x.c2, 8 &* b &+ 4, 4), 0.25))
    }
}

extension IQ2_S: ColumnFormat {
    static var together: Int { 4 }
    /// The high bits of numbers, then the scales.
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        ColumnHeader(halves16(p, stride), Columns16(p + 66, stride))
    }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader { ColumnHeader(h.d, h.x.oddWords) }
    /// Of four blocks: four bytes of numbers each, four of signs each.
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 {
        Bytes32(Columns16(p + (2 &+ 16 &* (b >> 2)), stride), Columns16(p + (34 &+ 16 &* (b >> 2)), stride))
    }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales {
        ColumnScales(fraction(h.d, bits(h.x.c2, 8 &* b, 4), 0.25), fraction(h.d, bits(h.x.c2, 8 &* b &+ 4, 4), 0.25))
    }
}

extension IQ3_XXS: ColumnFormat {
    static var together: Int { 2 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        let d = halves16(p, stride), words = Bytes32(p + 66, stride)
        return ColumnHeader(d, words.a, d, words.b, words)
    }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader { secondWords(h) }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 { twoBlocks(p + 2, stride, b) }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales {
        ColumnScales(fraction(h.d, bits(h.high.a[b], 28, 4), 0.5))
    }
}

extension IQ3_S: ColumnFormat {
    static var together: Int { 2 }
    /// x: scales in the last bytes; y: the high bits of numbers; high: signs.
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        let d = halves16(p, stride)
        return ColumnHeader(d, Columns16(p + 94, stride), d, Columns16(p + 66, stride), Bytes32(p + 74, stride))
    }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader {
        ColumnHeader(h.d, h.x.map { shiftRight($0, 16) }, h.d, h.y.oddWords, Bytes32(h.high.b, h.high.b))
    }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 { twoBlocks(p + 2, stride, b) }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales {
        ColumnScales(odd(h.d, bits(h.x.c3, 4 &* b, 4)))
    }
}

extension IQ1_S: ColumnFormat {
    static var together: Int { 4 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        ColumnHeader(halves16(p, stride), Columns16(p + 34, stride))
    }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader { ColumnHeader(h.d, h.x.secondHalf) }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 {
        let x = Columns16(p + (2 &+ 16 &* (b >> 2)), stride)
        return Bytes32(x, x)
    }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales {
        ColumnScales(_mm512_mul_ps(odd(h.d, bits(h.x[b >> 1], 16 &* (b & 1) &+ 12, 3)), _mm512_set1_ps(0.125)))
    }
}
