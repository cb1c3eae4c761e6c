internal import Llama2Core

extension Number {
    var value: Value {
        switch self {
        case .int(let value): .int(value)
        case .float(let value): .float(value)
        }
    }
    var double: Double {
        switch self {
        case .int(let value): Double(value)
        case .float(let value): value
        }
    }

    enum Order { case less, equal, greater, none }

    /// Exactly, also of an integer beyond 2 ** 53 and a float.
    static func compare(_ a: Number, _ b: Number) -> Order {
        switch (a, b) {
        case (.int(let a), .int(let b)): return a < b ? .less : a == b ? .equal : .greater
        case (.float(let a), .float(let b)): return a < b ? .less : a == b ? .equal : a > b ? .greater : .none
        case (.int(let a), .float(let b)):
            if b.isNaN { return .none }
            if b >= 0x1p63 { return .less }
            if b < -0x1p63 { return .greater }
            let whole = Int(b.rounded(.towardZero)), rest = b - b.rounded(.towardZero)
            return a < whole ? .less : a > whole ? .greater : rest > 0 ? .less : rest < 0 ? .greater : .equal
        case (.float, .int):
            switch compare(b, a) {
            case .less: return .greater
            case .greater: return .less
            case .equal: return .equal
            case .none: return .none
            }
        }
    }
}

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

    // MARK: Comparisons

    func compare(_ comparison: Comparison, _ left: Value, _ right: Value) throws(Llama2Error) -> Bool {
        switch comparison {
        case .equal: return try equal(left, right)
        case .notEqual: return !(try equal(left, right))
        case .isIn: return try contains(right, left)
        case .notIn: return !(try contains(right, left))
        case .less: return try isLess(left, right, "<")
        case .greater: return try isLess(right, left, ">", swapped: true)
        case .lessOrEqual: return try isLess(left, right, "<=") ? true : try isOrderedEqual(left, right)
        case .greaterOrEqual: return try isLess(right, left, ">=", swapped: true) ? true : try isOrderedEqual(left, right)
        }
    }

    private func isOrderedEqual(_ a: Value, _ b: Value) throws(Llama2Error) -> Bool { try equal(a, b) }

    func equal(_ a: Value, _ b: Value) throws(Llama2Error) -> Bool {
        try heap.step()
        switch (a, b) {
        case (.text(let a), .text(let b)):
            guard a.units.count == b.units.count else { return false }
            try heap.work(a.units.count)
            return a.equals(b)
        case (.none, .none), (.undefined, .undefined): return true
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            guard a !== b else { return true }
            guard a.items.count == b.items.count else { return false }
            for i in a.items.indices { guard try equal(a.items[i], b.items[i]) else { return false } }
            return true
        case (.dict(let a), .dict(let b)):
            guard a !== b else { return true }
            guard a.count == b.count else { return false }
            for (key, value) in zip(a.keys, a.values) {
                if case .text(let text) = key { try heap.work(text.units.count) }
                guard let other = b.value(key), try equal(value, other) else { return false }
            }
            return true
        case (.range(let a), .range(let b)):
            return a.count == b.count && (a.count == 0 || a.start == b.start && (a.count == 1 || a.step == b.step))
        case (.namespace(let a), .namespace(let b)), (.macro(let a), .macro(let b)), (.cycler(let a), .cycler(let b)), (.joiner(let a), .joiner(let b)):
            return a == b
        case (.function(let a), .function(let b)): return a == b
        case (.loop(let a), .loop(let b)): return a === b
        case (.iterator(let a), .iterator(let b)): return a === b
        case (.method(let a), .method(let b)): return a === b
        case (.view(let a), .view(let b)):
            guard a.kind == b.kind, a.kind != .values else { return a === b }
            guard a.dict.count == b.dict.count else { return false }
            for (key, value) in zip(a.dict.keys, a.dict.values) {
                guard let other = b.dict.value(key), a.kind == .keys ? true : try equal(value, other) else { return false }
            }
            return true
        default:
            guard let x = a.number, let y = b.number else { return false }
            return Number.compare(x, y) == .equal
        }
    }

    func isLess(_ a: Value, _ b: Value, _ sign: StaticString = "<", swapped: Bool = false) throws(Llama2Error) -> Bool {
        try heap.step()
        switch (a, b) {
        case (.text(let a), .text(let b)):
            try heap.work(min(a.units.count, b.units.count))
            return a.isBefore(b)
        case (.list(let x), .list(let y)), (.tuple(let x), .tuple(let y)):
            for i in 0..<min(x.items.count, y.items.count) {
                if try !equal(x.items[i], y.items[i]) { return try isLess(x.items[i], y.items[i], sign, swapped: swapped) }
            }
            return x.items.count < y.items.count
        default:
            guard let x = a.number, let y = b.number else { throw orderFailure(a, b, sign, swapped) }
            return Number.compare(x, y) == .less
        }
    }

    @inline(never)
    private func orderFailure(_ a: Value, _ b: Value, _ sign: StaticString, _ swapped: Bool) -> Llama2Error {
        for value in [a, b] { if case .undefined(let missing) = value { return missing.failure } }
        let (left, right) = swapped ? (b, a) : (a, b)
        return Failure.because("'\(sign)' not supported between instances of '\(left.typeName)' and '\(right.typeName)'")
    }

    func contains(_ container: Value, _ value: Value) throws(Llama2Error) -> Bool {
        switch container {
        case .text(let text):
            guard case .text(let part) = value else {
                if case .undefined(let missing) = value {
                    throw Failure.because("'in <string>' requires string as left operand, not Undefined: \(missing.reason)")
                }
                throw Failure.because("'in <string>' requires string as left operand, not \(value.typeName)")
            }
            return try Finder(needle: part.units, heap: heap).first(in: text.units, from: 0) != nil
        case .dict(let dict):
            try value.checkHashable()
            if case .text(let text) = value { try heap.work(text.units.count) }
            return dict.value(value) != nil
        case .view(let view) where view.kind == .keys: return view.dict.value(value) != nil
        case .range(let span):
            guard let number = value.number, case .int(let wanted)? = Machine.whole(number), span.count > 0 else { return false }
            let (offset, overflow) = wanted.subtractingReportingOverflow(span.start)
            guard !overflow, !(offset == .min && span.step == -1), offset % span.step == 0 else { return false }
            return (0..<span.count).contains(offset / span.step)
        default:
            for element in try elements(container) where try equal(element, value) { return true }
            return false
        }
    }

    private static func whole(_ number: Number) -> Number? {
        switch number {
        case .int: number
        case .float(let value): Int(exactly: value).map { .int($0) }
        }
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
