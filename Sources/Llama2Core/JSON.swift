/// A JSON value (RFC 8259) as the files of a model use it: a view of the text, which was checked whole, front to back.
///
/// Nothing is copied when a text is read: of each value the place where it begins and the number of the value after it
/// are kept, 8 bytes, so that memory follows the text whatever it says. Strings and numbers are made when asked for.
///
///     { "a": [1, "b"] }    nodes: {, "a", [, 1, "b"    next: 5, 2, 5, 4, 5
public struct JSON {
    fileprivate let document: JSONDocument
    fileprivate let node: Int

    /// Checks and indexes `bytes`, which `owner` keeps alive. An error names the file and the byte.
    public static func parse(_ bytes: UnsafeRawBufferPointer, _ name: String, owner: AnyObject? = nil) throws(Llama2Error) -> JSON {
        // keys are sorted, in lists that double; texts are made when they are asked for, each once or twice
        try MemoryReserve.cover(JSONParser.mostNodes(bytes), each: 10, for: name)
        try MemoryReserve.cover(bytes.count { $0 == 0x3a }, each: 64, for: name)
        try MemoryReserve.cover(bytes.count, each: 6, for: name)
        var parser = JSONParser(bytes: bytes, name: name)
        return JSON(document: JSONDocument(bytes, try parser.document(), owner), node: 0)
    }

    /// JSON that a caller gave: what is wrong with it is an invalid argument, not a corrupt file.
    public static func parse(argument bytes: UnsafeRawBufferPointer, _ name: String) throws(Llama2Error) -> JSON {
        do throws(Llama2Error) {
            return try parse(bytes, name)
        } catch {
            throw error.kind == .corrupt ? Llama2Error(.invalidArgument, error.message) : error
        }
    }

    public static var null: JSON {
        let text: StaticString = "null"
        let bytes = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        return JSON(document: JSONDocument(bytes, [JSONNode(at: 0, next: 1)], nil), node: 0)
    }

    private var start: Int { Int(document.nodes[node].at) }
    private var first: UInt8 { document.bytes[start] }
    fileprivate var next: Int { Int(document.nodes[node].next) }

    public var isObject: Bool { first == UInt8(ascii: "{") }
    public var isNull: Bool { first == UInt8(ascii: "n") }
    public var bool: Bool? { first == UInt8(ascii: "t") ? true : first == UInt8(ascii: "f") ? false : nil }

    /// UTF-8.
    public var bytes: [UInt8]? {
        guard first == UInt8(ascii: "\"") else { return nil }
        var out: [UInt8] = []
        var text = JSONText(checked: document.bytes, at: start)
        _ = try? text.string { out += $0 }
        return out
    }
    public var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    public var double: Double? {
        guard first == UInt8(ascii: "-") || (0x30...0x39).contains(first) else { return nil }
        var text = JSONText(bytes: document.bytes, at: start)
        return try? text.number()
    }
    /// The digits of a number that is written as an integer, with its sign.
    public var integerDigits: UnsafeRawBufferPointer? {
        guard first == UInt8(ascii: "-") || (0x30...0x39).contains(first) else { return nil }
        var end = start + 1
        while end < document.bytes.count, (0x30...0x39).contains(document.bytes[end]) { end += 1 }
        if end < document.bytes.count, document.bytes[end] == UInt8(ascii: ".") || document.bytes[end] | 0x20 == UInt8(ascii: "e") { return nil }
        return UnsafeRawBufferPointer(rebasing: document.bytes[start..<end])
    }
    /// The text of a number as it is written.
    public var numberText: UnsafeRawBufferPointer? {
        guard first == UInt8(ascii: "-") || (0x30...0x39).contains(first) else { return nil }
        var text = JSONText(bytes: document.bytes, at: start)
        _ = try? text.number()  // checked before
        return UnsafeRawBufferPointer(rebasing: document.bytes[start..<text.at])
    }
    /// The first byte of the value in its text: no two values of a text have the same.
    public var position: Int { start }
    /// An integer that a double holds exactly.
    public var integer: Int? { double.flatMap { abs($0) <= 9_007_199_254_740_992 ? Int(exactly: $0) : nil } }

    /// The elements; nil when this is no array.
    public var elements: JSONElements? { first == UInt8(ascii: "[") ? JSONElements(document: document, at: node + 1, end: next) : nil }
    /// The same as an array.
    public var array: [JSON]? { elements.map { Array($0) } }
    /// Members in the text's order; nil when this is no object.
    public var members: JSONMembers? { isObject ? JSONMembers(elements: JSONElements(document: document, at: node + 1, end: next)) : nil }

    /// The member of that name; nil when there is none or this is no object.
    public subscript(_ key: String) -> JSON? {
        guard let members else { return nil }
        let wanted = Array(key.utf8)
        for (name, value) in members where name.bytes == wanted { return value }
        return nil
    }
}

public struct JSONElements: Sequence, IteratorProtocol {
    fileprivate let document: JSONDocument
    fileprivate var at: Int
    fileprivate let end: Int

    public mutating func next() -> JSON? {
        guard at < end else { return nil }
        let value = JSON(document: document, node: at)
        at = value.next
        return value
    }
}

public struct JSONMembers: Sequence, IteratorProtocol {
    fileprivate var elements: JSONElements

    public mutating func next() -> (key: JSON, value: JSON)? {
        guard let key = elements.next(), let value = elements.next() else { return nil }
        return (key, value)
    }
}

/// A value: its first byte, and the number of the node that follows it and all that is in it.
private struct JSONNode { let at: UInt32; var next: UInt32 }

