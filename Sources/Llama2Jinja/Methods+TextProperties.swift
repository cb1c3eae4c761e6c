internal import Llama2Core

// What Python says of the characters of a text: its cases, `isalpha` and the like.
extension Machine {
    static let simpleMethods: [(name: StaticString, apply: @Sendable ([Unit]) -> [Unit])] = [
        ("upper", { Characters.all($0, .upper) }), ("lower", { Characters.all($0, .lower) }), ("casefold", { Characters.all($0, .fold) }),
        ("capitalize", { Characters.cased($0) { $0 == 0 ? .title : .lower } }),
        (
            "title",
            { units in
                var before = false, cases: [Characters.Case] = [], at = 0
                while at < units.count {
                    let (scalar, length) = Characters.scalar(units[at..<min(at + 4, units.count)], 0)
                    cases.append(before ? .lower : .title)
                    before = scalar?.properties.isCased ?? false
                    at += length
                }
                return Characters.cased(units) { $0 < cases.count ? cases[$0] : nil }
            }
        ),
        (
            "swapcase",
            { units in
                var cases: [Characters.Case?] = [], at = 0
                while at < units.count {
                    let (scalar, length) = Characters.scalar(units[at..<min(at + 4, units.count)], 0)
                    // what is neither, a title's letter for instance, stays
                    cases.append(scalar?.properties.isUppercase ?? false ? .lower : scalar?.properties.isLowercase ?? false ? .upper : nil)
                    at += length
                }
                return Characters.cased(units) { $0 < cases.count ? cases[$0] : nil }
            }
        ),
    ]

    private static func every(_ units: [Unit], _ holds: (Unicode.Scalar) -> Bool) -> Bool {
        var at = 0
        while at < units.count {
            let (scalar, length) = Characters.scalar(units[at..<min(at + 4, units.count)], 0)
            guard let scalar, holds(scalar) else { return false }
            at += length
        }
        return !units.isEmpty
    }

    static func isOneCase(_ units: [Unit], upper: Bool) -> Bool {
        var found = false, at = 0
        while at < units.count {
            let (scalar, length) = Characters.scalar(units[at..<min(at + 4, units.count)], 0)
            at += length
            guard let properties = scalar?.properties else { continue }
            if upper
                ? properties.isLowercase || properties.generalCategory == .titlecaseLetter
                : properties.isUppercase || properties.generalCategory == .titlecaseLetter
            {
                return false
            }
            if properties.isCased { found = true }
        }
        return found
    }

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    private static func isNumeric(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.numericType != nil }

    /// `str.isalnum` of a character, which is also Python's `\w` but for the low line: no marks.
    static func isAlphanumeric(_ scalar: Unicode.Scalar) -> Bool { isLetter(scalar) || isNumeric(scalar) }

    static let properties: [(name: StaticString, holds: @Sendable ([Unit]) -> Bool)] = [
        ("isalpha", { every($0) { isLetter($0) } }), ("isalnum", { every($0) { isAlphanumeric($0) } }),
        ("isascii", { $0.allSatisfy { $0.byte < 0x80 } }), ("isdecimal", { every($0) { $0.properties.numericType == .decimal } }),
        ("isdigit", { every($0) { $0.properties.numericType == .decimal || $0.properties.numericType == .digit } }),
        ("isnumeric", { every($0) { isNumeric($0) } }), ("isspace", { every($0) { Characters.isSpace($0) } }),
        ("isprintable", { $0.isEmpty || every($0) { Characters.isPrintable($0) } }),
        ("islower", { isOneCase($0, upper: false) }), ("isupper", { isOneCase($0, upper: true) }),
        (
            "isidentifier",
            { units in
                guard let first = Characters.scalar(units, 0).0, first == "_" || first.properties.isXIDStart else { return false }
                return every(units) { $0.properties.isXIDContinue }
            }
        ),
        (
            "istitle",
            { units in
                var before = false, found = false, at = 0
                while at < units.count {
                    let (scalar, length) = Characters.scalar(units[at..<min(at + 4, units.count)], 0)
                    at += length
                    let properties = scalar?.properties
                    if properties?.isUppercase ?? false || properties?.generalCategory == .titlecaseLetter {
                        if before { return false }
                        before = true
                        found = true
                    } else if properties?.isLowercase ?? false {
                        if !before { return false }
                        found = true
                    } else {
                        before = false
                    }
                }
                return found
            }
        ),
    ]
}
