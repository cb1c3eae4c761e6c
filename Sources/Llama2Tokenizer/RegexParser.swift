import Llama2Core

/// The expressions of tokenizer files, which are Oniguruma's in Ruby's syntax (Hugging Face's `tokenizers`): literals,
/// classes with categories and scripts, `&&`, groups, alternatives, quantifiers, look-around, anchors. What means
/// something else there, or is not known here (back-references, \X, \R, \K, names, conditions), is refused by name.
struct RegexParser {
    let text: [UInt32]
    private let source: String
    var at = 0
    var depth = 0, depthOfBrackets = 0
    private var nodes = 0
    static let deepest = 32, mostNodes = 4096, mostRepeats = 1000

    /// pattern: UTF-8.
    static func parse(_ pattern: [UInt8]) throws(Llama2Error) -> RegexNode {
        guard pattern.count <= 1 << 14 else { throw Llama2Error(.unsupported, "an expression of \(pattern.count) bytes; the limit is \(1 << 14)") }
        var parser = RegexParser(pattern)
        let node = try parser.alternatives(foldsCase: false)
        guard parser.at == parser.text.count else { throw parser.failure("a closing parenthesis without its opening one") }
        return node
    }

    private init(_ pattern: [UInt8]) {
        source = String(decoding: pattern, as: UTF8.self)
        text = source.unicodeScalars.map(\.value)
    }

    func failure(_ what: String) -> Llama2Error {
        Llama2Error(.unsupported, "the expression \"\(String(String.UnicodeScalarView(source.unicodeScalars.prefix(300))))\": \(what), at character \(at)")
    }

    var next: UInt32? { at < text.count ? text[at] : nil }

    func follows(_ mark: StaticString) -> Bool {
        guard text.count - at >= mark.utf8CodeUnitCount else { return false }
        for i in 0..<mark.utf8CodeUnitCount where text[at + i] != UInt32(mark.utf8Start[i]) { return false }
        return true
    }

    mutating func take(_ mark: StaticString) -> Bool {
        guard follows(mark) else { return false }
        at += mark.utf8CodeUnitCount
        return true
    }

    // MARK: structure

    private mutating func alternatives(foldsCase: Bool) throws(Llama2Error) -> RegexNode {
        var list: [RegexNode] = [], folds = foldsCase
        repeat { list.append(try sequence(&folds)) } while take("|")
        while list.count > 64 {  // as many as one choice holds, side by side
            list = stride(from: 0, to: list.count, by: 64).map { .alternatives(Array(list[$0..<min($0 + 64, list.count)])) }
        }
        return list.count == 1 ? list[0] : .alternatives(list)
    }

    private mutating func sequence(_ folds: inout Bool) throws(Llama2Error) -> RegexNode {
        var list: [RegexNode] = []
        var literals: [UInt32] = []  // the run of letters before, under (?i)
        while let c = next, c != 0x7C, c != 0x29 {  // | )
            nodes += 1
            guard nodes <= RegexParser.mostNodes else { throw failure("more than \(RegexParser.mostNodes) parts") }
            // (?i) alone: until the end of the group
            if take("(?i)") { folds = true; continue }
            if take("(?-i)") { folds = false; continue }
            let start = at
            var node = try atom(folds)
            if folds, at == start + 1, c < 0x80 {
                literals.append(c | 0x20)
                // Oniguruma folds some pairs of letters to one character (ß for ss, ligatures)
                if let last = literals.dropLast().last, RegexParser.foldsTogether(last, c | 0x20) {
                    throw failure("letters under (?i) that fold to one character")
                }
            } else {
                literals = []
            }
            node = try quantified(node)
            if case .empty = node { continue }
            list.append(node)
        }
        return list.count == 1 ? list[0] : list.isEmpty ? .empty : .sequence(list)
    }

    private static func foldsTogether(_ a: UInt32, _ b: UInt32) -> Bool {
        func pair(_ x: Unicode.Scalar, _ y: Unicode.Scalar) -> Bool { a == x.value && b == y.value }
        return pair("s", "s") || pair("f", "f") || pair("f", "i") || pair("f", "l") || pair("s", "t")
    }

