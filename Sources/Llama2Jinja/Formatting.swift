internal import Llama2Core

// `"..." % values` and `"...".format(values)`.
extension Machine {
    /// What stands between `{:` and `}`, or between `%` and its letter.
    struct Specification {
        var fill: [Unit] = [0x20]
        var side: Side?
        var sign: UInt8 = 0x2d  // - + or space
        var isAlternate = false
        var grouping: UInt8 = 0
        var width = 0
        var precision: Int?
        var type: UInt8 = 0
    }

    func percent(_ text: Text, _ values: Value) throws(Llama2Error) -> [Unit] {
        let units = text.units
        var out: [Unit] = [], at = 0, used = 0
        var list = [values]
        if case .tuple(let tuple) = values { list = tuple.items }
        func next() throws(Llama2Error) -> Value {
            guard used < list.count else { throw Failure.because("not enough arguments for format string") }
            used += 1
            return list[used - 1]
        }
        while at < units.count {
            guard units[at].byte == 0x25 else {
                out.append(units[at])
                at += 1
                continue
            }
            at += 1
            // 1. (key), flags, width, precision
            var value: Value?, spec = Specification()
            if at < units.count, units[at].byte == 0x28 {
                var end = at + 1, open = 1
                while end < units.count {
                    if units[end].byte == 0x28 { open += 1 } else if units[end].byte == 0x29 { open -= 1 }
                    if open == 0 { break }
                    end += 1
                }
                guard open == 0 else { throw Failure.because("incomplete format key") }
                guard case .dict = values else { throw Failure.because("format requires a mapping") }
                let key = Text(Array(units[at + 1..<end]))
                guard case .dict(let dict) = values, let found = dict.value(.text(key)) else { throw Failure.because("no key '\(key.shown)'") }
                value = found
                used = list.count
                at = end + 1
            }
            while at < units.count {
                switch units[at].byte {
                case UInt8(ascii: "-"): spec.side = .left
                case UInt8(ascii: "+"): spec.sign = 0x2b
                case UInt8(ascii: " "): if spec.sign != 0x2b { spec.sign = 0x20 }
                case UInt8(ascii: "#"): spec.isAlternate = true
                case UInt8(ascii: "0"):
                    spec.fill = [0x30]
                default:
                    if spec.fill == [0x30] { if spec.side == .left { spec.fill = [0x20] } else { spec.side = .afterSign } }
                    spec.width = try count(units, &at, next)
                    if at < units.count, units[at].byte == 0x2e {
                        at += 1
                        spec.precision = try count(units, &at, next)
                    }
                    while at < units.count, [0x68, 0x6c, 0x4c].contains(units[at].byte) { at += 1 }
                    guard at < units.count else { throw Failure.because("incomplete format") }
                    spec.type = units[at].byte
                    at += 1
                    if spec.type == 0x25 {
                        out.append(units[at - 1])
                    } else {
                        let given = value
                        let value: Value
                        if let given { value = given } else { value = try next() }
                        let made = try formatted(percent: value, &spec)
                        let isText: Bool = if case .text(let text) = value { text.isMarkup } else { false }
                        out += text.isMarkup && !isText && [0x73, 0x72, 0x61].contains(spec.type) ? escaped(made) : made
                    }
                    try heap.work(64)
                    spec.width = -1
                }
                if spec.width == -1 { break }
                at += 1
            }
            guard spec.width == -1 else { throw Failure.because("incomplete format") }
            try heap.checkRoom(out.count)
        }
        if case .dict = values { return out }
        guard used == list.count || { if case .tuple = values { false } else { Machine.isContainer(values) } }() else {
            throw Failure.because("not all arguments converted during string formatting")
        }
        return out
    }

    private static func isContainer(_ value: Value) -> Bool {
        switch value {
        case .list, .dict, .range: true
        default: false
        }
    }

    private func count(_ units: [Unit], _ at: inout Int, _ next: () throws(Llama2Error) -> Value) throws(Llama2Error) -> Int {
        if at < units.count, units[at].byte == 0x2a {
            at += 1
            guard let value = try next().integer, value >= 0 else { throw Failure.because("* wants int") }
            return min(value, 1 << 25)
        }
        var value = 0
        while at < units.count, (0x30...0x39).contains(units[at].byte) {
            value = min(value * 10 + Int(units[at].byte - 0x30), 1 << 25)  // beyond the limit of a field
            at += 1
        }
        return value
    }

