internal import Llama2Core
internal import Llama2Formats
internal import Llama2Tokenizer

extension Model {
    /// The `tokenizer.*` keys, checked; nil when there are none.
    static func tokenizer(_ m: Metadata, count: Int) throws(Llama2Error) -> Tokenizer? {
        guard let kind = try m.bytes(.tokenizerModel), !kind.elementsEqual("no_vocab".utf8), !kind.elementsEqual("none".utf8) else { return nil }
        /// -1, which files write with and without a sign, says that there is none.
        func id(_ key: MetadataKey) throws(Llama2Error) -> Int? {
            let value = try m.integer(key, in: -1...Int(UInt32.max))
            if value == Int(UInt32.max) { return -1 }
            guard value ?? 0 < count else {
                throw Llama2Error(.corrupt, "metadata \(key) is \(value ?? 0), but there are \(count) tokens")
            }
            return value
        }
        let tokens = try m.byteStrings(.tokens), merges = try m.byteStrings(.merges)
        try MemoryReserve.cover(
            vocabulary: (tokens?.count ?? 0) + (merges?.count ?? 0), bytes: 4 * ((tokens?.byteCount ?? 0) + (merges?.byteCount ?? 0)),
            for: "the vocabulary")
        var d = TokenizerDescription()
        d.model = Array(kind)
        d.pre = try m.bytes(.preTokenizer).map { Array($0) } ?? []
        if let tokens { d.tokens = tokens }
        guard d.tokens.count == count else {
            throw Llama2Error(
                .corrupt, "metadata \(MetadataKey.tokens) has \(d.tokens.count) tokens, but token_embd.weight has \(count) rows")
        }
        d.scores = try m.floats(.scores) ?? []
        d.types = try m.integers(.tokenTypes)?.map { Int32(clamping: $0) } ?? []
        d.merges = merges
        d.bos = try id(.bos)
        d.eos = try id(.eos)
        d.eot = try id(.eot)
        d.eom = try id(.eom)
        d.unk = try id(.unknown)
        d.ends = try m.integers(.endTokens) ?? []
        // as llama.cpp takes them: one that is beyond the vocabulary is none
        func known(_ key: MetadataKey) throws(Llama2Error) -> Int? {
            try m.integer(key, in: -1...Int(UInt32.max)).flatMap { $0 >= 0 && $0 < count ? $0 : nil }
        }
        for (place, key) in [MetadataKey.fillingPad, .fillingRepository, .fillingSeparator].enumerated() { d.filling[place] = try known(key) }
        for (place, keys) in MetadataKey.fillingMiddle.enumerated() {
            for key in keys { d.middle[place] = try known(key) ?? d.middle[place] }
        }
        let name = try m.byteText(.modelName)?.lowercased.bytes ?? []
        d.stripsBehindNames = ["phi-3", "phi3"].contains { part in
            name.indices.contains { name[$0...].starts(with: part.utf8) }
        }
        guard try m.integers(.suppressedTokens) ?? [] == [] else {
            throw Llama2Error(.unsupported, "metadata \(MetadataKey.suppressedTokens): tokens that are never to be drawn")
        }
        d.addBOS = try m.bool(.addsBOS)
        d.addEOS = try m.bool(.addsEOS)
        d.sentencePiece.addsDummyPrefix = try m.bool(.addsSpacePrefix) ?? true
        d.sentencePiece.removesExtraWhitespaces = try m.bool(.removesExtraWhitespaces) ?? false
        d.sentencePiece.characterMap = try m.integers(.characterMap)?.map { UInt8(truncatingIfNeeded: $0) } ?? []
        d.sentencePiece.whitespaceIsSuffix = try m.bool(.whitespaceIsSuffix) ?? false
        d.sentencePiece.escapesWhitespaces = try m.bool(.escapesWhitespaces) ?? true
        d.sentencePiece.keepsUserDefined = try m.bool(.keepsUserDefined) ?? false
        d.chatTemplate = try m.string(.chatTemplate)
        for key in m.keys where key.hasPrefix(MetadataKey.namedTemplates) {
            let name = key.dropFirst(MetadataKey.namedTemplates.count)
            if let source = try m.string(MetadataKey(key)) { d.namedTemplates.append((name, source)) }
        }
        if let text = try m.bytes(.tokenizerSettings) {
            d.settings = try HuggingFaceSettings(try JSON.parse(text, MetadataKey.tokenizerSettings.description), "the tokenizer")
        }
        return try Tokenizer(d)
    }
}
