import Llama2Core

/// SentencePiece's BPE (Kudo and Richardson 2018), GGUF's model `llama`.
///
/// Spaces become U+2581. The symbols begin as characters; of all neighbours whose concatenation
/// is a token, those with the highest score merge first. What is no token in the end is spelled
/// in byte tokens.
struct SentencePieceBPE: Sendable {
    private var table: ByteStringTable
    private var tokens: [Int32] = []  // by entry of the table
    private var priorities: [UInt32] = []  // by entry: ascending where scores descend
    private var byteTokens: [Int32] = Array(repeating: -1, count: 256)
    private let unknown: Int32?

    init(tokens texts: ByteStrings, types: [TokenType], scores: [Float], unknown: Int32?) throws(Llama2Error) {
        table = ByteStringTable(expecting: texts.count)
        self.unknown = unknown
        guard scores.count == texts.count else {
            throw Llama2Error(.corrupt, "the vocabulary has \(texts.count) tokens and \(scores.count) scores")
        }
        for index in 0..<texts.count {
            let text = Array(texts[index])
            let token = Int32(truncatingIfNeeded: index)
            guard !scores[index].isNaN else {
                throw Llama2Error(.corrupt, "the score of token \(index) is not a number")
            }
            switch types[index] {
            case .byte:
                if let byte = Self.byteValue(text) { byteTokens[Int(byte)] = token }
                continue
            case .control, .unknown: continue
            case .userDefined where SpecialTokens.isMarker(text): continue
            case .undefined, .normal, .userDefined, .unused: break
            }
            guard !text.isEmpty else { continue }
            let entry = Int(table.intern(text))
            if entry == tokens.count {
                tokens.append(token)
                priorities.append(Self.priority(scores[index]))
            } else {
                tokens[entry] = token  // of two tokens with one text the later counts, as in llama.cpp
                priorities[entry] = Self.priority(scores[index])
            }
        }
        for byte in 0..<256 where byteTokens[byte] < 0 {  // a vocabulary without types
            let name = Self.byteName(UInt8(byte))
            if let entry = name.withUnsafeBufferPointer({ table.find($0) }) { byteTokens[byte] = tokens[Int(entry)] }
        }
    }

    /// Appends the tokens of `text`, in which spaces are U+2581 already.
    func tokenize(
        _ text: UnsafeBufferPointer<UInt8>, _ queue: inout MergeQueue, into out: inout GrowingBuffer<Int32>
    ) throws(Llama2Error) {
        queue.clear()
        var position = 0
        while position < text.count {
            var length = 1
            if case .scalar(_, let bytes) = decodeUTF8(text, at: position) { length = bytes }
            let id = table.find(UnsafeBufferPointer(rebasing: text[position..<position + length]))
            try queue.append(start: position, length: length, id: id ?? -1)
            position += length
        }
        try queue.mergeAll(Rules(text: text, model: self))
        var index: Int32 = queue.symbols.isEmpty ? -1 : 0
        while index >= 0 {
            let symbol = queue.symbols[Int(index)]
            index = symbol.next
            if symbol.id >= 0 {
                try out.append(tokens[Int(symbol.id)])
                continue
            }
            let bytes = UnsafeBufferPointer(rebasing: text[Int(symbol.start)..<Int(symbol.start + symbol.length)])
            if bytes.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
                for byte in bytes { try out.append(byteTokens[Int(byte)]) }
            } else if let unknown {
                try out.append(unknown)
            } else {
                throw Llama2Error(
                    .unsupported, "the vocabulary has neither a token for byte \(bytes[0]) nor an unknown token")
            }
        }
    }

    private struct Rules: MergeRules {
        let text: UnsafeBufferPointer<UInt8>
        let model: SentencePieceBPE

        func merge(_ left: MergeQueue.Symbol, _ right: MergeQueue.Symbol) -> (priority: UInt32, id: Int32)? {
            let bytes = text[Int(left.start)..<Int(right.start + right.length)]
            guard let entry = model.table.find(UnsafeBufferPointer(rebasing: bytes)) else { return nil }
            return (model.priorities[Int(entry)], entry)
        }
    }

    /// The order of scores, highest first, as an unsigned number.
    private static func priority(_ score: Float) -> UInt32 {
        let bits = (score + 0).bitPattern  // + 0: one zero
        return bits >> 31 == 1 ? bits : ~(bits | 0x8000_0000)
    }

    /// The byte that `<0x0A>` names.
    static func byteValue(_ name: [UInt8]) -> UInt8? {
        guard name.count == 6, name.starts(with: "<0x".utf8), name[5] == UInt8(ascii: ">"),
            let high = hexDigit(name[3]), let low = hexDigit(name[4])
        else { return nil }
        return high << 4 | low
    }

    private static func byteName(_ byte: UInt8) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        return Array("<0x".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)], UInt8(ascii: ">")]
    }

    private static func hexDigit(_ character: UInt8) -> UInt8? {
        switch character {
        case 0x30...0x39: character - 0x30
        case 0x41...0x46: character - 0x41 + 10
        case 0x61...0x66: character - 0x61 + 10
        default: nil
        }
    }
}
