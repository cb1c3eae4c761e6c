/// Collects the edges of an automaton in any order of its states; `finished` leaves out what leads nowhere.
///
///     links     edges, each with the number of the next one of its row, -1 at the end
///     rows      (states) the first and the last link, -1: none
struct DFABuilder {
    private struct Link {
        var edge: DFA.Edge
        var next: Int32 = -1
    }
    private var links: [Link] = []
    private var rows: [(first: Int32, last: Int32)] = []
    private var tags: [Int32] = []

    /// A further state, without edges.
    mutating func add(tag: Int32 = -1) -> Int32 {
        rows.append((-1, -1))
        tags.append(tag)
        return Int32(truncatingIfNeeded: rows.count - 1)
    }

    mutating func setTag(_ state: Int32, _ tag: Int32) { tags[Int(state)] = tag }

    /// Edges are appended in the order of their bytes; what continues the one before is joined to it.
    mutating func connect(_ from: Int32, _ low: UInt8, _ high: UInt8, _ to: Int32) {
        let last = Int(rows[Int(from)].last), new = Int32(truncatingIfNeeded: links.count)
        if last >= 0 {
            if links[last].edge.to == to, links[last].edge.high &+ 1 == low, low > 0 {
                links[last].edge.high = high
                return
            }
            links[last].next = new
        } else {
            rows[Int(from)].first = new
        }
        rows[Int(from)].last = new
        links.append(Link(edge: DFA.Edge(low: low, high: high, to: to)))
    }

    /// Calls `body` with each edge of a row until it says true; whether it did.
    private func contains(_ state: Int, where body: (DFA.Edge) -> Bool) -> Bool {
        var link = rows[state].first
        while link >= 0 {
            if body(links[Int(link)].edge) { return true }
            link = links[Int(link)].next
        }
        return false
    }

    /// Which states reach acceptance.
    private func living() -> [Bool] {
        // edges lead forward as a rule: from the last state to the first nearly all are told
        var isLive = tags.map { $0 >= 0 }, isSettled = true
        for state in rows.indices.reversed() where !isLive[state] {
            isLive[state] = contains(state) { isLive[Int($0.to)] }
            if !isLive[state] { isSettled = false }
        }
        if isSettled { return isLive }
        // backwards over all edges
        var heads = [Int32](repeating: -1, count: rows.count), arriving: [(from: Int32, next: Int32)] = []
        arriving.reserveCapacity(links.count)
        for state in rows.indices {
            _ = contains(state) { edge in
                arriving.append((Int32(truncatingIfNeeded: state), heads[Int(edge.to)]))
                heads[Int(edge.to)] = Int32(truncatingIfNeeded: arriving.count - 1)
                return false
            }
        }
        var pending = isLive.indices.filter { isLive[$0] }
        while let state = pending.popLast() {
            var link = heads[state]
            while link >= 0 {
                let (from, next) = arriving[Int(link)]
                if !isLive[Int(from)] {
                    isLive[Int(from)] = true
                    pending.append(Int(from))
                }
                link = next
            }
        }
        return isLive
    }

    /// The automaton from `start`; tags are as given.
    func finished(start: Int32) -> DFA {
        guard !rows.isEmpty, case let isLive = living(), isLive[Int(start)] else { return .none }
        // 1. number the living that the start reaches
        var number = [Int32](repeating: -1, count: rows.count), order: [Int32] = [start], at = 0
        order.reserveCapacity(rows.count)
        number[Int(start)] = 0
        while at < order.count {
            _ = contains(Int(order[at])) { edge in
                if isLive[Int(edge.to)], number[Int(edge.to)] < 0 {
                    number[Int(edge.to)] = Int32(truncatingIfNeeded: order.count)
                    order.append(edge.to)
                }
                return false
            }
            at += 1
        }
        // 2. their rows
        var offsets: [Int32] = [0], edges: [DFA.Edge] = [], newTags: [Int32] = []
        offsets.reserveCapacity(order.count + 1)
        edges.reserveCapacity(links.count)
        newTags.reserveCapacity(order.count)
        for state in order {
            let first = edges.count
            _ = contains(Int(state)) { edge in
                let to = number[Int(edge.to)], last = edges.count - 1
                guard to >= 0 else { return false }
                if last >= first, edges[last].to == to, edges[last].high < 255, edges[last].high + 1 == edge.low {
                    edges[last].high = edge.high
                } else {
                    edges.append(DFA.Edge(low: edge.low, high: edge.high, to: to))
                }
                return false
            }
            offsets.append(Int32(truncatingIfNeeded: edges.count))
            newTags.append(tags[Int(state)])
        }
        return DFA(start: 0, offsets: offsets, edges: edges, tags: newTags)
    }
}
