internal import Llama2Core

// `"..." % values` and `"...".format(values)`.
extension Machine {
    /// What stands between `{:` and `}`, or between `%` and its letter.
    struct Specification {
        var fill: [Unit] = [0x20]
        var side: Side?
        var sign: UInt8 = 0x2d  // - + or space
        var hasSign = false
        /// "0" before the width: a number's zeros come behind its sign when no side is given, a text stays on its side.
        var isZeroFilled = false
        var isAlternate = false
        var grouping: UInt8 = 0
        var width = 0
        var precision: Int?
        var type: UInt8 = 0

        mutating func fillsBehindSign() { if isZeroFilled, side == nil { side = .afterSign } }
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
            let start = at
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
                    spec.width = try count(units, &at, next)
                    if spec.width < 0 { (spec.side, spec.width) = (.left, -spec.width) }
                    if spec.fill == [0x30] { if spec.side == .left { spec.fill = [0x20] } else { spec.side = .afterSign } }
                    if at < units.count, units[at].byte == 0x2e {
                        at += 1
                        spec.precision = max(try count(units, &at, next), 0)
                    }
                    while at < units.count, [0x68, 0x6c, 0x4c].contains(units[at].byte) { at += 1 }
                    guard at < units.count else { throw Failure.because("incomplete format") }
                    spec.type = units[at].byte
                    at += 1
                    if spec.type == 0x25, value == nil, units[at - 2].byte == 0x25, start == at - 1 {
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
        case .list, .dict, .range, .undefined: true
        default: false
        }
    }

    func count(_ units: [Unit], _ at: inout Int, _ next: () throws(Llama2Error) -> Value) throws(Llama2Error) -> Int {
        if at < units.count, units[at].byte == 0x2a {
            at += 1
            guard let value = try next().integer else { throw Failure.because("* wants int") }
            return max(min(value, 1 << 25), -(1 << 25))
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
            if spec.type == UInt8(ascii: "a") { out = Machine.inASCII(out) }
            spec.fill = [0x20]
            return try padText(out, spec, .right)
        case UInt8(ascii: "c"):
            (spec.fill, spec.precision) = ([0x20], nil)
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

    func padText(_ units: [Unit], _ spec: Specification, _ usual: Side) throws(Llama2Error) -> [Unit] {
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

    func finished(_ sign: String, _ digits: [UInt8], _ spec: Specification) throws(Llama2Error) -> [Unit] {
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
        if spec.side == .afterSign, !sign.isEmpty {
            let missing = try pad(body.map { Unit($0) }, spec.width - sign.utf8.count, spec.fill, .right)
            return Llama2Jinja.units(sign) + missing
        }
        return try pad(units, spec.width, spec.fill, spec.side ?? .right)
    }

    func formattedInteger(_ value: Int, _ spec: Specification) throws(Llama2Error) -> [Unit] {
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

    func formattedFloat(_ value: Double, _ spec: Specification) throws(Llama2Error) -> [Unit] {
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
            // without a type a number always looks like a float: a digit behind the point, or an exponent
            let wanted = max(precision, 1), isBare = spec.type == 0
            let (significand, exponent) = Numbers.scientific(magnitude, decimals: wanted - 1)
            if exponent >= -4, exponent < (isBare ? wanted - 1 : wanted) {
                digits = Numbers.fixed(magnitude, decimals: wanted - 1 - exponent)
                if !spec.isAlternate, digits.contains(0x2e) {
                    while digits.last == 0x30 { digits.removeLast() }
                    if digits.last == 0x2e { digits.removeLast() }
                }
                if isBare, !digits.contains(0x2e) { digits += [0x2e, 0x30] }
            } else {
                var rest = significand[1...]
                if !spec.isAlternate { while rest.last == 0x30 { rest = rest.dropLast() } }
                digits = [significand[0]] + (rest.isEmpty ? [] : [0x2e] + rest) + Numbers.exponent(exponent)
            }
        }
        if isUpper { digits = digits.map { $0 == 0x65 ? 0x45 : $0 } }
        return try finished(sign, withPoint(digits, spec), spec)
    }

    /// A float's digits with their groups, and with a point in any case where "#" asks for it.
    func withPoint(_ digits: [UInt8], _ spec: Specification) -> [UInt8] {
        let whole = Array(digits.prefix { (0x30...0x39).contains($0) }), rest = digits[whole.count...]
        let point: [UInt8] = spec.isAlternate && !digits.contains(0x2e) ? [0x2e] : []
        return (spec.grouping != 0 ? grouped(whole, spec.grouping, 3) : whole) + point + rest
    }
}
