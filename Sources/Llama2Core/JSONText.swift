/// The words of JSON at a place of a text. After a problem `at` is where it lies.
struct JSONText {
    struct Problem: Error {
        let what: String
        init(_ what: String) { self.what = what }
    }

    let bytes: UnsafeRawBufferPointer
    var at: Int
    /// Whether the text was read once, so that its strings are UTF-8.
    private let isChecked: Bool

    init(bytes: UnsafeRawBufferPointer, at: Int) {
        (self.bytes, self.at, isChecked) = (bytes, at, false)
    }

    init(checked bytes: UnsafeRawBufferPointer, at: Int) {
        (self.bytes, self.at, isChecked) = (bytes, at, true)
    }

    var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    mutating func skipSpace() {
        while let c = next, c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09 { at += 1 }
    }

    mutating func word(_ text: StaticString) throws(Problem) {
        for i in 0..<text.utf8CodeUnitCount {
            guard next == text.utf8Start[i] else { throw Problem("no JSON value") }
            at += 1
        }
    }

    mutating func number() throws(Problem) -> Double {
        let start = at
        func digits(_ from: Int) -> Int {
            var i = from
            while i < bytes.count, (0x30...0x39).contains(bytes[i]) { i += 1 }
            return i
        }
        var end = at
        if next == UInt8(ascii: "-") { end += 1 }
        let whole = digits(end)
        guard whole > end, whole == end + 1 || bytes[end] != 0x30 else { throw Problem("no JSON value") }
        end = whole
        if end < bytes.count, bytes[end] == UInt8(ascii: ".") {
            let fraction = digits(end + 1)
            guard fraction > end + 1 else { throw Problem("a number without digits after its point") }
            end = fraction
        }
        if end < bytes.count, bytes[end] | 0x20 == UInt8(ascii: "e") {
            var first = end + 1
            if first < bytes.count, bytes[first] == UInt8(ascii: "+") || bytes[first] == UInt8(ascii: "-") { first += 1 }
            let exponent = digits(first)
            guard exponent > first else { throw Problem("a number without digits in its exponent") }
            end = exponent
        }
        at = end
        // up to 15 digits a double holds exactly: most numbers are ids, of which a vocabulary has a hundred thousand
        if end == whole, end - start <= 15, bytes[start] != UInt8(ascii: "-") {
            var integer = 0
            for i in start..<end { integer = integer &* 10 &+ Int(bytes[i] &- 0x30) }
            return Double(integer)
        }
        guard end - start <= 400,
            let value = Double(String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<end]), as: UTF8.self)),
            value.isFinite
        else {
            at = start
            throw Problem("a number beyond the range of a double")
        }
        return value
    }

    /// The string that begins here, in pieces.
    mutating func string(_ emit: (UnsafeRawBufferPointer) -> Void = { _ in }) throws(Problem) {
        at += 1
        while true {
            // 1. up to the next mark
            let start = at
            var plain = true
            while let c = next, c != UInt8(ascii: "\""), c != UInt8(ascii: "\\") {
                guard c >= 0x20 else { throw Problem("a control character in a string") }
                if c >= 0x80 { plain = false }
                at += 1
            }
            guard let mark = next else { throw Problem("a string that does not end") }
            let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<at])
            at += 1
            guard plain || isChecked || JSONText.isUTF8(piece) else { throw Problem("a string that is not UTF-8, before") }
            if !piece.isEmpty { emit(piece) }
            if mark == UInt8(ascii: "\"") { return }
            // 2. an escape
            let scalar = try escape()
            withUnsafeBytes(of: scalar.utf8EncodedBytes) { emit(UnsafeRawBufferPointer(rebasing: $0[..<scalar.utf8.count])) }
        }
    }

    /// Whether these are well-formed sequences (The Unicode Standard, table 3-7). The standard library's parser does the same, five times slower.
    private static func isUTF8(_ text: UnsafeRawBufferPointer) -> Bool {
        var i = 0
        while i < text.count {
            let first = text[i]
            i += 1
            if first < 0x80 { continue }
            let following: Int
            var least: UInt8 = 0x80, most: UInt8 = 0xbf  // of the second byte
            switch first {
            case 0xc2...0xdf: following = 1
            case 0xe0...0xef:
                following = 2
                if first == 0xe0 { least = 0xa0 } else if first == 0xed { most = 0x9f }  // no longer than needed; no surrogate
            case 0xf0...0xf4:
                following = 3
                if first == 0xf0 { least = 0x90 } else if first == 0xf4 { most = 0x8f }  // the last is U+10FFFF
            default: return false
            }
            guard following <= text.count - i, text[i] >= least, text[i] <= most else { return false }
            for next in 1..<3 where next < following && text[i + next] & 0xc0 != 0x80 { return false }
            i += following
        }
        return true
    }

    private mutating func escape() throws(Problem) -> Unicode.Scalar {
        guard let c = next else { throw Problem("a string that does not end") }
        at += 1
        switch c {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(c)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            var code = try fourDigits()
            if (0xd800..<0xdc00).contains(code), next == UInt8(ascii: "\\"), at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "u") {
                at += 2
                let low = try fourDigits()
                guard (0xdc00..<0xe000).contains(low) else { throw Problem("half of a surrogate pair, before") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw Problem("half of a surrogate pair, before") }
            return scalar
        default: throw Problem("an escape that JSON does not have, before")
        }
    }

    private mutating func fourDigits() throws(Problem) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let c = next, let digit = Character(Unicode.Scalar(c)).hexDigitValue else { throw Problem("expected four hexadecimal digits") }
            code = code << 4 | UInt32(digit)
            at += 1
        }
        return code
    }
}

extension Unicode.Scalar {
    /// Its UTF-8 in order, the rest zero.
    fileprivate var utf8EncodedBytes: (UInt8, UInt8, UInt8, UInt8) {
        var bytes: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &bytes) { out in for (i, byte) in utf8.enumerated() { out[i] = byte } }
        return bytes
    }
}
