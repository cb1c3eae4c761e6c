internal import ArmIntrinsics

/// 16 bytes: low nibbles, then high nibbles.
@inline(__always) func nibbles(_ p: UnsafeRawPointer) -> Bytes32 {
    let x = l2s_load(p)
    return Bytes32(vandq_u8(x, vdupq_n_u8(15)), l2s_bytes_right(x, 4))
}

/// 16 where bit i of the double word at p is set.
@inline(__always) private func fifthBits(_ p: UnsafeRawPointer) -> Bytes32 { expandBits(p.loadUnaligned(as: UInt32.self)) & 16 }

extension Q4_0: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 { nibbles(p + 2) }
}

extension Q4_1: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 { nibbles(p + 4) }
}

extension Q5_0: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 { (nibbles(p + 6) | fifthBits(p + 2)) - 16 }
}

extension Q5_1: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 { nibbles(p + 8) | fifthBits(p + 4) }
}

extension Q8_0: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 { Bytes32(p + 2) }
}
