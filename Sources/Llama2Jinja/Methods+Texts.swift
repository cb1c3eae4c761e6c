internal import Llama2Core

// Methods of Python's texts.
extension Machine {
    func callStringMethod(_ text: Text, _ name: Text, _ arguments: Arguments) throws(Llama2Error) -> Value {
        try heap.work(text.units.count)
        if let method = Machine.simpleMethods.first(where: { name.equals($0.name) }) {
            _ = try arguments.bind(name, [])
            return try heap.value(method.apply(text.units), markup: text.isMarkup)
        }
        if let property = Machine.properties.first(where: { name.equals($0.name) }) {
            _ = try arguments.bind(name, [])
            return .bool(property.holds(text.units))
        }
        if name.equals("format") { return try heap.value(try braces(text, arguments), markup: text.isMarkup) }
        if name.equals("format_map") {
            guard case .dict(let dict)? = try arguments.bind(name, ["mapping"], required: 1)[0] else { throw Failure.unsupported("format_map of no dict") }
            var named = Arguments()
            for (key, value) in zip(dict.keys, dict.values) { if case .text(let key) = key { named.named.append((key, value)) } }
            return try heap.value(try braces(text, named), markup: text.isMarkup)
        }
        if name.equals("split") || name.equals("rsplit") {
            let values = try arguments.bind(name, ["sep", "maxsplit"])
            return try heap.list(try split(text, values[0] ?? .none, try integer(values[1], "maxsplit") ?? -1, fromRight: name.equals("rsplit")))
        }
        if name.equals("splitlines") {
            let keep = try arguments.bind(name, ["keepends"])[0]
            var out: [Value] = []
            for range in try lines(text.units, keepEnds: try keep.map { value throws(Llama2Error) in try truth(value) } ?? false) {
                out.append(try heap.value(Array(text.units[range]), markup: text.isMarkup))
            }
            return try heap.list(out)
        }
        let size = name.equals("expandtabs") ? try arguments.bind(name, ["tabsize"])[0] : nil
        if size == nil { try arguments.refuseNamed(name) }
        if name.equals("strip") || name.equals("lstrip") || name.equals("rstrip") {
            let characters = try arguments.bind(name, ["chars"])[0] ?? .none
            return try heap.value(try strip(text.units, characters, left: !name.equals("rstrip"), right: !name.equals("lstrip")), markup: text.isMarkup)
        }
        if name.equals("startswith") || name.equals("endswith") { return .bool(try hasEnd(text, name, arguments)) }
        if name.equals("replace") {
            let values = try arguments.bind(name, ["old", "new", "count"], required: 2)
            let old = try argument(values[0], text, name), new = try argument(values[1], text, name, escapes: true)
            return try heap.value(try replaced(text.units, old, new, try integer(values[2], "count") ?? -1), markup: text.isMarkup)
        }
        if name.equals("join") {
            let values = try arguments.bind(name, ["iterable"], required: 1)
            var out: [Unit] = []
            for (i, item) in try elements(values[0] ?? .none).enumerated() {
                guard case .text(let part) = item else {
                    if case .undefined(let missing) = item { throw missing.failure }
                    throw Failure.because("sequence item \(i): expected str instance, \(item.typeName) found")
                }
                if i > 0 { out += text.units }
                out += text.isMarkup && !part.isMarkup ? escaped(part.units) : part.units
                try heap.work(part.units.count + text.units.count)
                try heap.checkRoom(out.count)
            }
            return try heap.value(out, markup: text.isMarkup)
        }
        if name.equals("count") || name.equals("find") || name.equals("rfind") || name.equals("index") || name.equals("rindex") {
            return try search(text, name, arguments)
        }
        if name.equals("partition") || name.equals("rpartition") { return try partition(text, name, arguments) }
        if name.equals("removeprefix") || name.equals("removesuffix") {
            let part = try argument(try arguments.bind(name, ["part"], required: 1)[0], text, name)
            let isPrefix = name.equals("removeprefix")
            let has = isPrefix ? Text.equal(text.units.prefix(part.count), part[...]) : Text.equal(text.units.suffix(part.count), part[...])
            guard has else { return .text(text) }
            return try heap.value(Array(isPrefix ? text.units.dropFirst(part.count) : text.units.dropLast(part.count)), markup: text.isMarkup)
        }
        if name.equals("center") || name.equals("ljust") || name.equals("rjust") || name.equals("zfill") { return try padded(text, name, arguments) }
        if name.equals("expandtabs") { return try heap.value(try withoutTabs(text.units, try integer(size, "tabsize") ?? 8), markup: text.isMarkup) }
        throw Failure.unsupported("the method '\(name.shown)' of a text")
    }

