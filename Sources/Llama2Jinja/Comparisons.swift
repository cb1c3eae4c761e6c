internal import Llama2Core

// Python's comparisons: `==`, `<` and their like, `in`.
extension Machine {
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
