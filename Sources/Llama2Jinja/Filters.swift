internal import Llama2Core

/// jinja2's filters, and tojson as `transformers` has it.
enum Filters {
    static let names: [StaticString] = [
        "abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape", "filesizeformat", "first", "float",
        "forceescape", "format", "groupby", "indent", "int", "join", "last", "length", "list", "lower", "items", "map", "min", "max", "pprint",
        "random", "reject", "rejectattr", "replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string", "striptags",
        "sum", "title", "trim", "truncate", "unique", "upper", "urlencode", "urlize", "wordcount", "wordwrap", "xmlattr", "tojson",
    ]

    static func exists(_ name: [Unit]) -> Bool {
        let name = Text(name)
        return names.contains { name.equals($0) }
    }
}

extension Machine {
    func filter(_ name: Text, _ value: Value, _ arguments: Arguments) throws(Llama2Error) -> Value {
        try heap.work(256)
        guard filterDepth < 8 else { throw Failure.because("filters in filters deeper than 8") }
        filterDepth += 1
        defer { filterDepth -= 1 }
        if let result = try textFilter(name, value, arguments) { return result }
        if let result = try listFilter(name, value, arguments) { return result }
        if let result = try valueFilter(name, value, arguments) { return result }
        if Filters.exists(name.units) { throw Failure.unsupported("the filter '\(name.shown)'") }
        throw Failure.because("No filter named '\(name.shown)' found.")
    }

    // MARK: Of texts

    private func textFilter(_ name: Text, _ value: Value, _ arguments: Arguments) throws(Llama2Error) -> Value? {
        for simple: StaticString in ["upper", "lower", "capitalize"] where name.equals(simple) {
            _ = try arguments.bind(name, [])
            return try callMethod(Method(.text(try text(value)), name), Arguments())
        }
        if name.equals("string") {
            _ = try arguments.bind(name, [])
            return .text(try text(value))
        }
        if name.equals("trim") {
            let characters = try arguments.bind(name, ["chars"])[0] ?? .none
            let text = try text(value)
            return try heap.value(try strip(text.units, characters, left: true, right: true), markup: text.isMarkup)
        }
        if name.equals("replace") {
            let values = try arguments.bind(name, ["old", "new", "count"], required: 2)
            var count = -1
            if let limit = values[2] { if case .none = limit {} else { count = try integer(limit, "count") ?? -1 } }
            return try heap.value(try replaced(try string(value), try string(values[0] ?? .none), try string(values[1] ?? .none), count))
        }
        if name.equals("title") {
            _ = try arguments.bind(name, [])
            return try titled(try text(value))
        }
        if name.equals("center") {
            let width = try integer(try arguments.bind(name, ["width"])[0], "width") ?? 80
            let text = try text(value)
            return try heap.value(try pad(text.units, width, [0x20], .center), markup: text.isMarkup)
        }
        if name.equals("safe") {
            _ = try arguments.bind(name, [])
            return try heap.value(try string(value), markup: true)
        }
        if name.equals("escape") || name.equals("e") || name.equals("forceescape") {
            _ = try arguments.bind(name, [])
            if case .text(let text) = value, text.isMarkup, !name.equals("forceescape") { return value }
            return try heap.value(escaped(try string(value)), markup: true)
        }
        if name.equals("format") {
            guard arguments.positional.isEmpty || arguments.named.isEmpty else {
                throw Failure.because("can't handle positional and keyword arguments at the same time")
            }
            let format = try text(value)
            var pairs: [(Value, Value)] = []
            for (name, value) in arguments.named { pairs.append((.text(name), value)) }
            let values = pairs.isEmpty ? try heap.tuple(arguments.positional) : try heap.dict(pairs)
            return try heap.value(try percent(format, values), markup: format.isMarkup)
        }
        if name.equals("indent") { return try indented(value, try arguments.bind(name, ["width", "first", "blank"])) }
        if name.equals("truncate") { return try truncated(value, try arguments.bind(name, ["length", "killwords", "end", "leeway"])) }
        if name.equals("wordcount") {
            _ = try arguments.bind(name, [])
            return .int(try words(try string(value)))
        }
        if name.equals("urlencode") {
            _ = try arguments.bind(name, [])
            return try urlEncoded(value)
        }
        if name.equals("striptags") {
            _ = try arguments.bind(name, [])
            return try withoutTags(try string(value))
        }
        return nil
    }

    /// jinja2's own: words begin after white space, hyphens and opening brackets.
    private func titled(_ text: Text) throws(Llama2Error) -> Value {
        let units = text.units
        var out: [Unit] = [], begins = true, at = 0, rest = 0  // rest: where what is put in lower case begins, each word's for itself
        try heap.work(units.count)
        while at < units.count {
            let (scalar, length) = Characters.scalar(units[at..<min(at + 4, units.count)], 0)
            let divides = Characters.isSpace(scalar) || [0x2d, 0x28, 0x7b, 0x5b, 0x3c].contains(units[at].byte)
            if divides || begins {
                out += Characters.all(Array(units[rest..<at]), .lower)
                out += Characters.all(Array(units[at..<min(at + length, units.count)]), divides ? .lower : .upper)
                rest = at + length
            }
            begins = divides
            at += length
        }
        return try heap.value(out + Characters.all(Array(units[min(rest, units.count)...]), .lower), markup: text.isMarkup)
    }

