internal import Llama2Core

/// A JSON value as `const` and `enum` give it.
indirect enum JSONValue {
    case null, bool(Bool), number(Decimal), string([UInt8]), array([JSONValue]), object([([UInt8], JSONValue)])

    /// nil for a number whose exponent is beyond what is sensible.
    init?(_ json: JSON) {
        if json.isNull {
            self = .null
        } else if let bool = json.bool {
            self = .bool(bool)
        } else if let text = json.numberText {
            guard let decimal = Decimal(Array(text)) else { return nil }
            self = .number(decimal)
        } else if let bytes = json.bytes {
            self = .string(bytes)
        } else if let elements = json.array {
            var list: [JSONValue] = []
            for element in elements {
                guard let value = JSONValue(element) else { return nil }
                list.append(value)
            }
            self = .array(list)
        } else {
            var list: [([UInt8], JSONValue)] = []
            if let members = json.members {
                for (key, value) in members {
                    guard let name = key.bytes, let value = JSONValue(value) else { return nil }
                    list.append((name, value))
                }
            }
            self = .object(list)
        }
    }
}

/// Number of a schema or subschema in a `SchemaSource`.
typealias SchemaID = Int32

/// One schema, its keywords read. What is nil or empty was not said. JSON Schema 2020-12, and draft 7 where they differ.
///
/// A class because a schema is looked at for each conjunction that it is put into: passing it on is one count, not one a list.
final class SchemaNode {
    /// `true`, or `false`.
    var bool: Bool?
    var path: [UInt8] = []  // JSON Pointer, for sentences
    /// Stands for a value of `enum` or `const`: its members and items are named, but not evaluated.
    var isValue = false

    var types: UInt8?  // bits of `JSONType`
    var isIntegerOnly = false  // "integer" without "number"
    var values: [JSONValue]?  // enum, const
    var reference: SchemaID?
    var allOf: [SchemaID] = []
    var anyOf: [SchemaID]?
    var oneOf: [SchemaID]?
    var not: SchemaID?
    var condition: SchemaID?, then: SchemaID?, otherwise: SchemaID?

    var number = NumberRule()

    var minLength = 0, maxLength: Int?
    var pattern: [UInt8]?
    var format: [UInt8]?

    var prefix: [SchemaID] = []
    var items: SchemaID?
    var contains: SchemaID?, minContains = 1, maxContains: Int?
    var minItems = 0, maxItems: Int?
    var isUnique = false

    var properties: [([UInt8], SchemaID)] = []
    var patternProperties: [([UInt8], SchemaID)] = []
    var additional: SchemaID?
    var required: [[UInt8]] = []
    var propertyNames: SchemaID?
    var minProperties = 0, maxProperties: Int?
    var dependentRequired: [([UInt8], [[UInt8]])] = []
    var dependentSchemas: [([UInt8], SchemaID)] = []
    /// Closed to what no applied schema has named.
    var unevaluatedProperties: SchemaID?, unevaluatedItems: SchemaID?

    init(bool: Bool? = nil, path: [UInt8] = [], values: [JSONValue]? = nil) {
        self.bool = bool
        self.path = path
        self.values = values
    }

    /// Schemas that are applied to the same value as this one.
    var appliedInPlace: [SchemaID] {
        let single = [reference, not, condition, then, otherwise].compactMap { $0 }
        return single + allOf + (anyOf ?? []) + (oneOf ?? []) + dependentSchemas.map { $0.1 }
    }

    var hasObjectMap: Bool { !properties.isEmpty || !patternProperties.isEmpty || additional != nil }
    var hasArrayMap: Bool { !prefix.isEmpty || items != nil }
}

enum JSONType {
    static let null: UInt8 = 1, isTrue: UInt8 = 2, isFalse: UInt8 = 4, number: UInt8 = 8, string: UInt8 = 16, object: UInt8 = 32, array: UInt8 = 64
    static let all: UInt8 = 127

    static func bits(_ name: [UInt8]) -> (bits: UInt8, isInteger: Bool)? {
        for (text, bits) in [
            ("null", null), ("boolean", isTrue | isFalse), ("number", number), ("string", string), ("object", object), ("array", array), ("integer", number),
        ] as [(StaticString, UInt8)]
        where name.elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)) {
            return (bits, name.count == 7 && name.first == UInt8(ascii: "i"))
        }
        return nil
    }
}
