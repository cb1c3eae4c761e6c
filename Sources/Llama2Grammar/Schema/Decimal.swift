/// A JSON number exactly as it is written: digits before and after the point, without zeros that say nothing.
struct Decimal: Hashable {
    var isNegative: Bool
    var whole: [UInt8]  // digits 0 ... 9, the highest first; empty: 0
    var fraction: [UInt8]  // without zeros at the end

    static let zero = Decimal(isNegative: false, whole: [], fraction: [])
    /// Digits that an exponent may add.
    private static let mostDigits = 400

    /// nil when the exponent makes it longer than is sensible.
    init?(_ text: [UInt8]) {
        var rest = text[...]
        isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest = rest.dropFirst() }
        var mantissa = rest, exponent = 0
        if let e = rest.firstIndex(where: { $0 | 0x20 == UInt8(ascii: "e") }) {
            mantissa = rest[..<e]
            var digits = rest[(e + 1)...]
            let sign = digits.first == UInt8(ascii: "-") ? -1 : 1
            if digits.first == UInt8(ascii: "-") || digits.first == UInt8(ascii: "+") { digits = digits.dropFirst() }
            for digit in digits { exponent = min(exponent * 10 + Int(digit) - 0x30, 1_000_000) }
            exponent *= sign
        }
        let point = mantissa.firstIndex(of: UInt8(ascii: ".")) ?? mantissa.endIndex
        whole = mantissa[..<point].map { $0 &- 0x30 }
        fraction = point < mantissa.endIndex ? mantissa[(point + 1)...].map { $0 &- 0x30 } : []
        if !(whole + fraction).contains(where: { $0 != 0 }) {
            self = .zero
            return
        }
        guard abs(exponent) <= Decimal.mostDigits else { return nil }
        while exponent > 0 {
            whole.append(fraction.isEmpty ? 0 : fraction.removeFirst())
            exponent -= 1
        }
        while exponent < 0 {
            fraction.insert(whole.popLast() ?? 0, at: 0)
            exponent += 1
        }
        while whole.first == 0 { whole.removeFirst() }
        while fraction.last == 0 { fraction.removeLast() }
    }

    init(isNegative: Bool, whole: [UInt8], fraction: [UInt8]) {
        self.isNegative = isNegative
        self.whole = whole
        self.fraction = fraction
    }

    var isZero: Bool { whole.isEmpty && fraction.isEmpty }
    var isInteger: Bool { fraction.isEmpty }
    var magnitude: Decimal { Decimal(isNegative: false, whole: whole, fraction: fraction) }

    /// As an Int, nil when it is none or too large.
    var int: Int? {
        guard fraction.isEmpty, whole.count <= 18 else { return nil }
        let value = whole.reduce(0) { $0 * 10 + Int($1) }
        return isNegative ? -value : value
    }

    static func < (a: Decimal, b: Decimal) -> Bool {
        if a.isNegative != b.isNegative { return a.isNegative }
        if a == b { return false }
        let isLess: Bool
        if a.whole.count != b.whole.count {
            isLess = a.whole.count < b.whole.count
        } else if a.whole != b.whole {
            isLess = a.whole.lexicographicallyPrecedes(b.whole)
        } else {
            isLess = a.fraction.lexicographicallyPrecedes(b.fraction)
        }
        return isLess != a.isNegative
    }
}
