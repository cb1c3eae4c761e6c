import Llama2Core

/// SentencePiece's BPE (Kudo and Richardson 2018), GGUF's model `llama`.
///
/// The text is normalized already. The symbols begin as characters; of all neighbours whose concatenation
/// is a token, those with the highest score merge first. User-defined pieces are found first and never merge; a piece
/// of type "unused" merges, and is taken apart again in the end, but for llama.cpp's files, where it is a token like any other. What is no token then is spelled in byte tokens, or
/// is unknown: neighbours together.
struct SentencePieceBPE: Sendable {
    private var table: ByteStringTable
    private var tokens: [Int32] = []  // by entry of the table
    private var priorities: [UInt32] = []  // by entry: ascending where scores descend
    private var isUnused: [Bool] = []  // by entry
    private var byteTokens: [Int32] = Array(repeating: -1, count: 256)
    private let unknown: Int32?
    private let frozen: NameMatcher?
    private var cuts = CutTable()
    private var hasUnused = false

    /// isText: which tokens are found by merging. frozen: user-defined pieces that are part of the text. namesBytes: a token is a byte by its name
    /// where none has the type of that byte, an unused one stays whole, and none has another's text, as in llama.cpp.
    init(
        tokens texts: ByteStrings, types: [TokenType], scores: [Float], unknown: Int32?, frozen: NameMatcher?, namesBytes: Bool, isText: (Int) -> Bool
    ) throws(Llama2Error) {
        table = ByteStringTable(expecting: texts.count)
        self.unknown = unknown
        self.frozen = frozen
        guard scores.count == texts.count else {
            throw Llama2Error(.corrupt, "the vocabulary has \(texts.count) tokens and \(scores.count) scores")
        }
        for (index, bytes) in texts.walk().enumerated() {
            let text = bytes.bindMemory(to: UInt8.self)
            let token = Int32(truncatingIfNeeded: index)
            guard !scores[index].isNaN else {
                throw Llama2Error(.corrupt, "the score of token \(index) is not a number")
            }
            if types[index] == .byte {
                guard let byte = Self.byteValue(text) else {
                    throw Llama2Error(.corrupt, "token \(index) is of the type of a byte and its name is none, <0x00> to <0xFF>")
                }
                if namesBytes, byteTokens[Int(byte)] >= 0 { throw Tokenizer.twice(byteTokens[Int(byte)], token) }
                byteTokens[Int(byte)] = token
                continue
            }
            guard isText(index), !text.isEmpty else { continue }
            let entry = Int(table.intern(text))
            cuts.add(bytes)
            if entry == tokens.count {
                tokens.append(token)
                priorities.append(Self.priority(scores[index]))
                isUnused.append(types[index] == .unused && !namesBytes)
            } else {
                if namesBytes { throw Tokenizer.twice(tokens[entry], token) }
                tokens[entry] = token
                priorities[entry] = Self.priority(scores[index])
                isUnused[entry] = types[index] == .unused && !namesBytes
            }
            if isUnused[entry] { hasUnused = true }
        }
        for byte in 0..<256 where namesBytes && byteTokens[byte] < 0 {
            let name = Self.byteName(UInt8(byte))
            if let entry = name.withUnsafeBufferPointer({ table.find($0) }) { byteTokens[byte] = tokens[Int(entry)] }
        }
    }

    /// The token that merges make of this text.
    func token(_ text: UnsafeBufferPointer<UInt8>) -> Int32? { table.find(text).map { tokens[Int($0)] } }

    /// Whether merges make this text, which is a token's: of two others, or of one character.
    func makes(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        func isSymbol(_ part: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
            let part = UnsafeBufferPointer(rebasing: part)
            if case .scalar(_, let length) = decodeUTF8(part, at: 0), length == part.count { return true }
            return part.count == 1 || table.find(part) != nil
        }
        guard table.find(text) != nil else { return false }
        guard text.count <= 256 else { return true }  // not looked into, as that would take the square of its length
        if case .scalar(_, let length) = decodeUTF8(text, at: 0), length == text.count { return true }
        return text.indices.dropFirst().contains { isSymbol(text[..<$0]) && isSymbol(text[$0...]) }
    }

    /// Where the normalized text may be cut before this byte.
    func mayCut(_ left: UInt8, _ right: UInt8) -> Bool { !hasUnused && right & 0xC0 != 0x80 && cuts.mayCut(left, right) }

    /// What goes from one piece of a text to the next.
    struct Progress { var endsUnknown = false }

