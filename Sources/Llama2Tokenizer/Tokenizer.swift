import Llama2Core

/// A model's vocabulary: text to tokens and back. Immutable after creation, usable from any thread.
///
/// A text passes: added tokens by their names, a normalizer, added tokens by their normalized names, a pre-tokenizer
/// that cuts words, a model that makes tokens of each word. SentencePiece has its own normalizer and no words.
public final class Tokenizer: Sendable {
    /// The number of tokens; ids are 0 to `count - 1`.
    public let count: Int
    private let specialTokens: SpecialTokens
    /// Whether the model expects BOS before a text, and EOS behind it.
    public let addsBOS: Bool, addsEOS: Bool
    let chats: ChatTemplates

    let isSentencePiece: Bool
    let pipeline: TokenPipeline
    let types: [TokenType]  // (count)
    let texts: TokenTexts
    let isName: [Bool]  // (count) whether it is found in a text by its name, and given by that
    /// Pieces of sentencepiece's whose own text begins with a space.
    let ownSpaces: Set<Int32>

    public var bos: Int32? { specialTokens.bos }
    public var eos: Int32? { specialTokens.eos }
    public var eot: Int32? { specialTokens.eot }
    public var eom: Int32? { specialTokens.eom }
    public var unknown: Int32? { specialTokens.unknown }

    /// Tokens, and merges: four times the largest vocabulary there is. Each takes some fifty bytes of memory, more than
    /// it may take in a file.
    private static let most = 1 << 20

    public init(_ d: TokenizerDescription) throws(Llama2Error) {
        count = d.tokens.count
        guard count > 0 else { throw Llama2Error(.corrupt, "the vocabulary has no tokens") }
        guard count <= Self.most, d.merges?.count ?? 0 <= Self.most else {
            throw Llama2Error(
                .unsupported, "\(count) tokens and \(d.merges?.count ?? 0) merges; the limit of each is \(Self.most)")
        }
        // as llama.cpp takes a file of its own; other files have settings for each token, or sentencepiece's types
        let hasNamedTypes = d.settings == nil && !d.sentencePiece.keepsUserDefined
        let namedEnds = EndTokens(d.tokens, filling: d.filling, middle: d.middle)
        types = try Self.checkedTypes(d, hasNamedTypes ? namedEnds : nil)
        let settings = d.settings?.isSentencePiece == true ? nil : d.settings
        isSentencePiece = if settings == nil { try Self.isSentencePiece(d.model) } else { false }
        specialTokens = try SpecialTokens(d, hasUsual: isSentencePiece, namedEnds, hasNamedTypes: hasNamedTypes)

        let names = Self.addedTokens(d, types, isSentencePiece: isSentencePiece)
        var isName = Array(repeating: false, count: count)
        for token in names { isName[Int(token.id)] = true }
        // each as it is, normalized, and as the matcher has it; the lists are covered by whoever read the vocabulary
        try MemoryReserve.cover(3 * .texts(names.count, bytes: names.reduce(0) { $0 &+ $1.name.count }), for: "the names of added tokens")
        let unknown = specialTokens.unknown
        if let settings {
            pipeline = try TokenPipeline(settings, d, types, names, unknown: unknown)
        } else if isSentencePiece {
            pipeline = try TokenPipeline(sentencePiece: d, types, names, isName: isName, unknown: unknown)
        } else {
            pipeline = try TokenPipeline(byteLevel: d, types, names)
        }
        if hasNamedTypes { try Self.checkNames(names, pipeline) }
        let isBOSUsual = isSentencePiece || settings == nil && NamedPreTokenizer.addsBOS(d.pre)
        addsBOS = (d.addBOS ?? isBOSUsual) && specialTokens.bos != nil
        addsEOS = (d.addEOS ?? false) && specialTokens.eos != nil

        for id in pipeline.normalizedNames.keys { isName[Int(id)] = false }  // found in the normalized text, where it is text like any other
        self.isName = isName
        texts = try TokenTexts(d, types, isName: isName, pipeline)
        var spaces: Set<Int32> = []
        if isSentencePiece {
            for (index, text) in d.tokens.walk().enumerated() where text.first == 0x20 { spaces.insert(Int32(truncatingIfNeeded: index)) }
        }
        ownSpaces = spaces
        chats = ChatTemplates(d, isLlama2: isSentencePiece)
    }

    /// Bytes of the longest token, and of what stands before it.
    var longestPiece: Int { texts.longest + pipeline.decoder.separator.count }

    /// Whether generation ends with `token`: EOS, end of turn or message, or a token of such a name.
    public func isEndOfGeneration(_ token: Int32) -> Bool { specialTokens.isEnd(token) }

    /// All of them, ascending.
    public var endsOfGeneration: [Int32] { (0..<Int32(truncatingIfNeeded: count)).filter { isEndOfGeneration($0) } }
}
