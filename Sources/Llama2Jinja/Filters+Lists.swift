internal import Llama2Core

// Filters that go through their value.
extension Machine {
    func listFilter(_ name: Text, _ value: Value, _ arguments: Arguments) throws(Llama2Error) -> Value? {
        if name.equals("join") {
            let values = try arguments.bind(name, ["d", "attribute"])
            let separator = try values[0].map { value throws(Llama2Error) in try string(value) } ?? []
            var items = try elements(value)
            if let attribute = values[1] { if case .none = attribute {} else { items = try picked(items, attribute) } }
            var out: [Unit] = []
            for (i, item) in items.enumerated() {
                if i > 0 { out += separator }
                out += try string(item)
                try heap.work(out.count < 64 ? 64 : separator.count)
                try heap.checkRoom(out.count)
            }
            return try heap.value(out)
        }
        if name.equals("list") {
            _ = try arguments.bind(name, [])
            return try heap.list(try elements(value))
        }
        if name.equals("items") {
            _ = try arguments.bind(name, [])
            switch value {
            case .undefined: return try heap.iterator([])
            case .dict(let dict): return try heap.iterator(try elements(.view(View(dict, .items))))
            default: throw Failure.because("Can only get item pairs from a mapping.")
            }
        }
        if name.equals("first") {
            _ = try arguments.bind(name, [])
            if case .iterator(let iteration) = value { return iteration.next() ?? .undefined(Missing("No first item, sequence was empty.")) }
            if case .text(let text) = value {
                return text.isEmpty ? .undefined(Missing("No first item, sequence was empty.")) : try item(value, .int(0))
            }
            return try elements(value).first ?? .undefined(Missing("No first item, sequence was empty."))
        }
        if name.equals("last") {
            _ = try arguments.bind(name, [])
            if case .iterator = value { throw Failure.because("'generator' object is not reversible") }
            if case .text(let text) = value {
                return text.isEmpty ? .undefined(Missing("No last item, sequence was empty.")) : try item(value, .int(-1))
            }
            return try elements(value).last ?? .undefined(Missing("No last item, sequence was empty."))
        }
        if name.equals("reverse") {
            _ = try arguments.bind(name, [])
            if case .text(let text) = value {
                var out: [Unit] = []
                for range in text.characters.reversed() { out += text.units[range] }
                return try heap.value(out, markup: text.isMarkup)
            }
            return try heap.iterator(try elements(value).reversed())
        }
        if name.equals("map") { return try mapped(value, arguments) }
        for (selecting, isReject, byAttribute): (StaticString, Bool, Bool) in [
            ("select", false, false), ("reject", true, false), ("selectattr", false, true), ("rejectattr", true, true),
        ] where name.equals(selecting) {
            return try selected(value, arguments, isReject: isReject, byAttribute: byAttribute)
        }
        if name.equals("sort") {
            let values = try arguments.bind(name, ["reverse", "case_sensitive", "attribute"])
            return try heap.list(try sorted(try elements(value), reverse: values[0], caseSensitive: values[1], attribute: values[2]))
        }
        if name.equals("unique") {
            let values = try arguments.bind(name, ["case_sensitive", "attribute"])
            return try unique(value, values)
        }
        if name.equals("min") || name.equals("max") {
            let values = try arguments.bind(name, ["case_sensitive", "attribute"])
            let items = try elements(value)
            let keys = try keys(items, values[1], folds: try !isTrue(values[0]))
            guard !items.isEmpty else { return .undefined(Missing("No aggregated item, sequence was empty.")) }
            var best = 0
            for i in keys.indices.dropFirst() where try name.equals("min") ? isLess(keys[i], keys[best]) : isLess(keys[best], keys[i], ">", swapped: true) {
                best = i
            }
            return items[best]
        }
        if name.equals("sum") {
            let values = try arguments.bind(name, ["attribute", "start"])
            var items = try elements(value)
            if let attribute = values[0] { if case .none = attribute {} else { items = try picked(items, attribute) } }
            var sum = values[1] ?? .int(0)
            if case .text = sum { throw Failure.because("sum() can't sum strings [use ''.join(seq) instead]") }
            for item in items { sum = try binary(.add, sum, item) }
            return sum
        }
        if name.equals("dictsort") { return try dictSorted(value, try arguments.bind(name, ["case_sensitive", "by", "reverse"])) }
        if name.equals("groupby") { return try grouped(value, try arguments.bind(name, ["attribute", "default", "case_sensitive"], required: 1)) }
        if name.equals("batch") { return try batched(value, try arguments.bind(name, ["linecount", "fill_with"], required: 1)) }
        if name.equals("slice") { return try sliced(value, try arguments.bind(name, ["slices", "fill_with"], required: 1)) }
        return nil
    }

    func isTrue(_ value: Value?) throws(Llama2Error) -> Bool {
        guard let value else { return false }
        return try truth(value)
    }

    // MARK: Attributes by a path

