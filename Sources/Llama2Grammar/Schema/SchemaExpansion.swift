internal import Llama2Core

/// Brings schemas into disjunctive normal form: `anyOf`, `oneOf`, `not`, `if` and what hides a choice become lists of
/// conjunctions. Exact: each value that the schema allows satisfies one of the list, and no other value does.
extension SchemaCompiler {
    typealias List = [Conjunction]
    /// Conjunctions side by side at one place.
    static let mostBranches = 1500
    private static let mostCombined = 6, fewBranches = 16

    func expand(_ literals: [Literal]) throws(Llama2Error) -> List {
        var list: List = [Conjunction()]
        for literal in literals { list = try apply(literal, to: list) }
        return list
    }

    func apply(_ literal: Literal, to list: List) throws(Llama2Error) -> List {
        var out: List = []
        for conjunction in list {
            out += try apply(literal, to: conjunction)
            guard out.count <= SchemaCompiler.mostBranches else {
                throw Llama2Error(
                    .unsupported,
                    "schema, \(String(decoding: source.node(literal.schema).path.prefix(300), as: UTF8.self)): more than \(SchemaCompiler.mostBranches) combinations of anyOf, oneOf, if and not"
                )
            }
        }
        return out
    }

    func apply(_ literal: Literal, to conjunction: Conjunction) throws(Llama2Error) -> List {
        guard conjunction.types != 0 else { return [] }
        if conjunction.applied.contains(literal) { return [conjunction] }
        if conjunction.applied.contains(literal.opposite) { return [] }
        let node = source.node(literal.schema)
        if let bool = node.bool { return bool != literal.isNegated ? [conjunction] : [] }
        inPlace += 1
        defer { inPlace -= 1 }
        try budget.take(8)  // a conjunction is copied
        guard inPlace <= SchemaCompiler.deepest else {
            throw source.failure(node.path, "references that lead to themselves, or more than \(SchemaCompiler.deepest) schemas inside each other at one place")
        }
        var start = conjunction
        start.applied.append(literal)
        if literal.isNegated {
            denying += 1
            defer { denying -= 1 }
            return try deny(node, start)
        }
        return try assert(node, literal.schema, start)
    }

    /// References and combinations inside each other: this calls itself, on a stack that the host has chosen.
    static let deepest = 40

    func kept(_ conjunction: Conjunction) -> List {
        var c = conjunction
        c.prune()
        return c.types == 0 ? [] : [c]
    }

    // MARK: The schema holds

    private func assert(_ node: SchemaNode, _ id: SchemaID, _ start: Conjunction) throws(Llama2Error) -> List {
        // 1. what leaves no choice
        var c = start
        let closes = node.unevaluatedProperties != nil || node.unevaluatedItems != nil
        if closes { closing += 1 }
        defer { if closes { closing -= 1 } }
        if denying == 0, closing > 0, !node.isValue { c.evaluating.insert(id) }
        if let types = node.types {
            c.types &= types
            if node.isIntegerOnly { c.number.isInteger = true }
        }
        merge(node.number, into: &c.number)
        if c.has(JSONType.string) {
            c.string.least = max(c.string.least, node.minLength)
            if let most = node.maxLength { c.string.most = min(c.string.most ?? most, most) }
            if let pattern = node.pattern { add(try automaton(pattern: pattern, node.path), to: &c.string.needs) }
            if let format = node.format, let dfa = try automaton(format: format) { add(dfa, to: &c.string.needs) }
        }
        if c.has(JSONType.object) { try assertObject(node, &c.object) }
        if c.has(JSONType.array) {
            if node.hasArrayMap { c.array.maps.append((node.prefix.map { Literal(schema: $0) }, node.items.map { Literal(schema: $0) })) }
            if let contains = node.contains, node.minContains > 0 || node.maxContains != nil {
                c.array.contains.append((Literal(schema: contains), node.minContains, node.maxContains))
            }
            c.array.least = max(c.array.least, node.minItems)
            if let most = node.maxItems { c.array.atMost(most) }
            if node.isUnique { c.array.isUnique = true }
        }
        var list = kept(c)
        // 2. choices
        if let values = node.values { list = try each(list) { c throws(Llama2Error) in try self.hold(c, to: values, node.path) } }
        if let reference = node.reference { list = try apply(Literal(schema: reference), to: list) }
        for part in node.allOf { list = try thinned(try apply(Literal(schema: part), to: list)) }
        if let not = node.not { list = try apply(Literal(schema: not, isNegated: true), to: list) }
        if let condition = node.condition, node.then != nil || node.otherwise != nil || closing > 0 {
            list = try each(list) { c throws(Llama2Error) in
                // what does not hold anyway needs no `then`: of many conditions on one member that are one behind the other most do not
                var yes = try self.possible(try self.apply(Literal(schema: condition), to: [c]))
                if let then = node.then { yes = try self.apply(Literal(schema: then), to: yes) }
                var no = try self.apply(Literal(schema: condition, isNegated: true), to: [c])
                if let otherwise = node.otherwise { no = try self.apply(Literal(schema: otherwise), to: no) }
                return yes + no
            }
        }
        for (name, others) in node.dependentRequired {
            list = try each(list) { c throws(Llama2Error) in
                guard c.has(JSONType.object) else { return [c] }
                var present = c, absent = c
                for other in others { present.object.require(other) }
                if c.object.requires(name) { return self.kept(present) }
                absent.object.forbid(name, self.source.never)
                return self.kept(absent) + self.kept(present)
            }
        }
        for (name, schema) in node.dependentSchemas {
            list = try each(list) { c throws(Llama2Error) in
                guard c.has(JSONType.object) else { return [c] }
                var present = c, absent = c
                present.object.require(name)
                absent.object.forbid(name, self.source.never)
                // a value that is no object is in one of the two already
                let held = try self.apply(Literal(schema: schema), to: present.only(JSONType.object).map { [$0] } ?? [])
                return c.object.requires(name) ? held + self.others(c) : self.kept(absent) + held
            }
        }
        if let branches = node.anyOf { list = try each(list) { c throws(Llama2Error) in try self.any(branches, c) } }
        if let branches = node.oneOf { list = try each(list) { c throws(Llama2Error) in try self.exactlyOne(branches, c) } }
        // 3. closed to what nothing applied has named
        if let rest = node.unevaluatedProperties, source.node(rest).bool != true {
            list = try each(list) { c throws(Llama2Error) in try self.closeMembers(c, start, id, rest) }
        }
        if let rest = node.unevaluatedItems, source.node(rest).bool != true {
            list = try each(list) { c throws(Llama2Error) in try self.closeItems(c, start, id, rest) }
        }
        return list
    }

