import Llama2Core

// What stands for a set of characters: escapes, categories, scripts, classes in brackets.
extension RegexParser {
    /// What a backslash begins, outside of classes and inside.
    mutating func escapedSet(_ folds: Bool) throws(Llama2Error) -> ScalarSet {
        at += 1
        guard let c = next, let letter = Unicode.Scalar(c) else { throw failure("a backslash at the end") }
        at += 1
        switch letter {
        case "d": return .digits
        case "D": return ScalarSet.digits.inverted
        case "s": return .whiteSpace
        case "S": return ScalarSet.whiteSpace.inverted
        // Latin-1's small digits and fractions are words for Oniguruma, but for classes in brackets
        case "w": return depthOfBrackets > 0 ? .wordInBrackets : .word
        case "W": return depthOfBrackets > 0 ? ScalarSet.wordInBrackets.inverted : ScalarSet.word.inverted
        case "h": return ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66])
        case "H": return ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66]).inverted
        case "p", "P":
            let set = try property(isInverted: letter == "P")
            guard !folds else { throw failure("a property under (?i)") }
            return set
        default:
            at -= 1
            let scalar = try escapedScalar()
            return try folded(ScalarSet([scalar...scalar]), folds)
        }
    }

    /// The one code point that the letter after a backslash stands for.
    private mutating func escapedScalar() throws(Llama2Error) -> UInt32 {
        guard let c = next, let letter = Unicode.Scalar(c) else { throw failure("a backslash at the end") }
        at += 1
        switch letter {
        case "n": return 0x0A
        case "r": return 0x0D
        case "t": return 0x09
        case "f": return 0x0C
        case "v": return 0x0B
        case "a": return 0x07
        case "e": return 0x1B
        case "x":
            if take("{") {
                let value = try hexadecimal(1...8)
                guard take("}") else { throw failure("\\x{ without its end") }
                return value
            }
            let value = try hexadecimal(1...2)
            guard value < 0x80 else { throw failure("\\x\(String(value, radix: 16)), a byte that is no character") }
            return value
        case "u": return try hexadecimal(4...4)
        default:
            guard c >= 0x80 || !(letter.properties.isAlphabetic || (0x30...0x39).contains(c)) else {
                throw failure("\\\(letter), which is not known")
            }
            return c
        }
    }

    private mutating func hexadecimal(_ digits: ClosedRange<Int>) throws(Llama2Error) -> UInt32 {
        var value: UInt32 = 0, count = 0
        while count < digits.upperBound, let c = next, let digit = Unicode.Scalar(c).flatMap({ Character($0).hexDigitValue }), c < 0x80 {
            value = value << 4 | UInt32(digit)
            count += 1
            at += 1
        }
        guard count >= digits.lowerBound, value <= 0x10FFFF else { throw failure("a code point that is none") }
        return value
    }

    /// `\p{Lu}`, `\p{^L}`, `\pL` is not Oniguruma's.
    private mutating func property(isInverted: Bool) throws(Llama2Error) -> ScalarSet {
        guard take("{") else { throw failure("\\p without a brace") }
        let flips = take("^")
        var name: [UInt8] = []
        while let c = next, c != 0x7D {
            guard c < 0x80, name.count < 40 else { throw failure("a property that is not known") }
            name.append(UInt8(c))
            at += 1
        }
        guard take("}") else { throw failure("\\p{ without its end") }
        let set: ScalarSet
        if let mask = UnicodeClass.mask(named: name) {
            set = .categories(mask)
        } else if let script = UnicodeClass.script(named: name) {
            set = ScalarSet(script)
        } else {
            throw failure("the property \(String(decoding: name, as: UTF8.self)), which is not known")
        }
        return isInverted != flips ? set.inverted : set
    }

    // MARK: classes in brackets

    mutating func bracket(_ folds: Bool) throws(Llama2Error) -> ScalarSet {
        depth += 1
        defer { depth -= 1 }
        depthOfBrackets += 1
        defer { depthOfBrackets -= 1 }
        guard depth <= RegexParser.deepest else { throw failure("classes nested deeper than \(RegexParser.deepest)") }
        at += 1
        let isInverted = take("^")
        var set = ScalarSet(), before: ScalarSet?, isFirst = true
        while true {
            guard let c = next else { throw failure("a class that does not end") }
            if c == 0x5D, !isFirst {
                at += 1
                break
            }
            defer { isFirst = false }
            if c == 0x5D { throw failure("a class that begins with a bracket") }
            if take("&&") {
                before = before?.intersection(set) ?? set
                set = ScalarSet()
                continue
            }
            if c == 0x5B {
                set = set.union(follows("[:") ? try posix() : try bracket(folds))
                continue
            }
            // one character or a class, perhaps the begin of a range
            let isEscape = c == 0x5C
            var one: ScalarSet
            if isEscape {
                one = try inClassEscape(folds)
            } else {
                at += 1
                one = ScalarSet([c...c])
            }
            if follows("-"), at + 1 < text.count, text[at + 1] != 0x5D {
                guard !folds || !isEscape, let low = one.ranges.first, one.ranges.count == 1, low.lowerBound == low.upperBound else {
                    throw failure("a range that begins with a class")
                }
                at += 1
                guard let end = next else { throw failure("a class that does not end") }
                let last: ScalarSet
                if end == 0x5C {
                    last = try inClassEscape(false)
                } else {
                    guard end != 0x5B else { throw failure("a range that ends with a class") }
                    at += 1
                    last = ScalarSet([end...end])
                }
                guard let high = last.ranges.first, last.ranges.count == 1, high.lowerBound == high.upperBound, high.lowerBound >= low.lowerBound else {
                    throw failure("a range without order")
                }
                one = ScalarSet([low.lowerBound...high.lowerBound])
            }
            set = set.union(try folded(one, folds && !isEscape))
        }
        if let before { set = before.intersection(set) }
        return isInverted ? set.inverted : set
    }

    /// In brackets \b is a backspace.
    private mutating func inClassEscape(_ folds: Bool) throws(Llama2Error) -> ScalarSet {
        if take("\\b") { return ScalarSet([8...8]) }
        return try escapedSet(folds)
    }

    private mutating func posix() throws(Llama2Error) -> ScalarSet {
        let names: [(StaticString, ScalarSet)] = [
            ("[:space:]", .whiteSpace), ("[:digit:]", .digits), ("[:word:]", .wordInBrackets),
            ("[:upper:]", .upper), ("[:lower:]", .lower), ("[:cntrl:]", .categories(1 << 25)),
        ]
        for (name, set) in names where take(name) { return set }
        throw failure("a POSIX bracket that is not known")
    }

    /// Under (?i): ASCII letters in both cases, with the two signs that fold to one (K and S).
    func folded(_ set: ScalarSet, _ folds: Bool) throws(Llama2Error) -> ScalarSet {
        guard folds else { return set }
        guard set.ranges.allSatisfy({ $0.upperBound < 0x80 }) else { throw failure("characters beyond ASCII under (?i)") }
        var list = set.ranges
        for range in set.ranges {
            for c in range where (0x61...0x7A).contains(c | 0x20) {
                list.append(c ^ 0x20...c ^ 0x20)
                if c | 0x20 == 0x6B { list.append(0x212A...0x212A) }
                if c | 0x20 == 0x73 { list.append(0x17F...0x17F) }
            }
        }
        return ScalarSet(list)
    }
}
