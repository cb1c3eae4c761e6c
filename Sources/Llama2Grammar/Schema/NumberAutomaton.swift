internal import Llama2Core

/// What a schema asks of a number.
struct NumberRule: Hashable {
    struct Bound: Hashable {
        var value: Decimal
        var isExclusive: Bool
    }
    struct Divisor: Hashable {
        var value: Decimal  // positive
        var isNegated = false
    }

    var isInteger = false
    /// Not an integer.
    var isFractional = false
    var low: Bound?
    var high: Bound?
    var divisors: [Divisor] = []
    /// The number is one of these; nil: any.
    var values: [Decimal]?
    var excluded: [Decimal] = []

    var isFree: Bool { !isFractional && low == nil && high == nil && divisors.isEmpty && values == nil && excluded.isEmpty }

    mutating func atLeast(_ bound: Bound) {
        guard let old = low else { low = bound; return }
        if old.value < bound.value || old.value == bound.value && bound.isExclusive { low = bound }
    }

    mutating func atMost(_ bound: Bound) {
        guard let old = high else { high = bound; return }
        if bound.value < old.value || old.value == bound.value && bound.isExclusive { high = bound }
    }

    /// Those of the values that it allows, in time for each as if they were few.
    func allowed(_ candidates: [Decimal]) -> [Decimal] {
        let values = values.map { Set($0) }, excluded = Set(excluded)
        return candidates.filter { (values?.contains($0) ?? true) && !excluded.contains($0) && allows($0) }
    }

    /// Its kind, bounds and divisors.
    private func allows(_ v: Decimal) -> Bool {
        if isInteger && !v.isInteger || isFractional && v.isInteger { return false }
        if let low, v < low.value || low.isExclusive && v == low.value { return false }
        if let high, high.value < v || high.isExclusive && v == high.value { return false }
        return divisors.allSatisfy { Divisor.divides($0.value, v) != $0.isNegated }
    }
}

extension NumberRule.Divisor {
    /// Whether v is a whole multiple of d; exact.
    static func divides(_ d: Decimal, _ v: Decimal) -> Bool {
        let places = max(d.fraction.count, v.fraction.count)
        func scaled(_ x: Decimal) -> [UInt8] { x.whole + x.fraction + [UInt8](repeating: 0, count: places - x.fraction.count) }
        if let divisor = scaled(d).reduce(Optional(0), { sum, digit in sum.flatMap { $0 < 1 << 50 ? $0 * 10 + Int(digit) : nil } }) {
            return divisor > 0 && scaled(v).reduce(0) { ($0 * 10 + Int($1)) % divisor } == 0
        }
        // beyond a word: long division, digit by digit
        let divisor = Array(scaled(d).drop { $0 == 0 })
        var rest: [UInt8] = []  // without zeros in front, less than the divisor
        func isBelow(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.count != b.count ? a.count < b.count : a.lexicographicallyPrecedes(b) }
        for digit in scaled(v) {
            if !rest.isEmpty || digit != 0 { rest.append(digit) }
            while !isBelow(rest, divisor) {
                var borrow: UInt8 = 0
                for i in 1...rest.count {
                    let taken = (i <= divisor.count ? divisor[divisor.count - i] : 0) + borrow, at = rest.count - i
                    borrow = rest[at] < taken ? 1 : 0
                    rest[at] = rest[at] + 10 * borrow - taken
                }
                rest = Array(rest.drop { $0 == 0 })
            }
        }
        return rest.isEmpty
    }
}

/// Texts of numbers: RFC 8259's, held to a rule.
enum NumberAutomaton {
    private static let alphabet: [UInt8] = Array("+-.0123456789Ee".utf8).sorted()
    private static let mostRemainders = 100_000

    static func build(_ rule: NumberRule, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        if let values = rule.values { return try spelled(rule.allowed(values), budget) }
        if rule.isFree { return try free(isInteger: rule.isInteger, budget) }
        var out = try bounded(rule, budget).minimized()
        // no more digits than a binary number of 64 bits keeps: whoever reads it as such sees a fraction too, and no multiple
        if rule.isFractional || rule.divisors.contains(where: { $0.isNegated }) {
            let kept = try out.intersection(try expression("-?(?:[0-9]{1,15}(?:\\.0+)?|[0-9]{1,9}\\.[0-9]{1,6}0*)", budget), budget)
            guard !kept.isEmpty || out.isEmpty else {
                throw Llama2Error(.unsupported, "schema: numbers longer than a double tells apart that are no integers, or no multiples, are not followed")
            }
            out = kept
        }
        if !rule.excluded.isEmpty { out = try out.subtracting(try spelled(rule.excluded, budget), budget) }
        return try out.minimized()
    }

    private static var tooManyRemainders: Llama2Error { Llama2Error(.unsupported, "multipleOf with more than \(mostRemainders) remainders") }

