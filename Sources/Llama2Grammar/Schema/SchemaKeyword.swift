internal import Llama2Core

/// The keywords that say something about instances. All others are annotations.
enum SchemaKeyword: CaseIterable {
    case type, enumeration, const, ref, dynamicRef, allOf, anyOf, oneOf, not, condition, then, otherwise
    case minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf
    case minLength, maxLength, pattern, format
    case prefixItems, items, contains, minContains, maxContains, minItems, maxItems, uniqueItems
    case properties, patternProperties, additionalProperties, required, propertyNames, minProperties, maxProperties
    case dependentRequired, dependentSchemas, dependencies, unevaluatedProperties, unevaluatedItems
    /// Of older drafts, with a meaning that is not followed.
    case refused

    var isMap: Bool {
        switch self {
        case .properties, .patternProperties, .dependentSchemas, .dependencies: true
        default: false
        }
    }

    private static let names: [[UInt8]: SchemaKeyword] = {
        var out: [[UInt8]: SchemaKeyword] = [:]
        let list: [(String, SchemaKeyword)] = [
            ("type", .type), ("enum", .enumeration), ("const", .const), ("$ref", .ref), ("$dynamicRef", .dynamicRef), ("$recursiveRef", .dynamicRef),
            ("allOf", .allOf), ("anyOf", .anyOf), ("oneOf", .oneOf), ("not", .not), ("if", .condition), ("then", .then), ("else", .otherwise),
            ("minimum", .minimum), ("maximum", .maximum), ("exclusiveMinimum", .exclusiveMinimum), ("exclusiveMaximum", .exclusiveMaximum),
            ("multipleOf", .multipleOf), ("minLength", .minLength), ("maxLength", .maxLength), ("pattern", .pattern), ("format", .format),
            ("prefixItems", .prefixItems), ("items", .items), ("contains", .contains), ("minContains", .minContains), ("maxContains", .maxContains),
            ("minItems", .minItems), ("maxItems", .maxItems), ("uniqueItems", .uniqueItems), ("properties", .properties),
            ("patternProperties", .patternProperties), ("additionalProperties", .additionalProperties), ("required", .required),
            ("propertyNames", .propertyNames), ("minProperties", .minProperties), ("maxProperties", .maxProperties),
            ("dependentRequired", .dependentRequired), ("dependentSchemas", .dependentSchemas), ("dependencies", .dependencies),
            ("unevaluatedProperties", .unevaluatedProperties), ("unevaluatedItems", .unevaluatedItems),
            ("disallow", .refused), ("extends", .refused), ("divisibleBy", .refused),
        ]
        for (name, keyword) in list { out[Array(name.utf8)] = keyword }
        return out
    }()

    static func named(_ name: [UInt8]) -> SchemaKeyword? { names[name] }

    static func isDefinitions(_ name: [UInt8]) -> Bool { name == Array("$defs".utf8) || name == Array("definitions".utf8) }
}

/// References between schemas: URI-references (RFC 3986) as far as documents that refer to themselves need them.
enum SchemaAddress {
    /// What stands before the fragment, and the fragment, its percent signs decoded.
    static func split(_ text: [UInt8]) -> ([UInt8], [UInt8]) {
        guard let mark = text.firstIndex(of: UInt8(ascii: "#")) else { return (text, []) }
        return (Array(text[..<mark]), decoded(Array(text[(mark + 1)...])))
    }

    private static func decoded(_ text: [UInt8]) -> [UInt8] {
        func digit(_ c: UInt8) -> UInt8? {
            switch c {
            case 0x30...0x39: c - 0x30
            case 0x41...0x46, 0x61...0x66: (c | 0x20) - 0x57
            default: nil
            }
        }
        var out: [UInt8] = [], i = 0
        while i < text.count {
            if text[i] == UInt8(ascii: "%"), i + 2 < text.count, let a = digit(text[i + 1]), let b = digit(text[i + 2]) {
                out.append(a << 4 | b)
                i += 3
            } else {
                out.append(text[i])
                i += 1
            }
        }
        return out
    }

    /// `reference` as seen from `base`.
    static func join(_ base: [UInt8], _ reference: [UInt8]) -> [UInt8] {
        if reference.isEmpty || reference.first == UInt8(ascii: "#") { return base + reference }
        if hasScheme(reference) || base.isEmpty { return reference }
        let slash = UInt8(ascii: "/")
        // scheme://authority of the base, if it has one
        var authorityEnd = 0
        if let colon = base.firstIndex(of: UInt8(ascii: ":")), base[colon...].starts(with: Array("://".utf8)) {
            authorityEnd = base[(colon + 3)...].firstIndex(of: slash) ?? base.count
        }
        if reference.first == slash { return Array(base[..<authorityEnd]) + reference }
        let folderEnd = base.lastIndex(of: slash).map { $0 < authorityEnd ? base.count : $0 + 1 } ?? 0
        var path = Array(base[..<folderEnd])
        if path.last != slash, !path.isEmpty, authorityEnd > 0 { path.append(slash) }
        return path + (reference.starts(with: Array("./".utf8)) ? Array(reference.dropFirst(2)) : reference)
    }

    private static func hasScheme(_ text: [UInt8]) -> Bool {
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else { return false }
        return text[..<colon].allSatisfy { (0x61...0x7A).contains($0 | 0x20) || $0 == UInt8(ascii: "+") || (0x30...0x39).contains($0) }
    }

    /// A JSON Pointer (RFC 6901) from a value, step by step.
    static func follow(_ pointer: [UInt8], from json: JSON, _ step: (JSON, [UInt8]) -> JSON?) -> JSON? {
        var at = json
        for piece in pointer.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst() {
            var name: [UInt8] = [], i = piece.startIndex
            while i < piece.endIndex {
                if piece[i] == UInt8(ascii: "~"), i + 1 < piece.endIndex, piece[i + 1] == 0x30 || piece[i + 1] == 0x31 {
                    name.append(piece[i + 1] == 0x30 ? UInt8(ascii: "~") : UInt8(ascii: "/"))
                    i += 2
                } else {
                    name.append(piece[i])
                    i += 1
                }
            }
            guard let next = step(at, name) else { return nil }
            at = next
        }
        return at
    }
}
