internal import Llama2Core

// What stands for a set of characters: escapes, categories, classes in brackets.
extension RegexParser {
    /// \d \w \s and their opposites, \p{...}, folded where case is ignored; nil when something else comes.
    mutating func classEscape() throws(Llama2Error) -> CodePointSet? {
        guard peek() == 0x5C, let c = peek(1) else { return nil }
        let set: CodePointSet
        switch scalar(c | 0x20) {
        case "d": set = .digits
        case "w": set = .word
        case "s": set = dialect == .ecma ? .ecmaSpace : .re2Space
        case "p":
            at += 2
            return try category(isNegated: c == 0x50)
        default: return nil
        }
        at += 2
        // the opposite of what is folded: no letter of a class is in its opposite
        let whole = try folded(set)
        return c & 0x20 == 0 ? whole.complement : whole
    }

    /// Behind \p or \P.
    private mutating func category(isNegated: Bool) throws(Llama2Error) -> CodePointSet {
        var name: [UInt8] = [], negated = isNegated
        if take("{") {
            if take("^") { negated.toggle() }
            while let c = peek(), c != 0x7D {
                name.append(UInt8(truncatingIfNeeded: c < 0x80 ? c : 0x3F))
                at += 1
            }
            guard take("}") else { throw failure("a category without its end") }
        } else if let c = peek(), c < 0x80 {
            name = [UInt8(c)]
            at += 1
        }
        guard let set = CodePointSet.named(name) else {
            throw Llama2Error(
                .unsupported,
                "regular expression: the class of characters \(String(decoding: name.prefix(60), as: UTF8.self)) is not known, at character \(at + 1)")
        }
        let whole = try folded(set)
        return negated ? whole.complement : whole
    }

    /// An escape that stands for one character.
    mutating func characterEscape() throws(Llama2Error) -> UInt32 {
        at += 1
        guard let c = peek() else { throw failure("a backslash at the end") }
        at += 1
        switch scalar(c) {
        case "n": return 0x0A
        case "r": return 0x0D
        case "t": return 0x09
        case "f": return 0x0C
        case "v": return 0x0B
        case "a" where dialect == .re2: return 0x07
        case "0":
            var value: UInt32 = 0
            if dialect == .re2 { for _ in 0..<2 { if let d = peek(), (0x30...0x37).contains(d) { value = value * 8 + d - 0x30; at += 1 } } }
            return value
        case "c" where dialect == .ecma:
            guard let letter = peek(), (0x41...0x5A).contains(letter & ~0x20) else { throw failure("\\c without a letter") }
            at += 1
            return letter & 0x1F
        case "x":
            if dialect == .re2, take("{") { return try hexadecimal(until: "}") }
            return try hexadecimal(digits: 2)
        case "u" where dialect == .ecma:
            if take("{") { return try hexadecimal(until: "}") }
            let high = try hexadecimal(digits: 4)
            guard (0xD800...0xDBFF).contains(high), peek() == 0x5C, peek(1) == 0x75 else { return high }
            at += 2
            let low = try hexadecimal(digits: 4)
            guard (0xDC00...0xDFFF).contains(low) else { throw failure("half of a surrogate pair") }
            return 0x10000 + (high - 0xD800) << 10 + (low - 0xDC00)
        case "a"..."z", "A"..."Z", "0"..."9":
            // ECMA-262 outside its u mode and RE2 differ here; a letter that means nothing is never guessed
            at -= 1
            throw failure("an escape that means nothing")
        case _ where c >= 0x80 && dialect == .re2:
            at -= 1
            throw failure("an escape that means nothing")
        default: return c
        }
    }