    func integer(_ value: Value?, _ name: StaticString) throws(Llama2Error) -> Int? {
        guard let value else { return nil }
        if case .undefined(let missing) = value { throw missing.failure }
        guard let number = value.integer else { throw Failure.because("'\(value.typeName)' object cannot be interpreted as an integer (\(name))") }
        return number
    }

    /// A text that a method takes; Markup escapes it.
    func argument(_ value: Value?, _ receiver: Text, _ name: Text, escapes: Bool = false) throws(Llama2Error) -> [Unit] {
        guard case .text(let text)? = value else {
            if case .undefined(let missing)? = value { throw missing.failure }
            throw Failure.because("\(name.shown)() argument must be str, not \((value ?? .none).typeName)")
        }
        return escapes && receiver.isMarkup && !text.isMarkup ? escaped(text.units) : text.units
    }

    func strip(_ units: [Unit], _ characters: Value, left: Bool, right: Bool) throws(Llama2Error) -> [Unit] {
        try heap.work(units.count)
        if case .none = characters { return Array(Characters.stripped(units[...], left: left, right: right) { scalar, _ in Characters.isSpace(scalar) }) }
        guard case .text(let set) = characters else {
            if case .undefined(let missing) = characters { throw missing.failure }
            throw Failure.because("strip arg must be None or str")
        }
        let dropped = Set(set.characters.map { set.units[$0].map(\.byte) })
        return Array(Characters.stripped(units[...], left: left, right: right) { _, character in dropped.contains(character.map(\.byte)) })
    }

    private func hasEnd(_ text: Text, _ name: Text, _ arguments: Arguments) throws(Llama2Error) -> Bool {
        let values = try arguments.bind(name, ["prefix", "start", "end"], required: 1)
        if case .tuple? = values[0] {} else { _ = try argument(values[0], text, name) }  // a place beyond the text excuses no other type
        var units = text.units[...]
        if values[1] != nil || values[2] != nil {
            let characters = text.characters, range = try bounds(values[1], values[2], characters.count)
            guard !range.isEmpty else { return false }
            units = text.units[characters[range.lowerBound].lowerBound..<characters[range.upperBound - 1].upperBound]
        }
        let wanted: [Value]
        if case .tuple(let list)? = values[0] { wanted = list.items } else { wanted = [values[0] ?? .none] }
        for value in wanted {
            let part = try argument(value, text, name)
            try heap.work(part.count)
            if Text.equal(name.equals("startswith") ? units.prefix(part.count) : units.suffix(part.count), part[...]) { return true }
        }
        return false
    }

    func replaced(_ units: [Unit], _ old: [Unit], _ new: [Unit], _ count: Int) throws(Llama2Error) -> [Unit] {
        guard count != 0 else { return units }
        var out: [Unit] = [], at = 0, places: [Int]
        if old.isEmpty {
            places = units.indices.filter { units[$0].isStart } + [units.count]
            if count > 0 { places = Array(places.prefix(count)) }
        } else {
            places = try Finder(needle: old, heap: heap).all(in: units, limit: count > 0 ? count : nil)
        }
        let (added, overflow) = places.count.multipliedReportingOverflow(by: new.count)
        guard !overflow, added <= 1 << 28 else { throw Failure.because("a text of more than 256 MiB") }
        try heap.take(2 * (units.count + added))
        heap.give(2 * (units.count + added))
        out.reserveCapacity(units.count + added)
        for place in places {
            out += units[at..<place]
            out += new
            at = place + old.count
        }
        return out + units[at...]
    }

