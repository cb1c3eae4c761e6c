internal import Llama2Core

/// JSON (RFC 8259) as the files of a model use it: read whole, front to back, with bounds on depth and size.
/// An error names the file and the byte.
enum JSON {
    case null
    case bool(Bool)
    case number(Double)
    case string([UInt8])  // UTF-8
    case array([JSON])
    case object(JSONObject)

    static func parse(_ bytes: UnsafeRawBufferPointer, _ name: String) throws(Llama2Error) -> JSON {
        // every value follows a bracket, a brace, a comma or a colon (in a text they are counted too)
        var values = 1
        for c in bytes where c == 0x2c || c == 0x3a || c | 0x20 == 0x7b { values &+= 1 }
        try MemoryReserve.cover(values, each: 256, for: name)
        try MemoryReserve.cover(bytes.count, each: 4, for: name)
        var parser = JSONParser(bytes: bytes, name: name)
        return try parser.document()
    }

    var object: JSONObject? { if case .object(let o) = self { o } else { nil } }
    var array: [JSON]? { if case .array(let a) = self { a } else { nil } }
    var bytes: [UInt8]? { if case .string(let s) = self { s } else { nil } }
    var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
    var bool: Bool? { if case .bool(let b) = self { b } else { nil } }
    var double: Double? { if case .number(let x) = self { x } else { nil } }
    /// An integer that a double holds exactly.
    var integer: Int? { double.flatMap { abs($0) <= 9_007_199_254_740_992 ? Int(exactly: $0) : nil } }
    var isNull: Bool { if case .null = self { true } else { false } }
    subscript(_ key: String) -> JSON? { object?[key] }
}

/// Members in the file's order, each key once. Keys are bytes: Swift takes Strings that are canonically equivalent for
/// equal, and vocabularies hold both forms of a character.
final class JSONObject {
    private var keys: [[UInt8]] = []  // UTF-8
    private var values: [JSON] = []
    private var index: [[UInt8]: Int] = [:]

    var members: [(key: [UInt8], value: JSON)] { Array(zip(keys, values)) }
    subscript(_ key: String) -> JSON? { index[Array(key.utf8)].map { values[$0] } }

    fileprivate func insert(_ key: [UInt8], _ value: JSON) -> Bool {
        guard index.updateValue(keys.count, forKey: key) == nil else { return false }
        keys.append(key)
        values.append(value)
        return true
    }
}

private struct JSONParser {
    let bytes: UnsafeRawBufferPointer, name: String
    var at = 0
    private var values = 0
    private static let deepest = 128
    /// A vocabulary of 128,000 with its merges has about a million; this bounds the memory of a file that lies.
    private static let mostValues = 2_000_000

    init(bytes: UnsafeRawBufferPointer, name: String) {
        self.bytes = bytes
        self.name = name
    }

    func failure(_ what: String) -> Llama2Error { Llama2Error(.corrupt, "\(name): \(what) at byte \(at)") }

