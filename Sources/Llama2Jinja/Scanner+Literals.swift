internal import Llama2Core

// Numbers and strings of a template, as Python writes them.
extension Scanner {
    /// Python's integers and floats, "_" between digits dropped.
    mutating func number() -> Token {
        func digits(_ from: Int, _ isDigit: (UInt8) -> Bool) -> Int {
            var i = from
            while i < source.count {
                if isDigit(source[i].byte) {
                    i += 1
                } else if source[i] == 0x5f, i + 1 < source.count, i > from, isDigit(source[i + 1].byte) {
                    i += 2
                } else {
                    break
                }
            }
            return i
        }
        let isDecimal: (UInt8) -> Bool = { (0x30...0x39).contains($0) }
        let whole = digits(at, isDecimal)
        // 1. a float: a point with digits, or an exponent, after any digits
        var end = whole, isFloat = false
        if at == 0 || source[at - 1] != 0x2e {
            if end < source.count, source[end] == 0x2e {
                let fraction = digits(end + 1, isDecimal)
                if fraction > end + 1 {
                    end = fraction
                    isFloat = true
                }
            }
            if end < source.count, source[end].byte | 0x20 == 0x65 {
                var first = end + 1
                if first < source.count, source[first] == 0x2b || source[first] == 0x2d { first += 1 }
                let exponent = digits(first, isDecimal)
                if exponent > first {
                    end = exponent
                    isFloat = true
                }
            }
        }
        // 2. or an integer
        if !isFloat {
            let prefix = at + 1 < source.count && source[at] == 0x30 ? source[at + 1].byte | 0x20 : 0
            let afterPrefix = at + 2 + (at + 2 < source.count && source[at + 2] == 0x5f ? 1 : 0)
            let isDigit: ((UInt8) -> Bool)? =
                switch prefix {
                case 0x78: { (0x30...0x39).contains($0) || (0x61...0x66).contains($0 | 0x20) }
                case 0x6f: { (0x30...0x37).contains($0) }
                case 0x62: { $0 == 0x30 || $0 == 0x31 }
                default: nil
                }
            if let isDigit, digits(afterPrefix, isDigit) > afterPrefix {
                end = digits(afterPrefix, isDigit)
            } else if source[at] == 0x30 {
                end = digits(at) { $0 == 0x30 }  // Python has no 007
            } else {
                end = whole
            }
        }
        let token = Token(kind: isFloat ? .float : .integer, line: line, text: source[at..<end].filter { $0 != 0x5f })
        move(to: end)
        return token
    }

    mutating func string(_ quote: UInt8) throws(Llama2Error) -> Token {
        var i = at + 1, text: [Unit] = []
        while true {
            guard i < source.count else { throw failure("a string that does not end") }
            let byte = source[i].byte
            if byte == quote { break }
            guard byte == 0x5c else {
                text.append(source[i])
                i += 1
                continue
            }
            guard i + 1 < source.count else { throw failure("a string that does not end") }
            i = try escape(i + 1, &text)
        }
        let token = Token(kind: .string, line: line, text: text)
        move(to: i + 1)
        return token
    }

    /// What follows a backslash at `place`, as Python's unicode-escape codec reads it. Returns the place after it.
    private func escape(_ place: Int, _ text: inout [Unit]) throws(Llama2Error) -> Int {
        func number(_ from: Int, _ count: Int) throws(Llama2Error) -> Int {
            var value: UInt32 = 0
            for i in from..<from + count {
                guard i < source.count, let digit = Scanner.hexValue(source[i].byte) else { throw failure("an escape with too few digits") }
                value = value << 4 | digit
            }
            guard let scalar = Unicode.Scalar(value) else { throw failure("an escape that is no character") }
            text += scalar.utf8Units
            return from + count
        }
        let byte = source[place].byte
        switch byte {
        case 0x0a: return place + 1
        case 0x5c, 0x27, 0x22: text.append(Unit(byte))
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "a"): text.append(0x07)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "v"): text.append(0x0b)
        case UInt8(ascii: "x"): return try number(place + 1, 2)
        case UInt8(ascii: "u"): return try number(place + 1, 4)
        case UInt8(ascii: "U"): return try number(place + 1, 8)
        case UInt8(ascii: "N"): throw failure("an escape by a character's name is not supported")
        case 0x30...0x37:
            var value: UInt32 = 0, i = place
            while i < place + 3, i < source.count, (0x30...0x37).contains(source[i].byte) {
                value = value << 3 | UInt32(source[i].byte - 0x30)
                i += 1
            }
            if let scalar = Unicode.Scalar(value) { text += scalar.utf8Units }
            return i
        case 0x80...:
            // the codec sees such a character as the escape for it, whose backslash this one takes away
            let (scalar, length) = Characters.scalar(source[place..<min(place + 4, source.count)], 0)
            guard let scalar else { throw failure("a string that is not UTF-8") }
            let hex = String(scalar.value, radix: 16), width = scalar.value < 0x100 ? 2 : scalar.value < 0x10000 ? 4 : 8
            text += units("\\" + (width == 2 ? "x" : width == 4 ? "u" : "U") + String(repeating: "0", count: max(0, width - hex.utf8.count)) + hex)
            return place + length
        default: text += [0x5c, Unit(byte)]
        }
        return place + 1
    }

    static func hexValue(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 0x30...0x39: UInt32(byte - 0x30)
        case 0x41...0x46: UInt32(byte - 0x37)
        case 0x61...0x66: UInt32(byte - 0x57)
        default: nil
        }
    }
}
