public import Llama2Core
public import Llama2Formats
internal import Llama2Grammar
public import Llama2Model
public import Llama2Tokenizer

/// A loaded model: weights and vocabulary. Immutable; any number of contexts and threads share it.
public final class Model: Sendable {
    public let file: ModelFile
    /// nil when the file has a vocabulary and no weights.
    private let weights_: Weights?
    /// nil when the file has no vocabulary.
    private let tokenizer_: Tokenizer?
    let grammarVocabulary_ = Kept<GrammarVocabulary>()

    public convenience init(path: FilePath, _ options: LoadOptions) throws(Llama2Error) {
        try self.init(try ModelFile.open(path: path, options))
    }

    /// One file without a name: memory, a descriptor, what a host reads.
    public convenience init(file: MappedFile, _ options: LoadOptions) throws(Llama2Error) {
        try self.init(try ModelFile.open(file, options))
    }

    private init(_ file: ModelFile) throws(Llama2Error) {
        self.file = file
        if file.isVocabularyOnly {
            weights_ = nil
            let count = try file.metadata.byteStrings("tokenizer.ggml.tokens")?.count ?? 0
            guard count <= 1 << 26 else { throw Llama2Error(.unsupported, "a vocabulary of \(count); the limit is \(1 << 26)") }
            guard let tokenizer = try Model.tokenizer(file.metadata, count: count) else {
                throw Llama2Error(.unsupported, "this file holds neither weights nor a vocabulary that says how it is used")
            }
            tokenizer_ = tokenizer
            vocabularySize = count
            return
        }
        let weights = try Weights(file: file)
        weights_ = weights
        vocabularySize = weights.hyperparameters.vocabularySize
        tokenizer_ = try Model.tokenizer(file.metadata, count: vocabularySize)
    }

    /// Refused for a file with a vocabulary and no weights.
    public var weights: Weights {
        get throws(Llama2Error) {
            guard let weights_ else { throw Llama2Error(.unsupported, "this file holds a vocabulary and no weights: it can only tokenize") }
            return weights_
        }
    }
    public var hasWeights: Bool { weights_ != nil }
    public let vocabularySize: Int

    public var metadata: Metadata { file.metadata }

    public func tokenizer() throws(Llama2Error) -> Tokenizer {
        guard let tokenizer_ else { throw Llama2Error(.unsupported, "this model file has no vocabulary") }
        return tokenizer_
    }

    /// For people: "llama 134.5M, Q4_1, 30 layers, GGUF v3".
    public var description: String {
        guard let weights = weights_ else { return "vocabulary of \(vocabularySize) tokens without weights, \(file.formatDescription)" }
        let count = weights.parameterCount
        let size =
            count >= 1_000_000_000
            ? Model.oneDecimal(count / 100_000_000) + "B"
            : count >= 1_000_000 ? Model.oneDecimal(count / 100_000) + "M" : Model.oneDecimal(count / 100) + "K"
        return
            "llama \(size), \(weights.mainType.name), \(weights.hyperparameters.layerCount) layers, \(file.formatDescription)"
    }

    private static func oneDecimal(_ tenths: Int) -> String { "\(tenths / 10).\(tenths % 10)" }

    /// The `tokenizer.*` keys, checked; nil when there are none.
    static func tokenizer(_ m: Metadata, count: Int) throws(Llama2Error) -> Tokenizer? {
        let prefix = "tokenizer.ggml."
        guard let kind = try m.string(prefix + "model"), kind != "no_vocab", kind != "none" else { return nil }
        func id(_ key: String) throws(Llama2Error) -> Int? {
            try m.integer(prefix + key + "_token_id", in: -1...count - 1).flatMap { $0 < 0 ? nil : $0 }
        }
        let tokens = try m.byteStrings(prefix + "tokens"), merges = try m.byteStrings(prefix + "merges")
        try MemoryReserve.cover((tokens?.count ?? 0) + (merges?.count ?? 0), each: 512, for: "the vocabulary")
        try MemoryReserve.cover((tokens?.byteCount ?? 0) + (merges?.byteCount ?? 0), each: 16, for: "the vocabulary")
        var d = TokenizerDescription()
        d.model = kind
        d.pre = try m.string(prefix + "pre") ?? ""
        if let tokens = try m.byteStrings(prefix + "tokens") { d.tokens = tokens }
        guard d.tokens.count == count else {
            throw Llama2Error(
                .corrupt, "metadata \(prefix)tokens has \(d.tokens.count) tokens, but token_embd.weight has \(count) rows")
        }
        d.scores = try m.floats(prefix + "scores") ?? []
        d.types = try m.integers(prefix + "token_type")?.map { Int32(clamping: $0) } ?? []
        if let merges = try m.byteStrings(prefix + "merges") { d.merges = merges }
        d.bos = try id("bos")
        d.eos = try id("eos")
        d.eot = try id("eot")
        d.eom = try id("eom")
        d.unk = try id("unknown")
        d.addBOS = try m.bool(prefix + "add_bos_token")
        d.addSpacePrefix = try m.bool(prefix + "add_space_prefix")
        d.chatTemplate = try m.string("tokenizer.chat_template")
        return try Tokenizer(d)
    }
}
