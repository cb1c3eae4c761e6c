import Llama2Core

/// A regular expression, parsed. One node a construct; classes of every spelling are sets of code points.
indirect enum RegexNode {
    case empty
    case set(ScalarSet)
    case sequence([RegexNode])
    case alternatives([RegexNode])
    case loop(RegexNode, least: Int, most: Int?, kind: Greed)
    /// Without taking text: `(?=`, `(?!`, `(?<=`, `(?<!`.
    case look(RegexNode, ahead: Bool, wanted: Bool)
    case atomic(RegexNode)
    case assertion(Assertion)

    enum Greed { case greedy, lazy, possessive }
    enum Assertion: UInt8 { case lineStart, lineEnd, textStart, textEnd, textEndOrNewline, wordBoundary, notWordBoundary }
}

/// The expressions of tokenizer files, which are Oniguruma's in Ruby's syntax (Hugging Face's `tokenizers`): literals,
/// classes with categories and scripts, `&&`, groups, alternatives, quantifiers, look-around, anchors. What means
/// something else there, or is not known here (back-references, \X, \R, \K, names, conditions), is refused by name.
struct RegexParser {
    private let text: [UInt32]
    private let source: String
    private var at = 0
    private var depth = 0
    private var nodes = 0
    private static let deepest = 32, mostNodes = 4096, mostRepeats = 1000

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

    private func failure(_ what: String) -> Llama2Error {
        Llama2Error(.unsupported, "the expression \"\(String(String.UnicodeScalarView(source.unicodeScalars.prefix(300))))\": \(what), at character \(at)")
    }

    private var next: UInt32? { at < text.count ? text[at] : nil }

    private func follows(_ mark: StaticString) -> Bool {
        guard text.count - at >= mark.utf8CodeUnitCount else { return false }
        for i in 0..<mark.utf8CodeUnitCount where text[at + i] != UInt32(mark.utf8Start[i]) { return false }
        return true
    }

    private mutating func take(_ mark: StaticString) -> Bool {
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

    /// What a backslash begins, outside of classes and inside.
    private mutating func escapedSet(_ folds: Bool) throws(Llama2Error) -> ScalarSet {
        at += 1
        guard let c = next, let letter = Unicode.Scalar(c) else { throw failure("a backslash at the end") }
        at += 1
        switch letter {
        case "d": return .digits
        case "D": return ScalarSet.digits.inverted
        case "s": return .whiteSpace
        case "S": return ScalarSet.whiteSpace.inverted
        case "w": return .word
        case "W": return ScalarSet.word.inverted
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
        if let mask = UnicodeCategory.mask(named: name) {
            set = .categories(mask)
        } else if let script = UnicodeCategory.script(named: name) {
            set = ScalarSet(script)
        } else {
            throw failure("the property \(String(decoding: name, as: UTF8.self)), which is not known")
        }
        return isInverted != flips ? set.inverted : set
    }

    // MARK: classes in brackets

    private mutating func bracket(_ folds: Bool) throws(Llama2Error) -> ScalarSet {
        depth += 1
        defer { depth -= 1 }
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
            ("[:space:]", .whiteSpace), ("[:digit:]", .digits), ("[:word:]", .word),
            ("[:upper:]", .categories(1)), ("[:lower:]", .categories(2)), ("[:cntrl:]", .categories(1 << 25)),
        ]
        for (name, set) in names where take(name) { return set }
        throw failure("a POSIX bracket that is not known")
    }

    /// Under (?i): ASCII letters in both cases, with the two signs that fold to one (K and S).
    private func folded(_ set: ScalarSet, _ folds: Bool) throws(Llama2Error) -> ScalarSet {
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
