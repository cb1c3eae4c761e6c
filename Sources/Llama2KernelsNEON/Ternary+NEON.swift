internal import ArmIntrinsics

extension TQ2_0: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        (Bytes32(p + 32 &* (b >> 2)) >> (2 &* (b & 3)) & 3) - 1
    }
}

/// Digits, less 1, of bytes that hold five base-3 digits as a fraction of 256; power: 3^n in 8 bits for the n-th digit.
@inline(__always) private func digits(_ x: uint8x16_t, _ power: uint8x16_t) -> uint8x16_t {
    let fraction = vmulq_u8(x, power)
    // three times it reaches 256 from 86 on, and 512 from 171 on; a comparison that is true is -1
    let negated = vaddq_u8(vcgeq_u8(fraction, vdupq_n_u8(86)), vcgeq_u8(fraction, vdupq_n_u8(171)))
    return vsubq_u8(vdupq_n_u8(255), negated)
}

extension TQ1_0: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        @inline(__always) func both(_ x: Bytes32, _ first: UInt8, _ second: UInt8) -> Bytes32 {
            Bytes32(digits(x.a, vdupq_n_u8(first)), digits(x.b, vdupq_n_u8(second)))
        }
        let sixteen = l2s_load(p + 32)
        switch b {
        case 0: return both(Bytes32(p), 1, 1)
        case 1: return both(Bytes32(p), 3, 3)
        case 2: return both(Bytes32(p), 9, 9)
        case 3: return both(Bytes32(p), 27, 27)
        case 4: return both(Bytes32(p), 81, 81)
        case 5: return both(Bytes32(sixteen, sixteen), 1, 3)
        case 6: return both(Bytes32(sixteen, sixteen), 9, 27)
        default:
            // sixteen fifth digits, then four digits of four bytes
            let four = vreinterpretq_u8_u32(vdupq_n_u32(p.loadUnaligned(fromByteOffset: 48, as: UInt32.self)))
            return Bytes32(
                digits(sixteen, vdupq_n_u8(81)), digits(four, l2s_four(0x0101_0101, 0x0303_0303, 0x0909_0909, 0x1b1b_1b1b)))
        }
    }
}
