internal import ArmIntrinsics

extension Q2_K: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        Bytes32(p + (16 &+ 32 &* (b >> 2))) >> (2 &* (b & 3)) & 3
    }
}

extension Q3_K: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let two = Bytes32(p + (32 &+ 32 &* (b >> 2))) >> (2 &* (b & 3)) & 3
        return (two | Bytes32(p) >> (b &- 2) & 4) - 4
    }
}

extension Q4_K: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let pairs = Bytes32(p + (16 &+ 32 &* (b >> 1)))
        return b & 1 == 0 ? pairs & 15 : pairs >> 4
    }
}

extension Q5_K: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let pairs = Bytes32(p + (48 &+ 32 &* (b >> 1)))
        return (b & 1 == 0 ? pairs & 15 : pairs >> 4) | Bytes32(p + 16) >> (b &- 4) & 16
    }
}

extension Q6_K: KernelFormat {
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32 {
        let side = b >> 2, part = b & 3, low = Bytes32(p + (64 &* side &+ 32 &* (part & 1)))
        return (part < 2 ? low & 15 : low >> 4) | Bytes32(p + (128 &+ 32 &* side)) >> (2 &* part &- 4) & 0x30
    }
}
