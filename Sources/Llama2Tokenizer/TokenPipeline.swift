import Llama2Core

/// How texts become tokens, and tokens texts again: one of three kinds, as the file says.
struct TokenPipeline: Sendable {
    enum Model: Sendable {
        case sentencePiece(SentencePieceNormalizer, SentencePieceBPE)
        case merges(Normalizer, PreTokenizer, MergeBPE)
    }

    let model: Model
    /// Found in a text as it is, and in the normalized one.
    let added: AddedTokens, addedNormalized: AddedTokens
    /// The texts that those are found by, where they are not their names.
    private(set) var normalizedNames: [Int32: [UInt8]] = [:]
    let decoder: TokenDecoder
    /// Whether what follows an added token begins with a space that is not in the text.
    let addsSpaceAfterNames: Bool

    /// The token that a whole text is in the model.
    func token(_ text: UnsafeBufferPointer<UInt8>) -> Int32? {
        switch model {
        case .sentencePiece(_, let model): model.token(text)
        case .merges(_, _, let model): model.token(text)
        }
    }

    /// Whether merges make this text, which is a token's.
    func makes(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        switch model {
        case .sentencePiece(_, let model): model.makes(text)
        case .merges(_, _, let model): model.makes(text)
        }
    }

    // MARK: the three kinds

    /// Hugging Face's: `settings` say everything.
    init(
        _ settings: HuggingFaceSettings, _ d: TokenizerDescription, _ types: [TokenType], _ names: [AddedToken], unknown: Int32?
    ) throws(Llama2Error) {
        let normalizer = Normalizer(steps: settings.normalizer), pre = PreTokenizer(settings.preTokenizer, spells: !settings.options.isByteLevel)
        var options = settings.options
        if settings.unknownName != nil {
            guard let unknown else { throw Llama2Error(.corrupt, "unk_token is not in the vocabulary") }
            options.unknown = unknown
        }
        // a token that is only added is not made by merging
        var isText = types.map { $0 != .unused }
        for id in settings.onlyAdded where id < types.count { isText[id] = false }
        let model = try MergeBPE(
            tokens: d.tokens, isText: { isText[$0] }, isControl: { types[$0] == .control }, merges: d.merges ?? ByteStrings.none, options)
        self.model = .merges(normalizer, pre, model)
        let normalized = try NormalizedNames(names.filter { $0.isNormalized }, normalizer)
        added = try AddedTokens(names.filter { !$0.isNormalized }, .leftmost)
        addedNormalized = try AddedTokens(normalized.tokens, names: normalized.texts, .leftmost)
        normalizedNames = normalized.others
        decoder = settings.decoder
        addsSpaceAfterNames = settings.addsSpaceToAll
    }

    /// SentencePiece's, in its own file or llama.cpp's.
    init(
        sentencePiece d: TokenizerDescription, _ types: [TokenType], _ names: [AddedToken], isName: [Bool], unknown: Int32?
    ) throws(Llama2Error) {
        let isMerged = { (index: Int) in types[index] != .control && types[index] != .unknown && types[index] != .byte && !isName[index] }
        var frozen: NameMatcher?
        if d.sentencePiece.keepsUserDefined {
            let list = d.tokens.walk().enumerated().filter { types[$0.offset] == .userDefined && !isName[$0.offset] }
            if !list.isEmpty { frozen = try NameMatcher(list.map { (Array($0.element), Int32($0.offset)) }) }
        }
        let model = try SentencePieceBPE(
            tokens: d.tokens, types: types, scores: d.scores, unknown: unknown, frozen: frozen, namesBytes: !d.sentencePiece.keepsUserDefined,
            isText: { isMerged($0) || isName[$0] && types[$0] == .userDefined && !AddedTokens.isMarker(Array(d.tokens[$0])) })
        self.model = .sentencePiece(try SentencePieceNormalizer(d.sentencePiece, userDefined: frozen), model)
        added = try AddedTokens(names, .longest)
        addedNormalized = try AddedTokens([], .longest)
        decoder = TokenDecoder(sentencePiece: d.sentencePiece)
        addsSpaceAfterNames = d.sentencePiece.addsDummyPrefix && !d.sentencePiece.whitespaceIsSuffix && d.settings?.addsSpaceToFirstOnly != true
    }

    /// Byte-level, in llama.cpp's file: a name stands for how words are cut.
    init(byteLevel d: TokenizerDescription, _ types: [TokenType], _ names: [AddedToken]) throws(Llama2Error) {
        let named = try NamedPreTokenizer(d.pre)
        guard let merges = d.merges, !merges.isEmpty || types.count <= 256 else { throw Llama2Error(.corrupt, "a byte-level vocabulary without merges") }
        var options = MergeBPE.Options()
        options.ignoresMerges = named.ignoresMerges
        let model = try MergeBPE(
            tokens: d.tokens,
            isText: {
                switch types[$0] {
                case .control, .unknown: false
                case .userDefined: !AddedTokens.isMarker(Array(d.tokens[$0]))
                case .undefined, .normal, .unused, .byte: true
                }
            }, merges: merges, options)
        self.model = .merges(Normalizer(steps: []), PreTokenizer(named.steps), model)
        added = try AddedTokens(names, .longest)
        addedNormalized = try AddedTokens([], .longest)
        decoder = .byteLevel
        addsSpaceAfterNames = false
    }
}

/// Added tokens that are looked for in the normalized text, with their names normalized.
private struct NormalizedNames {
    var tokens: [AddedToken] = [], texts: [[UInt8]] = []
    /// Of those whose text is not their name.
    var others: [Int32: [UInt8]] = [:]

    init(_ names: [AddedToken], _ normalizer: Normalizer) throws(Llama2Error) {
        var owners: [[UInt8]: Int32] = [:]
        for token in names {
            let text = try Self.normalized(token.name, normalizer)
            guard !text.isEmpty else {  // which is found at every place, also within characters: there `tokenizers` ends
                throw Llama2Error(
                    .unsupported, "added token \(token.id) is normalized, and nothing is left of its name: it would cut every text everywhere")
            }
            if let other = owners.updateValue(token.id, forKey: text) {  // of which `tokenizers` takes now this one, now that one
                throw Llama2Error(
                    .unsupported, "added tokens \(other) and \(token.id) have the same name once it is normalized: which one is meant is not said")
            }
            if text != token.name { others[token.id] = text }
            tokens.append(token)
            texts.append(text)
        }
    }

    private static func normalized(_ name: [UInt8], _ normalizer: Normalizer) throws(Llama2Error) -> [UInt8] {
        var copy = try GrowingBuffer<UInt8>(capacity: name.count, of: "a token's name"), isAtStart = true
        for byte in name { try copy.append(byte) }
        let text = try normalizer.normalize(copy.elements, isAtStart: &isAtStart)
        return Array(text.elements)
    }
}
