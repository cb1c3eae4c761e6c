/// Classes of characters by the names that expressions give them: general categories (Lu, L, ...) and scripts.
enum UnicodeCategory {
    /// nil for a name that is not known. A single letter is the union of its categories.
    static func set(named name: [UInt8]) -> CodePointSet? {
        if name == Array("Any".utf8) { return .all }
        let short = longNames.first { matches($0.0, name) }.map { bytes($0.1) } ?? withoutPrefix(name)
        var ranges: [(UInt32, UInt32)] = [], isKnown = false
        for (entry, start, count) in unicodeCategories {
            let candidate = bytes(entry)
            guard candidate == short || short.count == 1 && candidate.count == 2 && candidate[0] == short[0] else { continue }
            isKnown = true
            for value in unicodeCategoryRanges[start..<start + count] {
                let low = UInt32(truncatingIfNeeded: value >> 12)
                ranges.append((low, low + UInt32(truncatingIfNeeded: value & 0xFFF)))
            }
        }
        guard isKnown else { return nil }
        return CodePointSet(ranges)
    }

    /// "Script=Greek", "sc=Greek", "gc=Lu".
    private static func withoutPrefix(_ name: [UInt8]) -> [UInt8] {
        for prefix in ["Script=", "sc=", "General_Category=", "gc="] where name.starts(with: prefix.utf8) {
            return Array(name.dropFirst(prefix.utf8.count))
        }
        return name
    }

    private static func bytes(_ text: StaticString) -> [UInt8] {
        Array(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private static func matches(_ text: StaticString, _ name: [UInt8]) -> Bool { bytes(text) == name }

    private static let longNames: [(StaticString, StaticString)] = [
        ("Letter", "L"), ("Uppercase_Letter", "Lu"), ("Lowercase_Letter", "Ll"), ("Titlecase_Letter", "Lt"), ("Modifier_Letter", "Lm"),
        ("Other_Letter", "Lo"), ("Mark", "M"), ("Number", "N"), ("Decimal_Number", "Nd"), ("Punctuation", "P"), ("Symbol", "S"),
        ("Separator", "Z"), ("Space_Separator", "Zs"), ("Other", "C"), ("Control", "Cc"),
    ]
}
