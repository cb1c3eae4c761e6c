import Llama2Core

/// A model's vocabulary: text to tokens and back. Immutable after creation, usable from any thread.
public final class Tokenizer: Sendable {
    private enum Model: Sendable {
        case sentencePiece(SentencePieceBPE)
        case byteLevel(ByteLevelBPE)
    }

    /// The number of tokens; ids are 0 to `count - 1`.
    public let count: Int
    public let bos: Int32?, eos: Int32?, eot: Int32?, eom: Int32?, unknown: Int32?
    /// Whether the model expects BOS before a text.
    public let addsBOS: Bool
    let chat: ChatTemplate
    private let namedEnds: EndTokens

    let addsSpacePrefix: Bool
    let isSentencePiece: Bool
    let types: [TokenType]  // (count)
    let pieces: AlignedBuffer<UInt8>  // every token's bytes, end to end
    let pieceOffsets: [Int]  // (count + 1)
    let longestPiece: Int  // bytes
    private let model: Model
    private let specials: SpecialTokens

    /// Tokens, and merges: four times the largest vocabulary there is. Each takes some fifty bytes of memory, more than
    /// it may take in a file.
    private static let most = 1 << 20

    public init(_ d: TokenizerDescription) throws(Llama2Error) {
        count = d.tokens.count
        guard count > 0 else { throw Llama2Error(.corrupt, "the vocabulary has no tokens") }
        guard count <= Self.most, d.merges.count <= Self.most else {
            throw Llama2Error(
                .unsupported, "\(count) tokens and \(d.merges.count) merges; the limit of each is \(Self.most)")
        }
        types = try Self.checkedTypes(d)

        // 1. The model.
        switch d.model {
        case "llama": isSentencePiece = true
        case "gpt2": isSentencePiece = false
        default:
            throw Llama2Error(
                .unsupported, "tokenizer model \"\(d.model)\" is not known; this version has llama and gpt2")
        }
        // 2. The ids; SentencePiece's own for Llama when the file says nothing.
        let usual = isSentencePiece
        bos = try Self.checkedID(d.bos ?? (usual && count > 1 ? 1 : nil), "BOS", count)
        eos = try Self.checkedID(d.eos ?? (usual && count > 2 ? 2 : nil), "EOS", count)
        eot = try Self.checkedID(d.eot, "end-of-turn", count)
        eom = try Self.checkedID(d.eom, "end-of-message", count)
        unknown = try Self.checkedID(d.unk ?? (usual ? 0 : nil), "unknown", count)

        // 3. The rules.
        if isSentencePiece {
            model = .sentencePiece(
                try SentencePieceBPE(tokens: d.tokens, types: types, scores: d.scores, unknown: unknown))
            addsBOS = (d.addBOS ?? true) && bos != nil
            addsSpacePrefix = d.addSpacePrefix ?? true
        } else {
            let pre = try PreTokenizer(named: d.pre)
            model = .byteLevel(
                try ByteLevelBPE(tokens: d.tokens, types: types, merges: d.merges, preTokenizer: pre))
            addsBOS = (d.addBOS ?? (pre == .llamaBPE)) && bos != nil
            addsSpacePrefix = false
        }
        // 4. The names and the bytes of every token.
        let named = zip(d.tokens, types).reduce(0) { sum, token in
            switch token.1 {
            case .control, .unknown, .userDefined: sum &+ min(token.0.count, SpecialTokens.longestName)
            case .undefined, .normal, .unused, .byte: sum
            }
        }
        try MemoryReserve.cover(named, each: 160, for: "the names of special tokens")
        var specials = SpecialTokens()
        var pieces: [UInt8] = []
        var offsets = [0]
        offsets.reserveCapacity(count + 1)
        for index in 0..<count {
            let text = Array(d.tokens[index])
            switch types[index] {
            case .control, .unknown, .userDefined:
                specials.insert(text, token: Int32(index), type: types[index])
                pieces += text
            case .byte:
                if let byte = SentencePieceBPE.byteValue(text) { pieces.append(byte) } else { pieces += text }
            case .undefined, .normal, .unused:
                if isSentencePiece {
                    Self.appendWithSpaces(text, to: &pieces)
                } else {
                    ByteLevelBPE.appendDecoded(text, to: &pieces)
                }
            }
            offsets.append(pieces.count)
        }
        self.specials = specials
        self.pieces = try AlignedBuffer(count: pieces.count, of: "texts of the tokens")
        for (i, byte) in pieces.enumerated() { self.pieces.pointer[i] = byte }
        pieceOffsets = offsets
        longestPiece = zip(offsets, offsets.dropFirst()).reduce(0) { max($0, $1.1 - $1.0) }
        chat = ChatTemplate(d.chatTemplate.map { Array($0.utf8) }, isLlama2: isSentencePiece)
        namedEnds = EndTokens(d.tokens)
    }

