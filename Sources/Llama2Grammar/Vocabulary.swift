internal import Glibc
public import Llama2Core

/// The tokens of a model as grammars see them: bytes in trees, and which of them end a text. Immutable.
public final class GrammarVocabulary: Sendable {
    public let count: Int
    /// The plain tokens (see `plain`), and all others: what those do inside a JSON string depends on its state.
    let plainTree: VocabularyTree, special: VocabularyTree
    /// Number of the next token with the same bytes, -1.
    let sameBytes: AlignedBuffer<Int32>  // (tokens)
    /// Bits of the plain tokens of at most n characters, for n = 0 ... mostPlain; the last row has all plain ones.
    /// Plain: whole characters of UTF-8 that are writable, none of them a quote, a backslash or a control character.
    let plain: [[UInt32]]
    static let mostPlain = 32
    /// Plain tokens of more characters than that, with their number.
    let longPlain: [(token: Int32, characters: Int)]
    /// Bytes of a token; a longer one is never chosen under a grammar.
    private static let longest = 4096
    /// Bits of the tokens that begin with white space of JSON.
    let spaced: [UInt32]
    public let ends: [Int32]
    /// A hash over all tokens: what a grammar was made for is known by it.
    public let fingerprint: UInt64
    let deepest: Int
    let freeText: FreeText
    let shared = SharedAutomata()
    /// Caches of grammars that are gone: their memory serves the next ones.
    private let spares = LeftCaches()
    private static let mostSpareBytes = 8 << 20
    private let bytes: [UInt8], offsets: [Int32]
    /// Bytes that some token of one byte has: only these can always be written.
    let singleBytes: [Bool]
    /// By name, for GBNF's <name>.
    private let find: @Sendable (UnsafeRawBufferPointer) -> Int32?

