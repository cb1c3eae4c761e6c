internal import Llama2Core

extension DFA {
    /// States times lengths, four bytes each.
    private static let mostPlaces = 8_000_000

    static let none = DFA(start: 0, offsets: [0], edges: [], tags: [])
    /// Nothing but the text without a byte.
    static let emptyText = DFA(start: 0, offsets: [0, 0], edges: [], tags: [0])

    /// Every text of Unicode scalars, in UTF-8.
    static let anyText: DFA = {
        var nfa = NFA()
        let loop = nfa.add()
        nfa.add(.all, from: loop, to: loop)
        return (try? nfa.determinized(start: loop, accept: loop, GrammarBudget("any text"))) ?? .none
    }()

    /// Exactly these texts; the tag is the number of the text.
    static func texts(_ list: [[UInt8]], tag: (Int) -> Int32 = { _ in 0 }, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        var tree = TextTree()
        for (index, text) in list.enumerated() { try tree.add(text, tag: tag(index), budget) }
        return tree.finished()
    }

    /// The automaton of a rule: the states that `next` reaches from `start` over the bytes of `alphabet`.
    static func exploring<State: Hashable>(
        _ start: State, alphabet: [UInt8], _ budget: GrammarBudget, tag: (State) -> Int32, next: (State, UInt8) -> State?
    ) throws(Llama2Error) -> DFA {
        var builder = DFABuilder(), numbers = [start: builder.add(tag: tag(start))], states = [start], at = 0
        while at < states.count {
            for byte in alphabet {
                guard let target = next(states[at], byte) else { continue }
                if numbers[target] == nil {
                    try budget.take()
                    numbers[target] = builder.add(tag: tag(target))
                    states.append(target)
                }
                builder.connect(Int32(truncatingIfNeeded: at), byte, byte, numbers[target] ?? 0)
            }
            at += 1
        }
        return builder.finished(start: 0)
    }

    /// Both at once; `tag` is given what each says of a text, -1 where it is not of that language.
    /// needsFirst, needsSecond: a text that left that language is of no interest any more.
    func product(
        _ other: DFA, needsFirst: Bool, needsSecond: Bool, _ budget: GrammarBudget, tag: (Int32, Int32) -> Int32
    ) throws(Llama2Error) -> DFA {
        let first: Int32 = isEmpty ? DFA.dead : start, second: Int32 = other.isEmpty ? DFA.dead : other.start
        if needsFirst && first < 0 || needsSecond && second < 0 || first < 0 && second < 0 { return .none }
        func label(_ a: Int32, _ b: Int32) -> Int32 { tag(a < 0 ? -1 : tags[Int(a)], b < 0 ? -1 : other.tags[Int(b)]) }
        var builder = DFABuilder(), pairs = try PairTable(), at = 0
        _ = try pairs.number(first, second)
        _ = builder.add(tag: label(first, second))
        while at < pairs.count {
            let (a, b) = pairs[at], from = Int32(truncatingIfNeeded: at)
            var i = a < 0 ? 0 : Int(offsets[Int(a)]), j = b < 0 ? 0 : Int(other.offsets[Int(b)])
            let iEnd = a < 0 ? 0 : Int(offsets[Int(a) + 1]), jEnd = b < 0 ? 0 : Int(other.offsets[Int(b) + 1])
            var byte = 0
            // the pieces between the ends of edges of either row
            while byte < 256 {
                while i < iEnd, edges[i].high < byte { i += 1 }
                while j < jEnd, other.edges[j].high < byte { j += 1 }
                if i >= iEnd && j >= jEnd || needsFirst && i >= iEnd || needsSecond && j >= jEnd { break }
                let inFirst = i < iEnd && edges[i].low <= byte, inSecond = j < jEnd && other.edges[j].low <= byte
                var last = 255
                if i < iEnd { last = min(last, inFirst ? Int(edges[i].high) : Int(edges[i].low) - 1) }
                if j < jEnd { last = min(last, inSecond ? Int(other.edges[j].high) : Int(other.edges[j].low) - 1) }
                let ta = inFirst ? edges[i].to : DFA.dead, tb = inSecond ? other.edges[j].to : DFA.dead
                if !(needsFirst && ta < 0 || needsSecond && tb < 0 || ta < 0 && tb < 0) {
                    let (target, isNew) = try pairs.number(ta, tb)
                    if isNew {
                        try budget.take()
                        _ = builder.add(tag: label(ta, tb))
                    }
                    builder.connect(from, UInt8(byte), UInt8(last), target)
                }
                byte = last + 1
            }
            at += 1
        }
        return builder.finished(start: 0)
    }

    func intersection(_ other: DFA, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        try product(other, needsFirst: true, needsSecond: true, budget) { $0 >= 0 && $1 >= 0 ? $0 : -1 }
    }

    func subtracting(_ other: DFA, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        if other.isEmpty { return self }
        return try product(other, needsFirst: true, needsSecond: false, budget) { $1 < 0 ? $0 : -1 }
    }

    func union(_ other: DFA, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        if other.isEmpty { return self }
        if isEmpty { return other }
        return try product(other, needsFirst: false, needsSecond: false, budget) { max($0, $1) }
    }

