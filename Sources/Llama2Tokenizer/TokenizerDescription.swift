public import Llama2Core

/// What a file says about its vocabulary, in GGUF's terms and not yet checked.
public struct TokenizerDescription {
    /// `llama` (SentencePiece BPE) or `gpt2` (byte-level BPE).
    public var model = ""
    /// The pre-tokenizer of byte-level BPE; empty is `default`.
    public var pre = ""
    public var tokens: ByteStrings
    public var scores: [Float] = []
    /// ggml's token types; empty: all normal.
    public var types: [Int32] = []
    /// `left right`, best first.
    public var merges: ByteStrings
    public var bos: Int?, eos: Int?, eot: Int?, eom: Int?, unk: Int?
    public var addBOS: Bool?, addSpacePrefix: Bool?
    public var chatTemplate: String?

    public init() {
        tokens = ByteStrings(UnsafeRawBufferPointer(start: nil, count: 0))
        merges = tokens
    }
}

/// ggml's token types.
enum TokenType: Int32 {
    case undefined = 0, normal, unknown, control, userDefined, unused, byte
}
