internal import UnicodeData

/// What Unicode says about a code point. General categories have the numbers of unicode_data.h.
enum UnicodeCategory {
    static let names: [StaticString] = [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So",
        "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
    ]
    /// Bits of categories, as `mask` tests them.
    static let letters: UInt32 = 0b11111, marks: UInt32 = 0b111 << 5, numbers: UInt32 = 0b111 << 8, punctuation: UInt32 = 0x7F << 11
    static let symbols: UInt32 = 0b1111 << 18, separators: UInt32 = 0b111 << 22, others: UInt32 = 0x1F << 25

    /// The categories of all code points, a byte each: filled at the first use, in a tenth of a millisecond.
    private static let table: [UInt8] = {
        let boundaries = l2s_unicode_categories()
        return [UInt8](unsafeUninitializedCapacity: 0x110000) { out, count in
            for i in 0..<boundaries.count {
                let from = Int(boundaries.start[i] >> 5), to = i + 1 < boundaries.count ? Int(boundaries.start[i + 1] >> 5) : 0x110000
                out[from..<to].update(repeating: UInt8(boundaries.start[i] & 31))
            }
            count = 0x110000
        }
    }()

    /// The bit of `scalar`'s category, to be compared with a mask. Beyond Unicode: unassigned.
    static func bit(_ scalar: UInt32) -> UInt32 { scalar < 0x110000 ? 1 << UInt32(table[Int(scalar)]) : 1 << 29 }

    static func ranges(_ mask: UInt32) -> [ClosedRange<UInt32>] {
        var ranges: [ClosedRange<UInt32>] = []
        let boundaries = l2s_unicode_categories()
        for i in 0..<boundaries.count where mask >> (boundaries.start[i] & 31) & 1 == 1 {
            let from = boundaries.start[i] >> 5, to = (i + 1 < boundaries.count ? boundaries.start[i + 1] >> 5 : 0x110000) - 1
            if let last = ranges.last, last.upperBound + 1 == from {
                ranges[ranges.count - 1] = last.lowerBound...to
            } else {
                ranges.append(from...to)
            }
        }
        return ranges
    }

    /// The mask of `L`, `Lu` and so on; nil when there is no such category.
    static func mask(named name: [UInt8]) -> UInt32? {
        switch name {
        case Array("L".utf8): return letters
        case Array("M".utf8): return marks
        case Array("N".utf8): return numbers
        case Array("P".utf8): return punctuation
        case Array("S".utf8): return symbols
        case Array("Z".utf8): return separators
        case Array("C".utf8): return others
        default:
            for (i, known) in names.enumerated() where name.elementsEqual(UnsafeBufferPointer(start: known.utf8Start, count: known.utf8CodeUnitCount)) {
                return 1 << UInt32(i)
            }
            return nil
        }
    }

    static func script(named name: [UInt8]) -> [ClosedRange<UInt32>]? {
        for script in 0..<l2s_unicode_script_count() {
            guard let known = l2s_unicode_script_name(script) else { continue }
            var length = 0
            while known[length] != 0 { length += 1 }
            guard length == name.count, (0..<length).allSatisfy({ UInt8(bitPattern: known[$0]) == name[$0] }) else { continue }
            let table = l2s_unicode_script(script)
            return stride(from: 0, to: table.count, by: 2).map { table.start[$0]...table.start[$0 + 1] }
        }
        return nil
    }
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
    if UnicodeCategory.bit(scalar) & (UnicodeCategory.letters | UnicodeCategory.marks | 1 << 8 | 1 << 9 | 1 << 11) != 0 { return true }
    if scalar == 0x200C || scalar == 0x200D { return true }
    return Unicode.Scalar(scalar)?.properties.isAlphabetic ?? false
}
