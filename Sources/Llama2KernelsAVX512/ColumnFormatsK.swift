internal import X86Intrinsics

/// Superblocks whose blocks share bytes. In the headers here x and y hold the integer scales and minima as bytes: byte i for group
/// i of 16 or 32 columns. (Q6_K, whose blocks share more bytes than there are registers for: Q6K.swift.)

/// Two bits of block b, four blocks a byte.
@inline(__always) private func pairs(_ x: Bytes32, _ b: Int) -> Bytes32 { x.map { mask(shiftRight($0, 2 &* (b & 3)), 3) } }

@inline(__always) private func scaled(_ d: __m512, _ x: Columns16, _ i: Int) -> __m512 { _mm512_mul_ps(d, floats(x.byte(i))) }

extension Q2_K: ColumnFormat {
    static var together: Int { 4 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        let x = Columns16(p, stride), both = Columns16(p + 68, stride).c3
        return ColumnHeader(
            lowHalves16(both), x.map { mask($0, 15) }, lowHalves16(shiftRight(both, 16)), x.map { mask(shiftRight($0, 4), 15) })
    }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader {
        ColumnHeader(h.d, h.x.secondHalf, h.m, h.y.secondHalf)
    }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 {
        Bytes32(p + (16 &+ 32 &* (b >> 2)), stride)
    }
    @inline(__always) static func columnWeights(_ x: Bytes32, _: ColumnHeader, _ b: Int) -> Bytes32 { pairs(x, b) }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales {
        ColumnScales(
            scaled(h.d, h.x, 2 &* b), scaled(h.d, h.x, 2 &* b &+ 1), negative(scaled(h.m, h.y, 2 &* b)),
            negative(scaled(h.m, h.y, 2 &* b &+ 1)))
    }
}

extension Q3_K: ColumnFormat {
    static var together: Int { 4 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        // the last 16 bytes: scales begin in the middle of a double word
        let x = Columns16(p + 94, stride)
        @inline(__always) func joined(_ x: __m512i, _ y: __m512i) -> __m512i { _mm512_or_si512(shiftRight(x, 16), shiftLeft(y, 16)) }
        let first = joined(x.c0, x.c1), second = joined(x.c1, x.c2), high = joined(x.c2, x.c3)
        @inline(__always) func six(_ low: __m512i, _ high: __m512i) -> __m512i { _mm512_or_si512(mask(low, 15), mask(high, 0x30)) }
        let scales = Columns16(
            six(first, turned(high, 4)), six(second, turned(high, 2)), six(shiftRight(first, 4), high),
            six(shiftRight(second, 4), turned(high, -2)))
        let d = lowHalves16(shiftRight(x.c3, 16))
        return ColumnHeader(d, scales, d, scales, Bytes32(p, stride))
    }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader {
        let scales = h.x.secondHalf
        return ColumnHeader(h.d, scales, h.d, scales, h.high.map { turned($0, -4) })
    }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 {
        Bytes32(p + (32 &+ 32 &* (b >> 2)), stride)
    }
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        pairs(x, b).map(h.high) { _mm512_or_si512($0, mask(turned($1, 2 &- b), 4)) }
    }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales {
        @inline(__always) func d(_ i: Int) -> __m512 {
            _mm512_mul_ps(h.d, floats(_mm512_sub_epi32(h.x.byte(i), _mm512_set1_epi32(32))))
        }
        return ColumnScales(d(2 &* b), d(2 &* b &+ 1))
    }
}

/// The 16 bytes { f16 d; f16 dmin; u8 scales[12] } of Q4_K and Q5_K: of the last four blocks, four bits lie together and two apart.
@inline(__always) private func headerK(_ p: UnsafeRawPointer, _ stride: Int, _ high: Bytes32?) -> ColumnHeader {
    let x = Columns16(p, stride), scales = mask(x.c1, 63), minima = mask(x.c2, 63)
    let lastScales = _mm512_or_si512(mask(x.c3, 15), mask(turned(x.c1, -2), 0x30))
    let lastMinima = _mm512_or_si512(mask(turned(x.c3, -4), 15), mask(turned(x.c2, -2), 0x30))
    let both = Columns16(scales, lastScales, minima, lastMinima)
    return ColumnHeader(lowHalves16(x.c0), both, lowHalves16(shiftRight(x.c0, 16)), both, high ?? Bytes32(both, both))
}

@inline(__always) private func secondHalfK(_ h: ColumnHeader, _ high: Bytes32?) -> ColumnHeader {
    let both = h.x.oddWords
    return ColumnHeader(h.d, both, h.m, both, high ?? Bytes32(both, both))
}

@inline(__always) private func scalesK(_ h: ColumnHeader, _ b: Int) -> ColumnScales {
    ColumnScales(scaled(h.d, h.x, b), offset: negative(scaled(h.m, h.x, b &+ 8)))
}

extension Q4_K: ColumnFormat {
    static var together: Int { 2 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader { headerK(p, stride, nil) }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader { secondHalfK(h, nil) }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 {
        Bytes32(p + (16 &+ 32 &* (b >> 1)), stride)
    }
    @inline(__always) static func columnWeights(_ x: Bytes32, _: ColumnHeader, _ b: Int) -> Bytes32 {
        x.map { mask(shiftRight($0, 4 &* (b & 1)), 15) }
    }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales { scalesK(h, b) }
}

extension Q5_K: ColumnFormat {
    static var together: Int { 2 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader {
        headerK(p, stride, Bytes32(p + 16, stride))
    }
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader { secondHalfK(h, h.high.map { turned($0, -4) }) }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 {
        Bytes32(p + (48 &+ 32 &* (b >> 1)), stride)
    }
    @inline(__always) static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32 {
        x.map(h.high) { _mm512_or_si512(mask(shiftRight($0, 4 &* (b & 1)), 15), mask(turned($1, 4 &- b), 16)) }
    }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales { scalesK(h, b) }
}

extension TQ2_0: ColumnFormat {
    static var together: Int { 4 }
    @inline(__always) static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader { ColumnHeader(halves16(p + 64, stride)) }
    @inline(__always) static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32 { Bytes32(p + 32 &* (b >> 2), stride) }
    @inline(__always) static func columnWeights(_ x: Bytes32, _: ColumnHeader, _ b: Int) -> Bytes32 { pairs(x, b) }
    @inline(__always) static func columnScales(_ h: ColumnHeader, _: Int) -> ColumnScales { ColumnScales(h.d) }
}