    private func formatted(percent value: Value, _ spec: inout Specification) throws(Llama2Error) -> [Unit] {
        switch spec.type {
        case UInt8(ascii: "s"), UInt8(ascii: "r"), UInt8(ascii: "a"):
            var out: [Unit] = []
            if spec.type == UInt8(ascii: "s") { out = try string(value) } else { try represent(value, &out) }
            if spec.type == UInt8(ascii: "a"), out.contains(where: { $0.byte >= 0x80 }) { throw Failure.unsupported("%a of other characters than ASCII") }
            spec.fill = [0x20]
            return try padText(out, spec, .right)
        case UInt8(ascii: "c"):
            if let number = value.integer, let scalar = UInt32(exactly: number).flatMap({ Unicode.Scalar($0) }) {
                return try padText(scalar.utf8Units, spec, .right)
            }
            guard case .text(let text) = value, text.count == 1 else { throw Failure.because("%c requires int or char") }
            return try padText(text.units, spec, .right)
        case UInt8(ascii: "d"), UInt8(ascii: "i"), UInt8(ascii: "u"):
            guard let number = value.number else { throw operandFailure("%d format", value) }
            spec.type = UInt8(ascii: "d")
            if case .float(let float) = number {
                guard let whole = Int(exactly: float.rounded(.towardZero)) else { throw Failure.because("cannot convert float to integer of 64 bits") }
                return try formattedInteger(whole, spec)
            }
            return try formattedInteger(value.integer ?? 0, spec)
        case UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "o"):
            guard let number = value.integer else { throw operandFailure("%x format", value) }
            return try formattedInteger(number, spec)
        case UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "f"), UInt8(ascii: "F"), UInt8(ascii: "g"), UInt8(ascii: "G"):
            guard let number = value.number else { throw Failure.because("must be real number, not \(value.typeName)") }
            return try formattedFloat(number.double, spec)
        default: throw Failure.because("unsupported format character '\(Failure.shown([spec.type]))'")
        }
    }

    private func padText(_ units: [Unit], _ spec: Specification, _ usual: Side) throws(Llama2Error) -> [Unit] {
        var units = units
        if let precision = spec.precision { units = Array(units[..<Text(units).offset(precision)]) }
        let side = spec.side ?? usual
        return try pad(units, spec.width, spec.fill, side == .afterSign ? .right : side)
    }

    private func grouped(_ digits: [UInt8], _ separator: UInt8, _ size: Int) -> [UInt8] {
        var out: [UInt8] = []
        for (i, digit) in digits.enumerated() {
            if i > 0, (digits.count - i) % size == 0 { out.append(separator) }
            out.append(digit)
        }
        return out
    }

    private func finished(_ sign: String, _ digits: [UInt8], _ spec: Specification) throws(Llama2Error) -> [Unit] {
        var body = digits
        // zeros before the number are grouped too
        if spec.side == .afterSign, spec.fill == [0x30], spec.grouping != 0 {
            let isBinary = [UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "o"), UInt8(ascii: "b")].contains(spec.type), size = isBinary ? 4 : 3
            let whole = digits.prefix { isBinary || (0x30...0x39).contains($0) || $0 == spec.grouping }
            let bare = whole.filter { $0 != spec.grouping }
            let rest = digits[whole.count...]
            // as many digits as fit, of which n take n + (n - 1) / size characters; no separator comes first
            var count = bare.count
            let room = spec.width - rest.count - sign.utf8.count
            try heap.take(2 * max(room, 0))
            heap.give(2 * max(room, 0))
            while count + 1 + count / size <= room { count += 1 }
            if count + max(count - 1, 0) / size < room { count += 1 }
            body = grouped([UInt8](repeating: 0x30, count: count - bare.count) + bare, spec.grouping, size) + rest
        }
        let units = Llama2Jinja.units(sign) + body.map { Unit($0) }
        if spec.side == .afterSign, sign.utf8.count > 1 {
            let missing = try pad(body.map { Unit($0) }, spec.width - sign.utf8.count, spec.fill, .right)
            return Llama2Jinja.units(sign) + missing
        }
        return try pad(units, spec.width, spec.fill, spec.side ?? .right)
    }

    private func formattedInteger(_ value: Int, _ spec: Specification) throws(Llama2Error) -> [Unit] {
        var digits: [UInt8], prefix = ""
        switch spec.type {
        case UInt8(ascii: "x"): (digits, prefix) = (Array(String(value.magnitude, radix: 16).utf8), "0x")
        case UInt8(ascii: "X"): (digits, prefix) = (Array(String(value.magnitude, radix: 16, uppercase: true).utf8), "0X")
        case UInt8(ascii: "o"): (digits, prefix) = (Array(String(value.magnitude, radix: 8).utf8), "0o")
        case UInt8(ascii: "b"): (digits, prefix) = (Array(String(value.magnitude, radix: 2).utf8), "0b")
        default: digits = Array(String(value.magnitude).utf8)
        }
        if let precision = spec.precision, precision > digits.count {
            guard precision <= 4096 else { throw Failure.because("a number of \(precision) digits; the limit is 4096") }
            digits = [UInt8](repeating: 0x30, count: precision - digits.count) + digits
        }
        if spec.grouping != 0 { digits = grouped(digits, spec.grouping, spec.type == 0 || spec.type == UInt8(ascii: "d") ? 3 : 4) }
        let sign = value < 0 ? "-" : spec.sign == 0x2b ? "+" : spec.sign == 0x20 ? " " : ""
        return try finished(sign + (spec.isAlternate ? prefix : ""), digits, spec)
    }

    private func formattedFloat(_ value: Double, _ spec: Specification) throws(Llama2Error) -> [Unit] {
        let sign = value.sign == .minus && !value.isNaN ? "-" : spec.sign == 0x2b ? "+" : spec.sign == 0x20 ? " " : ""
        let isUpper = spec.type == UInt8(ascii: "E") || spec.type == UInt8(ascii: "F") || spec.type == UInt8(ascii: "G")
        guard value.isFinite else {
            let word = value.isNaN ? (isUpper ? "NAN" : "nan") : (isUpper ? "INF" : "inf")
            return try finished(sign, Array(word.utf8), spec)
        }
        let precision = spec.precision ?? 6, magnitude = value.magnitude
        guard precision <= 400 else { throw Failure.because("a number with \(precision) decimals; the limit is 400") }
        try heap.work(1 << 14)  // long arithmetic
        var digits: [UInt8]
        switch spec.type | 0x20 {
        case UInt8(ascii: "f"): digits = Numbers.fixed(magnitude, decimals: precision)
        case UInt8(ascii: "%"): digits = Numbers.fixed(magnitude * 100, decimals: precision) + [0x25]
        case UInt8(ascii: "e"):
            let (significand, exponent) = Numbers.scientific(magnitude, decimals: precision)
            digits = [significand[0]] + (precision > 0 ? [0x2e] + significand[1...] : []) + Numbers.exponent(exponent)
        default:
            let wanted = max(precision, 1)
            let (significand, exponent) = Numbers.scientific(magnitude, decimals: wanted - 1)
            if exponent >= -4, exponent < wanted {
                digits = Numbers.fixed(magnitude, decimals: wanted - 1 - exponent)
                if !spec.isAlternate, digits.contains(0x2e) {
                    while digits.last == 0x30 { digits.removeLast() }
                    if digits.last == 0x2e { digits.removeLast() }
                }
            } else {
                var rest = significand[1...]
                if !spec.isAlternate { while rest.last == 0x30 { rest = rest.dropLast() } }
                digits = [significand[0]] + (rest.isEmpty ? [] : [0x2e] + rest) + Numbers.exponent(exponent)
            }
        }
        if isUpper { digits = digits.map { $0 == 0x65 ? 0x45 : $0 } }
        if spec.grouping != 0 {
            let whole = digits.prefix { (0x30...0x39).contains($0) }
            digits = grouped(Array(whole), spec.grouping, 3) + digits[whole.count...]
        }
        return try finished(sign, digits, spec)
    }

    // MARK: {}

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
            case UInt8(ascii: "r"):
                var made: [Unit] = []
                try represent(value, &made)
                value = try heap.value(made)
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
            guard first.isEmpty ? !isManual : automatic == 0 else {
                throw Failure.because("cannot switch between automatic field numbering and manual field specification")
            }
            let index = first.isEmpty ? automatic : Numbers.integer(first, base: 10) ?? Int.max
            if first.isEmpty { automatic += 1 } else { isManual = true }
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
        let spec = try specification(text)
        if case .bool(let bool) = value, spec.type == 0 { return try padText(units(bool ? "True" : "False"), spec, .left) }
        switch value {
        case .text(let string):
            guard spec.type == 0 || spec.type == UInt8(ascii: "s"), spec.sign == 0x2d, !spec.isAlternate, spec.grouping == 0 else {
                throw Failure.because("a format that a text does not have")
            }
            guard spec.side != .afterSign || spec.fill == [0x30] else { throw Failure.because("'=' alignment not allowed in string format specifier") }
            return try padText(string.units, spec, .left)
        case .int, .bool:
            switch spec.type {
            case 0, UInt8(ascii: "d"), UInt8(ascii: "n"), UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "o"), UInt8(ascii: "b"):
                guard spec.precision == nil else { throw Failure.because("Precision not allowed in integer format specifier") }
                return try formattedInteger(value.integer ?? 0, spec)
            case UInt8(ascii: "c"):
                guard let scalar = value.integer.flatMap({ UInt32(exactly: $0) }).flatMap({ Unicode.Scalar($0) }) else {
                    throw Failure.because("%c arg not in range(0x110000)")
                }
                return try padText(scalar.utf8Units, spec, .left)
            case UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "f"), UInt8(ascii: "F"), UInt8(ascii: "g"), UInt8(ascii: "G"), UInt8(ascii: "%"):
                return try formattedFloat(Double(value.integer ?? 0), spec)
            default: throw Failure.because("Unknown format code '\(Failure.shown([spec.type]))'")
            }
        case .float(let float):
            switch spec.type {
            case 0:
                guard spec.precision == nil else { throw Failure.unsupported("a precision without a type in a format") }
                let made = Numbers.text(float), isNegative = made.first == 0x2d
                return try finished(
                    isNegative ? "-" : spec.sign == 0x2b ? "+" : spec.sign == 0x20 ? " " : "", made.dropFirst(isNegative ? 1 : 0).map(\.byte), spec)
            case UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "f"), UInt8(ascii: "F"), UInt8(ascii: "g"), UInt8(ascii: "G"), UInt8(ascii: "%"):
                return try formattedFloat(float, spec)
            default: throw Failure.because("Unknown format code '\(Failure.shown([spec.type]))'")
            }
        case .undefined(let missing): throw missing.failure
        default: throw Failure.because("unsupported format string passed to \(value.typeName).__format__")
        }
    }

    /// [[fill]align][sign][#][0][width][,_][.precision][type]
    private func specification(_ text: [Unit]) throws(Llama2Error) -> Specification {
        var spec = Specification(), at = 0
        func side(_ byte: UInt8) -> Side? {
            switch byte {
            case UInt8(ascii: "<"): .left
            case UInt8(ascii: ">"): .right
            case UInt8(ascii: "^"): .center
            case UInt8(ascii: "="): .afterSign
            default: nil
            }
        }
        let length = Characters.scalar(text, 0).1
        if length < text.count, let found = side(text[length].byte) {
            spec.fill = Array(text[..<length])
            spec.side = found
            at = length + 1
        } else if let found = side(text[0].byte) {
            spec.side = found
            at = 1
        }
        func has(_ byte: UInt8) -> Bool { at < text.count && text[at].byte == byte }
        if has(0x2b) || has(0x2d) || has(0x20) {
            spec.sign = text[at].byte
            at += 1
        }
        if has(0x23) {
            spec.isAlternate = true
            at += 1
        }
        if has(0x30) {
            if spec.side == nil {
                spec.fill = [0x30]
                spec.side = .afterSign
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
