/// In the headers here x and y hold the integer scales and minima as bytes: byte i for group i of 16 or 32 columns.

extension Q2_K: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        let x = Columns(p, stride)
        @inline(__always) func high(_ x: Words) -> Words { maskBytes(shiftRight(x, 4), 15) }
        return Header(
            halves(p + 80, stride), Columns(maskBytes(x.c0, 15), maskBytes(x.c1, 15), maskBytes(x.c2, 15), maskBytes(x.c3, 15)),
            halves(p + 82, stride), Columns(high(x.c0), high(x.c1), high(x.c2), high(x.c3)))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        @inline(__always) func d(_ i: Int) -> RowFloats { scaled(h.d, h.x.byte(i)) }
        @inline(__always) func m(_ i: Int) -> RowFloats { negative(scaled(h.m, h.y.byte(i))) }
        return Scales(d(2 &* b), d(2 &* b &+ 1), m(2 &* b), m(2 &* b &+ 1))
    }
}

extension Q3_K: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        // the last 16 bytes but two before: scales begin in the middle of a double word
        let x = Columns(p + 94, stride)
        @inline(__always) func joined(_ x: Words, _ y: Words) -> Words { or(shiftRight(x, 16), shiftLeft(y, 16)) }
        let first = joined(x.c0, x.c1), second = joined(x.c1, x.c2), high = joined(x.c2, x.c3)
        @inline(__always) func six(_ low: Words, _ high: Words) -> Words { or(maskBytes(low, 15), maskBytes(high, 0x30)) }
        return Header(
            lowHalves(shiftRight(x.c3, 16)),
            Columns(
                six(first, shiftLeft(high, 4)), six(second, shiftLeft(high, 2)), six(shiftRight(first, 4), high),
                six(shiftRight(second, 4), shiftRight(high, 2))))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        @inline(__always) func d(_ i: Int) -> RowFloats { times(h.d, floats(h.x.byte(i), less: 32)) }
        return Scales(d(2 &* b), d(2 &* b &+ 1))
    }
}

/// The 16 bytes { f16 d; f16 dmin; u8 scales[12] } of Q4_K and Q5_K.
@inline(__always) private func headerK4(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
    let x = Columns(p, stride)
    // six bits each; of the last four blocks, four lie together and two apart
    let scales = maskBytes(x.c1, 63), minima = maskBytes(x.c2, 63)
    let lastScales = or(maskBytes(x.c3, 15), maskBytes(shiftRight(x.c1, 2), 0x30))
    let lastMinima = or(maskBytes(shiftRight(x.c3, 4), 15), maskBytes(shiftRight(x.c2, 2), 0x30))
    return Header(
        lowHalves(x.c0), Columns(scales, lastScales, scales, lastScales), lowHalves(shiftRight(x.c0, 16)),
        Columns(minima, lastMinima, minima, lastMinima))
}

@inline(__always) private func scalesK4(_ h: Header, _ b: Int) -> Scales {
    Scales(scaled(h.d, h.x.byte(b)), offset: negative(scaled(h.m, h.y.byte(b))))
}

extension Q4_K: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { headerK4(p, stride) }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { scalesK4(h, b) }
}

extension Q5_K: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { headerK4(p, stride) }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { scalesK4(h, b) }
}

extension Q6_K: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        Header(halves(p + 208, stride), Columns(p + 192, stride))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        @inline(__always) func d(_ i: Int) -> RowFloats { times(h.d, signedByte(h.x[i >> 2], i & 3)) }
        return Scales(d(2 &* b), d(2 &* b &+ 1))
    }
}
