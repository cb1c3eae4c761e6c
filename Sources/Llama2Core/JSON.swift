internal import Glibc

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
        // the nodes, and the keys of each object, which are sorted; texts are made when they are asked for, each once or twice, in lists
        // that double
        let keys = bytes.count { $0 == 0x3a }
        try MemoryReserve.cover(
            .array(JSONParser.mostNodes(bytes), of: JSONNode.self) + .list(keys, of: UInt64.self) + .array(keys, of: UInt64.self)
                + 5 * .text(bytes.count), for: name)
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

    /// Whether some object of its document may have a member of one of these names whose value is no object: false is certain.
    public func mayHaveMember(_ names: StaticString...) -> Bool {
        let text = document.bytes, count = text.count
        guard let base = text.baseAddress else { return true }
        var at = 0
        func find(_ byte: UInt8) -> Bool {
            guard at < count, let found = memchr(base + at, Int32(byte), count - at) else { return false }
            at = UnsafeRawPointer(found) - base
            return true
        }
        func skipSpace() { while at < count, text[at] <= 0x20 { at += 1 } }
        // 1. a name may be written with escapes
        while find(UInt8(ascii: "\\")) {
            if at + 1 < count, text[at + 1] == UInt8(ascii: "u") { return true }
            at += 2
        }
        // 2. names between quotes, a colon, and what begins a value
        at = 0
        while find(UInt8(ascii: "\"")) {
            at += 1
            let start = at
            for name in names {
                let length = name.utf8CodeUnitCount
                guard length < count - start, text[start + length] == UInt8(ascii: "\""), memcmp(base + start, name.utf8Start, length) == 0 else { continue }
                at = start + length + 1
                skipSpace()
                guard at < count, text[at] == UInt8(ascii: ":") else { break }
                at += 1
                skipSpace()
                if at < count, text[at] != UInt8(ascii: "{") { return true }
            }
            at = start
        }
        return false
    }

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
        for (name, value) in members where name.isText(wanted) { return value }
        return nil
    }

    /// Whether it is a string of these bytes.
    private func isText(_ wanted: [UInt8]) -> Bool {
        // nothing is copied of one that is written as it is: no escape can stand for a byte that is there
        let bytes = document.bytes, from = start + 1
        for (i, byte) in wanted.enumerated() {
            guard from + i < bytes.count, bytes[from + i] != UInt8(ascii: "\\") else { return self.bytes == wanted }
            if bytes[from + i] != byte { return false }
        }
        guard from + wanted.count < bytes.count, bytes[from + wanted.count] != UInt8(ascii: "\\") else { return self.bytes == wanted }
        return bytes[from + wanted.count] == UInt8(ascii: "\"")
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
struct JSONNode { let at: UInt32; var next: UInt32 }

final class JSONDocument {
    let bytes: UnsafeRawBufferPointer
    let nodes: [JSONNode]
    private let owner: AnyObject?

    init(_ bytes: UnsafeRawBufferPointer, _ nodes: [JSONNode], _ owner: AnyObject?) {
        self.bytes = bytes
        self.nodes = nodes
        self.owner = owner
    }
}
