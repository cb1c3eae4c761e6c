public import Llama2Core

/// What a file says about its vocabulary, in GGUF's terms and not yet checked.
public struct TokenizerDescription {
    /// `llama` (SentencePiece BPE), `gpt2` (byte-level BPE) or `llama2swift` (Hugging Face's BPE, as `settings` say).
    public var model: [UInt8] = []
    /// The pre-tokenizer of byte-level BPE; empty is `default`.
    public var pre: [UInt8] = []
    public var tokens: ByteStrings
    public var scores: [Float] = []
    /// ggml's token types; empty: all normal.
    public var types: [Int32] = []
    /// `left right`, best first; nil when the file has none.
    public var merges: ByteStrings?
    /// -1: the file says that there is none. nil: it says nothing.
    public var bos: Int?, eos: Int?, eot: Int?, eom: Int?, unk: Int?
    /// Further tokens that end a text.
    public var ends: [Int] = []
    /// Tokens of filling in that end a text too (padding, and what stands before a repository's name and between its files), where the file
    /// says which they are; the order is `EndTokens.filling`'s.
    public var filling: [Int?] = [nil, nil, nil]
    /// Those before, behind and between the texts of filling in, which end nothing.
    public var middle: [Int?] = [nil, nil, nil]
    /// White space behind every control or user-defined token is its own, but for <unk>, <s> and <|endoftext|>: Phi-3's vocabulary, which
    /// llama.cpp tells by the model's name.
    public var stripsBehindNames = false
    public var addBOS: Bool?, addEOS: Bool?
    public var sentencePiece = SentencePieceSettings()
    /// Added tokens with settings, which GGUF's types cannot say; see `HuggingFaceSettings`.
    public var settings: HuggingFaceSettings?
    public var chatTemplate: String?
    /// Those that have names: `tool_use` is for conversations with tools.
    public var namedTemplates: [(name: ByteText, source: String)] = []

    public init() {
        tokens = ByteStrings.none
    }
}

/// ggml's token types.
enum TokenType: Int32 {
    case undefined = 0, normal, unknown, control, userDefined, unused, byte
}