    /// The parts of "a.b.0", or a number, or none.
    private func path(_ attribute: Value) throws(Llama2Error) -> [Value] {
        switch attribute {
        case .none: return []
        case .int: return [attribute]
        case .text(let text):
            var parts: [Value] = [], start = 0
            for end in text.units.indices.filter({ text.units[$0].byte == 0x2e }) + [text.units.count] {
                let part = Array(text.units[start..<end])
                let isNumber = !part.isEmpty && part.allSatisfy { (0x30...0x39).contains($0.byte) }
                if isNumber, let number = Numbers.integer(part, base: 10) { parts.append(.int(number)) } else { parts.append(try heap.value(part)) }
                start = end + 1
            }
            return parts
        default: return [attribute]
        }
    }

    func picked(_ items: [Value], _ attribute: Value, usual: Value? = nil) throws(Llama2Error) -> [Value] {
        let parts = try path(attribute)
        var out: [Value] = []
        for item in items {
            var value = item
            for part in parts {
                try heap.step()
                value = try self.item(value, part)
                if case .undefined = value, let usual { if case .none = usual {} else { value = usual } }
            }
            out.append(value)
        }
        return out
    }

    func folded(_ value: Value) throws(Llama2Error) -> Value {
        guard case .text(let text) = value else { return value }
        try heap.work(text.units.count)
        return try heap.value(Characters.all(text.units, .lower))
    }

    func keys(_ items: [Value], _ attribute: Value?, folds: Bool, usual: Value? = nil) throws(Llama2Error) -> [Value] {
        var keys = try attribute.map { attribute throws(Llama2Error) in try picked(items, attribute, usual: usual) } ?? items
        if folds { for i in keys.indices { keys[i] = try folded(keys[i]) } }
        return keys
    }

    // MARK: Mapping and selecting

    private func mapped(_ value: Value, _ arguments: Arguments) throws(Llama2Error) -> Value {
        guard try truth(value) else { return try heap.iterator([]) }
        if arguments.positional.isEmpty, let attribute = arguments.named.first(where: { $0.name.equals("attribute") }) {
            var usual: Value?
            for (name, value) in arguments.named where !name.equals("attribute") {
                guard name.equals("default") else { throw Failure.because("Unexpected keyword argument '\(name.shown)'") }
                usual = value
            }
            return try heap.iterator(try picked(try elements(value), attribute.value, usual: usual))
        }
        guard let first = arguments.positional.first else { throw Failure.because("map requires a filter argument") }
        guard case .text(let name) = first else { throw Failure.because("No filter named '\(first.typeName)'.") }
        var rest = arguments
        rest.positional.removeFirst()
        var out: [Value] = []
        for item in try elements(value) { out.append(try filter(name, item, rest)) }
        return try heap.iterator(out)
    }

    private func selected(_ value: Value, _ arguments: Arguments, isReject: Bool, byAttribute: Bool) throws(Llama2Error) -> Value {
        guard try truth(value) else { return try heap.iterator([]) }
        let items = try elements(value)
        var rest = arguments, subjects = items
        if byAttribute {
            guard !rest.positional.isEmpty else { throw Failure.because("Missing parameter for attribute name") }
            subjects = try picked(items, rest.positional.removeFirst())
        }
        var name: Text?
        if !rest.positional.isEmpty {
            let first = rest.positional.removeFirst()
            guard case .text(let text) = first else { throw Failure.because("No test named '\(first.typeName)'.") }
            name = text
        }
        var out: [Value] = []
        for (item, subject) in zip(items, subjects) {
            let holds: Bool
            if let name { holds = try test(name, subject, rest) } else { holds = try truth(subject) }
            if holds != isReject { out.append(item) }
        }
        return try heap.iterator(out)
    }

    // MARK: Columns

    private func batched(_ value: Value, _ values: [Value?]) throws(Llama2Error) -> Value {
        guard let size = try integer(values[0], "linecount") else { return .none }
        let items = try elements(value)
        var out: [Value] = [], row: [Value] = []
        for item in items {
            if row.count == size {
                out.append(try heap.list(row))
                row = []
            }
            row.append(item)
        }
        if !row.isEmpty {
            if let fill = values[1], row.count < size {
                if case .none = fill {
                } else {
                    guard size <= 100_000 else { throw Failure.because("rows of \(size) elements; the limit is 100000") }
                    row += Array(repeating: fill, count: size - row.count)
                }
            }
            out.append(try heap.list(row))
        }
        return try heap.iterator(out)
    }

    private func sliced(_ value: Value, _ values: [Value?]) throws(Llama2Error) -> Value {
        guard let count = try integer(values[0], "slices") else { return .none }
        guard count != 0 else { throw Failure.because("integer division or modulo by zero") }
        guard count <= 100_000 else { throw Failure.because("\(count) slices; the limit is 100000") }
        let items = try elements(value)
        guard count > 0 else { return try heap.iterator([]) }
        let each = items.count / count, extra = items.count % count
        var out: [Value] = [], start = 0
        for i in 0..<count {
            let end = start + each + (i < extra ? 1 : 0)
            var row = Array(items[start..<end])
            if let fill = values[1], i >= extra { if case .none = fill {} else { row.append(fill) } }
            out.append(try heap.list(row))
            start = end
        }
        return try heap.iterator(out)
    }
}