    private mutating func quantified(_ given: RegexNode) throws(Llama2Error) -> RegexNode {
        var node = given, count = 0
        while true {
            count += 1
            guard count < 8 else { throw failure("quantifiers of quantifiers") }
            var least = 0, most: Int? = nil, isInterval = false
            if take("*") {
            } else if take("+") {
                least = 1
            } else if take("?") {
                most = 1
            } else if follows("{"), let (a, b, end) = interval() {
                (least, most, isInterval) = (a, b, true)
                at = end
                guard a <= RegexParser.mostRepeats, b ?? 0 <= RegexParser.mostRepeats, b ?? a >= a else {
                    throw failure("a count of repeats beyond \(RegexParser.mostRepeats), or crossed")
                }
            } else {
                return node
            }
            var kind = RegexNode.Greed.greedy
            if take("?") {
                guard !isInterval || least != most else { throw failure("{n}? which is read in two ways") }
                kind = .lazy
            } else if !isInterval, take("+") {  // {n,m}+ is a loop around a loop in this syntax
                kind = .possessive
            }
            if case .look = node { throw failure("a look-around that is repeated") }
            if case .assertion = node { throw failure("an anchor that is repeated") }
            if RegexParser.canBeEmpty(node), most != 1 { throw failure("a loop around what can be empty") }
            node = .loop(node, least: least, most: most, kind: kind)
            nodes += 1
        }
    }

    /// `{n}`, `{n,}`, `{,m}`, `{n,m}`; nil when the brace is a literal.
    private func interval() -> (Int, Int?, end: Int)? {
        var i = at + 1
        func number() -> Int? {
            var value: Int?
            while i < text.count, (0x30...0x39).contains(text[i]) {
                value = min((value ?? 0) * 10 + Int(text[i] - 0x30), 1 << 20)
                i += 1
            }
            return value
        }
        let a = number()
        var b = a
        if i < text.count, text[i] == 0x2C {
            i += 1
            b = number()
            if a == nil, b == nil { return nil }
        } else if a == nil {
            return nil
        }
        guard i < text.count, text[i] == 0x7D else { return nil }
        return (a ?? 0, b, i + 1)
    }

    static func canBeEmpty(_ node: RegexNode) -> Bool {
        switch node {
        case .empty, .look, .assertion: true
        case .set: false
        case .sequence(let list): list.allSatisfy(canBeEmpty)
        case .alternatives(let list): list.contains(where: canBeEmpty)
        case .loop(let body, let least, _, _): least == 0 || canBeEmpty(body)
        case .atomic(let body): canBeEmpty(body)
        }
    }

    // MARK: atoms

    private mutating func atom(_ folds: Bool) throws(Llama2Error) -> RegexNode {
        guard let c = next else { return .empty }
        switch c {
        case 0x28: return try group(folds)
        case 0x5B: return .set(try bracket(folds))
        case 0x2E:  // any but a line feed
            at += 1
            return .set(ScalarSet([0x0A...0x0A]).inverted)
        case 0x5E:
            at += 1
            return .assertion(.lineStart)
        case 0x24:
            at += 1
            return .assertion(.lineEnd)
        case 0x2A, 0x2B, 0x3F: throw failure("a quantifier without anything before it")
        case 0x5C: return try escape(folds)
        default:
            at += 1
            return .set(try folded(ScalarSet([c...c]), folds))
        }
    }

    private mutating func group(_ folds: Bool) throws(Llama2Error) -> RegexNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= RegexParser.deepest else { throw failure("groups nested deeper than \(RegexParser.deepest)") }
        at += 1
        var wrap: (RegexNode) -> RegexNode = { $0 }
        var foldsInside = folds, isBehind = false
        if take("?:") {
        } else if take("?i:") {
            foldsInside = true
        } else if take("?-i:") {
            foldsInside = false
        } else if take("?=") {
            wrap = { .look($0, ahead: true, wanted: true) }
        } else if take("?!") {
            wrap = { .look($0, ahead: true, wanted: false) }
        } else if take("?<=") {
            wrap = { .look($0, ahead: false, wanted: true) }
            isBehind = true
        } else if take("?<!") {
            wrap = { .look($0, ahead: false, wanted: false) }
            isBehind = true
        } else if take("?>") {
            wrap = { .atomic($0) }
        } else if follows("?") || follows("*") {
            throw failure("a kind of group that is not known")
        }
        let body = try alternatives(foldsCase: foldsInside)
        guard take(")") else { throw failure("a group that does not end") }
        if isBehind, case .set = body {} else if isBehind { throw failure("a look-behind at more than one character") }
        return wrap(body)
    }

    private mutating func escape(_ folds: Bool) throws(Llama2Error) -> RegexNode {
        let start = at
        at += 1
        guard let c = next, let letter = Unicode.Scalar(c) else { throw failure("a backslash at the end") }
        switch letter {
        case "A": at += 1; return .assertion(.textStart)
        case "z": at += 1; return .assertion(.textEnd)
        case "Z": at += 1; return .assertion(.textEndOrNewline)
        case "b": at += 1; return .assertion(.wordBoundary)
        case "B": at += 1; return .assertion(.notWordBoundary)
        default:
            at = start
            return .set(try escapedSet(folds))
        }
    }
}
