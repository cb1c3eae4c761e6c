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
        guard case .text(let text) = value else { throw Failure.because("truncate of a value of type '\(value.typeName)'") }
        let length = try integer(values[0], "length") ?? 255
        let kills = try values[1].map { value throws(Llama2Error) in try truth(value) } ?? false
        let end = try values[2].map { value throws(Llama2Error) in try string(value) } ?? units("...")
        var leeway = 5
        if let given = values[3] { if case .none = given {} else { leeway = try integer(given, "leeway") ?? 5 } }
        let endCount = Text(end).count, count = text.count
        guard length >= endCount else { throw Failure.because("expected length >= \(endCount), got \(length)") }
        guard leeway >= 0 else { throw Failure.because("expected leeway >= 0, got \(leeway)") }
        if count <= length || count - length <= leeway { return value }
        var kept = Array(text.units[..<text.offset(length - endCount)])
        if !kills, let space = kept.lastIndex(where: { $0.byte == 0x20 }) { kept = Array(kept[..<space]) }
        return try heap.value(kept + end, markup: text.isMarkup)
    }

    private func words(_ units: [Unit]) throws(Llama2Error) -> Int {
        try heap.work(units.count * 8)
        var count = 0, inside = false, at = 0
        while at < units.count {
            let (scalar, length) = Characters.scalar(units[at..<min(at + 4, units.count)], 0)
            let properties = scalar?.properties
            let isWord = scalar == "_" || properties?.isAlphabetic ?? false || properties?.numericType != nil
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

    // MARK: Of any value

    private func valueFilter(_ name: Text, _ value: Value, _ arguments: Arguments) throws(Llama2Error) -> Value? {
        if name.equals("default") || name.equals("d") {
            let values = try arguments.bind(name, ["default_value", "boolean"])
            let usual: Value
            if let given = values[0] { usual = given } else { usual = try heap.value("") }
            if case .undefined = value { return usual }
            if let boolean = values[1], try truth(boolean), try !truth(value) { return usual }
            return value
        }
        if name.equals("length") || name.equals("count") {
            _ = try arguments.bind(name, [])
            guard let length = try length(value) else { throw Failure.because("object of type '\(value.typeName)' has no len()") }
            return .int(length)
        }
        if name.equals("tojson") {
            let values = try arguments.bind(name, ["ensure_ascii", "indent", "separators", "sort_keys"])
            return try heap.value(try json(value, values))
        }
        if name.equals("int") { return try integerFilter(value, try arguments.bind(name, ["default", "base"])) }
        if name.equals("float") {
            let usual = try arguments.bind(name, ["default"])[0] ?? .float(0)
            if case .undefined(let missing) = value { throw missing.failure }
            if let number = value.number { return .float(number.double) }
            guard case .text(let text) = value, let float = Numbers.float(try plainDigits(text.units)) else { return usual }
            return .float(float)
        }
        if name.equals("abs") {
            _ = try arguments.bind(name, [])
            switch value.number {
            case .int(let number)?: return number < 0 ? try negated(.int(number)) : .int(number)
            case .float(let number)?: return .float(number.magnitude)
            case nil: throw operandFailure("abs()", value)
            }
        }
        if name.equals("round") { return try rounded(value, try arguments.bind(name, ["precision", "method"])) }
        if name.equals("attr") {
            guard case .text(let wanted)? = try arguments.bind(name, ["name"], required: 1)[0] else { throw Failure.because("attribute name must be string") }
            if case .dict = value {
                guard case .method = try attribute(value, wanted) else { return Missing.of(value, wanted) }
            }
            return try attribute(value, wanted)
        }
        if name.equals("filesizeformat") { return try fileSize(value, try arguments.bind(name, ["binary"])[0]) }
        return nil
    }

    /// White space at the ends and "_" between digits dropped.
    private func plainDigits(_ units: [Unit]) throws(Llama2Error) -> [Unit] {
        try heap.work(units.count)
        let stripped = Characters.stripped(units)
        for (i, unit) in stripped.enumerated() where unit.byte == 0x5f {
            guard i > 0, i + 1 < stripped.count, Scanner.hexValue(stripped[i - 1].byte) != nil, Scanner.hexValue(stripped[i + 1].byte) != nil else { return [] }
        }
        return stripped.filter { $0.byte != 0x5f }
    }

    private func integerFilter(_ value: Value, _ values: [Value?]) throws(Llama2Error) -> Value {
        let usual = values[0] ?? .int(0)
        if case .undefined(let missing) = value { throw missing.failure }
        func truncated(_ float: Double) throws(Llama2Error) -> Value {
            guard float.isFinite else { return usual }
            guard let whole = Int(exactly: float.rounded(.towardZero)) else { throw Failure.unsupported("an integer beyond 64 bits") }
            return .int(whole)
        }
        switch value.number {
        case .int(let number)?: return .int(number)
        case .float(let number)?:
            if number.isInfinite { throw Failure.because("cannot convert float infinity to integer") }
            return try truncated(number)
        case nil: break
        }
        guard case .text(let text) = value else { return usual }
        let base = try integer(values[1], "base") ?? 10
        guard base == 0 || (2...36).contains(base) else { return usual }
        let digits = try plainDigits(text.units)
        if let number = Numbers.integer(digits, base: base) { return .int(number) }
        if !digits.isEmpty, digits.drop(while: { $0.byte == 0x2d || $0.byte == 0x2b }).allSatisfy({ (0x30...0x39).contains($0.byte) }), base == 10,
            digits.count > 18
        {
            throw Failure.unsupported("an integer beyond 64 bits")
        }
        guard let float = Numbers.float(digits) else { return usual }
        return try truncated(float)
    }

    private func rounded(_ value: Value, _ values: [Value?]) throws(Llama2Error) -> Value {
        guard let number = value.number else { throw operandFailure("round()", value) }
        let precision = try integer(values[0], "precision") ?? 0
        guard precision.magnitude <= 300 else { throw Failure.unsupported("rounding to \(precision) places") }
        try heap.work(1 << 12)
        let method = try values[1].map { value throws(Llama2Error) in try text(value) } ?? Text(units("common"))
        if method.equals("common") {
            if case .int(let whole) = number {
                guard precision < 0 else { return .int(whole) }
                guard precision > -19 else { return .int(0) }
                var power = 1
                for _ in 0..<(-precision) { power *= 10 }  // at most 10 ** 18
                let rest = whole % power, down = whole - rest, half = rest.magnitude * 2
                let isUp = half > power.magnitude || half == power.magnitude && (down / power) % 2 != 0
                let (up, overflow) = down.addingReportingOverflow(whole < 0 ? -power : power)
                guard !isUp || !overflow else { throw Failure.unsupported("an integer beyond 64 bits") }
                return .int(isUp ? up : down)
            }
            let float = number.double
            guard float.isFinite, float != 0 else { return .float(float) }
            if precision < 0 {
                var power = 1.0
                for _ in 0..<(-precision) { power *= 10 }
                return .float((float / power).rounded(.toNearestOrEven) * power)
            }
            let text = Numbers.fixed(float.magnitude, decimals: precision).map { Unit($0) }
            let magnitude = Numbers.float(text) ?? float.magnitude
            return .float(float < 0 ? -magnitude : magnitude)
        }
        guard method.equals("ceil") || method.equals("floor") else { throw Failure.because("method must be common, ceil or floor") }
        var power = 1.0
        for _ in 0..<precision.magnitude { power *= 10 }
        let scaled = precision < 0 ? number.double / power : number.double * power
        let whole = scaled.rounded(method.equals("ceil") ? .up : .down) + 0  // an integer in Python, which has no negative zero
        return .float(precision < 0 ? whole * power : whole / power)
    }

    private func fileSize(_ value: Value, _ binary: Value?) throws(Llama2Error) -> Value {
        guard let number = value.number else { throw Failure.unsupported("filesizeformat of other than a number") }
        let isBinary = try binary.map { value throws(Llama2Error) in try truth(value) } ?? false
        let bytes = number.double, base = isBinary ? 1024.0 : 1000.0
        guard bytes.isFinite else { throw Failure.because("filesizeformat of a number that is not finite") }
        if bytes == 1 { return try heap.value("1 Byte") }
        if bytes < base {
            guard let whole = Int(exactly: bytes.rounded(.towardZero)) else { throw Failure.unsupported("an integer beyond 64 bits") }
            return try heap.value(units("\(whole) Bytes"))
        }
        let prefixes = isBinary ? ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"] : ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
        var unit = base * base
        for (i, prefix) in prefixes.enumerated() {
            if bytes < unit || i == prefixes.count - 1 {
                return try heap.value(Numbers.fixed(base * bytes / unit, decimals: 1).map { Unit($0) } + units(" " + prefix))
            }
            unit *= base
        }
        return .none
    }
}
