internal import Llama2Core

// `"...".format(values)`; what it shares with `%` is beside it.
extension Machine {
    func braces(_ text: Text, _ arguments: Arguments) throws(Llama2Error) -> [Unit] {
        let units = text.units
        var out: [Unit] = [], at = 0, automatic = 0, isManual = false
        while at < units.count {
            let byte = units[at].byte
            if byte == 0x7b || byte == 0x7d, at + 1 < units.count, units[at + 1].byte == byte {
                out.append(units[at])
                at += 2
                continue
            }
            guard byte == 0x7b || byte == 0x7d else {
                out.append(units[at])
                at += 1
                continue
            }
            guard byte == 0x7b else { throw Failure.because("Single '}' encountered in format string") }
            // 1. name!conversion:specification
            var end = at + 1, open = 1
            while end < units.count {
                if units[end].byte == 0x7b { open += 1 } else if units[end].byte == 0x7d { open -= 1 }
                if open == 0 { break }
                end += 1
            }
            guard open == 0 else { throw Failure.because("expected '}' before end of string") }
            let field = units[at + 1..<end]
            at = end + 1
            let nameEnd = field.firstIndex { $0.byte == 0x21 || $0.byte == 0x3a } ?? field.endIndex
            var conversion: UInt8 = 0, specStart = nameEnd
            if nameEnd < field.endIndex, field[nameEnd].byte == 0x21 {
                guard nameEnd + 1 < field.endIndex else { throw Failure.because("unmatched '{' in format spec") }
                conversion = field[nameEnd + 1].byte
                specStart = nameEnd + 2
            }
            guard specStart >= field.endIndex || field[specStart].byte == 0x3a else { throw Failure.because("expected ':' after conversion specifier") }
            let specText = specStart < field.endIndex ? Array(field[(specStart + 1)...]) : []
            guard !specText.contains(where: { $0.byte == 0x7b }) else { throw Failure.unsupported("a field in a field of a format") }
            // 2. the value
            var value = try fieldValue(Array(field[..<nameEnd]), arguments, &automatic, &isManual)
            switch conversion {
            case 0: break
            case UInt8(ascii: "s"): value = try heap.value(try string(value))
            case UInt8(ascii: "r"), UInt8(ascii: "a"):
                var made: [Unit] = []
                try represent(value, &made)
                value = try heap.value(conversion == UInt8(ascii: "a") ? Machine.inASCII(made) : made)
            default: throw Failure.because("Unknown conversion specifier \(Failure.shown([conversion]))")
            }
            let made = try formatted(value, specText)
            let isMarkup: Bool = if case .text(let part) = value { part.isMarkup } else { false }
            out += text.isMarkup && !isMarkup ? escaped(made) : made
            try heap.work(made.count + 64)
            try heap.checkRoom(out.count)
        }
        return out
    }

    private func fieldValue(_ name: [Unit], _ arguments: Arguments, _ automatic: inout Int, _ isManual: inout Bool) throws(Llama2Error) -> Value {
        let firstEnd = name.firstIndex { $0.byte == 0x2e || $0.byte == 0x5b } ?? name.count
        let first = Array(name[..<firstEnd])
        var value: Value
        if first.isEmpty || first.allSatisfy({ (0x30...0x39).contains($0.byte) }) {
            // Python's string.Formatter, by which jinja2 formats, looks at a name that is a number and nothing else
            let isWhole = firstEnd == name.count
            guard !isWhole || (first.isEmpty ? !isManual : automatic == 0) else {
                throw Failure.because("cannot switch between automatic field numbering and manual field specification")
            }
            guard isWhole || !first.isEmpty else { throw Failure.because("a field that has an attribute and no name") }
            let index = first.isEmpty ? automatic : Numbers.integer(first, base: 10) ?? Int.max
            if first.isEmpty { automatic += 1 } else if isWhole { isManual = true }
            guard index < arguments.positional.count else { throw Failure.because("Replacement index out of range for positional args tuple") }
            value = arguments.positional[index]
        } else {
            let key = Text(first)
            guard let found = arguments.named.first(where: { $0.name.equals(key) }) else { throw Failure.because("no argument '\(key.shown)' for the format") }
            value = found.value
        }
        var at = firstEnd
        while at < name.count {
            if name[at].byte == 0x2e {
                let end = name[(at + 1)...].firstIndex { $0.byte == 0x2e || $0.byte == 0x5b } ?? name.count
                guard end > at + 1 else { throw Failure.because("Empty attribute in format string") }
                value = try attribute(value, try heap.text(Array(name[at + 1..<end])))
                at = end
            } else {
                guard name[at].byte == 0x5b, let end = name[at...].firstIndex(where: { $0.byte == 0x5d }) else {
                    throw Failure.because("Missing ']' in format string")
                }
                let key = Array(name[at + 1..<end])
                let number = key.allSatisfy { (0x30...0x39).contains($0.byte) } ? Numbers.integer(key, base: 10) : nil
                let subscripted: Value
                if let number { subscripted = .int(number) } else { subscripted = try heap.value(key) }
                value = try item(value, subscripted)
                at = end + 1
            }
        }
        return value
    }