    /// Appends the tokens of `text`, which is normalized.
    func tokenize(
        _ text: UnsafeBufferPointer<UInt8>, _ queue: inout MergeQueue, _ progress: inout Progress, into out: inout GrowingBuffer<Int32>
    ) throws(Llama2Error) {
        // what an unused piece is taken apart into depends on all merges before: such a text is one window
        var start = 0, window = hasUnused || table.longest > MergeWindows.longest ? Int.max : MergeQueue.window
        while start < text.count {
            try queue.clear(expecting: min(text.count - start, window))
            let entered = try enter(text, from: start, most: window, &queue)
            var rules = Rules(text: text, model: self)
            let settled = try queue.mergeAll(&rules, isWhole: entered == text.count)
            if settled - start <= (entered - start) / 4 { window = MergeWindows.larger(window) }
            guard settled > start else { continue }
            var index: Int32 = 0
            while index >= 0 {
                let symbol = queue.symbols[Int(index)]
                index = symbol.next
                try give(text, Int(symbol.start)..<Int(queue.end(symbol)), rules.splits, &progress, into: &out)
            }
            start = settled
        }
    }

    /// The first symbols of the text from `start` on, at most so many. Returns where they end.
    private func enter(_ text: UnsafeBufferPointer<UInt8>, from start: Int, most: Int, _ queue: inout MergeQueue) throws(Llama2Error) -> Int {
        var position = start
        while position < text.count, queue.symbols.count < most {
            var length = 1
            if let frozen, let found = frozen.longest(text, position) {
                try queue.append(start: position, length: found.length, id: -2)
                position += found.length
                continue
            }
            if case .scalar(_, let bytes) = decodeUTF8(text, at: position) { length = bytes }
            try queue.append(start: position, length: length, id: -1)
            position += length
        }
        return position
    }

    /// One symbol of the end: its token, or the parts of an unused one, or bytes, or an unknown.
    private func give(
        _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ splits: [Int32: Int32], _ progress: inout Progress,
        into out: inout GrowingBuffer<Int32>
    ) throws(Llama2Error) {
        var open = [range]  // not recursive: a host's stack may be small
        while let range = open.popLast() {
            let bytes = UnsafeBufferPointer(rebasing: text[range])
            if let entry = table.find(bytes).map({ Int($0) }) {
                if isUnused[entry], let left = splits[Int32(truncatingIfNeeded: entry)], left > 0, Int(left) < range.count {
                    open.append(range.lowerBound + Int(left)..<range.upperBound)
                    open.append(range.lowerBound..<range.lowerBound + Int(left))
                    continue
                }
                try out.append(tokens[entry])
                progress.endsUnknown = false
                continue
            }
            if bytes.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
                for byte in bytes { try out.append(byteTokens[Int(byte)]) }
                progress.endsUnknown = false
            } else if let unknown {
                if !progress.endsUnknown { try out.append(unknown) }
                progress.endsUnknown = true
            } else {
                throw Llama2Error(
                    .unsupported, "the vocabulary has neither a token for byte \(bytes[0]) nor an unknown token")
            }
        }
    }

    private struct Rules: MergeRules {
        let text: UnsafeBufferPointer<UInt8>
        let model: SentencePieceBPE
        /// Of an unused piece: the length of its left part when it was last considered.
        var splits: [Int32: Int32] = [:]

        init(text: UnsafeBufferPointer<UInt8>, model: SentencePieceBPE) {
            self.text = text
            self.model = model
        }

        mutating func merge(
            _ left: MergeQueue.Symbol, _ right: MergeQueue.Symbol, from start: Int32, _ middle: Int32, to end: Int32
        ) -> (priority: UInt32, id: Int32)? {
            guard let entry = model.table.find(UnsafeBufferPointer(rebasing: text[Int(start)..<Int(end)])) else { return nil }
            if model.hasUnused, model.isUnused[Int(entry)] { splits[entry] = middle - start }
            return (model.priorities[Int(entry)], entry)
        }

        func earliest(from start: Int32, over end: Int32) -> UInt32? {
            var best: UInt32?
            for stop in Int(end)...max(min(text.count, Int(start) + model.table.longest), Int(end)) {
                guard let entry = model.table.find(UnsafeBufferPointer(rebasing: text[Int(start)..<stop])) else { continue }
                best = min(best ?? .max, model.priorities[Int(entry)])
            }
            return best
        }
    }

    /// The order of scores, highest first, as an unsigned number.
    private static func priority(_ score: Float) -> UInt32 {
        let bits = (score + 0).bitPattern  // + 0: one zero
        return bits >> 31 == 1 ? bits : ~(bits | 0x8000_0000)
    }

    /// The byte that `<0x0A>` names.
    static func byteValue(_ name: UnsafeBufferPointer<UInt8>) -> UInt8? {
        guard name.count == 6, name[0] == UInt8(ascii: "<"), name[1] == 0x30, name[2] == UInt8(ascii: "x"), name[5] == UInt8(ascii: ">"),
            let high = hexDigit(name[3]), let low = hexDigit(name[4])
        else { return nil }
        return high << 4 | low
    }

    static func byteName(_ byte: UInt8) -> [UInt8] {
        func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x41 + value - 10 }
        return [0x3C, 0x30, 0x78, digit(byte >> 4), digit(byte & 15), 0x3E]
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
