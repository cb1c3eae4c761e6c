internal import Llama2Core

/// Reads a regular expression in one of two languages:
/// - `re2`: RE2's syntax (github.com/google/re2/wiki/Syntax), what a caller gives as a grammar;
/// - `ecma`: ECMA-262's, which JSON Schema's `pattern` is written in.
/// What the language has and no automaton can do (references back, word boundaries, looking behind) is refused by name.
struct RegexParser {
    enum Dialect { case re2, ecma }

    private let text: [UInt32]  // scalars
    private let dialect: Dialect
    private var at = 0
    private var depth = 0
    private var ignoresCase = false, dotTakesAll = false, isMultiline = false
    /// Nesting of groups: the parser calls itself.
    private static let deepest = 60
    private static let mostRepeats = 100_000

    static func parse(_ bytes: [UInt8], _ dialect: Dialect) throws(Llama2Error) -> Regex {
        var scalars: [UInt32] = [], decoder = Unicode.UTF8(), iterator = bytes.makeIterator()
        decoding: while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar): scalars.append(scalar.value)
            case .emptyInput: break decoding
            case .error: throw Llama2Error(.invalidArgument, "the expression is not UTF-8")
            }
        }
        var parser = RegexParser(text: scalars, dialect: dialect)
        let regex = try parser.choice()
        guard parser.at == scalars.count else { throw parser.failure("a closing parenthesis without its opening one") }
        return regex
    }

    private init(text: [UInt32], dialect: Dialect) {
        self.text = text
        self.dialect = dialect
    }

    private func failure(_ what: String) -> Llama2Error {
        Llama2Error(.invalidArgument, "regular expression: \(what), at character \(at + 1)")
    }
    private func unsupported(_ what: String) -> Llama2Error {
        Llama2Error(.unsupported, "regular expression: \(what) (at character \(at + 1)) cannot be followed by an automaton")
    }

    /// For switches; every number of `text` is a scalar.
    private func scalar(_ c: UInt32) -> Unicode.Scalar { Unicode.Scalar(c) ?? "\u{FFFD}" }
    private func peek(_ ahead: Int = 0) -> UInt32? { at + ahead < text.count ? text[at + ahead] : nil }
    private mutating func take(_ c: Unicode.Scalar) -> Bool {
        guard peek() == c.value else { return false }
        at += 1
        return true
    }
    /// A literal that comes next, taken whole or not at all.
    private mutating func take(word: StaticString) -> Bool {
        let n = word.utf8CodeUnitCount
        guard at + n <= text.count else { return false }
        for i in 0..<n where text[at + i] != UInt32(word.utf8Start[i]) { return false }
        at += n
        return true
    }

    private mutating func choice() throws(Llama2Error) -> Regex {
        depth += 1
        defer { depth -= 1 }
        guard depth <= RegexParser.deepest else { throw Llama2Error(.unsupported, "regular expression: groups nested deeper than \(RegexParser.deepest)") }
        var branches = [try sequence()]
        while take("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func sequence() throws(Llama2Error) -> Regex {
        var parts: [Regex] = []
        while let c = peek(), c != 0x7C, c != 0x29 {  // | )
            if dialect == .re2, take(word: "\\Q") {
                // a repetition behind it is that of its last character
                while peek() != nil, !take(word: "\\E") {
                    parts.append(.set(try folded(CodePointSet(text[at]))))
                    at += 1
                }
                if let last = parts.popLast() { parts.append(try repeated(last)) }
                continue
            }
            guard let atom = try atom() else { continue }
            parts.append(try repeated(atom))
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    // MARK: Repetition

    private mutating func repeated(_ atom: Regex) throws(Llama2Error) -> Regex {
        guard let bounds = try bounds() else { return atom }
        _ = take("?")  // how greedily a loop takes changes no language
        // neither language repeats a repetition; in others "+" behind one takes all there is, which is another language
        let start = at
        guard try self.bounds() == nil else {
            at = start
            throw failure("a repetition of a repetition")
        }
        switch atom {
        case .begin, .end: return bounds.least == 0 ? .loop(atom, least: 0, most: bounds.most == 0 ? 0 : 1) : atom
        default: return .loop(atom, least: bounds.least, most: bounds.most)
        }
    }

    private mutating func bounds() throws(Llama2Error) -> (least: Int, most: Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard peek() == 0x7B else { return nil }
        let start = at
        at += 1
        let low = try number()
        var high = low
        if take(",") { high = try number() }
        // a brace that begins no repetition stands for itself
        guard let low, text[at - 1] != 0x7B, take("}") else {
            at = start
            return nil
        }
        if let high, high < low { throw failure("a repetition of \(low) to \(high)") }
        guard low <= RegexParser.mostRepeats, high ?? 0 <= RegexParser.mostRepeats else {
            throw Llama2Error(.unsupported, "regular expression: more than \(RegexParser.mostRepeats) repetitions")
        }
        return (low, high)
    }

    private mutating func number() throws(Llama2Error) -> Int? {
        var value: Int?
        while let c = peek(), (0x30...0x39).contains(c) {
            value = min((value ?? 0) * 10 + Int(c - 0x30), 1_000_000_000)
            at += 1
        }
        return value
    }

    // MARK: Atoms

    /// nil for what stands for nothing, such as a group of flags.
    private mutating func atom() throws(Llama2Error) -> Regex? {
        guard let c = peek() else { return nil }
        switch scalar(c) {
        case "(": return try group()
        case "[": return .set(try set())
        case ".":
            at += 1
            if dotTakesAll { return .set(.all) }
            let lineEnds = dialect == .ecma ? [(UInt32(0x0A), UInt32(0x0A)), (0x0D, 0x0D), (0x2028, 0x2029)] : [(UInt32(0x0A), UInt32(0x0A))]
            return .set(CodePointSet(lineEnds).complement)
        case "^":
            at += 1
            if isMultiline { throw unsupported("^ at every line's beginning") }
            return .begin
        case "$":
            at += 1
            if isMultiline { throw unsupported("$ at every line's end") }
            return .end
        case "\\": return try escape()
        case "*", "+", "?":
            throw failure("a repetition of nothing")
        default:
            at += 1
            return .set(try folded(CodePointSet(c)))
        }
    }

    /// With both cases of its letters where case is ignored.
    private func folded(_ set: CodePointSet) throws(Llama2Error) -> CodePointSet {
        guard ignoresCase else { return set }
        guard let both = set.ignoringCase else { throw unsupported("(?i) over letters beyond ASCII") }
        return both
    }

    private mutating func group() throws(Llama2Error) -> Regex? {
        at += 1
        let flags = (ignoresCase, dotTakesAll, isMultiline)
        var look: Bool?
        if take("?") {
            if take(":") {
            } else if take("=") || take("!") {
                guard dialect == .ecma else { throw unsupported("looking ahead") }
                look = text[at - 1] == 0x21
            } else if take(word: "<=") || take(word: "<!") {
                throw unsupported("looking behind")
            } else if take(word: "P<") || take("<") {
                while let c = peek(), c != 0x3E { at += 1; _ = c }
                guard take(">") else { throw failure("a name without its end") }
            } else if take(word: "P=") || take(word: "P>") {
                throw unsupported("a reference back")
            } else {
                guard try flagsEndGroup() else { return nil }
            }
        }
        let body = try choice()
        guard take(")") else { throw failure("a parenthesis that is not closed") }
        (ignoresCase, dotTakesAll, isMultiline) = flags
        if let look { return .ahead(body, isNegative: look) }
        return body
    }

    /// Flags behind "(?". True: they hold for the group that follows; false: up to the end of the group they stand in.
    private mutating func flagsEndGroup() throws(Llama2Error) -> Bool {
        var value = true
        while let c = peek() {
            at += 1
            switch scalar(c) {
            case "i": ignoresCase = value
            case "s": dotTakesAll = value
            case "m": isMultiline = value
            case "U" where dialect == .re2: break
            case "-" where value: value = false
            case ":": return true
            case ")": return false
            default:
                at -= 1
                throw failure("an unknown flag")
            }
        }
        throw failure("a parenthesis that is not closed")
    }

    private mutating func escape() throws(Llama2Error) -> Regex {
        if let set = try classEscape() { return .set(set) }
        guard let c = peek(1) else { throw failure("a backslash at the end") }
        switch scalar(c) {
        case "A" where dialect == .re2: at += 2; return .begin
        case "z" where dialect == .re2: at += 2; return .end
        case "b", "B": throw unsupported("a word boundary")
        case "1"..."9": throw unsupported("a reference back")
        case "k" where dialect == .ecma: throw unsupported("a reference back")
        case "C" where dialect == .re2: throw unsupported("a single byte")
        default: return .set(try folded(CodePointSet(try characterEscape())))
        }
    }

    /// \d \w \s and their opposites, \p{...}, folded where case is ignored; nil when something else comes.
    private mutating func classEscape() throws(Llama2Error) -> CodePointSet? {
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
        guard let set = UnicodeCategory.set(named: name) else {
            throw Llama2Error(
                .unsupported,
                "regular expression: the class of characters \(String(decoding: name.prefix(60), as: UTF8.self)) is not known, at character \(at + 1)")
        }
        let whole = try folded(set)
        return negated ? whole.complement : whole
    }

    /// An escape that stands for one character.
    private mutating func characterEscape() throws(Llama2Error) -> UInt32 {
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

    private mutating func set() throws(Llama2Error) -> CodePointSet {
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
            if peek(1) == 0x62 {  // \b is a backspace here
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
