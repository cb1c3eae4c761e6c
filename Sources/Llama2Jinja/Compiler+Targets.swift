internal import Llama2Core

// What is assigned to.
extension Compiler {
    /// `a`, `a, b`, `(a, (b, c))`, `ns.x`.
    mutating func target(namespaces: Bool) throws(Llama2Error) -> Target {
        var parts: [Target] = [], isTuple = false
        while true {
            if !parts.isEmpty {
                if isTuple, current.isName("in") || current.isSymbol("=") || current.isSymbol(")") || current.kind == .blockEnd { break }
            }
            parts.append(try oneTarget(namespaces: namespaces))
            guard try skipSymbol(",") else { break }
            isTuple = true
        }
        return isTuple ? .tuple(parts) : parts[0]
    }

    private mutating func oneTarget(namespaces: Bool) throws(Llama2Error) -> Target {
        depth += 1
        defer { depth -= 1 }
        try enter()
        if try skipSymbol("(") {
            let inner = try target(namespaces: namespaces)
            try expect(")")
            return inner
        }
        guard current.kind == .name else { throw unexpected("a name to assign to") }
        for reserved: StaticString in ["true", "false", "none", "True", "False", "None"] where current.isName(reserved) {
            throw failure("cannot assign to \(reserved)")
        }
        let text = try expectName()
        if namespaces, try skipSymbol(".") {
            let attribute = try expectName()
            let number = try name(text)
            noteRead(number)
            return .attribute(name: number, attribute: try constant(attribute))
        }
        return .name(try name(text))
    }

    /// Pops a value into `target`.
    mutating func assign(_ target: Target, parameter: Bool = false) throws(Llama2Error) {
        switch target {
        case .name(let name):
            if parameter { noteRead(name) } else { noteSet(name) }
            try emit(.store(name))
        case .attribute(let name, let attribute): try emit(.setAttribute(name: name, attribute: attribute))
        case .tuple(let parts):
            try emit(.unpack(Int32(truncatingIfNeeded: parts.count)))
            for part in parts { try assign(part, parameter: parameter) }
        }
    }
}
