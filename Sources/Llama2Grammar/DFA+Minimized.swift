internal import Llama2Core

extension DFA {
    private static let mostRefined = 5_000_000

    /// The same language with the fewest states: states are told apart by tag, then by where their edges lead (Moore, 1956), until nothing
    /// new comes of it. Looked at again are only those that lead to what was told apart last (Hopcroft, 1971, less strictly). Beyond
    /// `mostRefined` edges looked at, all states stay.
    func minimized() throws(Llama2Error) -> DFA {
        guard count > 1 else { return self }
        var groups = tags, sizes: [Int32] = []
        // 1. by tag
        var byTag: [Int32: Int32] = [:]
        for state in 0..<count {
            let group = byTag[tags[state], default: Int32(truncatingIfNeeded: sizes.count)]
            byTag[tags[state]] = group
            if Int(group) == sizes.count { sizes.append(0) }
            groups[state] = group
            sizes[Int(group)] += 1
        }
        // 2. who leads where: from[first[s] ..< first[s + 1]]
        var first = [Int32](repeating: 0, count: count + 1)
        for edge in edges { first[Int(edge.to) + 1] += 1 }
        for state in 0..<count { first[state + 1] += first[state] }
        var from = [Int32](repeating: 0, count: edges.count), next = first
        for state in 0..<Int32(truncatingIfNeeded: count) {
            for edge in edges(of: state) {
                from[Int(next[Int(edge.to)])] = state
                next[Int(edge.to)] += 1
            }
        }
        // 3. rounds
        var asked = (0..<Int32(truncatingIfNeeded: count)).map { $0 }, isAsked = [Bool](repeating: true, count: count), looked = 0
        var found = [Int32](repeating: 0, count: count)  // of each that is asked, what it is by its edges
        while !asked.isEmpty {
            var kinds = try TupleTable(min(asked.count, 256)), members: [Int32] = [], signature: [Int32] = []
            for state in asked {
                looked += Int(offsets[Int(state) + 1] - offsets[Int(state)]) + 1
                describe(state, groups, &signature)
                found[Int(state)] = try kinds.number(signature)
                if Int(found[Int(state)]) == members.count { members.append(0) }
                members[Int(found[Int(state)])] += 1
                isAsked[Int(state)] = false
            }
            guard looked <= DFA.mostRefined else { return self }
            // those of a group that were not asked are as they were, and no other is; where all were, the largest part keeps the number
            var askedOf: [Int32: Int32] = [:], largest: [Int32: Int32] = [:], kindOf = [Int32](repeating: -1, count: members.count)
            for state in asked {
                let group = groups[Int(state)], kind = found[Int(state)]
                askedOf[group, default: 0] += 1
                if members[Int(kind)] > largest[group].map({ members[Int($0)] }) ?? 0 { largest[group] = kind }
            }
            var changed: [Int32] = []
            for state in asked {
                let group = groups[Int(state)], kind = found[Int(state)]
                if kindOf[Int(kind)] < 0 {
                    if askedOf[group] == sizes[Int(group)], largest[group] == kind {
                        kindOf[Int(kind)] = group
                    } else {
                        kindOf[Int(kind)] = Int32(truncatingIfNeeded: sizes.count)
                        sizes.append(0)
                    }
                }
                if kindOf[Int(kind)] != group { changed.append(state) }
            }
            for state in changed {
                sizes[Int(groups[Int(state)])] -= 1
                groups[Int(state)] = kindOf[Int(found[Int(state)])]
                sizes[Int(groups[Int(state)])] += 1
            }
            asked.removeAll(keepingCapacity: true)
            for state in changed {
                for link in first[Int(state)]..<first[Int(state) + 1] where !isAsked[Int(from[Int(link)])] {
                    isAsked[Int(from[Int(link)])] = true
                    asked.append(from[Int(link)])
                }
            }
        }
        return sizes.count < count ? joined(groups, sizes.count) : self
    }

    /// What tells a state from others: its group, and where its edges lead.
    private func describe(_ state: Int32, _ groups: [Int32], _ signature: inout [Int32]) {
        signature.removeAll(keepingCapacity: true)
        signature.append(groups[Int(state)])
        var last: (high: UInt8, group: Int32)?
        for i in Int(offsets[Int(state)])..<Int(offsets[Int(state) + 1]) {
            let edge = edges[i], group = groups[Int(edge.to)]
            // neighbouring edges to one group are one edge
            if let l = last, l.group == group, l.high < 255, l.high + 1 == edge.low {
                signature[signature.count - 2] = Int32(edge.high)
            } else {
                signature.append(Int32(edge.low))
                signature.append(Int32(edge.high))
                signature.append(group)
            }
            last = (edge.high, group)
        }
    }

    /// The automaton whose states are groups of these.
    private func joined(_ groups: [Int32], _ groupCount: Int) -> DFA {
        var builder = DFABuilder(), isMade = [Bool](repeating: false, count: groupCount)
        for _ in 0..<groupCount { _ = builder.add() }
        for state in 0..<count where !isMade[Int(groups[state])] {
            isMade[Int(groups[state])] = true
            builder.setTag(groups[state], tags[state])
            for edge in edges(of: Int32(truncatingIfNeeded: state)) {
                builder.connect(groups[state], edge.low, edge.high, groups[Int(edge.to)])
            }
        }
        return builder.finished(start: groups[Int(start)])
    }
}
