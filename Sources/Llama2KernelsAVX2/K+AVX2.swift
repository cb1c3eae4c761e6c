internal import X86Intrinsics

/// In the headers here x and y hold the integer scales and minima as bytes: byte i for group i of 16 or 32 columns.

extension Q2_K: KernelFormat {
    static var capacity: Capacity { .sixteen }
    static var bias: Int { 0 }
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        let x = Columns(p, stride)
        @inline(__always) func low(_ x: __m256i) -> __m256i { mask(x, 15) }
        @inline(__always) func high(_ x: __m256i) -> __m256i { mask(shiftRight(x, 4), 15) }
        return Header(
            halves(p + 80, stride), Columns(low(x.c0), low(x.c1), low(x.c2), low(x.c3)), halves(p + 82, stride),
            Columns(high(x.c0), high(x.c1), high(x.c2), high(x.c3)))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        @inline(__always) func d(_ i: Int) -> __m256 { _mm256_mul_ps(h.d, floats(h.x.byte(i))) }
        @inline(__always) func m(_ i: Int) -> __m256 { negative(_mm256_mul_ps(h.m, floats(h.y.byte(i)))) }
        return Scales(d(2 &* b), d(2 &* b &+ 1), m(2 &* b), m(2 &* b &+ 1))
    }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        mask(shiftRight(load32(p + (16 &+ 32 &* (b >> 2))), 2 &* (b & 3)), 3)
    }
}

extension Q3_K: KernelFormat {
    static var capacity: Capacity { .sixteen }
    static var bias: Int { 4 }
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        // the last 16 bytes but two before: scales begin in the middle of a double word
        let x = Columns(p + 94, stride)
        @inline(__always) func joined(_ x: __m256i, _ y: __m256i) -> __m256i {
            _mm256_or_si256(shiftRight(x, 16), shiftLeft(y, 16))
        }
        let first = joined(x.c0, x.c1), second = joined(x.c1, x.c2), high = joined(x.c2, x.c3)
        @inline(__always) func six(_ low: __m256i, _ high: __m256i) -> __m256i {
            _mm256_or_si256(mask(low, 15), mask(high, 0x30))
        }
        return Header(
            lowHalves(shiftRight(x.c3, 16)),
            Columns(
                six(first, shiftLeft(high, 4)), six(second, shiftLeft(high, 2)), six(shiftRight(first, 4), high),
                six(shiftRight(second, 4), shiftRight(high, 2))))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        @inline(__always) func d(_ i: Int) -> __m256 {
            _mm256_mul_ps(h.d, floats(_mm256_sub_epi32(h.x.byte(i), _mm256_set1_epi32(32))))
        }
        return Scales(d(2 &* b), d(2 &* b &+ 1))
    }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        let two = mask(shiftRight(load32(p + (32 &+ 32 &* (b >> 2))), 2 &* (b & 3)), 3)
        return _mm256_or_si256(two, mask(shift(load32(p), 2 &- b), 4))
    }
}

/// The 16 bytes { f16 d; f16 dmin; u8 scales[12] } of Q4_K and Q5_K, of eight rows.
@inline(__always) private func headerK4(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
    let x = Columns(p, stride)
    // six bits each; of the last four blocks, four lie together and two apart
    let scales = mask(x.c1, 63), minima = mask(x.c2, 63)
    let lastScales = _mm256_or_si256(mask(x.c3, 15), mask(shiftRight(x.c1, 2), 0x30))
    let lastMinima = _mm256_or_si256(mask(shiftRight(x.c3, 4), 15), mask(shiftRight(x.c2, 2), 0x30))
    return Header(
        lowHalves(x.c0), Columns(scales, lastScales, scales, lastScales), lowHalves(shiftRight(x.c0, 16)),
        Columns(minima, lastMinima, minima, lastMinima))
}

@inline(__always) private func scalesK4(_ h: Header, _ b: Int) -> Scales {
    Scales(
        _mm256_mul_ps(h.d, floats(h.x.byte(b))), offset: negative(_mm256_mul_ps(h.m, floats(h.y.byte(b)))))
}

extension Q4_K: KernelFormat {
    static var capacity: Capacity { .sixteen }
    static var bias: Int { 0 }
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { headerK4(p, stride) }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { scalesK4(h, b) }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        mask(shiftRight(load32(p + (16 &+ 32 &* (b >> 1))), 4 &* (b & 1)), 15)
    }
}

extension Q5_K: KernelFormat {
    static var capacity: Capacity { .eight }
    static var bias: Int { 0 }
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { headerK4(p, stride) }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { scalesK4(h, b) }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        let four = mask(shiftRight(load32(p + (48 &+ 32 &* (b >> 1))), 4 &* (b & 1)), 15)
        return _mm256_or_si256(four, mask(shift(load32(p + 16), 4 &- b), 16))
    }
}

extension Q6_K: KernelFormat {
    static var capacity: Capacity { .four }
    static var bias: Int { 32 }
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        Header(halves(p + 208, stride), Columns(p + 192, stride))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        /// Signed byte i, times d.
        @inline(__always) func d(_ i: Int) -> __m256 {
            let up = shiftLeft(h.x[i >> 2], 24 &- 8 &* (i & 3))
            return _mm256_mul_ps(h.d, floats(_mm256_srav_epi32(up, _mm256_set1_epi32(24))))
        }
        return Scales(d(2 &* b), d(2 &* b &+ 1))
    }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        let side = b >> 2, part = b & 3
        let low = mask(shiftRight(load32(p + (64 &* side &+ 32 &* (part & 1))), 4 &* (part >> 1)), 15)
        return _mm256_or_si256(low, mask(shift(load32(p + (128 &+ 32 &* side)), 4 &- 2 &* part), 0x30))
    }
}