    private func indented(_ value: Value, _ values: [Value?]) throws(Llama2Error) -> Value {
        guard case .text(let text) = value else {
            if case .undefined(let missing) = value { throw missing.failure }
            throw Failure.because("indent of a value of type '\(value.typeName)'")
        }
        let indention: [Unit]
        if case .text(let width)? = values[0] {
            indention = width.units
        } else {
            let width = try integer(values[0], "width") ?? 4
            indention = try pad([], max(width, 0), [0x20], .left)
        }
        let first = try values[1].map { value throws(Llama2Error) in try truth(value) } ?? false
        let blank = try values[2].map { value throws(Llama2Error) in try truth(value) } ?? false
        let units = text.units + [0x0a]
        var out: [Unit] = first ? indention : []
        for (i, range) in try lines(units, keepEnds: false).enumerated() {
            if i > 0 {
                out.append(0x0a)
                if blank || !range.isEmpty { out += indention }
            }
            out += units[range]
            try heap.work(indention.count + range.count)
            try heap.checkRoom(out.count)
        }
        return try heap.value(out, markup: text.isMarkup)
    }

    private func truncated(_ value: Value, _ values: [Value?]) throws(Llama2Error) -> Value {
        let length = try integer(values[0], "length") ?? 255
        let kills = try values[1].map { value throws(Llama2Error) in try truth(value) } ?? false
        let end = try values[2].map { value throws(Llama2Error) in try string(value) } ?? units("...")
        var leeway = 5
        if let given = values[3] { if case .none = given {} else { leeway = try integer(given, "leeway") ?? 5 } }
        let text: Text?, count: Int
        if case .text(let given) = value {
            (text, count) = (given, given.count)
        } else {
            guard let length = try self.length(value) else { throw Failure.because("object of type '\(value.typeName)' has no len()") }
            (text, count) = (nil, length)
        }
        let endCount = Text(end).count
        guard length >= endCount else { throw Failure.because("expected length >= \(endCount), got \(length)") }
        guard leeway >= 0 else { throw Failure.because("expected leeway >= 0, got \(leeway)") }
        if count <= length || count - length <= leeway { return value }
        guard let text else { throw Failure.unsupported("truncate of a value of type '\(value.typeName)'") }
        var kept = Array(text.units[..<text.offset(length - endCount)])
        if !kills, let space = kept.lastIndex(where: { $0.byte == 0x20 }) { kept = Array(kept[..<space]) }
        return try heap.value(kept + end, markup: text.isMarkup)
    }

    private func words(_ units: [Unit]) throws(Llama2Error) -> Int {
        try heap.work(units.count * 8)
        var count = 0, inside = false, at = 0
        while at < units.count {
            let (scalar, length) = Characters.scalar(units[at..<min(at + 4, units.count)], 0)
            let isWord = scalar.map { $0 == "_" || Machine.isAlphanumeric($0) } ?? false
            if isWord, !inside { count += 1 }
            inside = isWord
            at += length
        }
        return count
    }

    private func quotedURL(_ units: [Unit], query: Bool) -> [Unit] {
        var out: [Unit] = []
        for unit in units {
            let byte = unit.byte
            let isSafe =
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || [0x2d, 0x2e, 0x5f, 0x7e].contains(byte)
            if isSafe || byte == 0x2f && !query {
                out.append(unit)
            } else if byte == 0x20 && query {
                out.append(unit.with(0x2b))
            } else {
                out.append(unit.with(0x25))
                for nibble in [byte >> 4, byte & 15] { out.append(unit.with(nibble < 10 ? 0x30 + nibble : 0x37 + nibble)) }
            }
        }
        return out
    }

    private func urlEncoded(_ value: Value) throws(Llama2Error) -> Value {
        let pairs: [(Value, Value)]
        switch value {
        case .dict(let dict): pairs = Array(zip(dict.keys, dict.values))
        case .list, .tuple, .view, .iterator:
            var found: [(Value, Value)] = []
            for element in try elements(value) {
                let parts = try elements(element)
                guard parts.count == 2 else { throw Failure.because("urlencode of other than pairs") }
                found.append((parts[0], parts[1]))
            }
            pairs = found
        default:
            let text = try string(value)
            try heap.work(text.count * 8)
            return try heap.value(quotedURL(text, query: false))
        }
        var out: [Unit] = []
        for (i, pair) in pairs.enumerated() {
            if i > 0 { out.append(0x26) }
            let key = try string(pair.0), text = try string(pair.1)
            try heap.work((key.count + text.count) * 8)
            out += quotedURL(key, query: true) + [0x3d] + quotedURL(text, query: true)
        }
        return try heap.value(out)
    }

    private func withoutTags(_ units: [Unit]) throws(Llama2Error) -> Value {
        throw Failure.unsupported("the filter 'striptags'")
    }
}
