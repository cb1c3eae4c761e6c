internal import Llama2Core

/// A nondeterministic automaton over bytes (Thompson, 1968) on its way to a `DFA`.
struct NFA {
    /// Where in a text a way without a byte is open: before its first byte, behind it, or where it ends.
    enum Place { case begin, behind, end }

    private var empty: [[Int32]] = []  // of each state: where it leads without a byte
    private var held: [[(place: Place, to: Int32)]] = []  // the same, at some places only
    /// Whether some way is open at some places only.
    private(set) var dependsOnPlace = false
    private var edges: [[DFA.Edge]] = []
    private(set) var count = 0

    mutating func add() -> Int32 {
        empty.append([])
        held.append([])
        edges.append([])
        count += 1
        return Int32(truncatingIfNeeded: count - 1)
    }

    mutating func add(from: Int32, to: Int32) { empty[Int(from)].append(to) }

    mutating func add(from: Int32, to: Int32, at place: Place) {
        held[Int(from)].append((place, to))
        dependsOnPlace = true
    }

    mutating func add(_ byte: UInt8, from: Int32, to: Int32) { add(byte, byte, from: from, to: to) }
    mutating func add(_ low: UInt8, _ high: UInt8, from: Int32, to: Int32) { edges[Int(from)].append(DFA.Edge(low: low, high: high, to: to)) }

    /// One character of the set. Sequences share their beginnings and their continuation bytes' states. Returns how many edges it took.
    @discardableResult
    mutating func add(_ set: CodePointSet, from: Int32, to: Int32) -> Int {
        var sequences: [[UTF8Ranges.Bytes]] = []
        for range in set.ranges { UTF8Ranges.split(range.low, range.high) { sequences.append($0) } }
        var added = 0
        // states by what is left to read, so that equal ends are one
        var ends: [[UInt8]: Int32] = [:]
        for sequence in sequences {
            var target = to, rest: [UInt8] = []
            for i in (0..<sequence.count).reversed() {
                let (low, high) = sequence[i]
                rest += [low, high]
                if i == 0 {
                    edges[Int(from)].append(DFA.Edge(low: low, high: high, to: target))
                    added += 1
                } else if let known = ends[rest] {
                    target = known
                } else {
                    let state = add()
                    edges[Int(state)].append(DFA.Edge(low: low, high: high, to: target))
                    ends[rest] = state
                    target = state
                    added += 1
                }
            }
        }
        return added
    }

    /// All of `dfa`'s texts between two states.
    mutating func add(_ dfa: DFA, from: Int32, to: Int32) {
        guard !dfa.isEmpty else { return }
        let states = (0..<dfa.count).map { _ in add() }
        for (index, state) in states.enumerated() {
            for edge in dfa.edges(of: Int32(truncatingIfNeeded: index)) {
                edges[Int(state)].append(DFA.Edge(low: edge.low, high: edge.high, to: states[Int(edge.to)]))
            }
            if dfa.tags[index] >= 0 { add(from: state, to: to) }
        }
        add(from: from, to: states[Int(dfa.start)])
    }

    /// The subset construction (Rabin and Scott, 1959). `isBehind`: something was read before the start.
    func determinized(start: Int32, accept: Int32, isBehind: Bool = false, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        var mark = [Int](repeating: -1, count: count), stamp = 0, looks = 0
        func closure(_ seeds: [Int32], _ first: Place, _ second: Place? = nil) -> [Int32] {
            stamp += 1
            var set: [Int32] = [], pending = seeds
            while let state = pending.popLast() {
                looks += 1
                guard mark[Int(state)] != stamp else { continue }
                mark[Int(state)] = stamp
                // those without edges of their own only lead on; they tell no two sets apart
                if !edges[Int(state)].isEmpty || state == accept || !held[Int(state)].isEmpty { set.append(state) }
                pending += empty[Int(state)]
                for way in held[Int(state)] where way.place == first || way.place == second { pending.append(way.to) }
            }
            set.sort()
            return set
        }
        var builder = DFABuilder(), numbers: [[Int32]: Int32] = [:], sets: [[Int32]] = [], at = 0
        func number(_ set: [Int32], _ place: Place, _ builder: inout DFABuilder) throws(Llama2Error) -> Int32 {
            if let known = numbers[set] { return known }
            try budget.take(1 + set.count / 16)
            let isAccepting = set.contains(accept) || dependsOnPlace && closure(set, place, .end).contains(accept)
            let state = builder.add(tag: isAccepting ? 0 : -1)
            // what a set means before the first byte it need not mean behind it
            if place == .behind || !dependsOnPlace { numbers[set] = state }
            sets.append(set)
            return state
        }
        let first = isBehind ? Place.behind : .begin
        _ = try number(closure([start], first), first, &builder)
        var boundaries = [Bool](repeating: false, count: 257)
        while at < sets.count {
            let row = sets[at].flatMap { edges[Int($0)] }
            for i in 0...256 { boundaries[i] = false }
            for edge in row {
                boundaries[Int(edge.low)] = true
                boundaries[Int(edge.high) + 1] = true
            }
            // each piece between boundaries looks at the row, and where it leads is gathered and sorted: a sparse row costs a state, a crowded one
            // what it takes
            try budget.take(row.count * boundaries.count { $0 } / 4096 + looks / 96)
            looks = 0
            var low = 0
            while low < 256 {
                var high = low
                while high < 255, !boundaries[high + 1] { high += 1 }
                let targets = row.compactMap { Int($0.low) <= low && low <= Int($0.high) ? $0.to : nil }
                if !targets.isEmpty {
                    let target = try number(closure(targets, .behind), .behind, &builder)
                    builder.connect(Int32(truncatingIfNeeded: at), UInt8(low), UInt8(high), target)
                }
                low = high + 1
            }
            at += 1
        }
        return builder.finished(start: 0)
    }
}
