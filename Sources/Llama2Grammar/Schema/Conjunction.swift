/// A schema, or that it does not hold.
struct Literal: Hashable, Comparable {
    var schema: SchemaID
    var isNegated = false

    var opposite: Literal { Literal(schema: schema, isNegated: !isNegated) }
    static func < (a: Literal, b: Literal) -> Bool { a.schema != b.schema ? a.schema < b.schema : !a.isNegated && b.isNegated }
}

/// What must hold of a value all at once, with no choice left in it: rules by type. A schema is a list of these, any of
/// which may hold (a disjunctive normal form).
struct Conjunction {
    struct StringRule: Hashable {
        var least = 0, most: Int?
        var needs: [Int32] = [], lacks: [Int32] = []  // automata
    }

    /// What one schema says of an object's members by their names.
    struct ObjectMap {
        let properties: [([UInt8], Literal)]
        let patterns: [(pattern: Int32, Literal)]
        let additional: Literal?
        private let first: [[UInt8]: Int]  // in `properties`, by name, where they are many
        private let further: [[UInt8]: [Int]]  // of names that come twice

        init(properties: [([UInt8], Literal)], patterns: [(pattern: Int32, Literal)], additional: Literal?) {
            self.properties = properties
            self.patterns = patterns
            self.additional = additional
            var first: [[UInt8]: Int] = [:], further: [[UInt8]: [Int]] = [:]
            if properties.count > 8 {
                first.reserveCapacity(properties.count)
                for (index, property) in properties.enumerated() {
                    if first[property.0] == nil { first[property.0] = index } else { further[property.0, default: []].append(index) }
                }
            }
            self.first = first
            self.further = further
        }

        /// What it says of a member of that name.
        func named(_ name: [UInt8]) -> [Literal] {
            if first.isEmpty { return properties.compactMap { $0.0 == name ? $0.1 : nil } }
            guard let index = first[name] else { return [] }
            return [properties[index].1] + (further[name] ?? []).map { properties[$0].1 }
        }
    }

    struct ObjectRule {
        var maps: [ObjectMap] = []
        private(set) var required: [[UInt8]] = []
        private var isRequired: Set<[UInt8]> = []
        var names: [Literal] = []
        var least = 0, most: Int?
        /// Some member has one of these names and such a value.
        var demands: [(names: Int32, value: Literal?)] = []

        mutating func require(_ name: [UInt8]) { if isRequired.insert(name).inserted { required.append(name) } }
        func requires(_ name: [UInt8]) -> Bool { isRequired.contains(name) }
        mutating func forbid(_ name: [UInt8], _ never: SchemaID) {
            maps.append(ObjectMap(properties: [(name, Literal(schema: never))], patterns: [], additional: nil))
        }
        mutating func atMost(_ count: Int) { most = min(most ?? count, count) }
    }

    struct ArrayRule {
        var maps: [(prefix: [Literal], rest: Literal?)] = []
        var contains: [(item: Literal, least: Int, most: Int?)] = []
        var least = 0, most: Int?
        var isUnique = false

        mutating func atMost(_ count: Int) { most = min(most ?? count, count) }
    }

    var types: UInt8 = JSONType.all
    var number = NumberRule()
    var string = StringRule()
    var object = ObjectRule()
    var array = ArrayRule()
    /// Schemas that were put in already.
    var applied: [Literal] = []
    /// Those of them that hold and that nothing denies around them: the members and items that they name are evaluated.
    var evaluating: Set<SchemaID> = []

    func has(_ type: UInt8) -> Bool { types & type != 0 }

    /// Held to one type.
    func only(_ type: UInt8) -> Conjunction? {
        guard has(type) else { return nil }
        var out = self
        out.types &= type
        return out
    }

    /// Takes away what contradicts itself.
    mutating func prune() {
        if let low = number.low, let high = number.high, high.value < low.value || high.value == low.value && (high.isExclusive || low.isExclusive) {
            types &= ~JSONType.number
        }
        if let values = number.values {
            let left = number.allowed(values)
            number.values = left
            if left.isEmpty { types &= ~JSONType.number }
        }
        if number.isInteger && number.isFractional { types &= ~JSONType.number }
        if let most = string.most, most < string.least { types &= ~JSONType.string }
        if let most = object.most, most < object.least || most < object.required.count { types &= ~JSONType.object }
        if let most = array.most, most < array.least { types &= ~JSONType.array }
    }
}
