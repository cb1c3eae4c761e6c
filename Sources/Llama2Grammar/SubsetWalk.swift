internal import Llama2Core

/// The sets of states of an `NFA` that texts lead to.
///
///     sets    | states, ascending | place |, each once
struct SubsetWalk: ~Copyable {
    private let nfa: NFA
    private let accept: Int32
    private var sets: TupleTable
    private var mark: [Int32], stamp: Int32 = 0  // (states) when each was last met
    private var closed: [Int32] = [], pending: [Int32] = []
    private var looks = 0
    var count: Int32 { Int32(truncatingIfNeeded: sets.count) }
    /// States of the set that was closed last.
    var size: Int { closed.count }

    init(_ nfa: NFA, _ accept: Int32) throws(Llama2Error) {
        self.nfa = nfa
        self.accept = accept
        sets = try TupleTable(32)
        mark = [Int32](repeating: 0, count: nfa.count)
    }

    /// States that were looked at since this was asked last.
    mutating func takeLooks() -> Int {
        defer { looks = 0 }
        return looks
    }

    /// All that is reached from `seeds` without a byte.
    mutating func close(over seeds: [Int32], _ first: NFA.Place, _ second: NFA.Place = .any) {
        stamp += 1
        closed.removeAll(keepingCapacity: true)
        pending.removeAll(keepingCapacity: true)
        pending.append(contentsOf: seeds)
        while let state = pending.popLast() {
            looks += 1
            guard mark[Int(state)] != stamp else { continue }
            mark[Int(state)] = stamp
            var way = nfa.states[Int(state)].way, isHeld = false
            while way >= 0 {
                let open = nfa.ways[Int(way)]
                if open.place != .any { isHeld = true }
                if open.place == .any || open.place == first || open.place == second { pending.append(open.to) }
                way = open.next
            }
            // those without edges of their own only lead on; they tell no two sets apart
            if nfa.states[Int(state)].edge >= 0 || state == accept || isHeld { closed.append(state) }
        }
        closed.sort()
    }

    /// The number of the set that was closed last. What it means before the first byte it need not mean behind it.
    mutating func numbered(isBegin: Bool) throws(Llama2Error) -> (set: Int32, isNew: Bool) {
        let known = sets.count
        closed.append(isBegin ? 1 : 0)
        defer { closed.removeLast() }
        let number = try sets.number(closed)
        return (number, sets.count > known)
    }

    func states(of number: Int32) -> Slice<UnsafeBufferPointer<Int32>> { sets[number].dropLast() }

    /// Whether a text that leads to the set that was closed last may end there.
    mutating func accepts(_ place: NFA.Place) -> Bool {
        if closed.contains(accept) { return true }
        guard nfa.dependsOnPlace else { return false }
        let states = closed
        close(over: states, place, .end)
        return closed.contains(accept)
    }
}
