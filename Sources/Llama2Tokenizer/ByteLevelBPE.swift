import Llama2Core

/// Byte-level BPE (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"),
/// GGUF's model `gpt2`: the symbols begin as bytes, and merge in the order of the file's list.
///
/// In the file a byte is written as one printable character: itself when it is printable in
/// Latin-1, else the next free one from U+0100 on.
struct ByteLevelBPE: Sendable {
    private struct Pair: Hashable, Sendable {
        let left: Int32, right: Int32
    }

    private var table: ByteStringTable
    private var tokens: [Int32] = []  // by entry of the table, -1: no token has this text
    private var merges: [Pair: (rank: UInt32, id: Int32)] = [:]
    private var bytes: [Int32] = []  // (256) the entry of each byte
    private let preTokenizer: PreTokenizer
    /// A word that is a token needs no merges to become it.
    private let takesWholeWords: Bool

    init(
        tokens texts: ByteStrings, types: [TokenType], merges list: ByteStrings, preTokenizer: PreTokenizer
    ) throws(Llama2Error) {
        self.preTokenizer = preTokenizer
        takesWholeWords = preTokenizer == .llamaBPE
        table = ByteStringTable(expecting: texts.count + list.count / 8)
        for index in 0..<texts.count {
            let text = Array(texts[index])
            switch types[index] {
            case .control, .unknown: continue
            case .userDefined where SpecialTokens.isMarker(text): continue
            default: setToken(Int32(truncatingIfNeeded: index), intern(text))
            }
        }
        for byte in 0..<256 { bytes.append(intern(Self.characters[byte])) }
        merges.reserveCapacity(list.count)
        for rank in 0..<list.count {
            let merge = Array(list[rank])
            guard let space = merge.dropFirst().firstIndex(of: 0x20), space + 1 < merge.count else {
                throw Llama2Error(.corrupt, "merge \(rank) is not two strings with a space between")
            }
            let left = intern(Array(merge[..<space]))
            let right = intern(Array(merge[(space + 1)...]))
            let result = intern(Array(merge[..<space] + merge[(space + 1)...]))
            let pair = Pair(left: left, right: right)
            if merges[pair] == nil { merges[pair] = (UInt32(truncatingIfNeeded: rank), result) }
        }
    }

    private mutating func intern(_ text: [UInt8]) -> Int32 {
        let entry = table.intern(text)
        if Int(entry) == tokens.count { tokens.append(-1) }
        return entry
    }

    private mutating func setToken(_ token: Int32, _ entry: Int32) { tokens[Int(entry)] = token }

    /// Appends the tokens of `text`. A byte for which the vocabulary has no token is left out, as
    /// in llama.cpp.
    func tokenize(
        _ text: UnsafeBufferPointer<UInt8>, _ queue: inout MergeQueue, into out: inout GrowingBuffer<Int32>
    ) throws(Llama2Error) {
        let points = try CodePoints(text)
        let rules = Rules(merges: merges)
        var spelled = try GrowingBuffer<UInt8>(of: "a word")
        try preTokenizer.split(points) { (word) throws(Llama2Error) in
            let range = Int(points.offsets[word.lowerBound])..<Int(points.offsets[word.upperBound])
            if takesWholeWords, range.count <= table.longest {
                spelled.removeAll()
                for i in range {
                    for byte in Self.characters[Int(text[i])] { try spelled.append(byte) }
                }
                if let entry = table.find(spelled.elements), tokens[Int(entry)] >= 0 {
                    try out.append(tokens[Int(entry)])
                    return
                }
            }
            queue.clear()
            for i in range { try queue.append(start: i, length: 1, id: bytes[Int(text[i])]) }
            try queue.mergeAll(rules)
            var index: Int32 = 0
            while index >= 0 {
                let symbol = queue.symbols[Int(index)]
                index = symbol.next
                let token = tokens[Int(symbol.id)]
                if token >= 0 {
                    try out.append(token)
                    continue
                }
                for i in Int(symbol.start)..<Int(symbol.start + symbol.length) {
                    let token = tokens[Int(bytes[Int(text[i])])]
                    if token >= 0 { try out.append(token) }
                }
            }
        }
    }

    private struct Rules: MergeRules {
        let merges: [Pair: (rank: UInt32, id: Int32)]

        func merge(_ left: MergeQueue.Symbol, _ right: MergeQueue.Symbol) -> (priority: UInt32, id: Int32)? {
            guard let merge = merges[Pair(left: left.id, right: right.id)] else { return nil }
            return (merge.rank, merge.id)
        }
    }

    /// Each byte's character, in UTF-8.
    private static let characters: [[UInt8]] = {
        var next: UInt32 = 0x100
        return (0..<256).map { byte in
            var bytes: [UInt8] = []
            if isPrintable(UInt32(byte)) {
                appendUTF8(UInt32(byte), to: &bytes)
            } else {
                appendUTF8(next, to: &bytes)
                next += 1
            }
            return bytes
        }
    }()

    private static func isPrintable(_ byte: UInt32) -> Bool {
        switch byte {
        case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: true
        default: false
        }
    }

    /// The byte behind each of the characters from U+0100 on.
    private static let shifted: [UInt8] = (0..<256).filter { !isPrintable(UInt32($0)) }.map { UInt8($0) }

    /// Appends the bytes that a token's text stands for; characters that stand for none stay as they are.
    static func appendDecoded(_ text: [UInt8], to out: inout [UInt8]) {
        text.withUnsafeBufferPointer { text in
            var position = 0
            while position < text.count {
                guard case .scalar(let scalar, let length) = decodeUTF8(text, at: position) else {
                    out.append(text[position])
                    position += 1
                    continue
                }
                if scalar < 0x100, isPrintable(scalar) {
                    out.append(UInt8(scalar))
                } else if scalar >= 0x100, Int(scalar) - 0x100 < shifted.count {
                    out.append(shifted[Int(scalar) - 0x100])
                } else {
                    out.append(contentsOf: text[position..<position + length])
                }
                position += length
            }
        }
    }
}