    mutating func document() throws(Llama2Error) -> JSON {
        let value = try value(depth: 0)
        skipSpace()
        guard at == bytes.count else { throw failure("something follows the value") }
        return value
    }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let c = next, c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09 { at += 1 }
    }

    private mutating func expect(_ text: StaticString, _ value: JSON) throws(Llama2Error) -> JSON {
        for i in 0..<text.utf8CodeUnitCount {
            guard next == text.utf8Start[i] else { throw failure("no JSON value") }
            at += 1
        }
        return value
    }

    private mutating func value(depth: Int) throws(Llama2Error) -> JSON {
        guard depth <= JSONParser.deepest else { throw failure("nesting deeper than \(JSONParser.deepest)") }
        values += 1
        guard values <= JSONParser.mostValues else { throw failure("more than \(JSONParser.mostValues) values") }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try array(depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try expect("true", .bool(true))
        case UInt8(ascii: "f"): return try expect("false", .bool(false))
        case UInt8(ascii: "n"): return try expect("null", .null)
        default: return try number()
        }
    }

    private mutating func object(_ depth: Int) throws(Llama2Error) -> JSON {
        let object = JSONObject()
        at += 1
        skipSpace()
        if next == UInt8(ascii: "}") {
            at += 1
            return .object(object)
        }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw failure("expected a key") }
            let start = at, key = try string()
            skipSpace()
            guard next == UInt8(ascii: ":") else { throw failure("expected a colon") }
            at += 1
            let value = try value(depth: depth + 1)
            guard object.insert(key, value) else {
                at = start
                throw failure("the key \"\(String(decoding: key.prefix(100), as: UTF8.self))\" appears twice, again")
            }
            skipSpace()
            if next == UInt8(ascii: ",") {
                at += 1
            } else if next == UInt8(ascii: "}") {
                at += 1
                return .object(object)
            } else {
                throw failure("expected a comma or a closing brace")
            }
        }
    }

    private mutating func array(_ depth: Int) throws(Llama2Error) -> JSON {
        var list: [JSON] = []
        at += 1
        skipSpace()
        if next == UInt8(ascii: "]") {
            at += 1
            return .array(list)
        }
        while true {
            list.append(try value(depth: depth + 1))
            skipSpace()
            if next == UInt8(ascii: ",") {
                at += 1
            } else if next == UInt8(ascii: "]") {
                at += 1
                return .array(list)
            } else {
                throw failure("expected a comma or a closing bracket")
            }
        }
    }

    private mutating func number() throws(Llama2Error) -> JSON {
        let start = at
        func digits(_ from: Int) -> Int {
            var i = from
            while i < bytes.count, (0x30...0x39).contains(bytes[i]) { i += 1 }
            return i
        }
        var end = at
        if next == UInt8(ascii: "-") { end += 1 }
        let whole = digits(end)
        guard whole > end, whole == end + 1 || bytes[end] != 0x30 else { throw failure("no JSON value") }
        end = whole
        if end < bytes.count, bytes[end] == UInt8(ascii: ".") {
            let fraction = digits(end + 1)
            guard fraction > end + 1 else { throw failure("a number without digits after its point") }
            end = fraction
        }
        if end < bytes.count, bytes[end] | 0x20 == UInt8(ascii: "e") {
            var first = end + 1
            if first < bytes.count, bytes[first] == UInt8(ascii: "+") || bytes[first] == UInt8(ascii: "-") { first += 1 }
            let exponent = digits(first)
            guard exponent > first else { throw failure("a number without digits in its exponent") }
            end = exponent
        }
        guard end - start <= 400,
            let value = Double(String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<end]), as: UTF8.self)),
            value.isFinite
        else { throw failure("a number beyond the range of a double") }
        at = end
        return .number(value)
    }

    private mutating func string() throws(Llama2Error) -> [UInt8] {
        at += 1
        var out: [UInt8] = []
        var start = at
        while true {
            guard let c = next else { throw failure("a string that does not end") }
            if c == UInt8(ascii: "\"") || c == UInt8(ascii: "\\") {
                out += UnsafeRawBufferPointer(rebasing: bytes[start..<at])
                at += 1
                if c == UInt8(ascii: "\"") { break }
                try escape(&out)
                start = at
            } else {
                guard c >= 0x20 else { throw failure("a control character in a string") }
                at += 1
            }
        }
        guard String(validating: out, as: UTF8.self) != nil else { throw failure("a string that is not UTF-8, before") }
        return out
    }

    private mutating func escape(_ out: inout [UInt8]) throws(Llama2Error) {
        guard let c = next else { throw failure("a string that does not end") }
        at += 1
        switch c {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(c)
        case UInt8(ascii: "b"): out.append(8)
        case UInt8(ascii: "f"): out.append(12)
        case UInt8(ascii: "n"): out.append(10)
        case UInt8(ascii: "r"): out.append(13)
        case UInt8(ascii: "t"): out.append(9)
        case UInt8(ascii: "u"):
            var code = try fourDigits()
            if (0xd800..<0xdc00).contains(code), next == UInt8(ascii: "\\"), at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "u") {
                at += 2
                let low = try fourDigits()
                guard (0xdc00..<0xe000).contains(low) else { throw failure("half of a surrogate pair, before") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("half of a surrogate pair, before") }
            out += Array(String(Character(scalar)).utf8)
        default: throw failure("an escape that JSON does not have, before")
        }
    }

    private mutating func fourDigits() throws(Llama2Error) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let c = next, let digit = Character(Unicode.Scalar(c)).hexDigitValue else { throw failure("expected four hexadecimal digits") }
            code = code << 4 | UInt32(digit)
            at += 1
        }
        return code
    }
}