    /// The states in an order in which edges lead forward (Kahn, 1962); nil when something leads back, so that texts have no end.
    private var order: [Int]? {
        var arriving = [Int32](repeating: 0, count: count), out: [Int] = []
        for edge in edges { arriving[Int(edge.to)] += 1 }
        var pending = arriving.indices.filter { arriving[$0] == 0 }
        while let state = pending.popLast() {
            out.append(state)
            for i in Int(offsets[state])..<Int(offsets[state + 1]) {
                arriving[Int(edges[i].to)] -= 1
                if arriving[Int(edges[i].to)] == 0 { pending.append(Int(edges[i].to)) }
            }
        }
        return out.count == count ? out : nil
    }

    /// The texts with these tags.
    func keeping(_ isKept: (Int32) -> Bool) -> DFA { retagged { isKept($0) ? $0 : -1 } }

    /// With other tags; -1 for texts that are of the language no more.
    func retagged(_ tag: (Int32) -> Int32) -> DFA {
        let new = tags.map { $0 >= 0 ? tag($0) : -1 }
        if new == tags { return self }
        if zip(tags, new).allSatisfy({ $0 < 0 || $1 >= 0 }) { return DFA(start: start, offsets: offsets, edges: edges, tags: new) }
        var builder = DFABuilder()
        for tag in new { _ = builder.add(tag: tag) }
        for state in 0..<Int32(truncatingIfNeeded: count) {
            for edge in edges(of: state) { builder.connect(state, edge.low, edge.high, edge.to) }
        }
        return builder.finished(start: start)
    }

    /// All texts, nil when there are more than `most` or one has no end.
    func texts(most: Int) -> [[UInt8]]? {
        guard textCount <= most else { return nil }
        var out: [[UInt8]] = [], pending: [(Int32, [UInt8])] = isEmpty ? [] : [(start, [])]
        while let (state, text) = pending.popLast() {
            if accepts(state) { out.append(text) }
            for edge in edges(of: state).reversed() {
                for byte in (edge.low...edge.high).reversed() { pending.append((edge.to, text + [byte])) }
            }
        }
        return out
    }

    /// Bytes of the longest text, nil when there is none.
    var longest: Int? {
        guard let order else { return nil }
        var lengths = [Int](repeating: 0, count: count)
        for state in order {
            for edge in edges(of: Int32(truncatingIfNeeded: state)) { lengths[Int(edge.to)] = max(lengths[Int(edge.to)], lengths[state] + 1) }
        }
        return lengths.max() ?? 0
    }

    /// So many texts are as good as no end of them, for who never writes so many.
    static let plenty: Int32 = 100_000

    /// How many texts there are, `Int32.max` for so many or more.
    var textCount: Int32 {
        guard !isEmpty else { return 0 }
        guard let order else { return Int32.max }
        var counts = [Int64](repeating: 0, count: count)  // from each state on
        for state in order.reversed() {
            counts[state] = tags[state] >= 0 ? 1 : 0
            for edge in edges(of: Int32(truncatingIfNeeded: state)) {
                counts[state] = min(Int64(Int32.max), counts[state] + Int64(edge.high - edge.low + 1) * counts[Int(edge.to)])
            }
        }
        return Int32(truncatingIfNeeded: counts[Int(start)])
    }

    /// `low ... high` characters of this language's texts (which are UTF-8): the text's length is bounded.
    func ofLength(_ low: Int, _ high: Int?, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        guard !isEmpty, low > 0 || high != nil else { return self }
        let longest = longest
        if let longest, low == 0, let high, high >= longest { return self }
        // beyond the longest text there is nothing to count
        let most = min(high ?? low, longest.map { max($0 + 1, low) } ?? Int.max)
        guard most < 1_000_000 else { throw Llama2Error(.unsupported, "a length of \(most) beside another condition is too large") }
        // places are (state, characters so far), numbered as they are met
        let width = most + 1
        guard let size = try? checkedMultiply(count, width, "lengths", .unsupported), size <= DFA.mostPlaces else {
            throw Llama2Error(.unsupported, "a length of \(most) beside another condition is too large")
        }
        var builder = DFABuilder(), places: [Int] = [], numbers = [Int32](repeating: -1, count: size), at = 0
        func tag(_ place: Int) -> Int32 { place % width >= low ? tags[place / width] : -1 }
        func number(_ place: Int) throws(Llama2Error) -> Int32 {
            if numbers[place] >= 0 { return numbers[place] }
            try budget.take()
            numbers[place] = builder.add(tag: tag(place))
            places.append(place)
            return numbers[place]
        }
        _ = try number(Int(start) * width)
        while at < places.count {
            let (state, length) = places[at].quotientAndRemainder(dividingBy: width)
            for edge in edges(of: Int32(truncatingIfNeeded: state)) {
                // the parts of an edge: bytes that continue a character, bytes that begin one
                for (bottom, top, begins) in [(UInt8(0), UInt8(0x7F), true), (0x80, 0xBF, false), (0xC0, 0xFF, true)] {
                    let from = max(edge.low, bottom), to = min(edge.high, top)
                    guard from <= to else { continue }
                    if begins, high != nil, length >= most { continue }
                    let target = try number(Int(edge.to) * width + (begins ? min(length + 1, most) : length))
                    builder.connect(Int32(truncatingIfNeeded: at), from, to, target)
                }
            }
            at += 1
        }
        return builder.finished(start: 0)
    }
}
