internal import Llama2Core

/// Reads a regular expression in one of two languages:
/// - `re2`: RE2's syntax (github.com/google/re2/wiki/Syntax), what a caller gives as a grammar;
/// - `ecma`: ECMA-262's, which JSON Schema's `pattern` is written in.
/// What the language has and no automaton can do (references back, word boundaries, looking behind) is refused by name.
struct RegexParser {
    enum Dialect { case re2, ecma }

    let text: [UInt32]  // scalars
    let dialect: Dialect
    var at = 0
    private var depth = 0
    private var names: Set<[UInt32]> = []
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

    func failure(_ what: String) -> Llama2Error {
        Llama2Error(.invalidArgument, "regular expression: \(what), at character \(at + 1)")
    }
    func unsupported(_ what: String) -> Llama2Error {
        Llama2Error(.unsupported, "regular expression: \(what) (at character \(at + 1)) cannot be followed by an automaton")
    }

    /// For switches; every number of `text` is a scalar.
    func scalar(_ c: UInt32) -> Unicode.Scalar { Unicode.Scalar(c) ?? "\u{FFFD}" }
    func peek(_ ahead: Int = 0) -> UInt32? { at + ahead < text.count ? text[at + ahead] : nil }
    mutating func take(_ c: Unicode.Scalar) -> Bool {
        guard peek() == c.value else { return false }
        at += 1
        return true
    }
    /// A literal that comes next, taken whole or not at all.
    mutating func take(word: StaticString) -> Bool {
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
        // neither does one in which RE2 finds a number with a zero before it
        let isOdd = dialect == .re2 && (start..<at).contains { !isDigit($0) && peek($0 + 1 - at) == 0x30 && isDigit($0 + 2) }
        guard let low, !isOdd, text[at - 1] != 0x7B, take("}") else {
            at = start
            return nil
        }
        if let high, high < low { throw failure("a repetition of \(low) to \(high)") }
        guard low <= RegexParser.mostRepeats, high ?? 0 <= RegexParser.mostRepeats else {
            throw Llama2Error(.unsupported, "regular expression: more than \(RegexParser.mostRepeats) repetitions")
        }
        return (low, high)
    }

    private func isDigit(_ place: Int) -> Bool { place < text.count && (0x30...0x39).contains(text[place]) }

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
    func folded(_ set: CodePointSet) throws(Llama2Error) -> CodePointSet {
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
                let start = at
                while let c = peek(), c == 0x5F || c >= 0x80 || CodePointSet.word.contains(c) || c == 0x24 && dialect == .ecma { at += 1 }
                guard at > start, take(">") else { throw failure("the name of a group is none") }
                let isNew = names.insert(Array(text[start..<at])).inserted
                guard isNew || dialect == .ecma else { throw failure("two groups have one name") }
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
}
