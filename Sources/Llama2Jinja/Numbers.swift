/// Numbers as Python reads and writes them.
enum Numbers {
    /// base 0: by its prefix. White space and "_" were dropped before. nil: no integer, or none of 64 bits.
    static func integer(_ text: [Unit], base: Int) -> Int? {
        var digits = text.map(\.byte)[...]
        var isNegative = false
        if digits.first == 0x2d || digits.first == 0x2b {
            isNegative = digits.first == 0x2d
            digits = digits.dropFirst()
        }
        var base = base
        if digits.count > 2, digits.first == 0x30 {
            let prefixed =
                switch digits[digits.startIndex + 1] | 0x20 {
                case UInt8(ascii: "x"): 16
                case UInt8(ascii: "o"): 8
                case UInt8(ascii: "b"): 2
                default: 0
                }
            if prefixed != 0, base == 0 || base == prefixed {
                base = prefixed
                digits = digits.dropFirst(2)
            }
        }
        if base == 0 { base = 10 }
        guard !digits.isEmpty else { return nil }
        var value = 0
        for byte in digits {
            let digit: Int
            switch byte {
            case 0x30...0x39: digit = Int(byte) - 0x30
            case 0x61...0x7a: digit = Int(byte) - 0x57
            case 0x41...0x5a: digit = Int(byte) - 0x37
            default: return nil
            }
            guard digit < base else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: base)
            let (sum, overflows) = isNegative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            guard !overflow, !overflows else { return nil }
            value = sum
        }
        return value
    }

    /// Python's `float(text)` without spaces and "_".
    static func float(_ text: [Unit]) -> Double? {
        guard text.count <= 400 else { return nil }
        let bytes = text.map(\.byte)
        let word = bytes.map { $0 | 0x20 }.drop { $0 == 0x2b | 0x20 || $0 == 0x2d }
        for name in ["inf", "infinity", "nan"] where word.elementsEqual(name.utf8) {
            return name == "nan" ? .nan : bytes[0] == 0x2d ? -Double.infinity : .infinity
        }
        for byte in bytes where !(0x30...0x39).contains(byte) && ![0x2b, 0x2d, 0x2e, 0x45, 0x65].contains(byte) { return nil }
        // Swift wants digits on both sides of the point
        var full: [UInt8] = []
        for (i, byte) in bytes.enumerated() {
            if byte == 0x2e, full.last.map({ !(0x30...0x39).contains($0) }) ?? true {
                guard i + 1 < bytes.count, (0x30...0x39).contains(bytes[i + 1]) else { return nil }
                full.append(0x30)
            }
            full.append(byte)
            if byte == 0x2e, i + 1 == bytes.count || !(0x30...0x39).contains(bytes[i + 1]) { full.append(0x30) }
        }
        return Double(String(decoding: full, as: UTF8.self))
    }

    /// a / b rounded once, as Python has it: beyond 53 bits neither is a double. b is not 0.
    static func quotient(_ a: Int, _ b: Int) -> Double {
        let x = a.magnitude, y = b.magnitude
        guard x > 1 << 53 || y > 1 << 53 else { return Double(a) / Double(b) }
        // x * 2 ** shift / y has 55 bits or more, which with the rest as one more are enough to round
        let shift = max(0, 55 + x.leadingZeroBitCount - y.leadingZeroBitCount)
        let high = shift >= 64 ? x << UInt(shift - 64) : x >> UInt(64 - shift)  // below y: it has 8 bits less
        let (quotient, rest) = y.dividingFullWidth((high, shift >= 64 ? 0 : x << UInt(shift)))
        let magnitude = Double(sign: .plus, exponent: -shift, significand: Double(quotient | (rest == 0 ? 0 : 1)))
        return (a < 0) != (b < 0) ? -magnitude : magnitude
    }

    /// The shortest digits that mean `value`, and where the point stands: 0.DIGITS * 10 ** point. Finite, not negative.
    static func shortest(_ value: Double) -> (digits: [UInt8], point: Int) {
        var digits: [UInt8] = [], point: Int?, exponent = 0, inExponent = false, isNegative = false
        for byte in value.description.utf8 {
            switch byte {
            case UInt8(ascii: "."): point = digits.count
            case UInt8(ascii: "e"): inExponent = true
            case UInt8(ascii: "-"): if inExponent { isNegative = true }
            case 0x30...0x39: if inExponent { exponent = exponent * 10 + Int(byte - 0x30) } else { digits.append(byte) }
            default: break
            }
        }
        var place = (point ?? digits.count) + (isNegative ? -exponent : exponent)
        let zeros = digits.prefix { $0 == 0x30 }.count
        digits.removeFirst(zeros)
        place -= zeros
        while digits.last == 0x30 { digits.removeLast() }
        return digits.isEmpty ? ([0x30], 1) : (digits, place)
    }

    /// Python's `repr(value)`.
    static func text(_ value: Double) -> [Unit] {
        if value.isNaN { return units("nan") }
        if value.isInfinite { return units(value < 0 ? "-inf" : "inf") }
        let (digits, point) = shortest(value.magnitude)
        var out: [UInt8] = value.sign == .minus ? [0x2d] : []
        if point > -4, point <= 16 {
            if point <= 0 {
                out += [0x30, 0x2e] + [UInt8](repeating: 0x30, count: -point) + digits
            } else if digits.count <= point {
                out += digits + [UInt8](repeating: 0x30, count: point - digits.count) + [0x2e, 0x30]
            } else {
                out += digits[..<point] + [0x2e] + digits[point...]
            }
        } else {
            out.append(digits[0])
            if digits.count > 1 { out += [0x2e] + digits[1...] }
            out += exponent(point - 1)
        }
        return out.map { Unit($0) }
    }

    static func exponent(_ value: Int) -> [UInt8] {
        let digits = String(value.magnitude)
        return [0x65, value < 0 ? 0x2d : 0x2b] + (digits.utf8.count < 2 ? [0x30] : []) + Array(digits.utf8)
    }

    /// `value` with that many decimals, rounded half to even from its exact value, as C prints it. Finite, not negative;
    /// decimals 0 ... 400.
    static func fixed(_ value: Double, decimals: Int) -> [UInt8] {
        // value = significand * 2 ** exponent, both integers; digits by long arithmetic in base 10 ** 9
        let isSubnormal = value.exponentBitPattern == 0
        let significand = value.significandBitPattern | (isSubnormal ? 0 : 1 << 52)
        let exponent = Int(isSubnormal ? 1 : value.exponentBitPattern) - 1075
        // value * 10 ** decimals = numerator / 2 ** shift
        var number = Natural(significand)
        for _ in 0..<decimals { number.multiply(10) }
        if exponent >= 0 {
            for _ in 0..<exponent { number.multiply(2) }
        } else {
            number.divideByPowerOfTwo(-exponent)
        }
        var digits = number.digits
        if digits.count <= decimals { digits = [UInt8](repeating: 0x30, count: decimals + 1 - digits.count) + digits }
        return decimals == 0 ? digits : digits[..<(digits.count - decimals)] + [0x2e] + digits[(digits.count - decimals)...]
    }

    /// `value` as D.DDDe+XX with that many decimals. Finite, not negative.
    static func scientific(_ value: Double, decimals: Int) -> (digits: [UInt8], exponent: Int) {
        guard value > 0 else { return ([UInt8](repeating: 0x30, count: decimals + 1), 0) }
        // All digits of a double are exact within 1100 decimals; then cut and round half to even.
        let exact = fixed(value, decimals: 1100)
        let point = exact.firstIndex(of: 0x2e) ?? exact.count
        var all = exact.filter { $0 != 0x2e }
        let zeros = all.prefix { $0 == 0x30 }.count
        all.removeFirst(zeros)
        var exponent = point - zeros - 1
        var kept = Array(all.prefix(decimals + 1))
        while kept.count < decimals + 1 { kept.append(0x30) }
        let rest = all.dropFirst(decimals + 1)
        let above = rest.first.map { $0 > 0x35 || $0 == 0x35 && rest.dropFirst().contains { $0 != 0x30 } } ?? false
        let tie = rest.first == 0x35 && !above
        if above || tie && (kept.last ?? 0) & 1 == 1 {
            var i = kept.count - 1
            while i >= 0, kept[i] == 0x39 {
                kept[i] = 0x30
                i -= 1
            }
            if i >= 0 {
                kept[i] += 1
            } else {
                kept = [0x31] + kept.dropLast()
                exponent += 1
            }
        }
        return (kept, exponent)
    }
}

