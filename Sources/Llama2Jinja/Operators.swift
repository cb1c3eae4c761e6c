internal import Llama2Core

// Python's operators.
extension Machine {
    func truth(_ value: Value) throws(Llama2Error) -> Bool {
        switch value {
        case .undefined, .none: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .float(let value): value != 0
        case .text(let text): !text.isEmpty
        case .list(let list), .tuple(let list): !list.items.isEmpty
        case .dict(let dict): dict.count > 0
        case .range(let span): span.count > 0
        case .view(let view): view.dict.count > 0
        case .loop(let loop): loop.length > 0
        case .iterator, .namespace, .macro, .cycler, .joiner, .method, .function: true
        }
    }

    /// What iterating over a value gives; of a generator what is left.
    func elements(_ value: Value) throws(Llama2Error) -> [Value] {
        switch value {
        case .undefined: return []
        case .list(let list), .tuple(let list):
            try heap.work(list.items.count)
            return list.items
        case .text(let text):
            var out: [Value] = []
            for range in text.characters {
                try heap.step()
                out.append(try heap.value(Array(text.units[range]), markup: false))
            }
            return out
        case .dict(let dict):
            try heap.work(dict.count)
            return dict.keys
        case .range(let span):
            try heap.work(span.count * 16)
            return (0..<span.count).map { span.value($0) }
        case .view(let view):
            if view.kind != .keys { view.dict.use?.isRead = true }
            switch view.kind {
            case .keys: return view.dict.keys
            case .values: return view.dict.values
            case .items:
                var out: [Value] = []
                for (key, value) in zip(view.dict.keys, view.dict.values) { out.append(try heap.tuple([key, value])) }
                return out
            }
        case .iterator(let iteration):
            try heap.work(iteration.list.items.count)
            return iteration.rest
        default: throw Failure.because("'\(value.typeName)' object is not iterable")
        }
    }

    /// `len(value)`; nil for what has none.
    func length(_ value: Value) throws(Llama2Error) -> Int? {
        switch value {
        case .undefined: return 0
        case .text(let text):
            try heap.work(text.units.count)
            return text.count
        case .list(let list), .tuple(let list): return list.items.count
        case .dict(let dict): return dict.count
        case .range(let span): return span.count
        case .view(let view): return view.dict.count
        case .loop(let loop): return loop.length
        default: return nil
        }
    }

    @inline(never)
    func operandFailure(_ operation: String, _ value: Value, _ other: Value? = nil) -> Llama2Error {
        for value in [value, other] { if case .undefined(let missing)? = value { return missing.failure } }
        guard let other else { return Failure.because("bad operand type for \(operation): '\(value.typeName)'") }
        return Failure.because("unsupported operand type(s) for \(operation): '\(value.typeName)' and '\(other.typeName)'")
    }

    private func overflow() -> Llama2Error { Failure.because("an integer beyond 64 bits is not supported") }

    func negated(_ value: Value) throws(Llama2Error) -> Value {
        switch value.number {
        case .int(let number)?:
            guard number != .min else { throw overflow() }
            return .int(-number)
        case .float(let number)?: return .float(-number)
        case nil: throw operandFailure("unary -", value)
        }
    }

    func binary(_ operation: Binary, _ left: Value, _ right: Value) throws(Llama2Error) -> Value {
        // 1. numbers
        if let a = left.number, let b = right.number { return try arithmetic(operation, a, b) }
        // 2. texts and lists
        switch (operation, left, right) {
        case (.add, .text(let a), .text(let b)): return try joined(a, b)
        case (.add, .list(let a), .list(let b)): return try heap.list(a.items + b.items)
        case (.add, .tuple(let a), .tuple(let b)): return try heap.tuple(a.items + b.items)
        case (.multiply, .text(let text), _):
            if let count = right.integer { return try heap.value(try repeated(text.units, count), markup: text.isMarkup) }
        case (.multiply, _, .text(let text)):
            if let count = left.integer { return try heap.value(try repeated(text.units, count), markup: text.isMarkup) }
        case (.multiply, .list(let list), _): if let count = right.integer { return try heap.list(try repeated(list.items, count)) }
        case (.multiply, _, .list(let list)): if let count = left.integer { return try heap.list(try repeated(list.items, count)) }
        case (.multiply, .tuple(let list), _): if let count = right.integer { return try heap.tuple(try repeated(list.items, count)) }
        case (.multiply, _, .tuple(let list)): if let count = left.integer { return try heap.tuple(try repeated(list.items, count)) }
        case (.modulo, .text(let text), _): return try heap.value(try percent(text, right), markup: text.isMarkup)
        default: break
        }
        if operation == .add, case .text = left, case .undefined = right { throw operandFailure("+", left, right) }
        if operation == .add, case .text = left { throw Failure.because("can only concatenate str (not \"\(right.typeName)\") to str") }
        throw operandFailure(operation.sign, left, right)
    }

    private func joined(_ a: Text, _ b: Text) throws(Llama2Error) -> Value {
        guard a.isMarkup || b.isMarkup else {
            try heap.work(a.units.count + b.units.count)
            return try heap.value(a.units + b.units)
        }
        return try heap.value((a.isMarkup ? a.units : escaped(a.units)) + (b.isMarkup ? b.units : escaped(b.units)), markup: true)
    }

    private func repeated<T>(_ items: [T], _ count: Int) throws(Llama2Error) -> [T] {
        guard count > 0, !items.isEmpty else { return [] }
        let (total, overflow) = items.count.multipliedReportingOverflow(by: count)
        guard !overflow, total <= 1 << 30 else { throw Failure.because("a value of more than \(1 << 30) elements") }
        try heap.take(total * 16)
        heap.give(total * 16)
        var out: [T] = []
        out.reserveCapacity(total)
        for _ in 0..<count { out += items }
        return out
    }

