internal import Llama2Core

/// Objects of a conjunction as forms.
extension SchemaCompiler {
    /// What the value of member `name` must satisfy.
    func memberLiterals(_ rule: Conjunction.ObjectRule, _ name: [UInt8]) throws(Llama2Error) -> [Literal] {
        var out: [Literal] = []
        for map in rule.maps {
            var isNamed = false
            for literal in map.named(name) {
                out.append(literal)
                isNamed = true
            }
            for (pattern, literal) in map.patterns where program.automata[Int(pattern)].contains(name) {
                out.append(literal)
                isNamed = true
            }
            if !isNamed, let additional = map.additional { out.append(additional) }
        }
        return out
    }

    func isNever(_ literals: [Literal]) -> Bool { literals.contains { source.node($0.schema).bool == $0.isNegated } }

    /// nil when no object satisfies the rule.
    func object(_ rule: Conjunction.ObjectRule) throws(Llama2Error) -> Int32? {
        let allowedNames = try names(rule.names)
        // 1. the members that are named, in the order of the schemas
        var order: [[UInt8]] = [], known: Set<[UInt8]> = []
        for name in rule.maps.flatMap({ $0.properties.map { $0.0 } }) + rule.required where known.insert(name).inserted { order.append(name) }
        // what must be kept track of: names that a demand means are named if they are few
        let (others, isWatched) = try watchedNames(rule, allowedNames, &order)
        var form = Program.ObjectForm(), names = TextTree(), options: [[Program.Watch.Option]] = []
        for name in order {
            let literals = try memberLiterals(rule, name), isRequired = rule.requires(name)
            if isNever(literals) || !allowedNames.contains(name) {
                if isRequired { return nil }
                try names.add(name, tag: TextTree.excluded, budget)
                continue
            }
            try names.add(name, tag: Int32(truncatingIfNeeded: form.members.count), budget)
            form.members.append(.init(value: try number(of: literals), isRequired: isRequired))
            if isWatched { options.append(try self.options(literals, rule) { program.automata[Int($0)].contains(name) }) }
        }
        // 2. the keys as one automaton: tags in the order of members, then classes of other names that ask for the same
        let (keys, classes) = try keys(rule, names, others, form.members.count)
        for (literals, demands) in classes {
            form.free.append(try number(of: literals))
            if isWatched { options.append(try self.options(literals, rule) { demands.contains($0) }) }
        }
        // 3. counts
        form.least = Int32(truncatingIfNeeded: rule.least)
        form.most = Int32(truncatingIfNeeded: rule.most ?? -1)
        guard rule.least <= form.members.count || !form.free.isEmpty else { return nil }
        if isWatched, !form.free.isEmpty, keys.keeping({ Int($0) >= form.members.count }).textCount < Int32.max {
            form.most = form.most < 0 ? DFA.plenty - 1 : min(form.most, DFA.plenty - 1)
        }
        guard form.most < 0 || form.least <= form.most else { return nil }
        if isWatched { form.watch = Program.Watch(demands: UInt8(1 << rule.demands.count - 1), options: options) }
        var string = Program.StringForm(dfa: add(keys))
        string.reachable = try reachableTags(keys, count: form.members.count + form.free.count)
        program.strings.append(string)
        form.keys = Int32(truncatingIfNeeded: program.strings.count - 1)
        program.objects.append(form)
        return Int32(truncatingIfNeeded: program.objects.count - 1)
    }

    /// The names among which those that no schema names are, and whether members must be watched: a demand, or free names that are
    /// counted. Then names without end are the only free ones; few of them join `order`.
    private func watchedNames(_ rule: Conjunction.ObjectRule, _ allowed: DFA, _ order: inout [[UInt8]]) throws(Llama2Error) -> (DFA, Bool) {
        guard !rule.demands.isEmpty || rule.least > max(1, rule.required.count + 1) else { return (allowed, false) }
        var others = try allowed.subtracting(try DFA.texts(order, budget), budget)
        let isCounted = !others.isEmpty && rule.least > max(1, rule.required.count + 1)
        guard isCounted || !rule.demands.isEmpty else { return (others, false) }
        guard rule.demands.count <= SchemaCompiler.mostDemands else {
            throw Llama2Error(.unsupported, "schema: more than \(SchemaCompiler.mostDemands) things that some member must be at one place")
        }
        for names in rule.demands.map({ program.automata[Int($0.names)] }) + [others] {
            if let few = try names.intersection(others, budget).texts(most: SchemaCompiler.mostNamed), !few.isEmpty {
                order += few
                others = try others.subtracting(try DFA.texts(few, budget), budget)
            }
        }
        return (others, true)
    }

    private static let mostDemands = 6, mostNamed = 64

