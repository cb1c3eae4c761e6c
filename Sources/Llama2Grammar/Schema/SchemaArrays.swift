internal import Llama2Core

/// Arrays of a conjunction as forms.
extension SchemaCompiler {
    /// Candidates of an array whose items must differ.
    private static let mostDistinct = 200
    private static let mostContains = 4, mostRounds = 48, mostCounts = 4096

    /// What the item at `index` must satisfy.
    func itemLiterals(_ rule: Conjunction.ArrayRule, _ index: Int) -> [Literal] {
        rule.maps.compactMap { index < $0.prefix.count ? $0.prefix[index] : $0.rest }
    }

    /// nil when no array satisfies the rule.
    func array(_ rule: Conjunction.ArrayRule) throws(Llama2Error) -> Int32? {
        var form = Program.ArrayForm(least: Int32(truncatingIfNeeded: rule.least), most: Int32(truncatingIfNeeded: rule.most ?? -1))
        // 1. counted items
        var contains = rule.contains.filter { $0.least > 0 || $0.most != nil }
        if contains.count > 1, rule.isUnique || !canCount(contains, rule.maps.map { $0.prefix.count }.max() ?? 0) {
            try source.unsupported(Array("#".utf8), "contains", "so many times at one place, or beside uniqueItems, is not followed")
            contains = []
        }
        form.limits = contains.map { .init(least: Int32(truncatingIfNeeded: $0.least), most: Int32(truncatingIfNeeded: $0.most ?? -1)) }
        // 2. items by index, up to where every further one is alike
        let isUnique = rule.isUnique && (rule.most ?? 2) > 1
        for index in 0...(rule.maps.map { $0.prefix.count }.max() ?? 0) {
            let literals = itemLiterals(rule, index)
            if isNever(literals) {
                form.most = form.most < 0 ? Int32(truncatingIfNeeded: index) : min(form.most, Int32(truncatingIfNeeded: index))
                break
            }
            var choices: [Program.ArrayForm.Choice] = []
            func addAll(_ literals: [Literal], _ number: Int32) throws(Llama2Error) {
                for counted in 0..<(1 << contains.count) {
                    var all = literals
                    for (i, condition) in contains.enumerated() {
                        if counted >> i & 1 != 0 {
                            all.append(condition.item)
                        } else if condition.most != nil || isUnique {
                            // without an upper limit an item may go uncounted though it fits: the same texts
                            all.append(condition.item.opposite)
                        }
                    }
                    guard !isNever(all) else { continue }
                    choices.append(.init(value: try self.number(of: all), counted: UInt8(counted), number: number))
                }
            }
            if isUnique, rule.maps.allSatisfy({ $0.prefix.isEmpty }), contains.isEmpty, try finiteValues(literals) == nil {
                guard try differing(literals, &form) else { return nil }
                break
            }
            if isUnique {
                guard let values = try finiteValues(literals) else {
                    try source.unsupported(Array("#".utf8), "uniqueItems", "of values that are not few is not followed")
                    try addAll(literals, -1)
                    form.items.append(choices)
                    continue
                }
                // the same value has the same number at every index
                for value in values {
                    let id = schema(of: value, Array("#".utf8))
                    form.distinct = max(form.distinct, id + 1)
                    try addAll(literals + [Literal(schema: id)], id)
                }
            } else {
                try addAll(literals, -1)
            }
            form.items.append(choices)
        }
        if isUnique, form.distinct > 0 {
            form.distinct = renumber(&form.items)
            if form.items.count > 1 { try source.unsupported(Array("#".utf8), "uniqueItems", "beside prefixItems is not followed") }
        }
        if form.most >= 0, form.most < form.least { return nil }
        program.arrays.append(form)
        return Int32(truncatingIfNeeded: program.arrays.count - 1)
    }

    /// Whether all counts together are few enough to be looked through, see `ArrayState.canFinish`.
    private func canCount(_ contains: [(item: Literal, least: Int, most: Int?)], _ prefix: Int) -> Bool {
        guard contains.count <= SchemaCompiler.mostContains, prefix <= SchemaCompiler.mostRounds else { return false }
        let rounds = contains.reduce(prefix) { $0 + min($1.least, SchemaCompiler.mostRounds + 1) }
        guard rounds <= SchemaCompiler.mostRounds else { return false }
        return contains.reduce(1) { $0 * (min(max($1.least, $1.most ?? 0), rounds) + 1) } <= SchemaCompiler.mostCounts
    }

