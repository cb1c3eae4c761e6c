/// e^x for x <= 0, within 2 units in the last place, and the same bits on every machine: only
/// IEEE additions and multiplications, never contracted, where libm differs between versions.
///
///     x = k ln 2 + r, |r| <= ln 2 / 2     e^x = 2^k e^r     e^r by its Taylor polynomial
///
/// Source: Cody and Waite, "Software Manual for the Elementary Functions" (1980), for the
/// reduction with ln 2 in two parts. The remainder r^14 / 14! stays below 2^-57.
/// Edge cases: e^0 is exactly 1; -infinity and all below -708 (e^x < 4e-308) give exactly 0, so
/// that no result is subnormal.
package func exponential(_ x: Double) -> Double {
    guard x >= -708 else { return 0 }

    // Adding 1.5 * 2^52 leaves no bits for a fraction: the sum's low bits are round(x / ln 2).
    let shift = 0x1.8p52
    let shifted = x * 0x1.71547652b82fep0 + shift
    let k = shifted - shift

    // The high part of ln 2 ends in 32 zero bits, so k * high (|k| <= 1022) is exact.
    let r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33

    var sum = 1.0 / 6_227_020_800  // 13!
    sum = sum * r + 1.0 / 479_001_600
    sum = sum * r + 1.0 / 39_916_800
    sum = sum * r + 1.0 / 3_628_800
    sum = sum * r + 1.0 / 362_880
    sum = sum * r + 1.0 / 40_320
    sum = sum * r + 1.0 / 5_040
    sum = sum * r + 1.0 / 720
    sum = sum * r + 1.0 / 120
    sum = sum * r + 1.0 / 24
    sum = sum * r + 1.0 / 6
    sum = sum * r + 0.5
    sum = sum * r + 1
    sum = sum * r + 1

    // k is in -1022...0, so 2^k is a normal number: its exponent field is k + 1023, in 1...1023.
    // The low bits of `shifted` hold k in two's complement; the field's shift drops all others.
    return sum * Double(bitPattern: (shifted.bitPattern &+ 1023) << 52)
}

/// The natural logarithm of a positive normal number, within 2 units in the last place, and the same bits on every machine.
///
///     x = 2^k m, sqrt(1/2) < m <= sqrt(2)    s = (m - 1) / (m + 1)    ln m = 2 (s + s^3 / 3 + s^5 / 5 + ...)
///
/// Source: as above. |s| stays below 0.1716, so the first term left out is below 2^-65 of the sum. ln 1 is exactly 0.
package func logarithm(_ x: Double) -> Double {
    var k = Double(x.exponent), m = x.significand
    if m > 0x1.6a09e667f3bcdp0 {
        m *= 0.5
        k += 1
    }
    let f = m - 1, s = f / (2 + f), z = s * s
    var sum = 1.0 / 25
    for n in [23.0, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3] { sum = sum * z + 1 / n }
    // f - s f / 2 ... is exact where 2 s is not: ln m = f - s (f - 2 z sum)
    let ln = f - s * (f - 2 * z * sum)
    return k * 0x1.62e42feep-1 + (ln + k * 0x1.a39ef35793c76p-33)
}

/// base^exponent for a positive base: a few units in the last place where it lies near 1, and the same bits on every machine.
/// The C library's differ between CPUs with and without fused multiply-add.
package func power(_ base: Double, _ exponent: Double) -> Double {
    let x = exponent * logarithm(base)
    return x <= 0 ? exponential(x) : 1 / exponential(-x)
}