    /// Whether generation ends with `token`: EOS, end of turn or message, or a token of such a name.
    public func isEndOfGeneration(_ token: Int32) -> Bool {
        token == eos || token == eot || token == eom || namedEnds.contains(token)
    }

    /// The tokens of `text`. Bytes that are no UTF-8 are kept: each becomes a byte of its own.
    /// - Parameter bos: begin with BOS, if the vocabulary has one.
    /// - Parameter parseSpecial: the name of a control token in the text becomes that token.
    public func tokenize(
        _ text: UnsafeRawBufferPointer, bos addBOS: Bool, parseSpecial: Bool
    ) throws(Llama2Error) -> GrowingBuffer<Int32> {
        var out = try GrowingBuffer<Int32>(of: "tokens of a text")
        if addBOS, let bos { try out.append(bos) }
        try append(text, parseSpecial ? .all : .userDefined, to: &out)
        return out
    }

    /// Appends the tokens of `text` between its special tokens, each run as a text of its own.
    func append(
        _ text: UnsafeRawBufferPointer, _ parsing: SpecialTokens.Parsing, to out: inout GrowingBuffer<Int32>
    ) throws(Llama2Error) {
        guard text.count <= 1 << 29 else {  // so that every offset fits 32 bits, spaces escaped
            throw Llama2Error(.invalidArgument, "a text of \(text.count) bytes; the limit is \(1 << 29)")
        }
        let bytes = text.bindMemory(to: UInt8.self)
        var queue = try MergeQueue()
        var position = 0
        while position < bytes.count {
            let special = specials.next(in: bytes, from: position, parsing)
            let end = special?.position ?? bytes.count
            if position < end {
                let run = UnsafeBufferPointer(rebasing: bytes[position..<end])
                try appendRun(run, &queue, to: &out)
            }
            guard let special else { break }
            try out.append(special.token)
            position = end + special.length
        }
    }

    private func appendRun(
        _ run: UnsafeBufferPointer<UInt8>, _ queue: inout MergeQueue, to out: inout GrowingBuffer<Int32>
    ) throws(Llama2Error) {
        switch model {
        case .byteLevel(let model):
            try model.tokenize(run, &queue, into: &out)
        case .sentencePiece(let model):
            var escaped = try GrowingBuffer<UInt8>(capacity: run.count + run.count / 2, of: "a text with its spaces escaped")
            if addsSpacePrefix { try escaped.append(Self.space) }
            for byte in run {
                if byte == 0x20 { try escaped.append(Self.space) } else { try escaped.append(byte) }
            }
            try model.tokenize(escaped.elements, &queue, into: &out)
        }
    }

    private static let space: StaticString = "\u{2581}"

    private static func appendWithSpaces(_ text: [UInt8], to out: inout [UInt8]) {
        var i = 0
        while i < text.count {
            if text[i] == 0xE2, i + 2 < text.count, text[i + 1] == 0x96, text[i + 2] == 0x81 {
                out.append(0x20)
                i += 3
            } else {
                out.append(text[i])
                i += 1
            }
        }
    }

    private static func checkedID(_ value: Int?, _ name: String, _ count: Int) throws(Llama2Error) -> Int32? {
        guard let value else { return nil }
        guard value >= 0, value < count else {
            throw Llama2Error(.corrupt, "the \(name) token is \(value); the vocabulary has \(count) tokens")
        }
        return Int32(value)
    }

    private static func checkedTypes(_ d: TokenizerDescription) throws(Llama2Error) -> [TokenType] {
        if d.types.isEmpty { return Array(repeating: .normal, count: d.tokens.count) }
        guard d.types.count == d.tokens.count else {
            throw Llama2Error(.corrupt, "the vocabulary has \(d.tokens.count) tokens and \(d.types.count) types")
        }
        var types: [TokenType] = []
        types.reserveCapacity(d.types.count)
        for (index, value) in d.types.enumerated() {
            guard let type = TokenType(rawValue: value) else {
                throw Llama2Error(.corrupt, "token \(index) has type \(value); types are 0 to 6")
            }
            types.append(type)
        }
        return types
    }
}
