/// Python's classes and cases of characters, over units.
enum Characters {
    /// The scalar that begins at `at`, and its length; nil for what is not UTF-8 (one byte).
    static func scalar(_ units: some RandomAccessCollection<Unit>, _ at: Int) -> (Unicode.Scalar?, Int) where [Unit].Index == Int {
        let array = units
        func byte(_ offset: Int) -> UInt32? {
            let index = array.index(array.startIndex, offsetBy: at + offset, limitedBy: array.endIndex)
            guard let index, index < array.endIndex else { return nil }
            return UInt32(array[index].byte)
        }
        guard let first = byte(0) else { return (nil, 1) }
        if first < 0x80 { return (Unicode.Scalar(first), 1) }
        let length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
        guard first >= 0xc2, first < 0xf5 else { return (nil, 1) }
        var value = first & (length == 2 ? 0x1f : length == 3 ? 0x0f : 0x07)
        for i in 1..<length {
            guard let next = byte(i), next & 0xc0 == 0x80 else { return (nil, 1) }
            value = value << 6 | next & 0x3f
        }
        guard value >= (length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000), let scalar = Unicode.Scalar(value) else { return (nil, 1) }
        return (scalar, length)
    }

    /// `str.isspace`.
    static func isSpace(_ scalar: Unicode.Scalar?) -> Bool {
        guard let scalar else { return false }
        if scalar.isASCII { return scalar.value == 0x20 || (0x09...0x0d).contains(scalar.value) || (0x1c...0x1f).contains(scalar.value) }
        return scalar.properties.isWhitespace
    }

    static func isLineEnd(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x0a...0x0d, 0x1c...0x1e, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }

    /// `str.isprintable`.
    static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return scalar.value >= 0x20 && scalar.value < 0x7f }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator: return false
        default: return true
        }
    }

    enum Case { case upper, lower, title, fold }

    /// Every character in that case, each with the origin of its first byte.
    static func cased(_ units: [Unit], _ change: (Int) -> Case?) -> [Unit] {
        var out: [Unit] = []
        out.reserveCapacity(units.count)
        var at = 0, index = 0
        while at < units.count {
            let (scalar, length) = scalar(units, at)
            defer {
                at += length
                index += 1
            }
            guard let scalar, let wanted = change(index) else {
                out += units[at..<at + length]
                continue
            }
            if scalar.isASCII {
                let isLower = (0x61...0x7a).contains(scalar.value), isUpper = (0x41...0x5a).contains(scalar.value)
                let flips = wanted == .upper || wanted == .title ? isLower : isUpper
                out.append(flips ? units[at] ^ 0x20 : units[at])
                continue
            }
            let text: String
            switch wanted {
            case .upper: text = scalar.properties.uppercaseMapping
            case .title: text = scalar.properties.titlecaseMapping
            case .lower: text = scalar.value == 0x3a3 && isFinal(units, at, length) ? "\u{3c2}" : scalar.properties.lowercaseMapping
            case .fold: text = folded(scalar)
            }
            for byte in text.utf8 { out.append(units[at].with(byte)) }
        }
        return out
    }

    /// Full case folding: the lower case of the upper one, but for what has its own.
    private static func folded(_ scalar: Unicode.Scalar) -> String {
        switch scalar.value {
        case 0x131: return String(scalar)  // i without its dot
        case 0x1e9e: return "ss"
        case 0x13a0...0x13f5: return String(scalar)  // Cherokee folds to its capitals
        case 0x13f8...0x13fd: return String(Unicode.Scalar(scalar.value - 8) ?? scalar)
        case 0xab70...0xabbf: return String(Unicode.Scalar(scalar.value - 0xab70 + 0x13a0) ?? scalar)
        default: return scalar.properties.uppercaseMapping.unicodeScalars.map(\.properties.lowercaseMapping).joined()
        }
    }

    /// A capital sigma at the end of a word: letters before it, none after.
    private static func isFinal(_ units: [Unit], _ at: Int, _ length: Int) -> Bool {
        var before = at - 1
        while before >= 0 {
            while before > 0, !units[before].isStart { before -= 1 }
            guard let scalar = scalar(units, before).0 else { return false }
            if !scalar.properties.isCaseIgnorable {
                guard scalar.properties.isCased else { return false }
                break
            }
            before -= 1
        }
        guard before >= 0 else { return false }
        var after = at + length
        while after < units.count {
            let (scalar, length) = scalar(units, after)
            guard let scalar else { return true }
            if !scalar.properties.isCaseIgnorable { return !scalar.properties.isCased }
            after += length
        }
        return true
    }

    static func all(_ units: [Unit], _ change: Case) -> [Unit] { cased(units) { _ in change } }

    /// The range without what `drops` at its ends.
    static func stripped(_ units: ArraySlice<Unit>, left: Bool, right: Bool, _ drops: (Unicode.Scalar?, ArraySlice<Unit>) -> Bool) -> ArraySlice<Unit> {
        var rest = units
        while left, !rest.isEmpty {
            let (scalar, length) = scalar(rest, 0)
            guard drops(scalar, rest.prefix(length)) else { break }
            rest = rest.dropFirst(length)
        }
        while right, !rest.isEmpty {
            var start = rest.endIndex - 1
            while start > rest.startIndex, !rest[start].isStart { start -= 1 }
            let (scalar, length) = scalar(rest[start...], 0)
            guard drops(length == rest.endIndex - start ? scalar : nil, rest[start...]) else { break }
            rest = rest[..<start]
        }
        return rest
    }

    /// What `int` and `float` read: decimal digits of every script as ASCII's, without white space around, of ASCII's control
    /// characters only those of C.
    static func plainDigits(_ units: [Unit]) -> [Unit] {
        var out: [Unit] = [], at = 0
        out.reserveCapacity(units.count)
        while at < units.count {
            let (scalar, length) = scalar(units, at)
            if let scalar, !scalar.isASCII, scalar.properties.numericType == .decimal, let value = scalar.properties.numericValue, (0...9).contains(value) {
                out.append(units[at].with(0x30 + UInt8(value)))
            } else if let scalar, !scalar.isASCII, isSpace(scalar) {
                out.append(units[at].with(0x20))
            } else {
                out += units[at..<at + length]
            }
            at += length
        }
        let rest = out.drop { $0.byte == 0x20 || (0x09...0x0d).contains($0.byte) }
        return Array(rest.prefix(rest.lastIndex { $0.byte != 0x20 && !(0x09...0x0d).contains($0.byte) }.map { $0 - rest.startIndex + 1 } ?? 0))
    }

    static func stripped(_ units: [Unit]) -> [Unit] { Array(stripped(units[...], left: true, right: true) { scalar, _ in isSpace(scalar) }) }
    static func strippedRight(_ units: [Unit]) -> [Unit] { Array(stripped(units[...], left: false, right: true) { scalar, _ in isSpace(scalar) }) }
}
