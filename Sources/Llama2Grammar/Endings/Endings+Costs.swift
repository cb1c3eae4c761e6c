internal import Llama2Core

// What the parts of a grammar take at least, wherever they stand: found from the leaves up (Knuth, A Generalization of Dijkstra's Algorithm, 1977).
// A choice remembers the branch by which it last became cheaper, so that following choices comes to an end.
extension Endings {
    static func plus(_ a: Int32, _ b: Int32) -> Int32 { min(a &+ b, never) }  // both at most `never`, which is small

    /// Bytes of `text` times `count`.
    static func times(_ text: Int32, _ count: Int32) -> Int32 {
        let (product, overflow) = text.multipliedReportingOverflow(by: max(count, 0))
        return overflow ? never : min(product, never)
    }

    func distances(_ automaton: Int32, isString: Bool = false) throws(Llama2Error) -> EndDistances {
        if let known = isString ? stringDistances[automaton] : plainDistances[automaton] { return known }
        let dfa = program.automata[Int(automaton)]
        // what goes back from each tag, in Swift's memory
        try MemoryReserve.cover(.list(2 * dfa.count, of: UInt64.self), for: "distances of a grammar")
        let new = try EndDistances(dfa, isString: isString)
        if isString { stringDistances[automaton] = new } else { plainDistances[automaton] = new }
        return new
    }

    private func mark(_ automaton: Int32) throws(Llama2Error) -> Int32 {
        let distances = try distances(automaton)
        return distances.nearest[Int(distances.dfa.start)]
    }

    /// Finds the costs of all values and instructions, once.
    func settleCosts() throws(Llama2Error) {
        guard !isSettled else { return }
        try MemoryReserve.cover(.list(program.values.count + program.code.count, of: UInt64.self), for: "distances of a grammar")
        if !program.values.isEmpty {
            let p = program.punctuation
            marks = Marks(
                openObject: try mark(p.openObject), closeObject: try mark(p.closeObject), closeEmptyObject: try mark(p.closeEmptyObject),
                openArray: try mark(p.openArray), closeArray: try mark(p.closeArray), closeEmptyArray: try mark(p.closeEmptyArray),
                comma: try mark(p.comma), colon: try mark(p.colon))
        }
        values = [Int32](repeating: Endings.never, count: program.values.count)
        bestLeaf = [Int32](repeating: 0, count: values.count)
        var order = Array(values.indices), changed = true
        while changed {
            changed = false
            order.reverse()  // forms come behind those that first ask for them, but may ask for earlier ones too
            for value in order {
                for (i, leaf) in program.values[value].leaves.enumerated() {
                    let cost = try cost(leaf)
                    guard cost < values[value] else { continue }
                    values[value] = cost
                    bestLeaf[value] = Int32(truncatingIfNeeded: i)
                    changed = true
                }
            }
        }
        try settleCode()
        isSettled = true
    }

    private func cost(_ leaf: Program.Leaf) throws(Llama2Error) -> Int32 {
        switch leaf {
        case .automaton(let a): return try mark(a)
        case .string(let a):
            let form = program.strings[Int(a)]
            guard !form.isAny else { return min(form.least, Endings.never - 2) + 2 }
            let distances = try distances(form.dfa, isString: true)
            return Endings.plus(distances.nearest[Int(distances.dfa.start)], 2)
        case .object(let a):
            let form = program.objects[Int(a)], first = ObjectState(form, ObjectState.first(form, program.anyOrder), program.anyOrder)
            if first.mayClose { return marks.openObject + marks.closeEmptyObject }
            return Endings.plus(marks.openObject - marks.comma, try plan(a, first).cost)
        case .array(let a):
            let form = program.arrays[Int(a)], first = ArrayState(form, ArrayState.first(form))
            if first.mayClose { return marks.openArray + marks.closeEmptyArray }
            return Endings.plus(marks.openArray - marks.comma, try plan(a, first))
        }
    }