    private mutating func hexadecimal(digits: Int) throws(Llama2Error) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let digit = hexDigit(peek()) else { throw failure("expected \(digits) hexadecimal digits") }
            value = value << 4 | digit
            at += 1
        }
        return value
    }

    private mutating func hexadecimal(until end: Unicode.Scalar) throws(Llama2Error) -> UInt32 {
        var value: UInt32 = 0, count = 0
        while let digit = hexDigit(peek()), count < 8 {
            value = value << 4 | digit
            count += 1
            at += 1
        }
        guard count > 0, value <= 0x10FFFF, take(end) else { throw failure("no code point") }
        return value
    }

    // MARK: Classes

    mutating func set() throws(Llama2Error) -> CodePointSet {
        at += 1
        let negated = take("^")
        var out = CodePointSet.empty, isFirst = true
        while true {
            guard let c = peek() else { throw failure("a bracket that is not closed") }
            if c == 0x5D, !(isFirst && dialect == .re2) {
                at += 1
                break
            }
            isFirst = false
            if take(word: "[:") {
                guard dialect == .re2 else {
                    at -= 1  // an opening bracket stands for itself here
                    out = out.union(CodePointSet(0x5B))
                    continue
                }
                out = out.union(try namedClass())
                continue
            }
            if let set = try classEscape() {
                out = out.union(set)
                continue
            }
            let low = try member()
            var high = low
            if peek() == 0x2D, let after = peek(1), after != 0x5D {
                let dash = at
                at += 1
                if try classEscape() != nil {
                    guard dialect == .ecma else { throw failure("a range that ends with a class") }
                    // [a-\d]: the dash is a character, the class is read again
                    at = dash
                } else {
                    high = try member()
                    guard low <= high else { throw failure("a range that ends before it begins") }
                }
            }
            out = out.union(try folded(CodePointSet([(low, high)])))
        }
        return negated ? out.complement : out
    }

    private mutating func member() throws(Llama2Error) -> UInt32 {
        guard let c = peek() else { throw failure("a bracket that is not closed") }
        if c == 0x5C {
            if peek(1) == 0x62, dialect == .ecma {  // \b is a backspace here
                at += 2
                return 0x08
            }
            if peek(1) == 0x2D { at += 2; return 0x2D }
            return try characterEscape()
        }
        at += 1
        return c
    }

    /// Behind "[:", as in [[:alpha:]].
    private mutating func namedClass() throws(Llama2Error) -> CodePointSet {
        let negated = take("^")
        for (name, set) in CodePointSet.posixClasses where take(word: name) {
            guard take(word: ":]") else { break }
            let whole = try folded(set)
            return negated ? whole.complement : whole
        }
        throw failure("an unknown class of characters")
    }

    private func hexDigit(_ c: UInt32?) -> UInt32? {
        switch c {
        case .some(0x30...0x39): c.map { $0 - 0x30 }
        case .some(0x41...0x46), .some(0x61...0x66): c.map { ($0 | 0x20) - 0x57 }
        default: nil
        }
    }
}

extension CodePointSet {
    static let digits = CodePointSet([(0x30, 0x39)])
    static let word = CodePointSet([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
    static let re2Space = CodePointSet([(0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)])
    static let ecmaSpace = CodePointSet([
        (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
        (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
    ])

    fileprivate static let posixClasses: [(StaticString, CodePointSet)] = [
        ("alnum", CodePointSet([(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)])), ("alpha", CodePointSet([(0x41, 0x5A), (0x61, 0x7A)])),
        ("ascii", CodePointSet([(0, 0x7F)])), ("blank", CodePointSet([(0x09, 0x09), (0x20, 0x20)])), ("cntrl", CodePointSet([(0, 0x1F), (0x7F, 0x7F)])),
        ("digit", digits), ("graph", CodePointSet([(0x21, 0x7E)])), ("lower", CodePointSet([(0x61, 0x7A)])), ("print", CodePointSet([(0x20, 0x7E)])),
        ("punct", CodePointSet([(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)])), ("space", CodePointSet([(0x09, 0x0D), (0x20, 0x20)])),
        ("upper", CodePointSet([(0x41, 0x5A)])), ("word", word), ("xdigit", CodePointSet([(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)])),
    ]
}
