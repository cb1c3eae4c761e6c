internal import Llama2Core
internal import Llama2Formats
internal import Llama2Tokenizer

extension Model {
    /// The `tokenizer.*` keys, checked; nil when there are none.
    static func tokenizer(_ m: Metadata, count: Int) throws(Llama2Error) -> Tokenizer? {
        let prefix = "tokenizer.ggml.", own = "tokenizer.llama2swift."
        guard let kind = try m.bytes(prefix + "model"), !kind.elementsEqual("no_vocab".utf8), !kind.elementsEqual("none".utf8) else { return nil }
        /// -1, which files write with and without a sign, says that there is none.
        func id(_ key: String) throws(Llama2Error) -> Int? {
            let value = try m.integer(prefix + key + "_token_id", in: -1...Int(UInt32.max))
            if value == Int(UInt32.max) { return -1 }
            guard value ?? 0 < count else {
                throw Llama2Error(.corrupt, "metadata \(prefix)\(key)_token_id is \(value ?? 0), but there are \(count) tokens")
            }
            return value
        }
        let tokens = try m.byteStrings(prefix + "tokens"), merges = try m.byteStrings(prefix + "merges")
        try MemoryReserve.cover((tokens?.count ?? 0) + (merges?.count ?? 0), each: 160, for: "the vocabulary")
        try MemoryReserve.cover((tokens?.byteCount ?? 0) + (merges?.byteCount ?? 0), each: 6, for: "the vocabulary")
        var d = TokenizerDescription()
        d.model = Array(kind)
        d.pre = try m.bytes(prefix + "pre").map { Array($0) } ?? []
        if let tokens { d.tokens = tokens }
        guard d.tokens.count == count else {
            throw Llama2Error(
                .corrupt, "metadata \(prefix)tokens has \(d.tokens.count) tokens, but token_embd.weight has \(count) rows")
        }
        d.scores = try m.floats(prefix + "scores") ?? []
        d.types = try m.integers(prefix + "token_type")?.map { Int32(clamping: $0) } ?? []
        d.merges = merges
        d.bos = try id("bos")
        d.eos = try id("eos")
        d.eot = try id("eot")
        d.eom = try id("eom")
        d.unk = try id("unknown")
        d.ends = try m.integers(own + "end_token_ids") ?? []
        // as llama.cpp takes them: one that is beyond the vocabulary is none
        for (place, key) in ["fim_pad", "fim_rep", "fim_sep"].enumerated() {
            let value = try m.integer(prefix + key + "_token_id", in: -1...Int(UInt32.max))
            d.filling[place] = value.flatMap { $0 >= 0 && $0 < count ? $0 : nil }
        }
        d.addBOS = try m.bool(prefix + "add_bos_token")
        d.addEOS = try m.bool(prefix + "add_eos_token")
        d.sentencePiece.addsDummyPrefix = try m.bool(prefix + "add_space_prefix") ?? true
        d.sentencePiece.removesExtraWhitespaces = try m.bool(prefix + "remove_extra_whitespaces") ?? false
        d.sentencePiece.characterMap = try m.integers(prefix + "precompiled_charsmap")?.map { UInt8(truncatingIfNeeded: $0) } ?? []
        d.sentencePiece.whitespaceIsSuffix = try m.bool(own + "treat_whitespace_as_suffix") ?? false
        d.sentencePiece.escapesWhitespaces = try m.bool(own + "escape_whitespaces") ?? true
        d.sentencePiece.keepsUserDefined = try m.bool(own + "user_defined_in_text") ?? false
        d.chatTemplate = try m.string("tokenizer.chat_template")
        if let text = try m.bytes(own + "settings") {
            d.settings = try HuggingFaceSettings(try JSON.parse(text, own + "settings"), "the tokenizer")
        }
        return try Tokenizer(d)
    }
}
