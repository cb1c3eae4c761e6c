internal import Llama2Core

/// A deterministic automaton over bytes. Every state lies on a way to acceptance, so that whoever follows its edges
/// never meets a dead end; the empty language has no states.
///
/// Rows are sparse: edges of state s are edges[offsets[s] ..< offsets[s + 1]], ascending and disjoint.
///
/// A class because steppers hold one: passing it on is one count, not one an array.
final class DFA: Sendable {
    struct Edge: Sendable {
        var low, high: UInt8
        var to: Int32
    }

    /// No state: the text is not of the language.
    static let dead: Int32 = -1

    let start: Int32
    let offsets: [Int32]  // (states + 1)
    let edges: [Edge]
    /// What an accepting state stands for, from 0 on; -1 in the others.
    let tags: [Int32]  // (states)

    init(start: Int32, offsets: [Int32], edges: [Edge], tags: [Int32]) {
        self.start = start
        self.offsets = offsets
        self.edges = edges
        self.tags = tags
    }

    var count: Int { tags.count }
    var isEmpty: Bool { tags.isEmpty }

    func next(_ state: Int32, _ byte: UInt8) -> Int32 {
        var i = Int(offsets[Int(state)]), end = Int(offsets[Int(state) + 1])
        // few edges are looked at one by one
        while end - i > 8 {
            let middle = (i + end) / 2
            if byte <= edges[middle - 1].high { end = middle } else { i = middle }
        }
        while i < end {
            let edge = edges[i]
            if byte <= edge.high { return byte >= edge.low ? edge.to : DFA.dead }
            i += 1
        }
        return DFA.dead
    }

    /// All bytes around `byte` that lead where it leads from `state`.
    func alike(_ state: Int32, _ byte: UInt8) -> ClosedRange<UInt8> {
        var low: UInt8 = 0
        for edge in edges(of: state) {
            if byte < edge.low { return low...(edge.low - 1) }
            if byte <= edge.high { return edge.low...edge.high }
            low = edge.high &+ 1  // not beyond 255: `byte` is larger
        }
        return low...255
    }

    func edges(of state: Int32) -> ArraySlice<Edge> { edges[Int(offsets[Int(state)])..<Int(offsets[Int(state) + 1])] }

    /// Whether from `state` on it is as `other` is from its beginning, which all of its ways come back to: every text of
    /// `other` leads back to an accepting state.
    func holds(_ other: DFA, at state: Int32) -> Bool {
        guard accepts(state), !other.isEmpty else { return false }
        var known = [Int32](repeating: -1, count: other.count), waiting = [other.start]
        known[Int(other.start)] = state
        while let theirs = waiting.popLast() {
            let ours = known[Int(theirs)]
            for edge in other.edges(of: theirs) {
                var low = Int(edge.low)  // bytes below it are looked at
                for own in edges(of: ours) where Int(own.high) >= low && low <= Int(edge.high) {
                    guard own.low <= low else { return false }
                    if known[Int(edge.to)] < 0 {
                        known[Int(edge.to)] = own.to
                        waiting.append(edge.to)
                    }
                    guard known[Int(edge.to)] == own.to else { return false }
                    low = Int(own.high) + 1
                }
                guard low > Int(edge.high) else { return false }
            }
        }
        return true
    }

    func accepts(_ state: Int32) -> Bool { state >= 0 && tags[Int(state)] >= 0 }

    /// The tag of a whole text, nil when it is not of the language.
    func tag(_ text: some Sequence<UInt8>) -> Int32? {
        guard !isEmpty else { return nil }
        var state = start
        for byte in text {
            state = next(state, byte)
            if state < 0 { return nil }
        }
        return tags[Int(state)] >= 0 ? tags[Int(state)] : nil
    }

    func contains(_ text: some Sequence<UInt8>) -> Bool { tag(text) != nil }
}

/// What building automata may take: a grammar is refused before it takes the machine.
final class GrammarBudget {
    private var states: Int
    private let what: String

    init(states: Int = 400_000, _ what: String) {
        self.states = states
        self.what = what
    }

    func take(_ count: Int = 1) throws(Llama2Error) {
        states -= count
        guard states >= 0 else { throw Llama2Error(.unsupported, "\(what) needs an automaton that is too large") }
    }
}
