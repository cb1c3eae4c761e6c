/// xoshiro256** 1.0, seeded by SplitMix64: 256 bits of state, period 2^256 - 1.
///
/// Source: Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators" (ACM TOMS 47,
/// 2021), https://prng.di.unimi.it, which also asks for the seeding; SplitMix64: Steele, Lea and
/// Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014).
package struct Xoshiro256StarStar: Sendable {
    private var s0: UInt64, s1: UInt64, s2: UInt64, s3: UInt64

    /// The all-zero state, from which the generator would never leave, cannot arise from a seed:
    /// SplitMix64 is a bijection of a counter, so at most one of the four outputs is zero.
    package init(seed: UInt64) {
        var counter = seed
        s0 = splitMix64(&counter)
        s1 = splitMix64(&counter)
        s2 = splitMix64(&counter)
        s3 = splitMix64(&counter)
    }

    package init(state: (UInt64, UInt64, UInt64, UInt64)) {
        (s0, s1, s2, s3) = state
    }

    /// Arithmetic is modulo 2^64 by definition of the generator.
    package mutating func next() -> UInt64 {
        let result = rotateLeft(s1 &* 5, 7) &* 9
        let shifted = s1 << 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = rotateLeft(s3, 45)
        return result
    }

    /// For `init(state:)`.
    package var state: (UInt64, UInt64, UInt64, UInt64) { (s0, s1, s2, s3) }

    /// Uniform in [0, 1): a multiple of 2^-53, so every step of the conversion is exact.
    package mutating func nextUnit() -> Double {
        Double(next() >> 11) * 0x1p-53
    }
}

package func splitMix64(_ counter: inout UInt64) -> UInt64 {
    counter &+= 0x9E37_79B9_7F4A_7C15
    var z = counter
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}

private func rotateLeft(_ x: UInt64, _ count: UInt64) -> UInt64 {
    (x &<< count) | (x &>> (64 &- count))
}