    /// Items that are scalars and must differ. False when there are too few of them for the rule.
    private func differing(_ literals: [Literal], _ form: inout Program.ArrayForm) throws(Llama2Error) -> Bool {
        var items = Program.Differing(count: 0, hasEndlessStrings: false), strings: [Conjunction.StringRule] = [], plain = DFA.none
        for c in try expand(literals) {
            if c.has(JSONType.object | JSONType.array), try !isEmpty([c].compactMap { $0.only(JSONType.object | JSONType.array) }) {
                try source.unsupported(Array("#".utf8), "uniqueItems", "of objects or arrays is not followed")
                return true
            }
            if c.has(JSONType.string), !strings.contains(c.string) { strings.append(c.string) }
            if c.has(JSONType.number) { plain = try plain.union(try NumberAutomaton.build(c.number, budget), budget) }
            let words = c.types & (JSONType.null | JSONType.isTrue | JSONType.isFalse)
            if words != 0 { plain = try plain.union(program.automata[Int(try automaton(words: words))], budget) }
        }
        plain = try plain.intersection(try NumberAutomaton.spelledOnce(budget), budget)
        if !plain.isEmpty { items.plain = add(plain) }
        var count = try plain.intersection(try NumberAutomaton.withoutZeros(budget), budget).textCount
        // 2. strings: as they are if there is one rule, else as one automaton
        if let only = strings.first, strings.count == 1 {
            items.string = try string(only)
        } else if strings.count > 1 {
            var all = DFA.none
            for rule in strings { all = try all.union(try text(of: rule), budget) }
            if !all.isEmpty {
                program.strings.append(Program.StringForm(dfa: add(all)))
                items.string = Int32(truncatingIfNeeded: program.strings.count - 1)
            }
        }
        if let string = items.string {
            let rule = program.strings[Int(string)]
            let texts = rule.isAny ? rule.most == 0 ? 1 : Int32.max : program.automata[Int(rule.dfa)].textCount
            items.hasEndlessStrings = texts == Int32.max
            count = count > Int32.max - texts ? Int32.max : count + texts
        }
        items.count = count
        form.differing = items
        guard form.least < 100_000 else { throw Llama2Error(.unsupported, "schema: minItems of \(form.least) beside uniqueItems is too large") }
        return form.least <= count && (count > 0 || form.least == 0)
    }

    /// Numbers of values from 0 on; how many there are.
    private func renumber(_ items: inout [[Program.ArrayForm.Choice]]) -> Int32 {
        var numbers: [Int32: Int32] = [:]
        for i in items.indices {
            for j in items[i].indices {
                let old = items[i][j].number
                let new = numbers[old] ?? Int32(truncatingIfNeeded: numbers.count)
                numbers[old] = new
                items[i][j].number = new
            }
        }
        return Int32(truncatingIfNeeded: numbers.count)
    }

    /// The values that satisfy `literals`, when they can be listed.
    private func finiteValues(_ literals: [Literal]) throws(Llama2Error) -> [JSONValue]? {
        var candidates: [JSONValue]?
        var pending = literals.filter { !$0.isNegated }.map { $0.schema }, seen: Set<SchemaID> = []
        while let id = pending.popLast() {
            guard seen.insert(id).inserted else { continue }
            let node = source.node(id)
            if let values = node.values {
                candidates = values
                break
            }
            if let types = node.types, types & ~(JSONType.null | JSONType.isTrue | JSONType.isFalse) == 0 {
                candidates =
                    (types & JSONType.null != 0 ? [.null] : []) + (types & JSONType.isTrue != 0 ? [.bool(true)] : [])
                    + (types & JSONType.isFalse != 0 ? [.bool(false)] : [])
            }
            if node.types == JSONType.number, node.isIntegerOnly, let low = node.number.low, let high = node.number.high,
                let a = low.value.int, let b = high.value.int, b >= a, b - a < SchemaCompiler.mostDistinct
            {
                candidates = (a...b).compactMap { Decimal(Array("\($0)".utf8)) }.map { .number($0) }
            }
            if let reference = node.reference { pending.append(reference) }
            pending += node.allOf
        }
        guard let candidates, candidates.count <= SchemaCompiler.mostDistinct else { return nil }
        return candidates
    }
}