    /// bytesOf: what token i writes, nothing for control tokens. ends: those that end a text.
    public init(
        count: Int, ends: [Int32], find: @escaping @Sendable (UnsafeRawBufferPointer) -> Int32?,
        bytesOf: (Int, (UnsafeRawBufferPointer) -> Void) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        self.count = count
        self.find = find
        let ends = ends.filter { $0 >= 0 && $0 < count }.sorted()
        self.ends = ends
        var text: [UInt8] = [], starts: [Int32] = [0]
        for token in 0..<count {
            if !ends.contains(Int32(truncatingIfNeeded: token)) { try bytesOf(token) { text.append(contentsOf: $0) } }
            guard text.count < Int(Int32.max) else { throw Llama2Error(.unsupported, "the vocabulary has more than 2 GiB of text") }
            starts.append(Int32(truncatingIfNeeded: text.count))
        }
        bytes = text
        offsets = starts
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325  // FNV-1a
        for byte in text { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        for number in starts { hash = (hash ^ UInt64(UInt32(bitPattern: number))) &* 0x100_0000_01B3 }
        fingerprint = hash
        // 1. tokens in the order of their bytes
        var order = (0..<count).filter { (1...GrammarVocabulary.longest).contains(Int(starts[$0 + 1] - starts[$0])) }
        text.withUnsafeBufferPointer { text in
            order.sort { a, b in
                let x = text[Int(starts[a])..<Int(starts[a + 1])], y = text[Int(starts[b])..<Int(starts[b + 1])]
                let n = min(x.count, y.count)
                let c = n == 0 ? 0 : memcmp(text.baseAddress! + x.startIndex, text.baseAddress! + y.startIndex, n)
                return c != 0 ? c < 0 : x.count != y.count ? x.count < y.count : a < b
            }
        }
        // 2. the trees
        var same = [Int32](repeating: -1, count: count), single = [Bool](repeating: false, count: 256)
        var rows = [[UInt32]](repeating: [UInt32](repeating: 0, count: (count + 31) / 32), count: GrammarVocabulary.mostPlain + 2)
        var notPlain: [Int] = [], arePlain: [Int] = [], long: [(token: Int32, characters: Int)] = []
        for token in order where starts[token + 1] - starts[token] == 1 { single[Int(text[Int(starts[token])])] = true }
        let writable = GrammarVocabulary.characters(single)
        for token in order {
            let piece = text[Int(starts[token])..<Int(starts[token + 1])]
            guard let characters = GrammarVocabulary.plainCharacters(piece, writable) else {
                notPlain.append(token)
                continue
            }
            arePlain.append(token)
            if characters > GrammarVocabulary.mostPlain { long.append((Int32(truncatingIfNeeded: token), characters)) }
            for n in min(characters, GrammarVocabulary.mostPlain + 1)..<rows.count { rows[n][token / 32] |= 1 << UInt32(token % 32) }
        }
        // tokens of the same bytes stand side by side
        for (token, next) in zip(order, order.dropFirst())
        where text[Int(starts[token])..<Int(starts[token + 1])] == text[Int(starts[next])..<Int(starts[next + 1])] {
            same[token] = Int32(truncatingIfNeeded: next)
        }
        plainTree = try VocabularyTree(arePlain, text, starts)
        special = try VocabularyTree(notPlain, text, starts)
        var spaced = [UInt32](repeating: 0, count: (count + 31) / 32)
        for token in order where GrammarVocabulary.isSpace(text[Int(starts[token])]) { spaced[token / 32] |= 1 << UInt32(token % 32) }
        self.spaced = spaced
        sameBytes = try VocabularyTree.copy(same)
        plain = rows
        singleBytes = single
        self.writable = writable
        longPlain = long
        freeText = try FreeText(writable: writable, plain: rows[GrammarVocabulary.mostPlain + 1], special, sameBytes: sameBytes)
        deepest = max(plainTree.deepest, special.deepest)
    }

    func takeSpare() -> GrammarCache? { spares.take() }

    /// Keeps it unless it is large.
    func spare(_ cache: GrammarCache) {
        // what stays must not lie in memory that this call alone has
        guard cache.bytes <= GrammarVocabulary.mostSpareBytes, !MemoryReserve.wasUsed else { return }
        cache.letGo()
        _ = spares.put(cache)
    }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

    /// The number of characters; nil when the token is not plain.
    private static func plainCharacters(_ piece: ArraySlice<UInt8>, _ writable: CodePointSet) -> Int? {
        var decoder = Unicode.UTF8(), iterator = piece.makeIterator(), count = 0
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar):
                guard scalar.value >= 0x20, scalar != "\"", scalar != "\\", writable.contains(scalar.value) else { return nil }
                count += 1
            case .emptyInput: return count
            case .error: return nil
            }
        }
    }

    /// The bytes of a token, none for a control token.
    func text(of token: Int32) -> ArraySlice<UInt8> { bytes[Int(offsets[Int(token)])..<Int(offsets[Int(token) + 1])] }

    /// The longest token that `text` begins with; nil when there is none.
    public func longestToken(_ text: ArraySlice<UInt8>) -> (token: Int32, length: Int)? {
        let plain = plainTree.longest(text), other = special.longest(text)
        guard let plain, let other else { return plain ?? other }
        return plain.length >= other.length ? plain : other
    }

    func token(named name: [UInt8]) -> Int32? { name.withUnsafeBytes { find($0) } }

    /// The characters whose every byte a token of one byte can write: no other may be part of a grammar's language, or a
    /// text could come to a place where no token goes on.
    let writable: CodePointSet

    private static func characters(_ singleBytes: [Bool]) -> CodePointSet {
        var out: [(UInt32, UInt32)] = []
        if singleBytes.allSatisfy({ $0 }) { return .all }
        for scalar in UInt32(0)..<0x80 where singleBytes[Int(scalar)] { out.append((scalar, scalar)) }
        // beyond ASCII by continuation byte ranges: whole blocks of 64 whose lead bytes are there
        let continues = (0x80...0xBF).allSatisfy { singleBytes[$0] }
        guard continues else { return CodePointSet(out) }
        for lead in 0xC2...0xDF where singleBytes[lead] { out.append((UInt32(lead & 0x1F) << 6, UInt32(lead & 0x1F) << 6 | 0x3F)) }
        for lead in 0xE0...0xEF where singleBytes[lead] { out.append((max(0x800, UInt32(lead & 0x0F) << 12), UInt32(lead & 0x0F) << 12 | 0xFFF)) }
        for lead in 0xF0...0xF4 where singleBytes[lead] {
            out.append((max(0x10000, UInt32(lead & 0x07) << 18), min(0x10FFFF, UInt32(lead & 0x07) << 18 | 0x3FFFF)))
        }
        return CodePointSet(out)
    }
}
