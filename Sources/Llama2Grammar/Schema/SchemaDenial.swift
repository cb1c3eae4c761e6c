internal import Llama2Core

/// What is so when a schema does not hold: a list of conjunctions, one for each way to break it.
extension SchemaCompiler {
    /// One keyword or another fails.
    func deny(_ node: SchemaNode, _ c: Conjunction) throws(Llama2Error) -> List {
        var out: List = []
        if let types = node.types {
            var other = c
            other.types &= ~types
            out += kept(other)
            if node.isIntegerOnly, var fraction = c.only(JSONType.number) {
                fraction.number.isFractional = true
                out += kept(fraction)
            }
        }
        if let values = node.values { out += try avoid(c, values, node.path) }
        if let number = c.only(JSONType.number) { out += denyNumber(node.number, number) }
        if let string = c.only(JSONType.string) { out += try denyString(node, string) }
        if let array = c.only(JSONType.array) { out += try denyArray(node, array) }
        if let object = c.only(JSONType.object) { out += try denyObject(node, object) }
        if let reference = node.reference { out += try apply(Literal(schema: reference, isNegated: true), to: [c]) }
        for part in node.allOf { out += try apply(Literal(schema: part, isNegated: true), to: [c]) }
        if let not = node.not { out += try apply(Literal(schema: not), to: [c]) }
        if let branches = node.anyOf {
            var list = [c]
            for branch in branches { list = try apply(Literal(schema: branch, isNegated: true), to: list) }
            out += list
        }
        if let branches = node.oneOf {
            var none = [c]
            for branch in branches { none = try apply(Literal(schema: branch, isNegated: true), to: none) }
            out += none
            for i in branches.indices {
                for j in branches.indices where j > i {
                    out += try apply(Literal(schema: branches[j]), to: try apply(Literal(schema: branches[i]), to: [c]))
                }
            }
        }
        if let condition = node.condition {
            if let then = node.then {
                out += try apply(Literal(schema: then, isNegated: true), to: try apply(Literal(schema: condition), to: [c]))
            }
            if let otherwise = node.otherwise {
                out += try apply(Literal(schema: otherwise, isNegated: true), to: try apply(Literal(schema: condition, isNegated: true), to: [c]))
            }
        }
        if node.unevaluatedProperties != nil || node.unevaluatedItems != nil {
            try source.unsupported(node.path, "unevaluatedProperties", "inside not is not followed")
        }
        return out
    }

    /// Not one of `values`.
    private func avoid(_ c: Conjunction, _ values: [JSONValue], _ path: [UInt8]) throws(Llama2Error) -> List {
        var out = c, strings: [[UInt8]] = [], excluded = Set(c.number.excluded)
        for value in values {
            switch value {
            case .null: out.types &= ~JSONType.null
            case .bool(let b): out.types &= ~(b ? JSONType.isTrue : JSONType.isFalse)
            case .number(let d): if excluded.insert(d).inserted { out.number.excluded.append(d) }
            case .string(let s): strings.append(s)
            case .array, .object: break
            }
        }
        if !strings.isEmpty { add(try automaton(texts: strings), to: &out.string.lacks) }
        var list = kept(out)
        for value in values {
            switch value {
            case .array, .object: list = try apply(Literal(schema: schema(of: value, path), isNegated: true), to: list)
            default: break
            }
        }
        return list
    }

    private func denyNumber(_ rule: NumberRule, _ c: Conjunction) -> List {
        var out: List = []
        if let low = rule.low {
            var below = c
            below.number.atMost(.init(value: low.value, isExclusive: !low.isExclusive))
            out += kept(below)
        }
        if let high = rule.high {
            var above = c
            above.number.atLeast(.init(value: high.value, isExclusive: !high.isExclusive))
            out += kept(above)
        }
        for divisor in rule.divisors {
            var other = c
            other.number.divisors.append(.init(value: divisor.value, isNegated: !divisor.isNegated))
            out += kept(other)
        }
        return out
    }

    private func denyString(_ node: SchemaNode, _ c: Conjunction) throws(Llama2Error) -> List {
        var out: List = []
        if node.minLength > 0 {
            var shorter = c
            shorter.string.most = min(c.string.most ?? node.minLength - 1, node.minLength - 1)
            out += kept(shorter)
        }
        if let most = node.maxLength {
            var longer = c
            longer.string.least = max(c.string.least, most + 1)
            out += kept(longer)
        }
        var automata: [Int32] = []
        if let pattern = node.pattern { automata.append(try automaton(pattern: pattern, node.path)) }
        if let format = node.format, let dfa = try automaton(format: format) { automata.append(dfa) }
        for dfa in automata {
            var other = c
            add(dfa, to: &other.string.lacks)
            out += kept(other)
        }
        return out
    }

