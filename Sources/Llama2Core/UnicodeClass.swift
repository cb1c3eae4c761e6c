internal import UnicodeData

/// Classes of characters that expressions name: general categories and scripts of Unicode 16 (Unicode Standard Annexes 44 and 24).
package enum UnicodeClass {
    /// Two-letter names and long ones, by the numbers of unicode_data.h.
    private static let categories: [(short: StaticString, long: StaticString)] = [
        ("Lu", "Uppercase_Letter"), ("Ll", "Lowercase_Letter"), ("Lt", "Titlecase_Letter"), ("Lm", "Modifier_Letter"), ("Lo", "Other_Letter"),
        ("Mn", "Nonspacing_Mark"), ("Mc", "Spacing_Mark"), ("Me", "Enclosing_Mark"), ("Nd", "Decimal_Number"), ("Nl", "Letter_Number"),
        ("No", "Other_Number"), ("Pc", "Connector_Punctuation"), ("Pd", "Dash_Punctuation"), ("Ps", "Open_Punctuation"),
        ("Pe", "Close_Punctuation"), ("Pi", "Initial_Punctuation"), ("Pf", "Final_Punctuation"), ("Po", "Other_Punctuation"),
        ("Sm", "Math_Symbol"), ("Sc", "Currency_Symbol"), ("Sk", "Modifier_Symbol"), ("So", "Other_Symbol"), ("Zs", "Space_Separator"),
        ("Zl", "Line_Separator"), ("Zp", "Paragraph_Separator"), ("Cc", "Control"), ("Cf", "Format"), ("Cs", "Surrogate"),
        ("Co", "Private_Use"), ("Cn", "Unassigned"),
    ]
    /// A bit each category.
    package static let letters: UInt32 = 0b11111, marks: UInt32 = 0b111 << 5, numbers: UInt32 = 0b111 << 8, punctuation: UInt32 = 0x7F << 11
    package static let symbols: UInt32 = 0b1111 << 18, separators: UInt32 = 0b111 << 22, others: UInt32 = 0x1F << 25
    package static let casedLetters: UInt32 = 0b111

    private static let groups: [(short: StaticString, long: StaticString, mask: UInt32)] = [
        ("L", "Letter", letters), ("LC", "Cased_Letter", casedLetters), ("M", "Mark", marks), ("N", "Number", numbers),
        ("P", "Punctuation", punctuation), ("S", "Symbol", symbols), ("Z", "Separator", separators), ("C", "Other", others),
    ]

    /// The categories that `L`, `Lu`, `Uppercase_Letter` and so on name; nil when there is no such category.
    package static func mask(named name: [UInt8]) -> UInt32? {
        for group in groups where isSame(group.short, name) || isSame(group.long, name) { return group.mask }
        for (i, known) in categories.enumerated() where isSame(known.short, name) || isSame(known.long, name) { return 1 << UInt32(i) }
        return nil
    }

    /// The code points of the categories of a mask, ascending.
    package static func ranges(_ mask: UInt32) -> [ClosedRange<UInt32>] {
        var ranges: [ClosedRange<UInt32>] = []
        forEachCategory { category, range in
            guard mask >> category & 1 == 1 else { return }
            if let last = ranges.last, last.upperBound + 1 == range.lowerBound {
                ranges[ranges.count - 1] = last.lowerBound...range.upperBound
            } else {
                ranges.append(range)
            }
        }
        return ranges
    }

    /// Every stretch of code points of one category, ascending, with the category's number.
    package static func forEachCategory(_ body: (UInt32, ClosedRange<UInt32>) -> Void) {
        let boundaries = l2s_unicode_categories()
        for i in 0..<boundaries.count {
            let end = i + 1 < boundaries.count ? boundaries.start[i + 1] >> 5 : 0x110000
            body(boundaries.start[i] & 31, boundaries.start[i] >> 5...end - 1)
        }
    }

    /// The code points of a script (`Greek`, `Grek`), ascending; nil when there is no such script.
    package static func script(named name: [UInt8]) -> [ClosedRange<UInt32>]? {
        for script in 0..<l2s_unicode_script_count() where isSame(l2s_unicode_script_name(script), name) || isSame(l2s_unicode_script_code(script), name) {
            let table = l2s_unicode_script(script)
            return stride(from: 0, to: table.count, by: 2).map { table.start[$0]...table.start[$0 + 1] }
        }
        return nil
    }

    private static func isSame(_ known: StaticString, _ name: [UInt8]) -> Bool {
        name.elementsEqual(UnsafeBufferPointer(start: known.utf8Start, count: known.utf8CodeUnitCount))
    }

    private static func isSame(_ known: UnsafePointer<CChar>?, _ name: [UInt8]) -> Bool {
        guard let known else { return false }
        for (i, byte) in name.enumerated() where byte == 0 || UInt8(bitPattern: known[i]) != byte { return false }
        return known[name.count] == 0
    }
}
