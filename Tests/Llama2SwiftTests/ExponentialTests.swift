import Glibc
import Llama2Core
import Testing

/// Our own elementary functions beside the C library's.
@Suite struct ExponentialTests {
    @Test func theLogarithmIsWithinTwoUlpOfTheLibrarys() {
        var random = TestRandom(state: 7)
        for i in 0..<200_000 {
            // positive normal numbers of all magnitudes, and many near 1
            let bits = i % 2 == 0 ? random.next() % 0x7fe0_0000_0000_0000 + 0x0010_0000_0000_0000 : 0x3fe8_0000_0000_0000 + random.next() >> 11
            let x = Double(bitPattern: bits), expected = log(x)
            #expect(abs(logarithm(x) - expected) <= 2 * expected.ulp, "\(x)")
        }
        #expect(logarithm(1) == 0)
    }

    @Test func powersAreCloseToTheLibrarys() {
        var random = TestRandom(state: 8)
        for _ in 0..<50_000 {
            let base = exp(28 * Double(random.float())), exponent = 2 * Double(random.float())
            let expected = pow(base, exponent), error = 4 + abs(exponent * log(base))
            #expect(abs(power(base, exponent) - expected) <= 4 * error * expected.ulp, "\(base)^\(exponent)")
        }
        #expect(power(10_000, 0) == 1 && power(1, -0.5) == 1)
        #expect(power(1e308, 2) == .infinity && power(1e308, -2) == 0)
        for odd in [Double.infinity, .nan, 0, -1, .leastNonzeroMagnitude] { _ = power(odd, -0.5) }  // no trap
    }

    /// A sum over bits: the same on every machine, whatever its C library makes of pow.
    @Test func powersAreTheSameBitsOnEveryMachine() {
        var sum: UInt64 = 0
        for base in [10_000.0, 500_000, 1e6, 12_345.678, 7] {
            for i in 0..<64 { sum = (sum ^ power(base, -2 * Double(i) / 128).bitPattern) &* 0x100_0000_01b3 }
        }
        #expect(sum == 5_104_993_201_830_853_993)
    }
}