    private func formatted(_ value: Value, _ text: [Unit]) throws(Llama2Error) -> [Unit] {
        guard !text.isEmpty else { return try string(value) }
        var spec = try specification(text)
        switch value {
        case .text(let string):
            guard spec.type == 0 || spec.type == UInt8(ascii: "s"), !spec.hasSign, !spec.isAlternate, spec.grouping == 0 else {
                throw Failure.because("a format that a text does not have")
            }
            guard spec.side != .afterSign else { throw Failure.because("'=' alignment not allowed in string format specifier") }
            return try padText(string.units, spec, .left)
        case .int, .bool:
            guard
                spec.grouping == 0 || [0, 0x64].contains(spec.type) || Machine.isOfFloats(spec.type)
                    || spec.grouping == 0x5f && [0x62, 0x6f, 0x78, 0x58].contains(spec.type)
            else { throw Failure.because("Cannot specify '\(Failure.shown([spec.grouping]))' with '\(Failure.shown([spec.type]))'.") }
            spec.fillsBehindSign()
            switch spec.type {
            case 0, UInt8(ascii: "d"), UInt8(ascii: "n"), UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "o"), UInt8(ascii: "b"):
                guard spec.precision == nil else { throw Failure.because("Precision not allowed in integer format specifier") }
                return try formattedInteger(value.integer ?? 0, spec)
            case UInt8(ascii: "c"):
                guard spec.precision == nil, !spec.hasSign, !spec.isAlternate else { throw Failure.because("a format that 'c' does not have") }
                guard let scalar = value.integer.flatMap({ UInt32(exactly: $0) }).flatMap({ Unicode.Scalar($0) }) else {
                    throw Failure.because("%c arg not in range(0x110000)")
                }
                return try padText(scalar.utf8Units, spec, .right)
            case let type where Machine.isOfFloats(type):
                return try formattedFloat(Double(value.integer ?? 0), spec)
            default: throw Failure.because("Unknown format code '\(Failure.shown([spec.type]))'")
            }
        case .float(let float):
            spec.fillsBehindSign()
            switch spec.type {
            case 0:
                if spec.precision != nil { return try formattedFloat(float, spec) }
                let made = Numbers.text(float), isNegative = made.first == 0x2d
                var digits = made.dropFirst(isNegative ? 1 : 0).map(\.byte)
                if float.isFinite { digits = withPoint(digits, spec) }
                return try finished(isNegative ? "-" : spec.sign == 0x2b ? "+" : spec.sign == 0x20 ? " " : "", digits, spec)
            case UInt8(ascii: "n"):  // Python's "C" locale: as g, without groups
                guard spec.grouping == 0 else { throw Failure.because("Cannot specify '\(Failure.shown([spec.grouping]))' with 'n'.") }
                spec.type = UInt8(ascii: "g")
                return try formattedFloat(float, spec)
            case let type where Machine.isOfFloats(type):
                return try formattedFloat(float, spec)
            default: throw Failure.because("Unknown format code '\(Failure.shown([spec.type]))'")
            }
        case .undefined(let missing): throw missing.failure
        default: throw Failure.because("unsupported format string passed to \(value.typeName).__format__")
        }
    }

    private static func isOfFloats(_ type: UInt8) -> Bool { [0x65, 0x45, 0x66, 0x46, 0x67, 0x47, 0x25].contains(type) }

    /// [[fill]align][sign][#][0][width][,_][.precision][type]
    private func specification(_ text: [Unit]) throws(Llama2Error) -> Specification {
        var spec = Specification(), at = 0
        func side(_ byte: UInt8) -> Side? {
            switch byte {
            case UInt8(ascii: "<"): .left
            case UInt8(ascii: ">"): .right
            case UInt8(ascii: "^"): .middle
            case UInt8(ascii: "="): .afterSign
            default: nil
            }
        }
        var hasFill = false
        let length = Characters.scalar(text, 0).1
        if length < text.count, let found = side(text[length].byte) {
            spec.fill = Array(text[..<length])
            hasFill = true
            spec.side = found
            at = length + 1
        } else if let found = side(text[0].byte) {
            spec.side = found
            at = 1
        }
        func has(_ byte: UInt8) -> Bool { at < text.count && text[at].byte == byte }
        if has(0x2b) || has(0x2d) || has(0x20) {
            spec.sign = text[at].byte
            spec.hasSign = true
            at += 1
        }
        if has(0x23) {
            spec.isAlternate = true
            at += 1
        }
        if has(0x30) {
            if !hasFill {
                spec.fill = [0x30]
                spec.isZeroFilled = true
            }
            at += 1
        }
        func none() throws(Llama2Error) -> Value { .none }
        spec.width = try count(text, &at, none)
        if has(0x2c) || has(0x5f) {
            spec.grouping = text[at].byte
            at += 1
        }
        if has(0x2e) {
            at += 1
            guard at < text.count, (0x30...0x39).contains(text[at].byte) else { throw Failure.because("Format specifier missing precision") }
            spec.precision = try count(text, &at, none)
        }
        if at < text.count {
            spec.type = text[at].byte
            at += 1
        }
        guard at == text.count else { throw Failure.because("Invalid format specifier") }
        return spec
    }
}