    /// What the value of a member may be by the demands that it serves.
    private func options(_ literals: [Literal], _ rule: Conjunction.ObjectRule, _ isMeant: (Int32) -> Bool) throws(Llama2Error) -> [Program.Watch.Option] {
        var always: UInt8 = 0, sometimes: [(bit: UInt8, value: Literal)] = []
        for (index, demand) in rule.demands.enumerated() where isMeant(demand.names) {
            if let value = demand.value { sometimes.append((1 << UInt8(index), value)) } else { always |= 1 << UInt8(index) }
        }
        var out: [Program.Watch.Option] = []
        for subset in 0..<(1 << sometimes.count) {
            let served = sometimes.indices.filter { subset >> $0 & 1 != 0 }.map { sometimes[$0] }, all = literals + served.map { $0.value }
            if isNever(all) { continue }
            out.append(.init(demands: served.reduce(always) { $0 | $1.bit }, value: try number(of: all)))
        }
        return out
    }

    /// The keys of an object: `names`, then of `others` those that are none of them, by the class of what they ask for: its literals, and the
    /// names of the demands that mean it.
    private func keys(
        _ rule: Conjunction.ObjectRule, _ names: TextTree, _ others: DFA, _ count: Int
    ) throws(Llama2Error) -> (DFA, [([Literal], Set<Int32>)]) {
        let members = Int32(truncatingIfNeeded: count)
        var patterns: [Int32] = []
        for pattern in rule.maps.flatMap({ $0.patterns.map { $0.pattern } }) + rule.demands.map({ $0.names }) where !patterns.contains(pattern) {
            patterns.append(pattern)
        }
        if patterns.isEmpty, case let literals = rule.maps.compactMap({ $0.additional }), isNever(literals) {
            return (try names.over(.none, shift: members, budget), [])
        }
        // subsets of patterns that a name may match, as tags
        guard patterns.count <= 24 else { throw Llama2Error(.unsupported, "schema: more than 24 patternProperties at one place") }
        var free = others
        for (bit, pattern) in patterns.enumerated() {
            free = try free.product(program.automata[Int(pattern)], needsFirst: true, needsSecond: false, budget) {
                $0 < 0 ? -1 : $1 >= 0 ? $0 | 1 << Int32(bit) : $0
            }
        }
        let keys = try names.over(free, shift: members, budget)
        var classes: [([Literal], Set<Int32>)] = [], known: [[Int32]] = [], classOf: [Int32: Int32] = [:]
        for tag in Set(keys.tags).sorted() where tag >= members {
            func matches(_ pattern: Int32) -> Bool { patterns.firstIndex(of: pattern).map { (tag - members) >> Int32($0) & 1 != 0 } ?? false }
            var literals: [Literal] = []
            for map in rule.maps {
                let named = map.patterns.filter { matches($0.pattern) }.map { $0.1 }
                literals += named
                if named.isEmpty, let additional = map.additional { literals.append(additional) }
            }
            guard !isNever(literals) else { continue }
            let demands = Set(rule.demands.map { $0.names }.filter { matches($0) }), key = [try number(of: literals)] + demands.sorted()
            let index = known.firstIndex(of: key) ?? known.count
            if index == known.count {
                known.append(key)
                classes.append((literals, demands))
            }
            classOf[tag] = members + Int32(truncatingIfNeeded: index)
        }
        return (keys.retagged { $0 < members ? $0 : classOf[$0] ?? -1 }, classes)
    }

    /// Of each state the tags that can be reached from it, as numbers of sets.
    private func reachableTags(_ dfa: DFA, count: Int) throws(Llama2Error) -> [Int32] {
        let words = max(1, (count + 63) / 64)
        try budget.take(dfa.count * words / 8)
        var bits = [UInt64](repeating: 0, count: dfa.count * words)
        for state in 0..<dfa.count where dfa.tags[state] >= 0 { bits[state * words + Int(dfa.tags[state]) / 64] |= 1 << UInt64(dfa.tags[state] % 64) }
        // from the last state to the first: only what leads back may be told something that came too late for those before
        var isBehind = [Bool](repeating: false, count: dfa.count), changed = true
        bits.withUnsafeMutableBufferPointer { bits in
            while changed {
                changed = false
                for state in (0..<dfa.count).reversed() {
                    for edge in dfa.edges(of: Int32(truncatingIfNeeded: state)) {
                        let to = Int(edge.to)
                        if to < state { isBehind[to] = true }
                        for word in 0..<words where bits[to * words + word] & ~bits[state * words + word] != 0 {
                            bits[state * words + word] |= bits[to * words + word]
                            if isBehind[state] { changed = true }
                        }
                    }
                }
            }
        }
        var sets = try TupleTable(64), list = [Int32](repeating: 0, count: 2 * words), out: [Int32] = []
        out.reserveCapacity(dfa.count)
        let first = program.tagSets.count
        for state in 0..<dfa.count {
            let set = bits[state * words..<(state + 1) * words]
            if state > 0, set.elementsEqual(bits[(state - 1) * words..<state * words]) {
                out.append(out[state - 1])
                continue
            }
            for (i, word) in set.enumerated() {
                list[2 * i] = Int32(truncatingIfNeeded: word)
                list[2 * i + 1] = Int32(truncatingIfNeeded: word >> 32)
            }
            let number = Int(try sets.number(list))
            if first + number == program.tagSets.count { program.tagSets.append(Array(set)) }
            out.append(Int32(truncatingIfNeeded: first + number))
        }
        return out
    }
}
