internal import Llama2Core

// `a.b`, `a[b]` and `a[b:c]`, as jinja2's sandbox looks them up.
extension Machine {
    /// The attribute if Python's type has one of that name, else the item.
    func attribute(_ value: Value, _ name: Text) throws(Llama2Error) -> Value {
        if let found = try pythonAttribute(value, name) { return found }
        if case .dict(let dict) = value {
            try heap.work(name.units.count)
            if let found = dict.value(.text(name)) { return found }
        }
        return Missing.of(value, name)
    }

    /// The item, else the attribute of that name.
    func item(_ value: Value, _ key: Value) throws(Llama2Error) -> Value {
        switch value {
        case .undefined(let missing): throw missing.failure
        case .dict(let dict):
            if case .text(let text) = key { try heap.work(text.units.count) }
            switch key {
            case .list, .dict, .view: break
            default: if let found = dict.value(key) { return found }
            }
        case .list(let list), .tuple(let list):
            if let index = key.integer, let found = Machine.place(index, list.items.count) { return list.items[found] }
        case .range(let span):
            if let index = key.integer, let found = Machine.place(index, span.count) { return span.value(found) }
        case .text(let text):
            if let index = key.integer {
                try heap.work(text.units.count)
                if let found = Machine.place(index, text.count) {
                    let start = text.offset(found)
                    var end = start + 1
                    while end < text.units.count, !text.units[end].isStart { end += 1 }
                    return try heap.value(Array(text.units[start..<end]), markup: text.isMarkup)
                }
            }
        default: break
        }
        if case .text(let name) = key {
            if let found = try pythonAttribute(value, name) { return found }
            return Missing.of(value, name)
        }
        return .undefined(Missing("'\(value.typeName) object' has no such element"))
    }

    static func place(_ index: Int, _ count: Int) -> Int? {
        let place = index < 0 ? index + count : index  // of different signs
        return place >= 0 && place < count ? place : nil
    }

    /// What Python's own type has under that name; nil when nothing.
    private func pythonAttribute(_ value: Value, _ name: Text) throws(Llama2Error) -> Value? {
        if case .undefined(let missing) = value { throw missing.failure }
        if name.units.count > 4, name.units[0].byte == 0x5f, name.units[1].byte == 0x5f,
            name.units[name.units.count - 1].byte == 0x5f, name.units[name.units.count - 2].byte == 0x5f
        {
            return .undefined(Missing("access to attribute '\(name.shown)' of '\(value.typeName)' object is unsafe."))
        }
        switch value {
        case .text: return Machine.stringMethods.contains { name.equals($0) } ? .method(Method(value, name)) : nil
        case .dict:
            if Machine.dictMethods.contains(where: { name.equals($0) }) { return .method(Method(value, name)) }
            return Machine.dictChanges.contains { name.equals($0) } ? unsafe(value, name) : nil
        case .list:
            if name.equals("count") || name.equals("index") || name.equals("copy") { return .method(Method(value, name)) }
            return Machine.listChanges.contains { name.equals($0) } ? unsafe(value, name) : nil
        case .tuple: return name.equals("count") || name.equals("index") ? .method(Method(value, name)) : nil
        case .int, .bool, .float:
            guard Machine.numberAttributes.contains(where: { name.equals($0) }) else { return nil }
            throw Failure.unsupported("the attribute '\(name.shown)' of a number")
        case .range(let span):
            if name.equals("start") { return .int(span.start) }
            if name.equals("stop") { return .int(span.stop) }
            if name.equals("step") { return .int(span.step) }
            return name.equals("count") || name.equals("index") ? .method(Method(value, name)) : nil
        case .loop(let loop): return try loopAttribute(loop, name)
        case .namespace(let number):
            try heap.work(16 * namespaces[number].count)
            guard let found = namespaces[number].first(where: { $0.name.equals(name) }) else { return nil }
            return found.value
        case .macro(let number): return try macroAttribute(number, name)
        case .cycler(let number):
            let (items, position) = cyclers[number]
            if name.equals("current") { return items.items[position % max(items.items.count, 1)] }
            return name.equals("next") || name.equals("reset") ? .method(Method(value, name)) : nil
        case .undefined, .none, .view, .iterator, .joiner, .method, .function: return nil
        }
    }

    private func unsafe(_ value: Value, _ name: Text) -> Value {
        .undefined(Missing("access to attribute '\(name.shown)' of '\(value.typeName)' object is unsafe."))
    }

