/// xoshiro256**, seeded by splitmix64: the same numbers on every machine.
/// Blackman & Vigna, Scrambled Linear Pseudorandom Number Generators, 2018.
struct RandomGenerator {
    private var s: (UInt64, UInt64, UInt64, UInt64)

    init(seed: UInt64) {
        var state = seed
        func split() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
        s = (split(), split(), split(), split())
    }

    mutating func next() -> UInt64 {
        func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 &- k)) }
        let result = rotate(s.1 &* 5, 7) &* 9
        let t = s.1 << 17
        s.2 ^= s.0
        s.3 ^= s.1
        s.1 ^= s.2
        s.0 ^= s.3
        s.2 ^= t
        s.3 = rotate(s.3, 45)
        return result
    }

    /// Uniform in [0, 1), 53 bits.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}

/// e^x for x <= 0, without the system's mathematical library, so that it is the same on every
/// machine. x = n ln 2 + r, Taylor polynomial of degree 13; relative error below 1e-15.
func exponential(_ x: Double) -> Double {
    guard x > -700 else { return 0 }
    let n = (x * 1.442_695_040_888_963_4).rounded(.toNearestOrEven)
    var r = x.addingProduct(-n, 6.931_471_803_691_238_164_9e-1)
    r = r.addingProduct(-n, 1.908_214_929_270_587_700_02e-10)
    // Horner's scheme over 1/13!, 1/12! ... 1/2!, 1, 1
    var p = 1.0 / 6_227_020_800
    p = (1.0 / 479_001_600).addingProduct(p, r)
    p = (1.0 / 39_916_800).addingProduct(p, r)
    p = (1.0 / 3_628_800).addingProduct(p, r)
    p = (1.0 / 362_880).addingProduct(p, r)
    p = (1.0 / 40_320).addingProduct(p, r)
    p = (1.0 / 5_040).addingProduct(p, r)
    p = (1.0 / 720).addingProduct(p, r)
    p = (1.0 / 120).addingProduct(p, r)
    p = (1.0 / 24).addingProduct(p, r)
    p = (1.0 / 6).addingProduct(p, r)
    p = 0.5.addingProduct(p, r)
    p = 1.0.addingProduct(p, r)
    p = 1.0.addingProduct(p, r)
    return p * Double(sign: .plus, exponent: Int(n), significand: 1)
}
