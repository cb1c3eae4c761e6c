internal import X86Intrinsics

/// 16 bytes: low nibbles, then high nibbles.
@inline(__always) func nibbles(_ p: UnsafeRawPointer) -> __m256i {
    mask(_mm256_srlv_epi32(load16Twice(p), _mm256_set_epi32(4, 4, 4, 4, 0, 0, 0, 0)), 15)
}

/// 16 where bit i of the double word at p is set.
@inline(__always) private func fifthBits(_ p: UnsafeRawPointer) -> __m256i {
    mask(expandBits(p.loadUnaligned(as: UInt32.self)), 16)
}

extension Q4_0: KernelFormat {
    static var capacity: Capacity { .sixteen }
    static var bias: Int { 8 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i { nibbles(p + 2) }
}

extension Q4_1: KernelFormat {
    static var capacity: Capacity { .sixteen }
    static var bias: Int { 0 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i { nibbles(p + 4) }
}

extension Q5_0: KernelFormat {
    static var capacity: Capacity { .eight }
    static var bias: Int { 16 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        _mm256_or_si256(nibbles(p + 6), fifthBits(p + 2))
    }
}

extension Q5_1: KernelFormat {
    static var capacity: Capacity { .eight }
    static var bias: Int { 0 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        _mm256_or_si256(nibbles(p + 8), fifthBits(p + 4))
    }
}

extension Q8_0: KernelFormat {
    static var capacity: Capacity { .signed }
    static var bias: Int { 0 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i { load32(p + 2) }
}
