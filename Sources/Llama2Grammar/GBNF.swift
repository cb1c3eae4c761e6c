internal import Llama2Core

/// A grammar in llama.cpp's GBNF as rules of a tree.
struct GBNF {
    indirect enum Node {
        case set(CodePointSet)  // one character
        case rule(Int)
        case tokens([Int32], isNegated: Bool)
        case sequence([Node])
        case choice([Node])
        case loop(Node, least: Int, most: Int?)
    }

    var names: [[UInt8]] = []
    var rules: [Node?] = []
}

/// Reads the language of llama.cpp's grammars/README.md: `name ::= alternatives`, literals, classes of characters, groups,
/// repetitions, comments, `.` for any character, <[id]> and <name> for tokens and !<...> for all others.
struct GBNFParser {
    private let text: [UInt8]
    private let vocabulary: GrammarVocabulary
    private var at = 0
    private var grammar = GBNF()
    private var numbers: [[UInt8]: Int] = [:]
    private var tokens: [[UInt8]: Int32] = [:]  // by the names that were looked for
    private static let deepest = 60
    /// Of repetitions of repetitions: whoever walks the tree calls itself.
    private static let deepestLoops = 4
    private static let mostRules = 100_000

    static func parse(_ text: [UInt8], _ vocabulary: GrammarVocabulary) throws(Llama2Error) -> GBNF {
        var parser = GBNFParser(text: text, vocabulary: vocabulary)
        parser.skipSpace(andLines: true)
        while parser.peek() != nil { try parser.rule() }
        for (index, rule) in parser.grammar.rules.enumerated() where rule == nil {
            throw Llama2Error(.invalidArgument, "grammar: the rule \(parser.shown(parser.grammar.names[index])) is used and not defined")
        }
        return parser.grammar
    }

    private init(text: [UInt8], vocabulary: GrammarVocabulary) {
        self.text = text
        self.vocabulary = vocabulary
    }

    private func shown(_ name: [UInt8]) -> String { String(decoding: name.prefix(100), as: UTF8.self) }

    private func failure(_ what: String) -> Llama2Error {
        let line = text[..<min(at, text.count)].count { $0 == 0x0A } + 1
        return Llama2Error(.invalidArgument, "grammar, line \(line): \(what)")
    }

    private func peek(_ ahead: Int = 0) -> UInt8? { at + ahead < text.count ? text[at + ahead] : nil }

    private mutating func take(_ c: Unicode.Scalar) -> Bool {
        guard let next = peek(), UInt32(next) == c.value else { return false }
        at += 1
        return true
    }

    private mutating func skipSpace(andLines: Bool) {
        while let c = peek() {
            if c == 0x23 {
                while let c = peek(), c != 0x0A, c != 0x0D { at += 1; _ = c }
            } else if c == 0x20 || c == 0x09 || andLines && (c == 0x0A || c == 0x0D) {
                at += 1
            } else {
                return
            }
        }
    }

    private static func isNamePart(_ c: UInt8) -> Bool {
        (0x30...0x39).contains(c) || (0x41...0x5A).contains(c) || (0x61...0x7A).contains(c) || c == 0x2D
    }

    private mutating func name() throws(Llama2Error) -> Int {
        let start = at
        while let c = peek(), GBNFParser.isNamePart(c) { at += 1 }
        guard at > start else { throw failure("expected a name") }
        let name = Array(text[start..<at])
        if let known = numbers[name] { return known }
        guard grammar.rules.count < GBNFParser.mostRules else { throw Llama2Error(.unsupported, "grammar: more than \(GBNFParser.mostRules) rules") }
        numbers[name] = grammar.rules.count
        grammar.names.append(name)
        grammar.rules.append(nil)
        return grammar.rules.count - 1
    }

    private mutating func rule() throws(Llama2Error) {
        let rule = try name()
        skipSpace(andLines: false)
        guard take(":"), take(":"), take("=") else { throw failure("expected ::=") }
        skipSpace(andLines: true)
        // the last definition of a name counts, as in llama.cpp
        grammar.rules[rule] = try choice(depth: 0)
        if take("\r") { _ = take("\n") } else if peek() != nil, !take("\n") { throw failure("expected the end of the line") }
        skipSpace(andLines: true)
    }

