internal import Llama2Core

// Filters of numbers and of any value.
extension Machine {
    func valueFilter(_ name: Text, _ value: Value, _ arguments: Arguments) throws(Llama2Error) -> Value? {
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
            guard case .text(let text) = value, let float = Numbers.float(try plainDigits(text.units, isFloat: true)) else { return usual }
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
    private func plainDigits(_ units: [Unit], isFloat: Bool = false) throws(Llama2Error) -> [Unit] {
        try heap.work(units.count)
        let digits = Characters.plainDigits(units)
        func joins(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || !isFloat && (0x61...0x7a).contains(byte | 0x20) }
        for (i, unit) in digits.enumerated() where unit.byte == 0x5f {
            guard i > 0, i + 1 < digits.count, joins(digits[i - 1].byte), joins(digits[i + 1].byte) else { return [] }
        }
        return digits.filter { $0.byte != 0x5f }
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

    /// To a multiple of 10 ** tens, ties to even, by all digits that the number has: above 1 no more than 52 behind its point.
    private static func rounded(_ float: Double, tens: Int) -> Double {
        let digits = Numbers.fixed(float.magnitude, decimals: 52), whole = digits.prefix { $0 != 0x2e }
        guard whole.count >= tens else { return float < 0 ? -0.0 : 0 }
        var kept = Array(whole.dropLast(tens)), rest = Array(whole.suffix(tens)) + digits.dropFirst(whole.count + 1)
        while rest.last == 0x30 { rest.removeLast() }
        let isOdd = (kept.last ?? 0x30) & 1 != 0
        if let first = rest.first, first > 0x35 || first == 0x35 && (rest.count > 1 || isOdd) {
            var place = kept.count - 1
            while place >= 0, kept[place] == 0x39 {
                kept[place] = 0x30
                place -= 1
            }
            if place >= 0 { kept[place] += 1 } else { kept.insert(0x31, at: 0) }
        }
        let magnitude = Numbers.float((kept + [UInt8](repeating: 0x30, count: tens)).map { Unit($0) }) ?? float.magnitude
        return float < 0 ? -magnitude : magnitude
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
            if precision < 0 { return .float(Machine.rounded(float, tens: -precision)) }
            let text = Numbers.fixed(float.magnitude, decimals: precision).map { Unit($0) }
            let magnitude = Numbers.float(text) ?? float.magnitude
            return .float(float < 0 ? -magnitude : magnitude)
        }
        guard method.equals("ceil") || method.equals("floor") else { throw Failure.because("method must be common, ceil or floor") }
        if case .int(let whole) = number, precision >= 0 { return .float(Double(whole)) }
        // jinja2's: what is multiplied with it is rounded, and divided by it again; below zero it is a float there too
        guard let factor = Numbers.float(units("1e\(precision)")) else { throw Failure.because("no number has \(precision) places") }
        let scaled = number.double * factor
        guard scaled.isFinite else { throw Failure.because("cannot convert a float to an integer: infinity or NaN") }
        let whole = scaled.rounded(method.equals("ceil") ? .up : .down) + 0  // an integer in Python, which has no negative zero
        return .float(whole / factor)
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