    private func denyArray(_ node: SchemaNode, _ c: Conjunction) throws(Llama2Error) -> List {
        var out: List = []
        func with(_ change: (inout Conjunction.ArrayRule) -> Void) {
            var other = c
            change(&other.array)
            out += kept(other)
        }
        if node.minItems > 0 { with { $0.atMost(node.minItems - 1) } }
        if let most = node.maxItems { with { $0.least = max($0.least, most + 1) } }
        if let contains = node.contains {
            if node.minContains == 1 {
                with { $0.maps.append(([], Literal(schema: contains, isNegated: true))) }
            } else if node.minContains > 1 {
                with { $0.contains.append((Literal(schema: contains), 0, node.minContains - 1)) }
            }
            if let most = node.maxContains { with { $0.contains.append((Literal(schema: contains), most + 1, nil)) } }
        }
        for (index, schema) in node.prefix.enumerated() {
            with {
                $0.least = max($0.least, index + 1)
                let any = [Literal](repeating: Literal(schema: always), count: index)
                $0.maps.append((any + [Literal(schema: schema, isNegated: true)], nil))
            }
        }
        if let items = node.items, source.node(items).bool != true {
            if node.prefix.isEmpty {
                with { $0.contains.append((Literal(schema: items, isNegated: true), 1, nil)) }
            } else if source.node(items).bool == false {
                with { $0.least = max($0.least, node.prefix.count + 1) }
            } else {
                try source.unsupported(node.path, "items", "behind prefixItems inside not is not followed")
            }
        }
        if node.isUnique { try source.unsupported(node.path, "uniqueItems", "inside not is not followed") }
        return out
    }

    private func denyObject(_ node: SchemaNode, _ c: Conjunction) throws(Llama2Error) -> List {
        var out: List = []
        func with(_ change: (inout Conjunction.ObjectRule) -> Void) {
            var other = c
            change(&other.object)
            out += kept(other)
        }
        let never = source.never
        // a member that is required fails when it is not there or has another value: when it has no value but another
        let required = Set(node.required), named = Set(node.properties.filter { source.node($0.1).bool != true }.map { $0.0 })
        for (name, schema) in node.properties where source.node(schema).bool != true {
            with {
                if !required.contains(name) { $0.require(name) }
                $0.maps.append(.init(properties: [(name, Literal(schema: schema, isNegated: true))], patterns: [], additional: nil))
            }
        }
        for name in node.required where !named.contains(name) { with { $0.forbid(name, never) } }
        if node.minProperties > 0 { with { $0.atMost(node.minProperties - 1) } }
        if let most = node.maxProperties { with { $0.least = max($0.least, most + 1) } }
        for (name, others) in node.dependentRequired {
            for other in others {
                with {
                    $0.require(name)
                    $0.forbid(other, never)
                }
            }
        }
        for (name, schema) in node.dependentSchemas {
            var present = c
            present.object.require(name)
            out += try apply(Literal(schema: schema, isNegated: true), to: kept(present))
        }
        for (pattern, schema) in node.patternProperties where source.node(schema).bool != true {
            let names = try automaton(pattern: pattern, node.path)
            with { $0.demands.append((names, Literal(schema: schema, isNegated: true))) }
        }
        if let additional = node.additional, source.node(additional).bool != true {
            out += try denyAdditional(node, additional, c)
        }
        if let names = node.propertyNames, source.node(names).bool != true {
            let others = try program.automata[Int(program.anyText)].subtracting(try self.names([Literal(schema: names)]), budget)
            let number = add(others)
            with { $0.demands.append((number, nil)) }
        }
        return out
    }

    /// Some member that `node` does not name, with a value that `additional` does not allow.
    private func denyAdditional(_ node: SchemaNode, _ additional: SchemaID, _ c: Conjunction) throws(Llama2Error) -> List {
        let named = Set(node.properties.map { $0.0 })
        // members that may come at all
        guard let candidates = closedNames(c.object) else {
            var others = try program.automata[Int(program.anyText)].subtracting(try DFA.texts(node.properties.map { $0.0 }, budget), budget)
            for (pattern, _) in node.patternProperties { others = try others.subtracting(automata[Int(try automaton(pattern: pattern, node.path))], budget) }
            var other = c
            other.object.demands.append((add(others), Literal(schema: additional, isNegated: true)))
            return kept(other)
        }
        var patterns: [Int32] = []
        for (pattern, _) in node.patternProperties { patterns.append(try automaton(pattern: pattern, node.path)) }
        var out: List = []
        for name in candidates where !named.contains(name) && !patterns.contains(where: { automata[Int($0)].contains(name) }) {
            var other = c
            other.object.require(name)
            other.object.maps.append(.init(properties: [(name, Literal(schema: additional, isNegated: true))], patterns: [], additional: nil))
            out += kept(other)
        }
        return out
    }

    /// The names that an object may have, where a schema closes it to all others.
    private func closedNames(_ object: Conjunction.ObjectRule) -> [[UInt8]]? {
        for map in object.maps where map.patterns.isEmpty {
            if let additional = map.additional, source.node(additional.schema).bool == additional.isNegated { return map.properties.map { $0.0 } }
        }
        return nil
    }
}