    /// Without what surely nothing satisfies, where combinations grow: of many conditions on one member few hold together.
    private func thinned(_ list: List) throws(Llama2Error) -> List {
        list.count > SchemaCompiler.fewBranches ? try possible(list) : list
    }

    private func possible(_ list: List) throws(Llama2Error) -> List {
        var out: List = []
        for c in list where try !isEmpty([c]) { out.append(c) }
        return out
    }

    func others(_ c: Conjunction) -> List {
        var out = c
        out.types &= ~JSONType.object
        return kept(out)
    }

    /// The schemas whose members and items are evaluated as schema `id` sees it: its own and those applied at the same place.
    private func evaluated(_ c: Conjunction, _ start: Conjunction, _ id: SchemaID) -> [(id: SchemaID, node: SchemaNode)] {
        (c.evaluating.subtracting(start.evaluating).union([id])).sorted().map { ($0, source.node($0)) }
    }

    private func closeMembers(_ c: Conjunction, _ start: Conjunction, _ id: SchemaID, _ rest: SchemaID) throws(Llama2Error) -> List {
        var properties: [([UInt8], Literal)] = [], patterns: [(pattern: Int32, Literal)] = []
        for (other, part) in evaluated(c, start, id) {
            if part.additional != nil || part.unevaluatedProperties != nil && other != id { return [c] }
            properties += part.properties.map { ($0.0, Literal(schema: always)) }
            for (pattern, _) in part.patternProperties { patterns.append((try automaton(pattern: pattern, part.path), Literal(schema: always))) }
        }
        var closed = c
        closed.object.maps.append(.init(properties: properties, patterns: patterns, additional: Literal(schema: rest)))
        return kept(closed)
    }

    /// Items behind all that are named must be as `rest` says, or as a `contains` that counts them.
    private func closeItems(_ c: Conjunction, _ start: Conjunction, _ id: SchemaID, _ rest: SchemaID) throws(Llama2Error) -> List {
        var longest = 0, choices = [rest]
        for (other, part) in evaluated(c, start, id) {
            if part.items != nil || part.unevaluatedItems != nil && other != id { return [c] }
            longest = max(longest, part.prefix.count)
            if let contains = part.contains, source.containsEvaluates { choices.append(contains) }
        }
        var closed = c
        let literal = Literal(schema: choices.count == 1 ? rest : anyOf(choices, source.node(rest).path))
        closed.array.maps.append(([Literal](repeating: Literal(schema: always), count: longest), literal))
        return kept(closed)
    }

