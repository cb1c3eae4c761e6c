internal import X86Intrinsics

extension TQ2_0: KernelFormat {
    static var capacity: Capacity { .sixteen }
    static var bias: Int { 1 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        mask(shiftRight(load32(p + 32 &* (b >> 2)), 2 &* (b & 3)), 3)
    }
}

/// Digits of bytes that hold five base-3 digits as a fraction of 256; powers: 3^n in 16 bits for the n-th digit.
@inline(__always) private func digits(_ x: __m256i, _ powers: __m256i) -> __m256i {
    let low = _mm256_set1_epi16(255), three = _mm256_set1_epi16(3)
    @inline(__always) func digit(_ byte: __m256i) -> __m256i {
        _mm256_mullo_epi16(_mm256_and_si256(_mm256_mullo_epi16(byte, powers), low), three)
    }
    let even = digit(_mm256_and_si256(x, low)), odd = digit(_mm256_and_si256(shiftRight(x, 8), low))
    // the digit is what is above the byte
    return _mm256_or_si256(
        _mm256_and_si256(shiftRight(even, 8), low), _mm256_andnot_si256(low, odd))
}

@inline(__always) private func powers(_ low: Int16, _ high: Int16) -> __m256i {
    _mm256_set_epi16(
        high, high, high, high, high, high, high, high, low, low, low, low, low, low, low, low)
}

extension TQ1_0: KernelFormat {
    static var capacity: Capacity { .sixteen }
    static var bias: Int { 1 }
    @inline(__always) static func weights(_ p: UnsafeRawPointer, _ b: Int, _: UnsafeRawPointer) -> __m256i {
        switch b {
        case 0: digits(load32(p), powers(1, 1))
        case 1: digits(load32(p), powers(3, 3))
        case 2: digits(load32(p), powers(9, 9))
        case 3: digits(load32(p), powers(27, 27))
        case 4: digits(load32(p), powers(81, 81))
        case 5: digits(load16Twice(p + 32), powers(1, 3))
        case 6: digits(load16Twice(p + 32), powers(9, 27))
        default:
            // sixteen fifth digits, then four digits of four bytes
            digits(
                _mm256_set_m128i(_mm_set1_epi32(p.loadUnaligned(fromByteOffset: 48, as: Int32.self)), l2s_m128i_load(p + 32)),
                _mm256_set_epi16(27, 27, 9, 9, 3, 3, 1, 1, 81, 81, 81, 81, 81, 81, 81, 81))
        }
    }
}
