internal import X86Intrinsics

extension Q2_K: KernelFormat {
    static var capacity: Capacity { .sixteen }
    static var bias: Int { 0 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        mask(shiftRight(load32(p + (16 &+ 32 &* (b >> 2))), 2 &* (b & 3)), 3)
    }
}

extension Q3_K: KernelFormat {
    static var capacity: Capacity { .sixteen }
    static var bias: Int { 4 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        let two = mask(shiftRight(load32(p + (32 &+ 32 &* (b >> 2))), 2 &* (b & 3)), 3)
        return _mm256_or_si256(two, mask(shift(load32(p), 2 &- b), 4))
    }
}

extension Q4_K: KernelFormat {
    static var capacity: Capacity { .sixteen }
    static var bias: Int { 0 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        mask(shiftRight(load32(p + (16 &+ 32 &* (b >> 1))), 4 &* (b & 1)), 15)
    }
}

extension Q5_K: KernelFormat {
    static var capacity: Capacity { .eight }
    static var bias: Int { 0 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        let four = mask(shiftRight(load32(p + (48 &+ 32 &* (b >> 1))), 4 &* (b & 1)), 15)
        return _mm256_or_si256(four, mask(shift(load32(p + 16), 4 &- b), 16))
    }
}

extension Q6_K: KernelFormat {
    static var capacity: Capacity { .four }
    static var bias: Int { 32 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        let side = b >> 2, part = b & 3
        let low = mask(shiftRight(load32(p + (64 &* side &+ 32 &* (part & 1))), 4 &* (part >> 1)), 15)
        return _mm256_or_si256(low, mask(shift(load32(p + (128 &+ 32 &* side)), 4 &- 2 &* part), 0x30))
    }
}
