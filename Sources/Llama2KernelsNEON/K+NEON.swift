internal import ArmIntrinsics

/// In the headers here x and y hold the integer scales and minima as bytes: byte i for group i of 16 or 32 columns.

/// The same byte of a mask in every byte.
@inline(__always) private func each(_ x: uint32x4_t, _ byte: UInt32) -> uint32x4_t { mask(x, byte &* 0x0101_0101) }

extension Q2_K: KernelFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        let x = Columns(p, stride)
        @inline(__always) func low(_ x: uint32x4_t) -> uint32x4_t { each(x, 15) }
        @inline(__always) func high(_ x: uint32x4_t) -> uint32x4_t { each(shift(x, 4), 15) }
        return Header(
            halves(p + 80, stride), Columns(low(x.c0), low(x.c1), low(x.c2), low(x.c3)), halves(p + 82, stride),
            Columns(high(x.c0), high(x.c1), high(x.c2), high(x.c3)))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        @inline(__always) func d(_ i: Int) -> float32x4_t { vmulq_f32(h.d, floats(h.x.byte(i))) }
        @inline(__always) func m(_ i: Int) -> float32x4_t { negative(vmulq_f32(h.m, floats(h.y.byte(i)))) }
        return Scales(d(2 &* b), d(2 &* b &+ 1), m(2 &* b), m(2 &* b &+ 1))
    }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        Bytes32(p + (16 &+ 32 &* (b >> 2))) >> (2 &* (b & 3)) & 3
    }
}

extension Q3_K: KernelFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        // the last 16 bytes but two before: scales begin in the middle of a double word
        let x = Columns(p + 94, stride)
        @inline(__always) func joined(_ x: uint32x4_t, _ y: uint32x4_t) -> uint32x4_t { vorrq_u32(shift(x, 16), shift(y, -16)) }
        let first = joined(x.c0, x.c1), second = joined(x.c1, x.c2), high = joined(x.c2, x.c3)
        @inline(__always) func six(_ low: uint32x4_t, _ high: uint32x4_t) -> uint32x4_t { vorrq_u32(each(low, 15), each(high, 0x30)) }
        return Header(
            l2s_low_halves(shift(x.c3, 16)),
            Columns(
                six(first, shift(high, -4)), six(second, shift(high, -2)), six(shift(first, 4), high),
                six(shift(second, 4), shift(high, 2))))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        @inline(__always) func d(_ i: Int) -> float32x4_t { vmulq_f32(h.d, floats(h.x.byte(i), less: 32)) }
        return Scales(d(2 &* b), d(2 &* b &+ 1))
    }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let two = Bytes32(p + (32 &+ 32 &* (b >> 2))) >> (2 &* (b & 3)) & 3
        return (two | Bytes32(p) >> (b &- 2) & 4) - 4
    }
}

/// The 16 bytes { f16 d; f16 dmin; u8 scales[12] } of Q4_K and Q5_K, of four rows.
@inline(__always) private func headerK4(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
    let x = Columns(p, stride)
    // six bits each; of the last four blocks, four lie together and two apart
    let scales = each(x.c1, 63), minima = each(x.c2, 63)
    let lastScales = vorrq_u32(each(x.c3, 15), each(shift(x.c1, 2), 0x30))
    let lastMinima = vorrq_u32(each(shift(x.c3, 4), 15), each(shift(x.c2, 2), 0x30))
    return Header(
        l2s_low_halves(x.c0), Columns(scales, lastScales, scales, lastScales), l2s_low_halves(shift(x.c0, 16)),
        Columns(minima, lastMinima, minima, lastMinima))
}

@inline(__always) private func scalesK4(_ h: Header, _ b: Int) -> Scales {
    Scales(vmulq_f32(h.d, floats(h.x.byte(b))), offset: negative(vmulq_f32(h.m, floats(h.y.byte(b)))))
}

extension Q4_K: KernelFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { headerK4(p, stride) }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { scalesK4(h, b) }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let pairs = Bytes32(p + (16 &+ 32 &* (b >> 1)))
        return b & 1 == 0 ? pairs & 15 : pairs >> 4
    }
}

extension Q5_K: KernelFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { headerK4(p, stride) }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { scalesK4(h, b) }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let pairs = Bytes32(p + (48 &+ 32 &* (b >> 1)))
        return (b & 1 == 0 ? pairs & 15 : pairs >> 4) | Bytes32(p + 16) >> (b &- 4) & 16
    }
}

extension Q6_K: KernelFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header {
        Header(halves(p + 208, stride), Columns(p + 192, stride))
    }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        /// Signed byte i, times d.
        @inline(__always) func d(_ i: Int) -> float32x4_t {
            let up = vreinterpretq_s32_u32(shift(h.x[i >> 2], 8 &* (i & 3) &- 24))
            return vmulq_f32(h.d, floats(l2s_signed_right(up, 24)))
        }
        return Scales(d(2 &* b), d(2 &* b &+ 1))
    }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let side = b >> 2, part = b & 3, low = Bytes32(p + (64 &* side &+ 32 &* (part & 1)))
        return (part < 2 ? low & 15 : low >> 4) | Bytes32(p + (128 &+ 32 &* side)) >> (2 &* part &- 4) & 0x30
    }
}