private final class JSONDocument {
    let bytes: UnsafeRawBufferPointer
    let nodes: [JSONNode]
    private let owner: AnyObject?

    init(_ bytes: UnsafeRawBufferPointer, _ nodes: [JSONNode], _ owner: AnyObject?) {
        self.bytes = bytes
        self.nodes = nodes
        self.owner = owner
    }
}

/// Builds the nodes of a document and refuses what is no JSON.
private struct JSONParser {
    private var text: JSONText
    private let name: String
    private var nodes: [JSONNode] = []
    private var values = 0
    private static let deepest = 128
    /// A vocabulary of 128,000 with its merges has about a million; this bounds the memory of a file that lies.
    private static let mostValues = 2_000_000

    static func mostNodes(_ bytes: UnsafeRawBufferPointer) -> Int { min(bytes.count / 2 + 1, 2 * mostValues) }

    init(bytes: UnsafeRawBufferPointer, name: String) {
        text = JSONText(bytes: bytes, at: 0)
        self.name = name
    }

    private func failure(_ what: String) -> Llama2Error { Llama2Error(.corrupt, "\(name): \(what) at byte \(text.at)") }

    mutating func document() throws(Llama2Error) -> [JSONNode] {
        guard text.bytes.count < UInt32.max else { throw failure("more than 4 GiB") }
        // pages that are never written cost nothing
        nodes.reserveCapacity(JSONParser.mostNodes(text.bytes))
        do throws(JSONText.Problem) {
            try value()
            text.skipSpace()
        } catch {
            throw failure(error.what)
        }
        guard text.at == text.bytes.count else { throw failure("something follows the value") }
        return nodes
    }

    /// One value and all that is in it. Not recursive: a host's stack may be small.
    private mutating func value() throws(JSONText.Problem) {
        var open: [(node: Int, isObject: Bool)] = []
        while true {
            // 1. a value begins
            text.skipSpace()
            values += 1
            guard values <= JSONParser.mostValues else { throw .init("more than \(JSONParser.mostValues) values") }
            let node = begin()
            switch text.next {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                let isObject = text.next == UInt8(ascii: "{")
                text.at += 1
                text.skipSpace()
                if text.next != (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    guard open.count < JSONParser.deepest else { throw .init("nesting deeper than \(JSONParser.deepest)") }
                    open.append((node, isObject))
                    if isObject { try key() }
                    continue
                }
                text.at += 1
            case UInt8(ascii: "\""): try text.string()
            case UInt8(ascii: "t"): try text.word("true")
            case UInt8(ascii: "f"): try text.word("false")
            case UInt8(ascii: "n"): try text.word("null")
            default: _ = try text.number()
            }
            end(node)
            // 2. it ended; so may what it is in
            while let (container, isObject) = open.last {
                text.skipSpace()
                if text.next == UInt8(ascii: ",") {
                    text.at += 1
                    if isObject { try key() }
                    break
                }
                guard text.next == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) else {
                    throw .init("expected a comma or a closing \(isObject ? "brace" : "bracket")")
                }
                text.at += 1
                end(container)
                if isObject { try refuseRepeatedKeys(container) }
                open.removeLast()
            }
            if open.isEmpty { return }
        }
    }

    private mutating func key() throws(JSONText.Problem) {
        text.skipSpace()
        guard text.next == UInt8(ascii: "\"") else { throw .init("expected a key") }
        let node = begin()
        try text.string()
        end(node)
        text.skipSpace()
        guard text.next == UInt8(ascii: ":") else { throw .init("expected a colon") }
        text.at += 1
    }

    private mutating func begin() -> Int {
        nodes.append(JSONNode(at: UInt32(truncatingIfNeeded: text.at), next: 0))
        return nodes.count - 1
    }

    private mutating func end(_ node: Int) { nodes[node].next = UInt32(truncatingIfNeeded: nodes.count) }

    /// Keys are told apart by their bytes: two that look alike (é as one character or as two) are two tokens.
    private mutating func refuseRepeatedKeys(_ object: Int) throws(JSONText.Problem) {
        // (hash << 32 | node) of each key, sorted: equal keys lie side by side
        var keys: [UInt64] = [], node = object + 1
        while node < nodes.count {
            keys.append(hash(node) << 32 | UInt64(node))
            node = Int(nodes[node + 1].next)
        }
        keys.sort()
        for (i, key) in keys.enumerated() {
            let other = keys.dropFirst(i + 1).prefix { $0 >> 32 == key >> 32 }.first { bytes(key) == bytes($0) }
            guard let other else { continue }
            text.at = Int(nodes[Int(other & 0xffff_ffff)].at)
            throw .init("the key \"\(String(decoding: bytes(other).prefix(100), as: UTF8.self))\" appears twice, again")
        }
    }

    private func hash(_ node: Int) -> UInt64 {
        var hasher = Hasher()
        var key = JSONText(checked: text.bytes, at: Int(nodes[node].at))
        _ = try? key.string { hasher.combine(bytes: $0) }  // bytes alone count, not how they come in pieces
        return UInt64(UInt32(truncatingIfNeeded: hasher.finalize()))
    }

    private func bytes(_ key: UInt64) -> [UInt8] {
        var out: [UInt8] = []
        var key = JSONText(checked: text.bytes, at: Int(nodes[Int(key & 0xffff_ffff)].at))
        _ = try? key.string { out += $0 }
        return out
    }
}

/// The words of JSON at a place of a text. After a problem `at` is where it lies.
private struct JSONText {
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
