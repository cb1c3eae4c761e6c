internal import Llama2Core

/// The general category of a code point.
enum UnicodeCategory {
    /// The categories of all code points, a byte each: filled at the first use, in a tenth of a millisecond.
    private static let table: [UInt8] = {
        [UInt8](unsafeUninitializedCapacity: 0x110000) { out, count in
            UnicodeClass.forEachCategory { out[Int($1.lowerBound)..<Int($1.upperBound) + 1].update(repeating: UInt8($0)) }
            count = 0x110000
        }
    }()

    /// The bit of `scalar`'s category, to be compared with a mask. Beyond Unicode: unassigned.
    static func bit(_ scalar: UInt32) -> UInt32 { scalar < 0x110000 ? 1 << UInt32(table[Int(scalar)]) : 1 << 29 }
}

/// White_Space.
@inline(__always)
func isWhiteSpace(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x20, 0x09...0x0D: true
    case 0..<0x85: false
    case 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
}

/// Rust's `\w` (the `regex` crate): Alphabetic, M, Nd, Pc and Join_Control.
func isRegexWord(_ scalar: UInt32) -> Bool {
    if scalar < 0x80 {
        return scalar == 0x5F || (0x30...0x39).contains(scalar) || (0x61...0x7A).contains(scalar | 0x20)
    }
    if UnicodeCategory.bit(scalar) & (UnicodeClass.letters | UnicodeClass.marks | 1 << 8 | 1 << 9 | 1 << 11) != 0 { return true }
    if scalar == 0x200C || scalar == 0x200D { return true }
    return Unicode.Scalar(scalar)?.properties.isAlphabetic ?? false
}
