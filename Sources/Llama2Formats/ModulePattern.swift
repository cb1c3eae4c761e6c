internal import Llama2Core

/// A regular expression over the names of modules, as adapter_config.json has them: Python's `re`, of which literals, `.`, classes,
/// `\d \w \s`, groups, `|`, `* + ?` (greedy or not: what matches is the same) and the anchors are read. Anything else is refused.
///
/// All ways through it are followed at once (Thompson, 1968), so that time is at most the product of the lengths.
struct ModulePattern {
    private indirect enum Node {
        case set([ClosedRange<UInt8>], negated: Bool)
        case sequence([Node]), choice([Node])
        case loop(Node, least: Int, most: Int)  // most: 1, or 2 for any number
        case begin, end
    }

    private enum Step {
        case set([ClosedRange<UInt8>], negated: Bool)
        case fork(Int, Int)
        case begin, end, match
    }

    private var steps: [Step] = []
    static let longest = 4096

    /// what: for the sentence.
    init(_ text: [UInt8], _ what: @autoclosure () -> String) throws(Llama2Error) {
        func refused(_ why: String) -> Llama2Error {
            Llama2Error(.unsupported, "\(what()) is \"\(ByteText(text.prefix(200)))\": \(why)")
        }
        guard text.count <= ModulePattern.longest else { throw refused("longer than \(ModulePattern.longest) bytes") }
        try MemoryReserve.cover(
            2 * .list(text.count, of: Node.self) + .list(text.count, of: Step.self) + .texts(2 * text.count), for: what())
        var parser = Parser(text: text)
        guard let node = parser.choice(), parser.at == text.count else {
            throw refused("a regular expression that this version does not read, at byte \(parser.at)")
        }
        emit(node)
        steps.append(.match)
    }

    /// Whether it matches all of `name` from byte `start` on. budget: steps that may be taken; less than none afterwards: it was not enough.
    func matches(_ name: [UInt8], from start: Int, budget: inout Int) -> Bool {
        budget -= 1 + steps.count / 16
        var now: [Int] = [], seen = [Int](repeating: -1, count: steps.count)
        add(0, start, name, &now, &seen)
        var at = start
        while at < name.count, !now.isEmpty, budget > 0 {
            budget -= now.count
            var next: [Int] = []
            for index in now {
                guard case .set(let ranges, let negated) = steps[index], ranges.contains(where: { $0.contains(name[at]) }) != negated else { continue }
                add(index + 1, at + 1, name, &next, &seen)
            }
            now = next
            at += 1
        }
        return at == name.count && now.contains { if case .match = steps[$0] { true } else { false } }
    }

    /// Everything that is reached from a step without a byte. seen: (steps) the place where each was reached last.
    private func add(_ first: Int, _ at: Int, _ name: [UInt8], _ list: inout [Int], _ seen: inout [Int]) {
        var open = [first]
        while let index = open.popLast() {
            guard seen[index] != at else { continue }
            seen[index] = at
            switch steps[index] {
            case .set, .match: list.append(index)
            case .fork(let a, let b): open += [a, b]
            case .begin: if at == 0 { open.append(index + 1) }
            case .end: if at == name.count { open.append(index + 1) }
            }
        }
    }

    private mutating func emit(_ node: Node) {
        switch node {
        case .set(let ranges, let negated): steps.append(.set(ranges, negated: negated))
        case .begin: steps.append(.begin)
        case .end: steps.append(.end)
        case .sequence(let parts): for part in parts { emit(part) }
        case .choice(let parts):
            // fork to each, and from the end of each to the end of all
            var ends: [Int] = []
            for (i, part) in parts.enumerated() {
                let fork = steps.count
                if i + 1 < parts.count { steps.append(.fork(fork + 1, 0)) }
                emit(part)
                if i + 1 < parts.count {
                    ends.append(steps.count)
                    steps.append(.fork(0, 0))
                    steps[fork] = .fork(fork + 1, steps.count)
                }
            }
            for end in ends { steps[end] = .fork(steps.count, steps.count) }
        case .loop(let body, let least, let most):
            if least == 1 {
                let start = steps.count
                emit(body)
                steps.append(.fork(start, steps.count + 1))
            } else {
                let fork = steps.count
                steps.append(.fork(fork + 1, 0))
                emit(body)
                if most > 1 { steps.append(.fork(fork, fork)) }
                steps[fork] = .fork(fork + 1, steps.count)
            }
        }
    }