/// A natural number of any size: 32-bit words, lowest first.
private struct Natural {
    var words: [UInt32]

    init(_ value: UInt64) { words = [UInt32(truncatingIfNeeded: value), UInt32(truncatingIfNeeded: value >> 32)] }

    mutating func multiply(_ factor: UInt64) {
        var carry: UInt64 = 0
        for i in words.indices {
            let product = UInt64(words[i]) &* factor &+ carry  // below 2 ** 32 * 11
            words[i] = UInt32(truncatingIfNeeded: product)
            carry = product >> 32
        }
        if carry > 0 { words.append(UInt32(truncatingIfNeeded: carry)) }
    }

    /// Rounded half to even.
    mutating func divideByPowerOfTwo(_ shift: Int) {
        func bit(_ place: Int) -> Bool { place / 32 < words.count && words[place / 32] >> UInt32(place % 32) & 1 == 1 }
        let half = shift > 0 && bit(shift - 1)
        var sticky = false
        for place in 0..<max(0, shift - 1) where bit(place) {
            sticky = true
            break
        }
        var out: [UInt32] = []
        var i = shift / 32
        while i < words.count {
            let low = words[i] >> UInt32(shift % 32)
            let high = shift % 32 > 0 && i + 1 < words.count ? words[i + 1] << UInt32(32 - shift % 32) : 0
            out.append(low | high)
            i += 1
        }
        if out.isEmpty { out = [0] }
        if half, sticky || out[0] & 1 == 1 {
            var at = 0
            while true {
                if at == out.count {
                    out.append(1)
                    break
                }
                let (sum, overflow) = out[at].addingReportingOverflow(1)
                out[at] = sum
                guard overflow else { break }
                at += 1
            }
        }
        words = out
    }

    var digits: [UInt8] {
        var rest = words, out: [UInt8] = []
        while rest.contains(where: { $0 != 0 }) {
            var remainder: UInt64 = 0
            for i in rest.indices.reversed() {
                let value = remainder << 32 | UInt64(rest[i])  // remainder is below 10 ** 9
                rest[i] = UInt32(truncatingIfNeeded: value / 1_000_000_000)
                remainder = value % 1_000_000_000
            }
            while rest.last == 0 { rest.removeLast() }
            for _ in 0..<9 {
                out.append(UInt8(remainder % 10) + 0x30)
                remainder /= 10
            }
        }
        while out.count > 1, out.last == 0x30 { out.removeLast() }
        return out.isEmpty ? [0x30] : out.reversed()
    }
}
