internal import Llama2Core

// `str(value)` and `repr(value)`.
extension Machine {
    func string(_ value: Value) throws(Llama2Error) -> [Unit] {
        switch value {
        case .undefined: return []
        case .text(let text): return text.units
        default:
            var out: [Unit] = []
            try represent(value, &out)
            return out
        }
    }

    /// The same; a text is itself.
    func text(_ value: Value) throws(Llama2Error) -> Text {
        if case .text(let text) = value { return text }
        return try heap.text(try string(value))
    }

    func represent(_ value: Value, _ out: inout [Unit]) throws(Llama2Error) {
        try heap.step()
        try heap.checkRoom(out.count)
        switch value {
        case .undefined: out += units("Undefined")
        case .none: out += units("None")
        case .bool(let value): out += units(value ? "True" : "False")
        case .int(let value): out += units(String(value))
        case .float(let value): out += Numbers.text(value)
        case .text(let text):
            if text.isMarkup { out += units("Markup(") }
            try heap.work(text.units.count * 16)
            Machine.quote(text.units, &out)
            if text.isMarkup { out += units(")") }
        case .list(let list): try represent(list.items, "[", "]", &out)
        case .tuple(let list): try represent(list.items, "(", list.items.count == 1 ? ",)" : ")", &out)
        case .dict(let dict):
            dict.use?.isPrinted = true
            out += frame("{")
            for i in 0..<dict.count {
                if i > 0 { out += frame(", ") }
                try represent(dict.keys[i], &out)
                out += frame(": ")
                try represent(dict.values[i], &out)
            }
            out += frame("}")
        case .range(let span):
            out += units("range(\(span.start), \(span.stop)\(span.step == 1 ? "" : ", \(span.step)"))")
        case .view(let view):
            out += units(view.kind.typeName) + frame("(")
            try represent(try elements(value), "[", "]", &out)
            out += frame(")")
        case .loop(let loop): out += units("<LoopContext \(loop.index + 1)/\(loop.length)>")
        case .namespace(let number): try representNamespace(number, &out)
        case .macro(let number):
            let macro = program.macros[macros[number].description]
            out += macro.name < 0 ? units("<Macro anonymous>") : units("<Macro ") + quoted(textConstant(macro.name)) + units(">")
        case .iterator, .cycler, .joiner, .method, .function:
            throw Failure.unsupported("the text of a value of type '\(value.typeName)', an address,")
        }
    }

    private func quoted(_ text: Text) -> [Unit] {
        var out: [Unit] = []
        Machine.quote(text.units, &out)
        return out
    }

    private func represent(_ items: [Value], _ opening: StaticString, _ closing: StaticString, _ out: inout [Unit]) throws(Llama2Error) {
        out += frame(opening)
        for (i, item) in items.enumerated() {
            if i > 0 { out += frame(", ") }
            try represent(item, &out)
        }
        out += frame(closing)
    }

    private func representNamespace(_ number: Int, _ out: inout [Unit]) throws(Llama2Error) {
        guard printing < 16 else { throw Failure.because("namespaces that hold one another have no text") }
        printing += 1
        defer { printing -= 1 }
        out += units("<Namespace {")
        for (i, entry) in namespaces[number].enumerated() {
            if i > 0 { out += frame(", ") }
            Machine.quote(entry.name.units, &out)
            out += frame(": ")
            try represent(entry.value, &out)
        }
        out += units("}>")
    }

    /// Brackets and commas around what may be a message's: they are counted as its text.
    func frame(_ literal: StaticString) -> [Unit] { units(literal).map { $0 | .message } }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let hex = String(scalar.value, radix: 16), width = scalar.value < 0x100 ? 2 : scalar.value < 0x10000 ? 4 : 8
        return (width == 2 ? "\\x" : width == 4 ? "\\u" : "\\U") + String(repeating: "0", count: max(0, width - hex.utf8.count)) + hex
    }

    /// Python's ascii of what repr made.
    static func inASCII(_ text: [Unit]) -> [Unit] {
        var out: [Unit] = [], at = 0
        while at < text.count {
            let (scalar, length) = Characters.scalar(text[at..<min(at + 4, text.count)], 0)
            if let scalar, !scalar.isASCII { for byte in escape(scalar).utf8 { out.append(text[at].with(byte)) } } else { out.append(text[at]) }
            at += length
        }
        return out
    }

    /// Python's repr of a str.
    static func quote(_ text: [Unit], _ out: inout [Unit]) {
        let hasSingle = text.contains { $0.byte == 0x27 }, hasDouble = text.contains { $0.byte == 0x22 }
        let quote: UInt8 = hasSingle && !hasDouble ? 0x22 : 0x27
        out.append(Unit(quote) | .message)
        var at = 0
        while at < text.count {
            let unit = text[at]
            let (scalar, length) = Characters.scalar(text[at..<min(at + 4, text.count)], 0)
            func put(_ literal: String) { for byte in literal.utf8 { out.append(unit.with(byte)) } }
            if let scalar {
                switch scalar.value {
                case 0x5c: put("\\\\")
                case UInt32(quote): put("\\" + String(scalar))
                case 0x0a: put("\\n")
                case 0x0d: put("\\r")
                case 0x09: put("\\t")
                default:
                    if Characters.isPrintable(scalar) {
                        out += text[at..<at + length]
                    } else {
                        put(escape(scalar))
                    }
                }
            } else {
                out.append(unit)
            }
            at += length
        }
        out.append(Unit(quote) | .message)
    }
}