    private mutating func choice(depth: Int) throws(Llama2Error) -> GBNF.Node {
        guard depth <= GBNFParser.deepest else { throw Llama2Error(.unsupported, "grammar: groups nested deeper than \(GBNFParser.deepest)") }
        var branches = [try sequence(depth)]
        while take("|") {
            skipSpace(andLines: true)
            branches.append(try sequence(depth))
        }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func sequence(_ depth: Int) throws(Llama2Error) -> GBNF.Node {
        var parts: [GBNF.Node] = []
        while let c = peek() {
            switch c {
            case 0x22: parts.append(try literal())
            case 0x5B: parts.append(.set(try characterClass()))
            case 0x3C, 0x21: parts.append(try token())
            case 0x2E:
                at += 1
                parts.append(.set(.all))
            case 0x28:
                at += 1
                skipSpace(andLines: true)
                parts.append(try choice(depth: depth + 1))
                guard take(")") else { throw failure("a parenthesis that is not closed") }
            case 0x2A, 0x2B, 0x3F, 0x7B:
                guard let last = parts.popLast() else { throw failure("a repetition of nothing") }
                parts.append(try repeated(last))
            case _ where GBNFParser.isNamePart(c): parts.append(.rule(try name()))
            default: return .sequence(parts)
            }
            skipSpace(andLines: depth > 0)
        }
        return .sequence(parts)
    }

    private mutating func repeated(_ node: GBNF.Node) throws(Llama2Error) -> GBNF.Node {
        if take("*") { return try looped(node, 0, nil) }
        if take("+") { return try looped(node, 1, nil) }
        if take("?") { return try looped(node, 0, 1) }
        at += 1
        skipSpace(andLines: true)
        let least = try number()
        skipSpace(andLines: true)
        var most: Int? = least
        if take(",") {
            skipSpace(andLines: true)
            most = (peek().map { (0x30...0x39).contains($0) } ?? false) ? try number() : nil
            skipSpace(andLines: true)
        }
        guard take("}") else { throw failure("expected the end of a repetition") }
        if let most, most < least { throw failure("a repetition of \(least) to \(most)") }
        return try looped(node, least, most)
    }

    /// A repetition of a repetition is one itself where both are of * + ?; others lie in each other.
    private func looped(_ node: GBNF.Node, _ least: Int, _ most: Int?) throws(Llama2Error) -> GBNF.Node {
        func isSimple(_ least: Int, _ most: Int?) -> Bool { least <= 1 && most ?? 1 == 1 }
        if case .loop(let body, let inner, let innerMost) = node, isSimple(least, most), isSimple(inner, innerMost) {
            return .loop(body, least: min(least, inner), most: most == nil || innerMost == nil ? nil : 1)
        }
        var depth = 0, inside = node
        while case .loop(let body, _, _) = inside { (depth, inside) = (depth + 1, body) }
        guard depth < GBNFParser.deepestLoops else {
            throw Llama2Error(.unsupported, "grammar: repetitions of repetitions nested deeper than \(GBNFParser.deepestLoops)")
        }
        return .loop(node, least: least, most: most)
    }

    private mutating func number() throws(Llama2Error) -> Int {
        var value = 0, digits = 0
        while let c = peek(), (0x30...0x39).contains(c) {
            value = min(value * 10 + Int(c) - 0x30, 1_000_000_000)
            digits += 1
            at += 1
        }
        guard digits > 0 else { throw failure("expected a number") }
        return value
    }

    private mutating func literal() throws(Llama2Error) -> GBNF.Node {
        at += 1
        var parts: [GBNF.Node] = []
        while !take("\"") { parts.append(.set(CodePointSet(try character()))) }
        return .sequence(parts)
    }

    private mutating func characterClass() throws(Llama2Error) -> CodePointSet {
        at += 1
        let isNegated = take("^")
        var ranges: [(UInt32, UInt32)] = []
        // to llama.cpp it is the empty text, negated too: nobody who writes it means that
        guard peek() != 0x5D else { throw failure("a class without characters") }
        while !take("]") {
            let low = try character()
            var high = low
            if peek() == 0x2D, let after = peek(1), after != 0x5D {
                at += 1
                high = try character()
                guard low <= high else { throw failure("a range that ends before it begins") }
            }
            ranges.append((low, high))
        }
        let set = CodePointSet(ranges)
        return isNegated ? set.complement : set
    }

    /// A character as literals and classes write it.
    private mutating func character() throws(Llama2Error) -> UInt32 {
        guard let c = peek() else { throw failure("a literal or class that does not end") }
        guard c == 0x5C else {
            var decoder = Unicode.UTF8(), iterator = text[at...].makeIterator()
            guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { throw failure("a character that is not UTF-8") }
            at += UTF8Ranges.bytes(scalar.value).count
            return scalar.value
        }
        at += 1
        guard let escape = peek() else { throw failure("a backslash at the end") }
        at += 1
        switch Unicode.Scalar(escape) {
        case "x": return try hexadecimal(2)
        case "u": return try hexadecimal(4)
        case "U": return try hexadecimal(8)
        case "t": return 0x09
        case "r": return 0x0D
        case "n": return 0x0A
        case "\\", "\"", "[", "]", "-": return UInt32(escape)
        default: throw failure("an escape that is not known")
        }
    }

    private mutating func hexadecimal(_ digits: Int) throws(Llama2Error) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let c = peek() else { throw failure("expected \(digits) hexadecimal digits") }
            switch c {
            case 0x30...0x39: value = value << 4 | UInt32(c - 0x30)
            case 0x41...0x46, 0x61...0x66: value = value << 4 | (UInt32(c | 0x20) - 0x57)
            default: throw failure("expected \(digits) hexadecimal digits")
            }
            at += 1
        }
        guard value <= 0x10FFFF, !(0xD800...0xDFFF).contains(value) else { throw failure("no character of Unicode") }
        return value
    }

    private mutating func token() throws(Llama2Error) -> GBNF.Node {
        let isNegated = take("!")
        let start = at
        guard take("<") else { throw failure("expected <") }
        if take("[") {
            let id = try number()
            guard take("]"), take(">") else { throw failure("expected ]>") }
            guard id < vocabulary.count else { throw failure("token \(id) is not in the vocabulary of \(vocabulary.count)") }
            return .tokens([Int32(truncatingIfNeeded: id)], isNegated: isNegated)
        }
        while let c = peek(), c != 0x3E, c != 0x0A { at += 1; _ = c }
        guard take(">") else { throw failure("a token's name that does not end") }
        let name = Array(text[start..<at])
        guard let id = tokens[name] ?? vocabulary.token(named: name) else { throw failure("\(shown(name)) is no single token of the vocabulary") }
        tokens[name] = id
        return .tokens([id], isNegated: isNegated)
    }
}
