internal import Llama2Core

/// jinja2's tests.
enum Tests {
    static let names: [StaticString] = [
        "odd", "even", "divisibleby", "defined", "undefined", "filter", "test", "none", "boolean", "false", "true", "integer", "float", "lower",
        "upper", "string", "mapping", "number", "sequence", "iterable", "callable", "sameas", "escaped", "in", "==", "eq", "equalto", "!=", "ne",
        ">", "gt", "greaterthan", "ge", ">=", "<", "lt", "lessthan", "<=", "le",
    ]

    static func exists(_ name: [Unit]) -> Bool {
        let name = Text(name)
        return names.contains { name.equals($0) }
    }

    fileprivate static let comparisons: [(name: StaticString, comparison: Comparison)] = [
        ("==", .equal), ("eq", .equal), ("equalto", .equal), ("!=", .notEqual), ("ne", .notEqual), (">", .greater), ("gt", .greater),
        ("greaterthan", .greater), (">=", .greaterOrEqual), ("ge", .greaterOrEqual), ("<", .less), ("lt", .less), ("lessthan", .less),
        ("<=", .lessOrEqual), ("le", .lessOrEqual),
    ]
}

extension Machine {
    func test(_ name: Text, _ value: Value, _ arguments: Arguments) throws(Llama2Error) -> Bool {
        try heap.work(64)
        // 1. with an argument
        if let found = Tests.comparisons.first(where: { name.equals($0.name) }) {
            return try compare(found.comparison, value, try arguments.bind(name, ["other"], required: 1)[0] ?? .none)
        }
        if name.equals("in") { return try contains(try arguments.bind(name, ["seq"], required: 1)[0] ?? .none, value) }
        if name.equals("divisibleby") {
            let number = try arguments.bind(name, ["num"], required: 1)[0] ?? .none
            return try equal(try binary(.modulo, value, number), .int(0))
        }
        if name.equals("sameas") {
            let other = try arguments.bind(name, ["other"], required: 1)[0] ?? .none
            switch (value, other) {
            case (.bool(let a), .bool(let b)): return a == b
            case (.none, .none): return true
            case (.text(let a), .text(let b)): return a === b
            case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)): return a === b
            case (.dict(let a), .dict(let b)): return a === b
            case (.int, .int), (.float, .float), (.undefined, .undefined): throw Failure.unsupported("the identity of a value of type '\(value.typeName)'")
            default: return false
            }
        }
        // 2. alone
        _ = try arguments.bind(name, [])
        if name.equals("defined") { if case .undefined = value { return false } else { return true } }
        if name.equals("undefined") { if case .undefined = value { return true } else { return false } }
        if name.equals("none") { if case .none = value { return true } else { return false } }
        if name.equals("string") { if case .text = value { return true } else { return false } }
        if name.equals("mapping") { if case .dict = value { return true } else { return false } }
        if name.equals("boolean") { if case .bool = value { return true } else { return false } }
        if name.equals("true") { if case .bool(true) = value { return true } else { return false } }
        if name.equals("false") { if case .bool(false) = value { return true } else { return false } }
        if name.equals("integer") { if case .int = value { return true } else { return false } }
        if name.equals("float") { if case .float = value { return true } else { return false } }
        if name.equals("number") { return value.number != nil }
        if name.equals("escaped") { if case .text(let text) = value { return text.isMarkup } else { return false } }
        if name.equals("sequence") {
            switch value {
            case .undefined, .text, .list, .tuple, .dict, .range: return true
            default: return false
            }
        }
        if name.equals("iterable") {
            switch value {
            case .undefined, .text, .list, .tuple, .dict, .range, .view, .iterator, .loop: return true
            default: return false
            }
        }
        if name.equals("callable") {
            switch value {
            case .undefined, .macro, .loop, .method, .function, .joiner: return true
            default: return false
            }
        }
        if name.equals("odd") || name.equals("even") {
            return try equal(try binary(.modulo, value, .int(2)), .int(name.equals("odd") ? 1 : 0))
        }
        if name.equals("lower") || name.equals("upper") {
            let text = try string(value)
            try heap.work(text.count)
            return Machine.isOneCase(text, upper: name.equals("upper"))
        }
        if name.equals("filter") || name.equals("test") {
            guard case .text(let wanted) = value else {
                try value.checkHashable()
                return false
            }
            return name.equals("filter") ? Filters.exists(wanted.units) : Tests.exists(wanted.units)
        }
        throw Failure.because("No test named '\(name.shown)' found.")
    }
}