    private func macroAttribute(_ number: Int, _ name: Text) throws(Llama2Error) -> Value? {
        let macro = program.macros[macros[number].description]
        if name.equals("name") { return macro.name < 0 ? Value.none : .text(textConstant(macro.name)) }
        if name.equals("arguments") { return try heap.tuple(macro.arguments.map { .text(program.names[Int($0)]) }) }
        if name.equals("caller") { return .bool(macro.usesCaller) }
        if name.equals("catch_kwargs") { return .bool(macro.usesKeywords) }
        if name.equals("catch_varargs") { return .bool(macro.usesPositional) }
        return nil
    }

    private static let dictMethods: [StaticString] = ["get", "items", "keys", "values", "copy", "fromkeys"]
    private static let dictChanges: [StaticString] = ["clear", "pop", "popitem", "setdefault", "update"]
    private static let listChanges: [StaticString] = ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"]
    private static let numberAttributes: [StaticString] = [
        "real", "imag", "numerator", "denominator", "conjugate", "bit_length", "bit_count", "as_integer_ratio", "is_integer", "hex", "fromhex",
        "to_bytes", "from_bytes",
    ]
    private static let stringMethods: [StaticString] = [
        "strip", "split", "startswith", "endswith", "lstrip", "rstrip", "replace", "upper", "lower", "title", "capitalize", "join", "format",
        "find", "rfind", "index", "rindex", "count", "splitlines", "rsplit", "partition", "rpartition", "removeprefix", "removesuffix",
        "casefold", "swapcase", "center", "ljust", "rjust", "zfill", "expandtabs", "format_map", "encode", "translate", "maketrans",
        "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle",
        "isupper",
    ]

    // MARK: Slices

    func slice(_ value: Value, _ parts: [Value]) throws(Llama2Error) -> Value {
        func indices(_ count: Int) throws(Llama2Error) -> [Int] {
            var bounds: [Int?] = []
            return try indices(count, &bounds)
        }
        func indices(_ count: Int, _ bounds: inout [Int?]) throws(Llama2Error) -> [Int] {
            for part in parts {
                switch part {
                case .none: bounds.append(nil)
                case .undefined(let missing): throw missing.failure
                default:
                    guard let index = part.integer else {
                        throw Failure.because("slice indices must be integers or None or have an __index__ method")
                    }
                    bounds.append(index)
                }
            }
            return try Machine.indices(count, bounds[0], bounds[1], bounds[2] ?? 1)
        }
        switch value {
        case .undefined(let missing): throw missing.failure
        case .list(let list): return try heap.list(try indices(list.items.count).map { list.items[$0] })
        case .tuple(let list): return try heap.tuple(try indices(list.items.count).map { list.items[$0] })
        case .range(let span):
            // a range of the same numbers
            var bounds: [Int?] = []
            let places = try indices(span.count, &bounds), by = bounds[2] ?? 1
            let ends = Machine.ends(span.count, bounds[0], bounds[1], by)
            let (step, isTooFar) = span.step.multipliedReportingOverflow(by: by)
            guard !isTooFar else { throw Failure.unsupported("an integer beyond 64 bits") }
            guard case .int(let start) = span.value(ends.start), case .int(let stop) = span.value(ends.stop) else { return .none }
            return .range(Span(start: start, stop: stop, step: step, count: places.count))
        case .text(let text):
            try heap.work(text.units.count)
            let characters = text.characters
            var out: [Unit] = []
            for index in try indices(characters.count) { out += text.units[characters[index]] }
            return try heap.value(out, markup: text.isMarkup)
        case .dict: throw Failure.because("unhashable type: 'slice'")
        default: throw Failure.because("'\(value.typeName)' object is not subscriptable")
        }
    }

    /// Where Python's slice.indices begins and ends.
    private static func ends(_ count: Int, _ start: Int?, _ stop: Int?, _ step: Int) -> (start: Int, stop: Int) {
        let lowest = step > 0 ? 0 : -1, highest = step > 0 ? count : count - 1
        func bound(_ value: Int?, _ usual: Int) -> Int {
            guard let value else { return usual }
            return value < 0 ? max(value + count, lowest) : min(value, highest)
        }
        return (bound(start, step > 0 ? lowest : highest), bound(stop, step > 0 ? highest : lowest))
    }

    /// Python's slice.indices, in a list.
    static func indices(_ count: Int, _ start: Int?, _ stop: Int?, _ step: Int) throws(Llama2Error) -> [Int] {
        guard step != 0 else { throw Failure.because("slice step cannot be zero") }
        let (start, end) = ends(count, start, stop, step)
        var at = start, out: [Int] = []
        while step > 0 ? at < end : at > end {
            out.append(at)
            let (next, overflow) = at.addingReportingOverflow(step)
            guard !overflow else { break }
            at = next
        }
        return out
    }
}
