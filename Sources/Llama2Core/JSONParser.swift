/// Builds the nodes of a document and refuses what is no JSON.
struct JSONParser {
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