    private struct Parser {
        let text: [UInt8]
        var at = 0, depth = 0
        private static let deepest = 24

        init(text: [UInt8]) { self.text = text }

        private var next: UInt8? { at < text.count ? text[at] : nil }

        /// nil: not read; `at` is where.
        mutating func choice() -> Node? {
            depth += 1
            defer { depth -= 1 }
            guard depth <= Parser.deepest else { return nil }
            var parts: [Node] = [.sequence([])]
            var sequence: [Node] = []
            while let c = next, c != UInt8(ascii: ")") {
                if c == UInt8(ascii: "|") {
                    at += 1
                    parts[parts.count - 1] = .sequence(sequence)
                    parts.append(.sequence([]))
                    sequence = []
                    continue
                }
                guard let item = atom() else { return nil }
                sequence.append(quantified(item))
            }
            parts[parts.count - 1] = .sequence(sequence)
            return parts.count == 1 ? parts[0] : .choice(parts)
        }

        private mutating func quantified(_ item: Node) -> Node {
            let node: Node
            switch next {
            case UInt8(ascii: "*"): node = .loop(item, least: 0, most: 2)
            case UInt8(ascii: "+"): node = .loop(item, least: 1, most: 2)
            case UInt8(ascii: "?"): node = .loop(item, least: 0, most: 1)
            default: return item
            }
            at += 1
            if next == UInt8(ascii: "?") { at += 1 }  // not greedy
            return node
        }

        private mutating func atom() -> Node? {
            guard let c = next else { return nil }
            switch c {
            case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "]"): return nil
            case UInt8(ascii: "("):
                at += 1
                if next == UInt8(ascii: "?") {
                    guard at + 1 < text.count, text[at + 1] == UInt8(ascii: ":") else { return nil }
                    at += 2
                }
                guard let body = choice(), next == UInt8(ascii: ")") else { return nil }
                at += 1
                return body
            case UInt8(ascii: "["): return characterClass()
            case UInt8(ascii: "\\"):
                at += 1
                return escape().map { .set($0, negated: false) }
            case UInt8(ascii: "."):
                at += 1
                return .set([0x0a...0x0a], negated: true)
            case UInt8(ascii: "^"):
                at += 1
                return .begin
            case UInt8(ascii: "$"):
                at += 1
                return .end
            default:
                at += 1
                return .set([c...c], negated: false)
            }
        }

        /// Behind the backslash.
        private mutating func escape() -> [ClosedRange<UInt8>]? {
            guard let c = next else { return nil }
            let digits: [ClosedRange<UInt8>] = [0x30...0x39]
            let ranges: [ClosedRange<UInt8>]
            switch c {
            case UInt8(ascii: "d"): ranges = digits
            case UInt8(ascii: "w"): ranges = digits + [0x41...0x5a, 0x61...0x7a, 0x5f...0x5f]
            case UInt8(ascii: "s"): ranges = [0x09...0x0d, 0x20...0x20]
            default:
                // letters and digits stand for something else; punctuation stands for itself
                guard c < 0x80, !(0x30...0x39).contains(c), !(0x41...0x5a).contains(c), !(0x61...0x7a).contains(c) else { return nil }
                ranges = [c...c]
            }
            at += 1
            return ranges
        }

        private mutating func characterClass() -> Node? {
            at += 1
            var ranges: [ClosedRange<UInt8>] = [], negated = false
            if next == UInt8(ascii: "^") {
                negated = true
                at += 1
            }
            repeat {
                guard let low = next, low < 0x80 else { return nil }
                if low == UInt8(ascii: "\\") {
                    at += 1
                    guard let more = escape() else { return nil }
                    ranges += more
                    continue
                }
                at += 1
                guard next == UInt8(ascii: "-"), at + 1 < text.count, text[at + 1] != UInt8(ascii: "]") else {
                    ranges.append(low...low)
                    continue
                }
                let high = text[at + 1]
                guard high < 0x80, high != UInt8(ascii: "\\"), low <= high else { return nil }
                ranges.append(low...high)
                at += 2
            } while next != UInt8(ascii: "]")
            at += 1
            return .set(ranges, negated: negated)
        }
    }
}