    private func arithmetic(_ operation: Binary, _ a: Number, _ b: Number) throws(Llama2Error) -> Value {
        if case .int(let a) = a, case .int(let b) = b, operation != .divide, !(operation == .power && b < 0) {
            return .int(try integerArithmetic(operation, a, b))
        }
        if operation == .divide, case .int(let a) = a, case .int(let b) = b, b != 0 { return .float(Numbers.quotient(a, b)) }
        let x = a.double, y = b.double
        switch operation {
        case .add: return .float(x + y)
        case .subtract: return .float(x - y)
        case .multiply: return .float(x * y)
        case .divide:
            guard y != 0 else { throw Failure.because("division by zero") }
            return .float(x / y)
        case .floorDivide:
            guard y != 0 else { throw Failure.because("float floor division by zero") }
            return .float(Machine.floorDivided(x, y))
        case .modulo:
            guard y != 0 else { throw Failure.because("float modulo") }
            return .float(Machine.modulo(x, y))
        case .power:
            guard x != 0 || y >= 0 else { throw Failure.because("0.0 cannot be raised to a negative power") }
            guard let result = Machine.power(x, y) else { throw Failure.unsupported("a power with a fraction") }
            guard result.isFinite || !x.isFinite else { throw Failure.because("(34, 'Numerical result out of range')") }
            return .float(result)
        }
    }

    /// Python's: of the divisor's sign, a zero too.
    private static func modulo(_ x: Double, _ y: Double) -> Double {
        let rest = x.truncatingRemainder(dividingBy: y)
        if rest == 0 { return Double(signOf: y, magnitudeOf: 0) }
        return (rest < 0) != (y < 0) ? rest + y : rest
    }

    private static func floorDivided(_ x: Double, _ y: Double) -> Double {
        let rest = x.truncatingRemainder(dividingBy: y)
        var quotient = (x - rest) / y
        if rest != 0, (rest < 0) != (y < 0) { quotient -= 1 }
        guard quotient != 0 else { return Double(signOf: x / y, magnitudeOf: 0) }
        let whole = quotient.rounded(.down)
        return quotient - whole > 0.5 ? whole + 1 : whole
    }

    /// With a whole exponent: in two doubles, whose sum has twice the digits, so that the last one is right.
    private static func power(_ x: Double, _ y: Double) -> Double? {
        guard let exponent = Int(exactly: y), exponent.magnitude <= 4096 else { return nil }
        func product(_ a: (Double, Double), _ b: (Double, Double)) -> (Double, Double) {
            let high = a.0 * b.0
            guard high.isFinite, high != 0 else { return (high, 0) }
            let low = (-high).addingProduct(a.0, b.0) + (a.0 * b.1 + a.1 * b.0), sum = high + low
            return (sum, low - (sum - high))
        }
        var factor = (x, 0.0), result = (1.0, 0.0), count = exponent.magnitude
        if exponent < 0 {
            let inverse = 1 / x
            factor = (inverse, inverse.isFinite && inverse != 0 ? (1.0).addingProduct(-inverse, x) / x : 0)
        }
        while count > 0 {
            if count & 1 == 1 { result = product(result, factor) }
            count >>= 1
            if count > 0 { factor = product(factor, factor) }
        }
        return result.0
    }

    private func integerArithmetic(_ operation: Binary, _ a: Int, _ b: Int) throws(Llama2Error) -> Int {
        let (result, overflows): (Int, Bool)
        switch operation {
        case .add: (result, overflows) = a.addingReportingOverflow(b)
        case .subtract: (result, overflows) = a.subtractingReportingOverflow(b)
        case .multiply: (result, overflows) = a.multipliedReportingOverflow(by: b)
        case .floorDivide, .modulo, .divide:
            guard b != 0 else { throw Failure.because("integer division or modulo by zero") }
            guard !(a == .min && b == -1) else { throw overflow() }
            let quotient = a / b, rest = a % b
            let isOff = rest != 0 && (rest < 0) != (b < 0)
            return operation == .modulo ? (isOff ? rest &+ b : rest) : (isOff ? quotient &- 1 : quotient)  // both toward zero
        case .power:
            var power = 1, factor = a, count = b
            while count > 0 {
                if count & 1 == 1 {
                    let (product, overflows) = power.multipliedReportingOverflow(by: factor)
                    guard !overflows else { throw overflow() }
                    power = product
                }
                count >>= 1
                guard count > 0 else { break }
                let (square, overflows) = factor.multipliedReportingOverflow(by: factor)
                guard !overflows else { throw overflow() }
                factor = square
            }
            return power
        }
        guard !overflows else { throw overflow() }
        return result
    }
}

extension Binary {
    var sign: String {
        switch self {
        case .add: "+"
        case .subtract: "-"
        case .multiply: "*"
        case .divide: "/"
        case .floorDivide: "//"
        case .modulo: "%"
        case .power: "** or pow()"
        }
    }
}

/// markupsafe's escapes.
func escaped(_ text: [Unit]) -> [Unit] {
    var out: [Unit] = []
    out.reserveCapacity(text.count)
    for unit in text {
        let replacement: StaticString
        switch unit.byte {
        case UInt8(ascii: "&"): replacement = "&amp;"
        case UInt8(ascii: "<"): replacement = "&lt;"
        case UInt8(ascii: ">"): replacement = "&gt;"
        case UInt8(ascii: "'"): replacement = "&#39;"
        case UInt8(ascii: "\""): replacement = "&#34;"
        default:
            out.append(unit)
            continue
        }
        for i in 0..<replacement.utf8CodeUnitCount { out.append(unit.with(replacement.utf8Start[i])) }
    }
    return out
}
