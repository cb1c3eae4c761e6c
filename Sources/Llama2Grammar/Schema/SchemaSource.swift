internal import Llama2Core

/// The schemas of a document: read when they are first asked for, each once, and found by reference.
final class SchemaSource {
    private(set) var nodes: [SchemaNode] = []
    let root: JSON
    private let ignoresUnsupported: Bool
    private(set) var ignored: [[UInt8]] = []
    private var isIgnored: Set<[UInt8]> = []
    /// Members and elements of what references went through, by its position in the text.
    var members: [Int: [[UInt8]: JSON]] = [:], elements: [Int: [JSON]] = [:]
    private var numbers: [Int: SchemaID] = [:]  // by position in the text
    private var pending: [(JSON, SchemaID, base: [UInt8])] = []
    /// Before 2019, what stands beside $ref is not looked at.
    let referenceStandsAlone: Bool
    /// Schemas by the address that $id, $anchor and $dynamicAnchor give them.
    var addresses: [[UInt8]: (JSON, base: [UInt8])] = [:]
    /// Whether `contains` evaluates the items that it counts: since 2020.
    private(set) var containsEvaluates = true
    var dynamicAnchors: [[UInt8]: Int] = [:], recursiveAnchors = 0
    var basePositions: [Int: [UInt8]] = [:]

    static let mostNodes = 200_000
    /// As an upper limit so many are none, as a lower one they are refused.
    private static let mostCounted = 1_000_000_000

    init(_ root: JSON, ignoresUnsupported: Bool) throws(Llama2Error) {
        self.root = root
        self.ignoresUnsupported = ignoresUnsupported
        let dialect = root["$schema"]?.bytes ?? []
        referenceStandsAlone = ["draft-03", "draft-04", "draft-06", "draft-07"].map { Array($0.utf8) }.contains { (d: [UInt8]) in dialect.contains(d) }
        containsEvaluates = !dialect.contains(Array("2019-09".utf8))
        try findAddresses(root, base: [])
    }

    func node(_ id: SchemaID) -> SchemaNode { nodes[Int(id)] }

    func add(_ node: SchemaNode) -> SchemaID {
        nodes.append(node)
        return SchemaID(truncatingIfNeeded: nodes.count - 1)
    }

    lazy var never: SchemaID = add(SchemaNode(bool: false))

    /// The root's number; all that it leads to is read.
    func readRoot() throws(Llama2Error) -> SchemaID {
        let id = try number(of: root, path: [UInt8(ascii: "#")], base: [])
        while let (json, id, base) = pending.popLast() { nodes[Int(id)] = try read(json, id, base) }
        try refuseCircles()
        return id
    }

