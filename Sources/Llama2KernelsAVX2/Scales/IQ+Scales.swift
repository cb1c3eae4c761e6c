/// (d (1/2 + n)) times a power of two
@inline(__always) private func fraction(_ d: RowFloats, _ n: Words, _ power: Float) -> RowFloats {
    times(times(d, plus(splat(0.5), floats(n))), splat(power))
}

/// d (2 n + 1)
@inline(__always) private func odd(_ d: RowFloats, _ n: Words) -> RowFloats { scaled(d, oneMore(twice(n))) }

extension IQ2_XXS: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { Header(halves(p, stride)) }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        let x = Columns(p + (2 &+ 16 &* (b >> 1)), stride)
        return Scales(fraction(h.d, bits(b & 1 == 0 ? x.c1 : x.c3, 28, 4), 0.25))
    }
}

extension IQ2_XS: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        Header(halves(p, stride), Columns(p + 58, stride))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        let x: Words = b < 4 ? h.x.c2 : h.x.c3, first = 8 &* (b & 3)
        return Scales(fraction(h.d, bits(x, first, 4), 0.25), fraction(h.d, bits(x, first &+ 4, 4), 0.25))
    }
}

extension IQ2_S: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        Header(halves(p, stride), Columns(p + 66, stride))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        let x: Words = b < 4 ? h.x.c2 : h.x.c3, first = 8 &* (b & 3)
        return Scales(fraction(h.d, bits(x, first, 4), 0.25), fraction(h.d, bits(x, first &+ 4, 4), 0.25))
    }
}

extension IQ3_XXS: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        Header(halves(p, stride), Columns(p + 66, stride), halves(p, stride), Columns(p + 82, stride))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        Scales(fraction(h.d, bits(b < 4 ? h.x[b] : h.y[b], 28, 4), 0.5))
    }
}

extension IQ3_S: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        Header(halves(p, stride), Columns(p + 94, stride))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        Scales(odd(h.d, bits(h.x.c3, 4 &* b, 4)))
    }
}

extension IQ1_S: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        Header(halves(p, stride), Columns(p + 34, stride))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        Scales(times(odd(h.d, bits(h.x[b >> 1], 16 &* (b & 1) &+ 12, 3)), splat(0.125)))
    }
}

extension IQ1_M: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        let x = Columns(p + 40, stride)
        let low = or(maskWords(shiftRight(x.c2, 12), 0xf), maskWords(shiftRight(x.c2, 24), 0xf0))
        let high = or(maskWords(shiftRight(x.c3, 4), 0xf00), maskWords(shiftRight(x.c3, 16), 0xf000))
        return Header(lowHalves(or(low, high)), x)
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        let x: Words = b < 4 ? h.x.c2 : h.x.c3, first = 16 &* (b >> 1 & 1) &+ 6 &* (b & 1)
        return Scales(times(odd(h.d, bits(x, first, 3)), splat(0.125)), times(odd(h.d, bits(x, first &+ 3, 3)), splat(0.125)))
    }
}

extension IQ4_NL: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { Header() }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { Scales(halves(p, stride)) }
}

extension IQ4_XS: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        Header(halves(p, stride), Columns(p, stride))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        let low: Words = bits(h.x.c1, 4 &* b, 4), high: Words = bits(h.x.c0, 16 &+ 2 &* b, 2)
        return Scales(times(h.d, floats(or(low, shiftLeft(high, 4)), less: 32)))
    }
}
