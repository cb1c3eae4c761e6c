internal import ArmIntrinsics
internal import BlockTables

/// Four grid entries of eight weights.
@inline(__always) private func eights(_ entry: (Int) -> UInt64) -> Bytes32 {
    Bytes32(l2s_two(entry(0), entry(1)), l2s_two(entry(2), entry(3)))
}

/// Eight grid entries of four weights.
@inline(__always) private func fours(_ entry: (Int) -> UInt32) -> Bytes32 {
    Bytes32(l2s_four(entry(0), entry(1), entry(2), entry(3)), l2s_four(entry(4), entry(5), entry(6), entry(7)))
}

/// Four times seven signs as four times eight: the eighth makes the number of negative ones even.
@inline(__always) private func evenSigns(_ sevens: UInt32) -> Bytes32 {
    let spread = sevens & 0x7f | (sevens & 0x3f80) << 1 | (sevens & 0x1f_c000) << 2 | (sevens & 0xfe0_0000) << 3
    var parity = spread ^ spread >> 4
    parity ^= parity >> 2
    parity ^= parity >> 1
    return expandBits(spread | (parity & 0x0101_0101) << 7)
}

extension IQ2_XXS: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let p = p + (2 &+ 8 &* b)
        return eights { l2s_iq2_xxs_grid(UInt32(byte(p, $0))) }
            .negated(where: evenSigns(p.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
    }
}

extension IQ2_XS: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let p = p + (2 &+ 8 &* b)
        @inline(__always) func seven(_ i: Int) -> UInt32 { (word(p, 2 &* i) >> 9) << UInt32(truncatingIfNeeded: 7 &* i) }
        return eights { l2s_iq2_xs_grid(word(p, 2 &* $0) & 511) }.negated(where: evenSigns(seven(0) | seven(1) | seven(2) | seven(3)))
    }
}

extension IQ2_S: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let high = UInt32(byte(p, 66 &+ b)), low = p.loadUnaligned(fromByteOffset: 2 &+ 4 &* b, as: UInt32.self)
        return eights {
            l2s_iq2_s_grid(low >> UInt32(truncatingIfNeeded: 8 &* $0) & 255 | high << UInt32(truncatingIfNeeded: 8 &- 2 &* $0) & 0x300)
        }.negated(where: expandBits(p.loadUnaligned(fromByteOffset: 34 &+ 4 &* b, as: UInt32.self)))
    }
}

extension IQ3_XXS: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let grid = p + (2 &+ 8 &* b)
        return fours { l2s_iq3_xxs_grid(UInt32(byte(grid, $0))) }
            .negated(where: evenSigns(p.loadUnaligned(fromByteOffset: 66 &+ 4 &* b, as: UInt32.self)))
    }
}

extension IQ3_S: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let grid = p + (2 &+ 8 &* b), high = UInt32(byte(p, 66 &+ b))
        return fours { l2s_iq3_s_grid(UInt32(byte(grid, $0)) | high << UInt32(truncatingIfNeeded: 8 &- $0) & 256) }
            .negated(where: expandBits(p.loadUnaligned(fromByteOffset: 74 &+ 4 &* b, as: UInt32.self)))
    }
}

/// 0, 1 or 2 to 8 (w - 1) + delta; less: 8 - delta, delta 1 or -1.
@inline(__always) private func ternary(_ grid: Bytes32, _ less: Bytes32) -> Bytes32 { grid >> -3 - less }

extension IQ1_S: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let high = word(p, 34 &+ 2 &* b)
        let grid = eights {
            l2s_iq1_s_grid(UInt32(byte(p, 2 &+ 4 &* b &+ $0)) | (high >> UInt32(truncatingIfNeeded: 3 &* $0) & 7) << 8)
        }
        return ternary(grid, Bytes32(repeating: 7 &+ UInt8(truncatingIfNeeded: high >> 14 & 2)))
    }
}

extension IQ1_M: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let high = word(p, 32 &+ 2 &* b)
        let grid = eights {
            l2s_iq1_s_grid(UInt32(byte(p, 4 &* b &+ $0)) | (high >> UInt32(truncatingIfNeeded: 4 &* $0) & 7) << 8)
        }
        let less = eights {
            high >> UInt32(truncatingIfNeeded: 4 &* $0 &+ 3) & 1 == 0 ? 0x0707_0707_0707_0707 : 0x0909_0909_0909_0909
        }
        return ternary(grid, less)
    }
}

/// The sixteen values of IQ4, in order: see `nonlinear` in Formats/IQ.swift.
@inline(__always) private func nonlinearWeights(_ p: UnsafeRawPointer) -> Bytes32 {
    let values = l2s_two(0xf6ea_ddcf_bfad_9881, 0x7159_4535_2619_0d01), indices = nibbles(p)
    return Bytes32(vqtbl1q_u8(values, indices.a), vqtbl1q_u8(values, indices.b))
}

extension IQ4_NL: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 { nonlinearWeights(p + 2) }
}

extension IQ4_XS: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 { nonlinearWeights(p + (8 &+ 16 &* b)) }
}
