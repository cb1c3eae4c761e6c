internal import Llama2Core

// `$ref`, `$dynamicRef` and what they lead to.
extension SchemaSource {
    func resolve(_ value: JSON, _ path: [UInt8], _ base: [UInt8]) throws(Llama2Error) -> SchemaID {
        guard let text = value.bytes else { throw failure(path, "$ref is no string") }
        let (target, fragment) = SchemaAddress.split(SchemaAddress.join(base, text))
        var found: (JSON, base: [UInt8])?
        if target == base || target.isEmpty || text.first == UInt8(ascii: "#") {
            found = base.isEmpty ? (root, []) : addresses[base] ?? (root, [])
        } else {
            found = addresses[target]
        }
        if fragment.isEmpty {
        } else if fragment.first == UInt8(ascii: "/") {
            found = found.flatMap { SchemaAddress.follow(fragment, from: $0.0, step).map { json in (json, basePositions[json.position] ?? base) } }
        } else {
            found = addresses[target + [UInt8(ascii: "#")] + fragment] ?? addresses[base + [UInt8(ascii: "#")] + fragment]
        }
        guard let (json, inBase) = found else {
            throw Llama2Error(
                .unsupported,
                "schema, \(String(decoding: path.prefix(300), as: UTF8.self)): $ref \"\(String(decoding: text.prefix(200), as: UTF8.self))\" leads nowhere in this document; others are not fetched"
            )
        }
        return try number(of: json, path: Array("#".utf8) + (fragment.isEmpty ? [] : fragment), base: inBase)
    }

    /// The member of that name, or the element of that number; what was gone through once is known.
    private func step(_ json: JSON, _ name: [UInt8]) -> JSON? {
        if let list = json.members {
            if members[json.position] == nil {
                var table: [[UInt8]: JSON] = [:]
                for (key, value) in list { table[key.bytes ?? []] = value }
                members[json.position] = table
            }
            return members[json.position]?[name]
        }
        guard json.elements != nil, name.allSatisfy({ (0x30...0x39).contains($0) }), let index = Decimal(name)?.int else { return nil }
        if elements[json.position] == nil { elements[json.position] = json.array }
        return elements[json.position].flatMap { index < $0.count ? $0[index] : nil }
    }

    func resolveDynamic(_ value: JSON, _ path: [UInt8], _ base: [UInt8]) throws(Llama2Error) -> SchemaID {
        guard let text = value.bytes else { throw failure(path, "$dynamicRef is no string") }
        let (_, fragment) = SchemaAddress.split(text)
        // one schema of that name: there is nothing dynamic about it
        if dynamicAnchors[fragment, default: 0] > 1 {
            try unsupported(path, "$dynamicRef", "to a name that stands at several places is not followed")
            return add(SchemaNode(path: path))
        }
        if fragment.isEmpty, recursiveAnchors > 1 {
            try unsupported(path, "$recursiveRef", "with $recursiveAnchor at several places is not followed")
            return add(SchemaNode(path: path))
        }
        return try resolve(value, path, base)
    }

    /// Notes $id, $anchor and $dynamicAnchor of all that may be a schema.
    func findAddresses(_ root: JSON, base: [UInt8]) throws(Llama2Error) {
        // most documents have none: that is seen without going through their schemas
        guard root.mayHaveMember("$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor") else {
            if root.isObject { addresses[[]] = (root, base) }
            return
        }
        var pending: [(JSON, [UInt8], Bool)] = [(root, base, true)]
        while let (json, outer, isSchema) = pending.popLast() {
            var base = outer
            if isSchema, json.isObject {
                if let id = (json["$id"] ?? json["id"])?.bytes, !(referenceStandsAlone && json["$ref"] != nil) {
                    if id.first == UInt8(ascii: "#") {
                        addresses[base + id] = (json, base)  // draft 7's way to name a place
                    } else {
                        base = SchemaAddress.split(SchemaAddress.join(base, id)).0
                        addresses[base] = (json, base)
                    }
                }
                basePositions[json.position] = base
                if json.position == root.position, addresses[[]] == nil { addresses[[]] = (json, base) }
                let dynamic = json["$dynamicAnchor"]?.bytes
                for name in [json["$anchor"]?.bytes, dynamic].compactMap({ $0 }) { addresses[base + [UInt8(ascii: "#")] + name] = (json, base) }
                if let dynamic { dynamicAnchors[dynamic, default: 0] += 1 }
                if json["$recursiveAnchor"]?.bool == true { recursiveAnchors += 1 }
            }
            if let members = json.members {
                for (key, value) in members {
                    let keyword = key.bytes.flatMap { SchemaKeyword.named($0) }
                    if isSchema, keyword == .enumeration || keyword == .const { continue }
                    // values of maps are schemas; a map itself is none
                    let isMap = isSchema && (keyword?.isMap == true || SchemaKeyword.isDefinitions(key.bytes ?? []))
                    if value.isObject { pending.append((value, base, !isMap)) }
                    if let elements = value.array { for element in elements where element.isObject { pending.append((element, base, true)) } }
                }
            }
        }
    }
}