    func each(_ list: List, _ body: (Conjunction) throws(Llama2Error) -> List) throws(Llama2Error) -> List {
        var out: List = []
        for c in list {
            out += try body(c)
            guard out.count <= SchemaCompiler.mostBranches else {
                throw Llama2Error(.unsupported, "schema: more than \(SchemaCompiler.mostBranches) combinations of anyOf, oneOf, if and not")
            }
        }
        return out
    }

    private func merge(_ rule: NumberRule, into number: inout NumberRule) {
        if let low = rule.low { number.atLeast(low) }
        if let high = rule.high { number.atMost(high) }
        for divisor in rule.divisors where !number.divisors.contains(divisor) { number.divisors.append(divisor) }
    }

    func add(_ dfa: Int32, to list: inout [Int32]) {
        if !list.contains(dfa) {
            list.append(dfa)
            list.sort()
        }
    }

    private func assertObject(_ node: SchemaNode, _ object: inout Conjunction.ObjectRule) throws(Llama2Error) {
        if node.hasObjectMap {
            var patterns: [(pattern: Int32, Literal)] = []
            for (pattern, schema) in node.patternProperties { patterns.append((try automaton(pattern: pattern, node.path), Literal(schema: schema))) }
            object.maps.append(
                .init(
                    properties: node.properties.map { ($0.0, Literal(schema: $0.1)) }, patterns: patterns,
                    additional: node.additional.map { Literal(schema: $0) }))
        }
        for name in node.required { object.require(name) }
        if let names = node.propertyNames { object.names.append(Literal(schema: names)) }
        object.least = max(object.least, node.minProperties)
        if let most = node.maxProperties { object.atMost(most) }
    }

    func any(_ branches: [SchemaID], _ c: Conjunction) throws(Llama2Error) -> List {
        var out: List = []
        if closing > 0, denying == 0, branches.count > 1 {
            // what several branches evaluate together counts: all of their combinations
            guard branches.count <= SchemaCompiler.mostCombined else { throw tooMany(branches[0]) }
            for subset in 1..<(1 << branches.count) {
                var list = [c]
                for (i, branch) in branches.enumerated() where subset >> i & 1 != 0 { list = try apply(Literal(schema: branch), to: list) }
                out += list
                guard out.count <= SchemaCompiler.mostBranches else { throw tooMany(branches[0]) }
            }
            return out
        }
        for branch in branches {
            out += try apply(Literal(schema: branch), to: [c])
            guard out.count <= SchemaCompiler.mostBranches else { throw tooMany(branch) }
        }
        return out
    }

    private func tooMany(_ id: SchemaID) -> Llama2Error {
        Llama2Error(
            .unsupported,
            "schema, \(String(decoding: source.node(id).path.prefix(300), as: UTF8.self)): more than \(SchemaCompiler.mostBranches) combinations of anyOf, oneOf, if and not"
        )
    }

    /// One branch and none of the others. Branches that cannot hold together, as most are meant, need no more than that.
    private func exactlyOne(_ branches: [SchemaID], _ c: Conjunction) throws(Llama2Error) -> List {
        var out: List = []
        for (i, branch) in branches.enumerated() {
            var list = try apply(Literal(schema: branch), to: [c])
            for (j, other) in branches.enumerated() where j != i && !list.isEmpty {
                list = try each(list) { c throws(Llama2Error) in
                    try self.isEmpty(try self.apply(Literal(schema: other), to: [c])) ? [c] : try self.apply(Literal(schema: other, isNegated: true), to: [c])
                }
            }
            out += list
            guard out.count <= SchemaCompiler.mostBranches else { throw tooMany(branch) }
        }
        return out
    }

    /// enum and const.
    func hold(_ c: Conjunction, to values: [JSONValue], _ path: [UInt8]) throws(Llama2Error) -> List {
        var scalars = c, out: List = [], numbers: [Decimal] = [], strings: [[UInt8]] = []
        scalars.types = 0
        for value in values {
            switch value {
            case .null: scalars.types |= c.types & JSONType.null
            case .bool(let b): scalars.types |= c.types & (b ? JSONType.isTrue : JSONType.isFalse)
            case .number(let d): numbers.append(d)
            case .string(let s): strings.append(s)
            case .array, .object: out += try apply(Literal(schema: schema(of: value, path)), to: [c])
            }
        }
        if !numbers.isEmpty, c.has(JSONType.number) {
            scalars.types |= JSONType.number
            let known = Set(numbers)
            scalars.number.values = scalars.number.values.map { $0.filter { known.contains($0) } } ?? numbers
        }
        if !strings.isEmpty, c.has(JSONType.string) {
            scalars.types |= JSONType.string
            add(try automaton(texts: strings), to: &scalars.string.needs)
        }
        return kept(scalars) + out
    }
}
