internal import Llama2Core

/// A nondeterministic automaton over bytes (Thompson, 1968) on its way to a `DFA`.
///
///     ways      (to, where it is open, the next way from the same state)
///     edges     (low, high, to, the next edge of the same state)
///     states    the first way and the first edge of each, -1: none
struct NFA {
    /// Where in a text a way without a byte is open: everywhere, before its first byte, behind it, or where it ends.
    enum Place { case any, begin, behind, end }

    struct State { var way: Int32 = -1, edge: Int32 = -1 }
    struct Way {
        var to: Int32
        var place: Place
        var next: Int32
    }
    struct Link {
        var edge: DFA.Edge
        var next: Int32
    }
    private(set) var states: [State] = [], ways: [Way] = [], links: [Link] = []
    /// Whether some way is open at some places only.
    private(set) var dependsOnPlace = false
    var count: Int { states.count }

    mutating func add() -> Int32 {
        states.append(State())
        return Int32(truncatingIfNeeded: states.count - 1)
    }

    mutating func add(from: Int32, to: Int32, at place: Place = .any) {
        ways.append(Way(to: to, place: place, next: states[Int(from)].way))
        states[Int(from)].way = Int32(truncatingIfNeeded: ways.count - 1)
        if place != .any { dependsOnPlace = true }
    }

    mutating func add(_ byte: UInt8, from: Int32, to: Int32) { add(byte, byte, from: from, to: to) }
    mutating func add(_ low: UInt8, _ high: UInt8, from: Int32, to: Int32) {
        links.append(Link(edge: DFA.Edge(low: low, high: high, to: to), next: states[Int(from)].edge))
        states[Int(from)].edge = Int32(truncatingIfNeeded: links.count - 1)
    }

    /// One character of the set. Sequences share their beginnings and their continuation bytes' states. Returns how many edges it took.
    @discardableResult
    mutating func add(_ set: CodePointSet, from: Int32, to: Int32) -> Int {
        var added = 0
        // states by what is left to read, so that equal ends are one
        var ends: [[UInt8]: Int32] = [:]
        for range in set.ranges {
            if range.high <= 0x7F {  // most sets are nothing else
                add(UInt8(range.low), UInt8(range.high), from: from, to: to)
                added += 1
                continue
            }
            UTF8Ranges.split(range.low, range.high) { sequence in
                var target = to, rest: [UInt8] = []
                for i in (0..<sequence.count).reversed() {
                    let (low, high) = sequence[i]
                    rest += [low, high]
                    if i == 0 {
                        add(low, high, from: from, to: target)
                        added += 1
                    } else if let known = ends[rest] {
                        target = known
                    } else {
                        let state = add()
                        add(low, high, from: state, to: target)
                        ends[rest] = state
                        target = state
                        added += 1
                    }
                }
            }
        }
        return added
    }

    /// All of `dfa`'s texts between two states.
    mutating func add(_ dfa: DFA, from: Int32, to: Int32) {
        guard !dfa.isEmpty else { return }
        let first = Int32(truncatingIfNeeded: count)
        for _ in 0..<dfa.count { _ = add() }
        for index in 0..<Int32(truncatingIfNeeded: dfa.count) {
            for edge in dfa.edges(of: index) { add(edge.low, edge.high, from: first + index, to: first + edge.to) }
            if dfa.accepts(index) { add(from: first + index, to: to) }
        }
        add(from: from, to: first + dfa.start)
    }

    /// The subset construction (Rabin and Scott, 1959). `isBehind`: something was read before the start.
    func determinized(start: Int32, accept: Int32, isBehind: Bool = false, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        var walk = try SubsetWalk(self, accept)
        var builder = DFABuilder(), at: Int32 = 0
        func number(_ place: Place) throws(Llama2Error) -> Int32 {
            let (set, isNew) = try walk.numbered(isBegin: dependsOnPlace && place == .begin)
            guard isNew else { return set }
            try budget.take(1 + walk.size / 16)
            return builder.add(tag: walk.accepts(place) ? 0 : -1)
        }
        let first = isBehind ? Place.behind : .begin
        walk.close(over: [start], first)
        _ = try number(first)
        var boundaries = [Bool](repeating: false, count: 257), row: [DFA.Edge] = [], targets: [Int32] = []
        while at < walk.count {
            row.removeAll(keepingCapacity: true)
            for i in 0...256 { boundaries[i] = false }
            for state in walk.states(of: at) {
                var link = states[Int(state)].edge
                while link >= 0 {
                    let edge = links[Int(link)].edge
                    row.append(edge)
                    boundaries[Int(edge.low)] = true
                    boundaries[Int(edge.high) + 1] = true
                    link = links[Int(link)].next
                }
            }
            // each piece between boundaries looks at the row, and where it leads is gathered and sorted: a sparse row costs a state, a crowded one
            // what it takes
            try budget.take(row.count * boundaries.count { $0 } / 4096 + walk.takeLooks() / 96)
            var low = 0
            while low < 256 {
                var high = low
                while high < 255, !boundaries[high + 1] { high += 1 }
                targets.removeAll(keepingCapacity: true)
                for edge in row where Int(edge.low) <= low && low <= Int(edge.high) { targets.append(edge.to) }
                if !targets.isEmpty {
                    walk.close(over: targets, .behind)
                    builder.connect(at, UInt8(low), UInt8(high), try number(.behind))
                }
                low = high + 1
            }
            at += 1
        }
        return builder.finished(start: 0)
    }
}
