internal import Llama2Core

// Objects: which members still come when one is to end soon.
extension Endings {
    /// What each key of an object takes with its quotes, by tag.
    private func keys(_ a: Int32) throws(Llama2Error) -> [Int32] {
        if let known = keyCosts[a] { return known }
        let form = program.objects[Int(a)], distances = try distances(program.strings[Int(form.keys)].dfa, isString: true)
        var out: [Int32] = []
        for tag in 0..<Int32(truncatingIfNeeded: form.members.count + form.free.count) {
            out.append(Endings.plus(try distances.distance(distances.dfa.start, tag: tag), 2))
        }
        keyCosts[a] = out
        return out
    }

    /// What an object takes from behind a member on, and the tag of the key that comes next, nil where it can be closed.
    ///
    /// All that is required comes, and of the others as many of the cheapest as the least number asks for; in the order of the schema. Of what
    /// costs the same the first is taken: so what is left behind a member is what was planned.
    func plan(_ a: Int32, _ state: ObjectState) throws(Llama2Error) -> (cost: Int32, tag: Int32?) {
        if state.form.watch != nil { return try watchedPlan(a, state) }
        let form = state.form, keys = try keys(a), members = form.members.count, each = marks.comma + marks.colon
        var sum = marks.closeObject, first: Int?, required: Int32 = 0
        func cost(_ tag: Int) -> Int32 {
            let value = tag < members ? form.members[tag].value : form.free[tag - members]
            return Endings.plus(Endings.plus(keys[tag], values[Int(value)]), each)
        }
        for m in 0..<members where form.members[m].isRequired && state.isOpen(m) {
            sum = Endings.plus(sum, cost(m))
            if first == nil { first = m }
            required += 1
        }
        let wanted = form.least - state.count - required
        if wanted > 0 {
            var optional: [(cost: Int32, tag: Int)] = []
            for m in 0..<members where !form.members[m].isRequired && state.isOpen(m) { optional.append((cost(m), m)) }
            optional.sort { $0 < $1 }
            var free: (cost: Int32, tag: Int) = (Endings.never, -1)
            for tag in members..<members + form.free.count where cost(tag) < free.cost { free = (cost(tag), tag) }
            let named = optional.prefix { $0.cost <= free.cost && $0.cost < Endings.never }.prefix(Int(wanted))
            for one in named {
                sum = Endings.plus(sum, one.cost)
                first = min(first ?? one.tag, one.tag)
            }
            let rest = wanted - Int32(truncatingIfNeeded: named.count)
            sum = Endings.plus(sum, Endings.times(free.cost, rest))
            if rest > 0, first == nil { first = free.tag < 0 ? nil : free.tag }
        }
        return (sum, first.map { Int32(truncatingIfNeeded: $0) })
    }

    /// The same where members must serve demands: the cheapest way through the members in their order, each taken as one of its options or left out, and
    /// then through free keys. Counted are the members that are still taken.
    private func watchedPlan(_ a: Int32, _ state: ObjectState) throws(Llama2Error) -> (cost: Int32, tag: Int32?) {
        let form = state.form, keys = try keys(a), members = form.members.count
        guard let watch = form.watch else { return (Endings.never, nil) }
        let open = (0..<members).filter { state.isOpen($0) }
        let required = open.reduce(0) { $0 + (form.members[$1].isRequired ? 1 : 0) }
        let demands = Int(watch.demands), least = max(0, Int(form.least - state.count))
        var most = least + required + watch.demands.nonzeroBitCount
        if form.most >= 0 { most = min(most, Int(form.most - state.count)) }
        guard most >= 0, (open.count + 1) * (most + 2) * (demands + 1) <= Endings.mostPlanned else { return (Endings.never, nil) }
        let width = (most + 2) * (demands + 1)
        // (members still open + 1, taken, served): what is still to pay
        let costs = try AlignedBuffer<Int32>(count: (open.count + 1) * width, of: "distances of a grammar")
        func place(_ stage: Int, _ taken: Int, _ served: Int) -> Int { stage * width + taken * (demands + 1) + served }
        func options(_ tag: Int, _ served: Int) -> [(served: Int, cost: Int32)] {
            let all = watch.options[tag], always = all.reduce(UInt8.max) { $0 & $1.demands }
            return all.compactMap { option in
                guard option.demands & UInt8(served) & ~always == 0 else { return nil }
                return (served | Int(option.demands), Endings.plus(Endings.plus(keys[tag], values[Int(option.value)]), marks.comma + marks.colon))
            }
        }
        func taking(_ tag: Int, _ stage: Int, _ taken: Int, _ served: Int) -> Int32 {
            guard taken < most else { return Endings.never }
            return options(tag, served).reduce(Endings.never) { min($0, Endings.plus($1.cost, costs[place(stage, taken + 1, $1.served)])) }
        }
        let free = members..<members + form.free.count
        for stage in (0...open.count).reversed() {
            for taken in (0...most).reversed() {
                for served in (0...demands).reversed() {
                    var cost = Endings.never
                    if stage < open.count {
                        cost = taking(open[stage], stage + 1, taken, served)
                        if !form.members[open[stage]].isRequired { cost = min(cost, costs[place(stage + 1, taken, served)]) }
                    } else {
                        if taken >= least, served == demands { cost = marks.closeObject }
                        for tag in free { cost = min(cost, taking(tag, stage, taken, served)) }
                    }
                    costs[place(stage, taken, served)] = cost
                }
            }
        }
        // the first that is taken
        let served = Int(state.served)
        for (stage, tag) in open.enumerated() {
            let cost = costs[place(stage, 0, served)]
            guard cost < Endings.never else { return (cost, nil) }
            if taking(tag, stage + 1, 0, served) == cost { return (costs[place(0, 0, served)], Int32(truncatingIfNeeded: tag)) }
        }
        let cost = costs[place(open.count, 0, served)]
        if state.mayClose { return (costs[place(0, 0, served)], nil) }
        for tag in free where cost < Endings.never && taking(tag, open.count, 0, served) == cost {
            return (costs[place(0, 0, served)], Int32(truncatingIfNeeded: tag))
        }
        return (Endings.never, nil)
    }

    /// What comes behind a key of that tag at least: the value and the rest, and the state behind the value.
    func behind(_ a: Int32, _ state: ObjectState, _ tag: Int32) throws(Llama2Error) -> (cost: Int32, value: Int32, next: [Int32])? {
        var best: (cost: Int32, value: Int32, next: [Int32])?
        for (value, next) in state.choices(tag) {
            let rest = try plan(a, ObjectState(state.form, next, program.anyOrder)).cost
            let cost = Endings.plus(Endings.plus(values[Int(value)], marks.colon), rest)
            if cost < best?.cost ?? Endings.never { best = (cost, value, next) }
        }
        return best
    }
}