    /// Of two numbers up to `mostRemainders` squared and `mostRemainders`: far below Int.max.
    private static func leastCommonMultiple(_ a: Int, _ b: Int) -> Int { a / greatestCommonDivisor(a, b) * b }

    private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : greatestCommonDivisor(b, a % b) }

    /// Any number: -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
    private static func free(isInteger: Bool, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        let pattern = isInteger ? "-?(?:0|[1-9][0-9]*)" : "-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+\\-]?[0-9]+)?"
        return try expression(pattern, budget)
    }

    /// Numbers that are written in one way only, but for zeros behind a point; and words.
    static func spelledOnce(_ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        try expression("-?(?:[1-9][0-9]*(?:\\.[0-9]+)?|0\\.[0-9]*[1-9][0-9]*)|0(?:\\.0+)?|true|false|null", budget)
    }

    /// The same without such zeros.
    static func withoutZeros(_ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        try expression("[^.]*|[^.]*\\.[0-9]*[1-9]", budget)
    }

    private static func expression(_ pattern: String, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        try RegexCompiler(budget).anchored(try RegexParser.parse(Array(pattern.utf8), .re2))
    }

    /// All ways to write these numbers without an exponent.
    private static func spelled(_ values: [Decimal], _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        guard !values.isEmpty else { return .none }
        let texts = values.map { value in
            (value.isNegative && !value.isZero ? "-" : value.isZero ? "-?" : "") + (value.whole.isEmpty ? "0" : value.whole.map { "\($0)" }.joined())
                + (value.fraction.isEmpty ? "(?:\\.0+)?" : "\\." + value.fraction.map { "\($0)" }.joined() + "0*")
        }
        return try RegexCompiler(budget).anchored(try RegexParser.parse(Array(texts.joined(separator: "|").utf8), .re2))
    }

    // MARK: Bounds and divisors

    /// How the digits so far compare with those of a bound's magnitude, if it has as many before its point.
    private enum Order: Int8, Hashable { case less, equal, greater }

    /// A number on its way, digit by digit.
    private struct Place: Hashable {
        enum Phase: Int8, Hashable { case start, sign, zero, whole, point, fraction }
        var phase = Phase.start
        var isNegative = false
        var digits: Int32 = 0  // of the present part, as far as they matter
        var low = Order.equal, high = Order.equal  // against the bounds' magnitudes
        var remainder: Int32 = 0  // by the common multiple of all divisors
        var hasFraction = false  // a digit behind the point that is not 0
        var isZero = true
        var dividesNot = false  // a digit beyond a divisor's places: no multiple any more

        /// All of it in one number: a state is looked up for each byte of each other one.
        func hash(into hasher: inout Hasher) {
            let flags = (isNegative ? 1 : 0) + (hasFraction ? 2 : 0) + (isZero ? 4 : 0) + (dividesNot ? 8 : 0)
            hasher.combine(Int(remainder) << 40 ^ Int(digits) << 16 ^ Int(phase.rawValue) << 12 ^ Int(low.rawValue) << 10 ^ Int(high.rawValue) << 8 ^ flags)
        }
    }

    private static func bounded(_ rule: NumberRule, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        // a divisor d with p places: whole * 10^p + fraction, modulo d * 10^p; of several, modulo what all of them divide
        let places = rule.divisors.map { $0.value.fraction.count }.max() ?? 0
        var divisors: [(value: Int, isNegated: Bool)] = [], wanted = 1
        for divisor in rule.divisors {
            let digits = divisor.value.whole + divisor.value.fraction + [UInt8](repeating: 0, count: places - divisor.value.fraction.count)
            var value = 0
            for digit in digits {
                value = value * 10 + Int(digit)
                guard value <= mostRemainders else { throw tooManyRemainders }
            }
            divisors.append((value, divisor.isNegated))
            if !divisor.isNegated { wanted = leastCommonMultiple(wanted, value) }
            guard wanted <= mostRemainders else { throw tooManyRemainders }
        }
        let isMultiple = divisors.contains { !$0.isNegated }
        // every multiple of one is a multiple of the other
        if isMultiple, divisors.contains(where: { $0.isNegated && wanted % $0.value == 0 }) { return .none }
        // of a multiple of `wanted`, not to be one of d is not to be one of both; whoever is none of 6 is none of 12
        let avoided = Set(divisors.filter { $0.isNegated }.map { leastCommonMultiple(wanted, $0.value) }).sorted()
        divisors = isMultiple ? [(wanted, false)] : []
        var modulus = wanted
        // all that is kept divides the modulus: it stays few
        for value in avoided where !divisors.contains(where: { $0.isNegated && value % $0.value == 0 }) {
            divisors.append((value, true))
            modulus = leastCommonMultiple(modulus, value)
            guard modulus <= mostRemainders else { throw tooManyRemainders }
        }
        let low = rule.low?.value ?? .zero, high = rule.high?.value ?? .zero, isBounded = rule.low != nil || rule.high != nil
        let longest = max(low.whole.count, high.whole.count), deepest = max(low.fraction.count, high.fraction.count, places)

        func compare(_ order: Order, _ digit: UInt8, _ with: UInt8) -> Order {
            order != .equal ? order : digit < with ? .less : digit == with ? .equal : .greater
        }
        /// Against a bound, when the digits before the point are complete.
        func settled(_ order: Order, _ digits: Int, _ bound: Decimal) -> Order {
            digits < bound.whole.count ? .less : digits > bound.whole.count ? .greater : order
        }

        func next(_ p: Place, _ byte: UInt8) -> Place? {
            var q = p
            switch byte {
            case UInt8(ascii: "-"):
                guard p.phase == .start else { return nil }
                q.isNegative = isBounded
                q.phase = .sign
                return q
            case UInt8(ascii: "."):
                guard p.phase == .zero || p.phase == .whole, !rule.isInteger else { return nil }
                if isBounded {
                    q.low = settled(p.low, Int(p.digits), low)
                    q.high = settled(p.high, Int(p.digits), high)
                }
                q.phase = .point
                q.digits = 0
                return q
            case 0x30...0x39:
                let digit = byte - 0x30
                switch p.phase {
                case .zero: return nil
                case .start, .sign, .whole:
                    if p.phase != .whole, digit == 0 {
                        q.phase = .zero
                        return q
                    }
                    q.phase = .whole
                    let at = Int(p.digits)
                    if at < low.whole.count { q.low = compare(p.low, digit, low.whole[at]) }
                    if at < high.whole.count { q.high = compare(p.high, digit, high.whole[at]) }
                    q.digits = min(p.digits + 1, Int32(longest + 1))
                    q.remainder = Int32((Int(p.remainder) * 10 + Int(digit)) % modulus)
                    q.isZero = false
                case .point, .fraction:
                    q.phase = .fraction
                    let at = Int(p.digits)
                    if isBounded {
                        q.low = compare(p.low, digit, at < low.fraction.count ? low.fraction[at] : 0)
                        q.high = compare(p.high, digit, at < high.fraction.count ? high.fraction[at] : 0)
                    }
                    if at < places {
                        q.remainder = Int32((Int(p.remainder) * 10 + Int(digit)) % modulus)
                    } else if digit != 0, !divisors.isEmpty {
                        q.dividesNot = true
                        q.remainder = 0
                    }
                    q.digits = min(p.digits + 1, Int32(deepest))
                    if digit != 0 {
                        q.hasFraction = true
                        q.isZero = false
                    }
                }
                return q
            default: return nil
            }
        }

        /// The order of the finished number against a bound's magnitude.
        func final(_ p: Place, _ order: Order, _ bound: Decimal) -> Order {
            var order = order, from = 0
            if p.phase == .zero || p.phase == .whole {
                order = settled(order, Int(p.digits), bound)
            } else {
                from = Int(p.digits)
            }
            // the digits of the bound that were not reached
            if order == .equal, from < bound.fraction.count, bound.fraction[from...].contains(where: { $0 != 0 }) { order = .less }
            return order
        }
        /// Of the signed numbers.
        func order(_ p: Place, _ magnitude: Order, _ bound: Decimal) -> Order {
            if p.isZero { return bound.isZero ? .equal : bound.isNegative ? .greater : .less }
            if bound.isZero { return p.isNegative ? .less : .greater }
            if p.isNegative != bound.isNegative { return p.isNegative ? .less : .greater }
            guard p.isNegative else { return magnitude }
            return magnitude == .less ? .greater : magnitude == .greater ? .less : .equal
        }
        func tag(_ p: Place) -> Int32 {
            guard p.phase == .zero || p.phase == .whole || p.phase == .fraction else { return -1 }
            if rule.isFractional && !p.hasFraction || rule.isInteger && p.hasFraction { return -1 }
            if let bound = rule.low {
                let o = order(p, final(p, p.low, bound.value), bound.value)
                if o == .less || o == .equal && bound.isExclusive { return -1 }
            }
            if let bound = rule.high {
                let o = order(p, final(p, p.high, bound.value), bound.value)
                if o == .greater || o == .equal && bound.isExclusive { return -1 }
            }
            // as if all places had been written
            var remainder = Int(p.remainder)
            let written = p.phase == .fraction ? min(Int(p.digits), places) : 0
            for _ in written..<max(places, written) { remainder = remainder * 10 % modulus }
            for divisor in divisors where (remainder % divisor.value == 0 && !p.dividesNot) == divisor.isNegated { return -1 }
            return 0
        }
        return try DFA.exploring(Place(), alphabet: alphabet, budget, tag: tag, next: next)
    }
}