    /// A schema that is applied to the same value by itself says nothing that could be followed.
    private func refuseCircles() throws(Llama2Error) {
        var color = [UInt8](repeating: 0, count: nodes.count)
        for start in nodes.indices where color[start] == 0 {
            var path = [(node: start, inside: nodes[start].appliedInPlace, next: 0)]
            color[start] = 1
            while let (node, inside, next) = path.last {
                guard next < inside.count else {
                    color[node] = 2
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let other = Int(inside[next])
                if color[other] == 1 { throw failure(nodes[other].path, "a reference that leads back to itself without going into the value") }
                if color[other] == 0 {
                    color[other] = 1
                    path.append((other, nodes[other].appliedInPlace, 0))
                }
            }
        }
    }

    func number(of json: JSON, path: [UInt8], base: [UInt8]) throws(Llama2Error) -> SchemaID {
        if let known = numbers[json.position] { return known }
        guard nodes.count < SchemaSource.mostNodes else { throw Llama2Error(.unsupported, "the schema has more than \(SchemaSource.mostNodes) subschemas") }
        let id = add(SchemaNode(path: path))
        numbers[json.position] = id
        pending.append((json, id, basePositions[json.position] ?? base))
        return id
    }

    func failure(_ path: [UInt8], _ what: String) -> Llama2Error {
        Llama2Error(.invalidArgument, "schema, \(String(decoding: path.prefix(300), as: UTF8.self)): \(what)")
    }

    /// What cannot be followed: refused by path and name, or noted where the caller allows it.
    func unsupported(_ path: [UInt8], _ keyword: String, _ why: String) throws(Llama2Error) {
        guard ignoresUnsupported else {
            throw Llama2Error(.unsupported, "schema, \(String(decoding: path.prefix(300), as: UTF8.self)): \(keyword) \(why)")
        }
        let line = path + Array("/\(keyword)".utf8)
        if isIgnored.insert(line).inserted { ignored.append(line) }
    }

    // MARK: Reading

    private func read(_ json: JSON, _ id: SchemaID, _ base: [UInt8]) throws(Llama2Error) -> SchemaNode {
        let path = nodes[Int(id)].path
        let node = SchemaNode(path: path)
        if let bool = json.bool {
            node.bool = bool
            return node
        }
        guard let members = json.members else { throw failure(path, "a schema is an object, true or false") }
        func child(_ json: JSON, _ name: [UInt8], _ more: [UInt8]? = nil) throws(Llama2Error) -> SchemaID {
            try number(of: json, path: path + [UInt8(ascii: "/")] + name + (more.map { [UInt8(ascii: "/")] + $0 } ?? []), base: base)
        }
        if referenceStandsAlone, let reference = json["$ref"] {
            node.reference = try resolve(reference, path, base)
            return node
        }
        var integerItems: JSON?, minContains: Int?, hasThen: JSON?, hasElse: JSON?
        for (key, value) in members {
            guard let name = key.bytes else { continue }
            func list() throws(Llama2Error) -> [SchemaID] {
                guard let elements = value.array, !elements.isEmpty else {
                    throw failure(path, "\(String(decoding: name, as: UTF8.self)) is no list of schemas")
                }
                var out: [SchemaID] = []
                for (i, element) in elements.enumerated() { out.append(try child(element, name, Array("\(i)".utf8))) }
                return out
            }
            func map() throws(Llama2Error) -> [([UInt8], SchemaID)] {
                guard let members = value.members else { throw failure(path, "\(String(decoding: name, as: UTF8.self)) is no object") }
                var out: [([UInt8], SchemaID)] = []
                for (key, value) in members { out.append((key.bytes ?? [], try child(value, name, key.bytes))) }
                return out
            }
            /// nil for one that nobody reaches.
            func count() throws(Llama2Error) -> Int? {
                guard let text = value.numberText, let number = Decimal(Array(text)), number.isInteger, !number.isNegative else {
                    throw failure(path, "\(String(decoding: name, as: UTF8.self)) is no count")
                }
                return number.int.flatMap { $0 < SchemaSource.mostCounted ? $0 : nil }
            }
            func least() throws(Llama2Error) -> Int {
                if let count = try count() { return count }
                try unsupported(path, String(decoding: name, as: UTF8.self), "of \(SchemaSource.mostCounted) or more is not followed")
                return 0
            }
            func decimal() throws(Llama2Error) -> Decimal {
                guard let text = value.numberText, let d = Decimal(Array(text)) else {
                    throw failure(path, "\(String(decoding: name, as: UTF8.self)) is no number that can be followed")
                }
                return d
            }
            func names(_ json: JSON) throws(Llama2Error) -> [[UInt8]] {
                guard let elements = json.array else { throw failure(path, "\(String(decoding: name, as: UTF8.self)) is no list of names") }
                var out: [[UInt8]] = [], seen: Set<[UInt8]> = []
                for element in elements {
                    guard let bytes = element.bytes else { throw failure(path, "\(String(decoding: name, as: UTF8.self)) is no list of names") }
                    if seen.insert(bytes).inserted { out.append(bytes) }
                }
                return out
            }
            switch SchemaKeyword.named(name) {
            case .type: try readType(value, node)
            case .enumeration:
                guard let elements = value.array else { throw failure(path, "enum is no list") }
                try addValues(elements, node)
            case .const: try addValues([value], node)
            case .ref: refer(node, to: try resolve(value, path, base))
            case .dynamicRef: refer(node, to: try resolveDynamic(value, path, base))
            case .allOf: node.allOf += try list()
            case .anyOf: node.anyOf = try list()
            case .oneOf: node.oneOf = try list()
            case .not: node.not = try child(value, name)
            case .condition: node.condition = try child(value, name)
            case .then: hasThen = value
            case .otherwise: hasElse = value
            case .minimum:
                let d = try decimal()
                node.number.atLeast(.init(value: d, isExclusive: json["exclusiveMinimum"]?.bool == true))
            case .maximum:
                let d = try decimal()
                node.number.atMost(.init(value: d, isExclusive: json["exclusiveMaximum"]?.bool == true))
            case .exclusiveMinimum: if value.bool == nil { node.number.atLeast(.init(value: try decimal(), isExclusive: true)) }
            case .exclusiveMaximum: if value.bool == nil { node.number.atMost(.init(value: try decimal(), isExclusive: true)) }
            case .multipleOf:
                let d = try decimal()
                guard !d.isNegative, !d.isZero else { throw failure(path, "multipleOf is not positive") }
                node.number.divisors.append(.init(value: d))
            case .minLength: node.minLength = try least()
            case .maxLength: node.maxLength = try count()
            case .pattern:
                guard let bytes = value.bytes else { throw failure(path, "pattern is no string") }
                node.pattern = bytes
            case .format:
                guard let bytes = value.bytes else { throw failure(path, "format is no string") }
                node.format = bytes
            case .prefixItems: node.prefix = try list()
            case .items:
                if value.array != nil {
                    guard json["prefixItems"] == nil else { throw failure(path, "items is a list beside prefixItems") }
                    integerItems = json["additionalItems"]
                    if value.array?.isEmpty == false { node.prefix = try list() }
                    if let rest = integerItems { node.items = try child(rest, Array("additionalItems".utf8)) }
                } else {
                    node.items = try child(value, name)
                }
            case .contains: node.contains = try child(value, name)
            case .minContains: minContains = try least()
            case .maxContains: node.maxContains = try count()
            case .minItems: node.minItems = try least()
            case .maxItems: node.maxItems = try count()
            case .uniqueItems:
                guard let bool = value.bool else { throw failure(path, "uniqueItems is neither true nor false") }
                node.isUnique = bool
            case .properties: node.properties = try map()
            case .patternProperties: node.patternProperties = try map()
            case .additionalProperties: node.additional = try child(value, name)
            case .required:
                // draft 3 says true or false of a property in the property itself
                if value.bool != nil { continue }
                node.required = try names(value)
            case .propertyNames: node.propertyNames = try child(value, name)
            case .minProperties: node.minProperties = try least()
            case .maxProperties: node.maxProperties = try count()
            case .dependentRequired:
                guard let members = value.members else { throw failure(path, "dependentRequired is no object") }
                for (key, value) in members { node.dependentRequired.append((key.bytes ?? [], try names(value))) }
            case .dependentSchemas: node.dependentSchemas += try map()
            case .dependencies:
                guard let members = value.members else { throw failure(path, "dependencies is no object") }
                for (key, value) in members {
                    if value.array != nil {
                        node.dependentRequired.append((key.bytes ?? [], try names(value)))
                    } else {
                        node.dependentSchemas.append((key.bytes ?? [], try child(value, name, key.bytes)))
                    }
                }
            case .unevaluatedProperties: node.unevaluatedProperties = try child(value, name)
            case .unevaluatedItems: node.unevaluatedItems = try child(value, name)
            case .refused: try unsupported(path, String(decoding: name, as: UTF8.self), "is not followed")
            case nil: break  // by the specification an annotation
            }
        }
        if let then = hasThen, node.condition != nil { node.then = try child(then, Array("then".utf8)) }
        if let otherwise = hasElse, node.condition != nil { node.otherwise = try child(otherwise, Array("else".utf8)) }
        node.minContains = minContains ?? 1
        return node
    }

    /// Of several references in one schema each holds.
    private func refer(_ node: SchemaNode, to schema: SchemaID) {
        if node.reference == nil { node.reference = schema } else { node.allOf.append(schema) }
    }

    private func readType(_ value: JSON, _ node: SchemaNode) throws(Llama2Error) {
        let list = value.array ?? [value]
        var bits: UInt8 = 0, isInteger = false, isNumber = false
        for element in list {
            guard let name = element.bytes, let (b, integer) = JSONType.bits(name) else {
                throw failure(node.path, "type is none that JSON has")
            }
            bits |= b
            if integer { isInteger = true } else if b == JSONType.number { isNumber = true }
        }
        node.types = bits
        node.isIntegerOnly = isInteger && !isNumber
    }

    private func addValues(_ elements: [JSON], _ node: SchemaNode) throws(Llama2Error) {
        var values: [JSONValue] = []
        for element in elements {
            guard let value = JSONValue(element) else { throw failure(node.path, "a number beyond what can be followed") }
            values.append(value)
        }
        if node.values != nil {
            // enum and const: both
            node.allOf.append(add(SchemaNode(path: node.path, values: values)))
        } else {
            node.values = values
        }
    }
}

extension [UInt8] {
    /// Whether `other` occurs in it.
    func contains(_ other: [UInt8]) -> Bool {
        guard !other.isEmpty, count >= other.count else { return other.isEmpty }
        return indices.dropLast(other.count - 1).contains { self[$0..<($0 + other.count)].elementsEqual(other) }
    }
}