    private func settleCode() throws(Llama2Error) {
        code = [Int32](repeating: Endings.never, count: program.code.count)
        bestBranch = [Int32](repeating: 0, count: code.count)
        func following(_ at: Int32) -> Int32 { at < 0 ? 0 : code[Int(at)] }
        var order = Array(code.indices), changed = true
        while changed {
            changed = false
            order.reverse()
            for at in order {
                let i = program.code[at], next = following(i.next)
                var cost = Endings.never, branch: Int32 = 0
                switch i.kind {
                case .leaf: cost = try mark(i.target)
                case .tokens: cost = token(of: i.target) == nil ? Endings.never : 1
                case .call: cost = code[Int(i.target)]
                case .finish: cost = 0
                case .loop: cost = i.least == 0 ? 0 : Endings.times(code[Int(i.target)], i.least)
                case .choice:
                    for b in i.target..<i.target + i.least where code[Int(program.branches[Int(b)])] < cost {
                        cost = code[Int(program.branches[Int(b)])]
                        branch = program.branches[Int(b)]
                    }
                }
                guard Endings.plus(cost, next) < code[at] else { continue }
                code[at] = Endings.plus(cost, next)
                bestBranch[at] = branch
                changed = true
            }
        }
    }

    /// The lowest token of a set that writes something and ends nothing.
    func token(of set: Int32) -> Int32? {
        (0..<Int32(truncatingIfNeeded: vocabulary.count)).first { automaton.contains(set, $0) && !vocabulary.ends.contains($0) }
    }

    // MARK: Arrays

    /// What an array takes from behind an item on.
    func plan(_ a: Int32, _ state: ArrayState) throws(Llama2Error) -> Int32 {
        let form = program.arrays[Int(a)]
        if let differing = form.differing {
            var scalar = Endings.never
            if let string = differing.string { scalar = try cost(.string(string)) }
            if let plain = differing.plain { scalar = min(scalar, try mark(plain)) }
            // as if all were as short as the first: which are left is a question of the text
            return Endings.plus(Endings.times(Endings.plus(scalar, marks.comma), form.least - state.index), marks.closeArray)
        }
        var sum = marks.closeArray
        if form.limits.isEmpty, form.distinct == 0 {
            var index = state.index
            while index < form.least, sum < Endings.never {
                let cheapest = form.cheapest(at: index, values), isLast = Int(index) >= form.items.count - 1
                sum = Endings.plus(sum, Endings.times(Endings.plus(cheapest, marks.comma), isLast ? form.least - index : 1))
                if isLast { break }
                index += 1
            }
            return sum
        }
        guard form.limits.reduce(form.least, { max($0, $1.least) }) <= Endings.mostBytes else { return Endings.never }
        var at = state
        while !at.mayClose, sum < Endings.never {
            guard let (choice, next) = at.soonest(values) else { return Endings.never }
            sum = Endings.plus(sum, Endings.plus(values[Int(choice.value)], marks.comma))
            at = ArrayState(form, next)
        }
        return sum
    }
}

extension Program.ArrayForm {
    func cheapest(at index: Int32, _ values: [Int32]) -> Int32 {
        items.isEmpty ? Endings.never : items[min(Int(index), items.count - 1)].reduce(Endings.never) { min($0, values[Int($1.value)]) }
    }
}

extension ArrayState {
    /// The item that brings the end nearer and takes least: one of those that are missing once all that are missing must be such.
    func soonest(_ values: [Int32]) -> (Program.ArrayForm.Choice, [Int32])? {
        let lacking = self.lacking, isUrgent = lacking > 0 && lacking >= missing
        var best: (Program.ArrayForm.Choice, [Int32])?, least = Endings.never, isBestCounted = false
        for (choice, next) in choices where values[Int(choice.value)] < Endings.never {
            let counts = isUrgent && ArrayState(form, next).lacking < lacking, cost = values[Int(choice.value)]
            guard best == nil || counts && !isBestCounted || counts == isBestCounted && cost < least else { continue }
            (best, least, isBestCounted) = ((choice, next), cost, counts)
        }
        // one more of what is not missing leads nowhere, unless other items come behind it
        return isBestCounted || missing > 0 || Int(index) < form.items.count - 1 ? best : nil
    }
}