    private func split(_ text: Text, _ separator: Value, _ most: Int, fromRight: Bool) throws(Llama2Error) -> [Value] {
        let units = text.units
        var ranges: [Range<Int>] = []
        if case .none = separator {
            // by runs of white space, none at the ends
            var at = 0, words: [Range<Int>] = [], start: Int?
            while at < units.count {
                let (scalar, length) = Characters.scalar(units[at..<min(at + 4, units.count)], 0)
                if Characters.isSpace(scalar) {
                    if let begun = start { words.append(begun..<at) }
                    start = nil
                } else if start == nil {
                    start = at
                }
                at += length
            }
            if let begun = start { words.append(begun..<units.count) }
            guard most >= 0, most < words.count else { return try values(words, text) }
            if fromRight {
                let kept = words.count - most
                ranges = [0..<words[kept - 1].upperBound] + words[kept...]
            } else {
                ranges = words[..<most] + [words[most].lowerBound..<units.count]
                // the rest keeps the white space at its end, as Python's does
            }
            return try values(ranges, text)
        }
        let part = try argument(separator, text, Text(Llama2Jinja.units("split")))
        guard !part.isEmpty else { throw Failure.because("empty separator") }
        let finder = Finder(needle: part, heap: heap)
        if fromRight, most >= 0 {
            var end = units.count
            while ranges.count < most, let place = try finder.last(in: units, from: 0, to: end) {
                ranges.append(place + part.count..<end)
                end = place
            }
            ranges.append(0..<end)
            ranges.reverse()
        } else {
            var start = 0
            for place in try finder.all(in: units, limit: most >= 0 ? most : nil) {
                ranges.append(start..<place)
                start = place + part.count
            }
            ranges.append(start..<units.count)
        }
        return try values(ranges, text)
    }

    private func values(_ ranges: [Range<Int>], _ text: Text) throws(Llama2Error) -> [Value] {
        var out: [Value] = []
        for range in ranges { out.append(try heap.value(Array(text.units[range]), markup: text.isMarkup)) }
        return out
    }

    /// The ranges of Python's splitlines.
    func lines(_ units: [Unit], keepEnds: Bool) throws(Llama2Error) -> [Range<Int>] {
        try heap.work(units.count)
        var out: [Range<Int>] = [], start = 0, at = 0
        while at < units.count {
            let (scalar, length) = Characters.scalar(units[at..<min(at + 4, units.count)], 0)
            guard let scalar, Characters.isLineEnd(scalar) else {
                at += length
                continue
            }
            let end = scalar.value == 0x0d && at + 1 < units.count && units[at + 1].byte == 0x0a ? at + 2 : at + length
            out.append(start..<(keepEnds ? end : at))
            start = end
            at = end
        }
        if start < units.count { out.append(start..<units.count) }
        return out
    }

    private func search(_ text: Text, _ name: Text, _ arguments: Arguments) throws(Llama2Error) -> Value {
        let values = try arguments.bind(name, ["sub", "start", "end"], required: 1)
        let part = try argument(values[0], text, name)
        let characters = text.characters, range = try bounds(values[1], values[2], characters.count)
        let isBeyond = (values[1]?.integer ?? 0) > characters.count
        let start = range.lowerBound < characters.count ? characters[range.lowerBound].lowerBound : text.units.count
        let end = range.upperBound < characters.count ? characters[range.upperBound].lowerBound : text.units.count
        let finder = Finder(needle: part, heap: heap)
        if name.equals("count") {
            guard !isBeyond else { return .int(0) }
            return .int(part.isEmpty ? range.count + 1 : try finder.all(in: Array(text.units[start..<max(start, end)])).count)
        }
        let isLast = name.equals("rfind") || name.equals("rindex")
        let found = isBeyond ? nil : isLast ? try finder.last(in: text.units, from: start, to: end) : try finder.first(in: text.units, from: start, to: end)
        guard let found else {
            guard name.equals("find") || name.equals("rfind") else { throw Failure.because("substring not found") }
            return .int(-1)
        }
        return .int(text.units[..<found].reduce(0) { $1.isStart ? $0 + 1 : $0 })
    }

    private func partition(_ text: Text, _ name: Text, _ arguments: Arguments) throws(Llama2Error) -> Value {
        let part = try argument(try arguments.bind(name, ["sep"], required: 1)[0], text, name)
        guard !part.isEmpty else { throw Failure.because("empty separator") }
        let finder = Finder(needle: part, heap: heap), isRight = name.equals("rpartition")
        let place = isRight ? try finder.last(in: text.units, from: 0, to: text.units.count) : try finder.first(in: text.units, from: 0)
        guard let place else {
            let empty = try heap.value([], markup: text.isMarkup)
            return try heap.tuple(isRight ? [empty, empty, .text(text)] : [.text(text), empty, empty])
        }
        return try heap.tuple(try values([0..<place, place..<place + part.count, place + part.count..<text.units.count], text))
    }
}
