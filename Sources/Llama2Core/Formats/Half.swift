/// IEEE 754 binary16 to and from binary32, round to nearest even. Pure integer steps, so that a
/// machine without F16C does the same as one with it.

@inline(__always) func halfToFloat(_ h: UInt16) -> Float {
    let sign = UInt32(h & 0x8000) << 16
    let magnitude = UInt32(h & 0x7fff)
    if magnitude >= 0x7c00 {  // infinity, NaN (made quiet, as the instruction does)
        let mantissa = (magnitude & 0x3ff) << 13
        return Float(bitPattern: sign | 0x7f80_0000 | mantissa | (mantissa == 0 ? 0 : 0x40_0000))
    }
    if magnitude >= 0x400 { return Float(bitPattern: sign | ((magnitude << 13) &+ (112 << 23))) }
    // subnormal or zero: exact in binary32
    let value = Float(magnitude) * Float(bitPattern: 0x3380_0000)  // 2^-24
    return Float(bitPattern: sign | value.bitPattern)
}

@inline(__always) func floatToHalf(_ f: Float) -> UInt16 {
    let bits = f.bitPattern
    let sign = UInt16(truncatingIfNeeded: (bits >> 16) & 0x8000)
    let magnitude = bits & 0x7fff_ffff
    if magnitude > 0x7f80_0000 { return sign | 0x7e00 | UInt16(truncatingIfNeeded: (magnitude >> 13) & 0x3ff) }
    if magnitude >= 0x477f_f000 { return sign | 0x7c00 }  // rounds to infinity
    if magnitude >= 0x3880_0000 {  // normal: add half of the last place, ties to even; a carry moves the exponent
        let rounded = magnitude &+ 0xfff &+ ((magnitude >> 13) & 1)
        return sign | UInt16(truncatingIfNeeded: (rounded >> 13) &- (112 << 10))
    }
    // subnormal: adding 0.5 puts the last binary16 place at the last place of the sum
    let shifted = Float(bitPattern: magnitude) + 0.5
    return sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- 0x3f00_0000)
}
