internal import Llama2Core

// `tojson` as `transformers` has it: Python's json.dumps.
extension Machine {
    private struct Style {
        var isASCII = false
        var indent: [Unit]?
        var comma: [Unit], colon: [Unit]
        var sorts = false
    }

    /// values: ensure_ascii, indent, separators, sort_keys.
    func json(_ value: Value, _ values: [Value?]) throws(Llama2Error) -> [Unit] {
        var style = Style(comma: frame(", "), colon: frame(": "))
        style.isASCII = try isTrue(values[0])
        style.sorts = try isTrue(values[3])
        switch values[1] {
        case nil, .some(.none): break
        case .text(let text)?: style.indent = text.units
        case let width?:
            guard let count = try integer(width, "indent") else { break }
            guard count <= 1000 else { throw Failure.because("an indent of \(count); the limit is 1000") }
            style.indent = Array(repeating: 0x20, count: max(count, 0))
        }
        if style.indent != nil { style.comma = frame(",") }
        if let separators = values[2] {
            if case .none = separators {
            } else {
                let parts = try elements(separators)
                guard parts.count == 2, case .text(let comma) = parts[0], case .text(let colon) = parts[1] else {
                    throw Failure.because("separators are two texts")
                }
                style.comma = comma.units
                style.colon = colon.units
            }
        }
        var out: [Unit] = []
        try json(value, style, 0, &out)
        return out
    }

    private func json(_ value: Value, _ style: Style, _ level: Int, _ out: inout [Unit]) throws(Llama2Error) {
        try heap.step()
        try heap.checkRoom(out.count)
        switch value {
        case .none: out += units("null")
        case .bool(let value): out += units(value ? "true" : "false")
        case .int(let value): out += units(String(value))
        case .float(let value): out += value.isNaN ? units("NaN") : value.isInfinite ? units(value < 0 ? "-Infinity" : "Infinity") : Numbers.text(value)
        case .text(let text):
            try heap.work(text.units.count * 8)
            jsonText(text.units, style.isASCII, &out)
        case .list(let list), .tuple(let list):
            guard !list.items.isEmpty else {
                out += frame("[]")
                return
            }
            out += frame("[")
            for (i, item) in list.items.enumerated() {
                if i > 0 { out += style.comma }
                try newLine(style, level + 1, &out)
                try json(item, style, level + 1, &out)
            }
            try newLine(style, level, &out)
            out += frame("]")
        case .dict(let dict):
            guard dict.count > 0 else {
                out += frame("{}")
                return
            }
            dict.use?.isRead = true
            let places = style.sorts ? try order(dict.keys, reverse: false) : Array(0..<dict.count)
            out += frame("{")
            for (i, place) in places.enumerated() {
                if i > 0 { out += style.comma }
                try newLine(style, level + 1, &out)
                try jsonKey(dict.keys[place], style, &out)
                out += style.colon
                try json(dict.values[place], style, level + 1, &out)
            }
            try newLine(style, level, &out)
            out += frame("}")
        default: throw Failure.because("Object of type \(value.typeName) is not JSON serializable")
        }
    }

    private func newLine(_ style: Style, _ level: Int, _ out: inout [Unit]) throws(Llama2Error) {
        guard let indent = style.indent else { return }
        try heap.work(indent.count * level)
        out += frame("\n")
        for _ in 0..<level { out += indent }
    }

    private func jsonKey(_ key: Value, _ style: Style, _ out: inout [Unit]) throws(Llama2Error) {
        switch key {
        case .text(let text): jsonText(text.units, style.isASCII, &out)
        case .none, .bool, .int, .float:
            out += frame("\"")
            try json(key, style, 0, &out)
            out += frame("\"")
        default: throw Failure.because("keys must be str, int, float, bool or None, not \(key.typeName)")
        }
    }

    private func jsonText(_ text: [Unit], _ isASCII: Bool, _ out: inout [Unit]) {
        out += frame("\"")
        var at = 0
        while at < text.count {
            let unit = text[at]
            func put(_ literal: String) { for byte in literal.utf8 { out.append(unit.with(byte)) } }
            func hex(_ value: UInt32) -> String {
                let digits = String(value, radix: 16)
                return "\\u" + String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
            }
            var length = 1
            switch unit.byte {
            case 0x22: put("\\\"")
            case 0x5c: put("\\\\")
            case 0x0a: put("\\n")
            case 0x0d: put("\\r")
            case 0x09: put("\\t")
            case 0x08: put("\\b")
            case 0x0c: put("\\f")
            case 0..<0x20: put(hex(UInt32(unit.byte)))
            case 0x7f: isASCII ? put("\\u007f") : out.append(unit)
            case 0x80... where isASCII:
                let (scalar, count) = Characters.scalar(text[at..<min(at + 4, text.count)], 0)
                length = count
                let value = scalar?.value ?? 0xfffd
                if value >= 0x10000 { put(hex(0xd800 + (value - 0x10000) >> 10) + hex(0xdc00 + (value - 0x10000) & 0x3ff)) } else { put(hex(value)) }
            default: out.append(unit)
            }
            at += length
        }
        out += frame("\"")
    }
}

extension Heap {
    /// A JSON value as the template sees it; its texts are a message's.
    func value(_ json: JSON, from origin: Unit = .message, depth: Int = 0) throws(Llama2Error) -> Value {
        try step()
        guard depth < Heap.deepest else { throw Failure.because("values nested deeper than \(Heap.deepest)") }
        if json.isNull { return .none }
        if let bool = json.bool { return .bool(bool) }
        if let bytes = json.bytes { return try value(bytes.map { Unit($0) | origin }) }
        if let digits = json.integerDigits {
            guard let number = Numbers.integer(digits.map { Unit($0) }, base: 10) else { throw Failure.unsupported("an integer beyond 64 bits in a message") }
            return .int(number)
        }
        if let double = json.double { return .float(double) }
        if let elements = json.elements {
            var items: [Value] = []
            for element in elements { items.append(try value(element, from: origin, depth: depth + 1)) }
            return try list(items)
        }
        var pairs: [(Value, Value)] = []
        guard let members = json.members else { return .none }
        for (key, member) in members {
            pairs.append((try value((key.bytes ?? []).map { Unit($0) | origin }), try value(member, from: origin, depth: depth + 1)))
        }
        return try dict(pairs)
    }
}
