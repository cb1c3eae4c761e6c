import Llama2Core

/// A model's vocabulary: text to tokens and back. Immutable after creation, usable from any thread.
///
/// A text passes: added tokens by their names, a normalizer, added tokens by their normalized names, a pre-tokenizer
/// that cuts words, a model that makes tokens of each word. SentencePiece has its own normalizer and no words.
public final class Tokenizer: Sendable {
    enum Pipeline: Sendable {
        case sentencePiece(SentencePieceNormalizer, SentencePieceBPE)
        case merges(Normalizer, PreTokenizer, MergeBPE)
    }

    /// The number of tokens; ids are 0 to `count - 1`.
    public let count: Int
    public let bos: Int32?, eos: Int32?, eot: Int32?, eom: Int32?, unknown: Int32?
    private let ends: Set<Int32>  // further ends of a text
    /// Whether the model expects BOS before a text, and EOS behind it.
    public let addsBOS: Bool, addsEOS: Bool
    let chats: ChatTemplates
    private let namedEnds: EndTokens
    private let hasNamedTypes: Bool

    /// Whether a text's first token begins with a space that is not in the text.
    let addsSpacePrefix: Bool
    /// Whether what follows an added token begins with one too.
    let addsSpaceAfterNames: Bool
    let isSentencePiece: Bool
    let decoder: TokenDecoder
    let types: [TokenType]  // (count)
    let pieces: AlignedBuffer<UInt8>  // every token's bytes, end to end
    let pieceOffsets: [Int32]  // (count + 1)
    /// Of each token's bytes where it is the first of a text, (count + 1); empty when they are the same.
    let firstOffsets: [Int32]
    let longestPiece: Int  // bytes
    /// Pieces of sentencepiece's whose own text begins with a space.
    let ownSpaces: Set<Int32>
    let isName: [Bool]  // (count) whether it is found in a text by its name, and given by that
    let pipeline: Pipeline
    let added: AddedTokens, addedNormalized: AddedTokens

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
        var types = try Self.checkedTypes(d)
        namedEnds = EndTokens(d.tokens, filling: d.filling, middle: d.middle)
        // as llama.cpp takes a file of its own; other files have settings for each token, or sentencepiece's types
        hasNamedTypes = d.settings == nil && !d.sentencePiece.keepsUserDefined
        if hasNamedTypes {
            for id in namedEnds.controls { types[Int(id)] = .control }
            for id in namedEnds.userDefined { types[Int(id)] = .userDefined }
            for id in namedEnds.normal { types[Int(id)] = .normal }
        }
        self.types = types

        // 1. The model.
        let settings = d.settings?.isSentencePiece == true ? nil : d.settings
        if settings != nil {
            isSentencePiece = false
        } else if d.model.elementsEqual("llama".utf8) {
            isSentencePiece = true
        } else if d.model.elementsEqual("gpt2".utf8) {
            isSentencePiece = false
        } else {
            let name = String(decoding: d.model.prefix(60), as: UTF8.self)
            throw Llama2Error(.unsupported, "tokenizer model \"\(name)\" is not known; this version has llama and gpt2")
        }
        // 2. The ids; SentencePiece's own for Llama when the file says nothing.
        let usual = isSentencePiece
        bos = try Self.checkedID(d.bos ?? (usual && count > 1 ? 1 : nil), "BOS", count)
        eos = try Self.checkedID(d.eos ?? (usual && count > 2 ? 2 : nil), "EOS", count)
        eot = try Self.checkedID(d.eot, "end-of-turn", count)
        eom = try Self.checkedID(d.eom, "end-of-message", count)
        var ends: Set<Int32> = []
        for end in d.ends { if let id = try Self.checkedID(end, "end-of-text", count) { ends.insert(id) } }
        self.ends = ends
        unknown = try Self.checkedID(d.unk ?? (usual ? 0 : nil), "unknown", count)

        // 3. The added tokens: listed with their settings, or by their types.
        var names: [AddedToken] = [], isName = Array(repeating: false, count: count)
        if let list = d.settings?.addedTokens {
            for token in list {
                guard Int(token.id) < count else { continue }  // a row that the embedding does not have: never made
                names.append(token)
            }
        } else {
            for (index, text) in d.tokens.walk().enumerated() {
                switch types[index] {
                case .control, .unknown: names.append(AddedToken(id: Int32(index), name: Array(text), isSpecial: true))
                case .userDefined where !(isSentencePiece && d.sentencePiece.keepsUserDefined):
                    names.append(AddedToken(id: Int32(index), name: Array(text), isSpecial: false))
                case .userDefined, .undefined, .normal, .unused, .byte: break
                }
            }
        }
        if d.settings == nil { names = names.map { Self.stripped($0, d) } }
        for token in names { isName[Int(token.id)] = true }
        // each as it is, normalized, and as the matcher has it; the lists are covered by whoever read the vocabulary
        try MemoryReserve.cover(3 * .texts(names.count, bytes: names.reduce(0) { $0 &+ $1.name.count }), for: "the names of added tokens")

        // 4. The pipeline.
        var normalizedNames: [Int32: [UInt8]] = [:]
        if let settings {
            let normalizer = Normalizer(steps: settings.normalizer), pre = PreTokenizer(settings.preTokenizer, spells: !settings.options.isByteLevel)
            var options = settings.options
            if settings.unknownName != nil {
                guard let unknown else { throw Llama2Error(.corrupt, "unk_token is not in the vocabulary") }
                options.unknown = unknown
            }
            // a token that is only added is not made by merging
            var isText = types.map { $0 != .unused }
            for id in settings.onlyAdded where id < count { isText[id] = false }
            let model = try MergeBPE(
                tokens: d.tokens, isText: { isText[$0] }, isControl: { types[$0] == .control }, merges: d.merges ?? ByteStrings.none, options)
            pipeline = .merges(normalizer, pre, model)
            var raw: [AddedToken] = [], normalized: [AddedToken] = [], texts: [[UInt8]] = [], owners: [[UInt8]: Int32] = [:]
            for token in names {
                guard token.isNormalized else {
                    raw.append(token)
                    continue
                }
                let text = try Self.normalized(token.name, normalizer)
                guard !text.isEmpty else {  // which is found at every place, also within characters: there `tokenizers` ends
                    throw Llama2Error(
                        .unsupported, "added token \(token.id) is normalized, and nothing is left of its name: it would cut every text everywhere")
                }
                if let other = owners.updateValue(token.id, forKey: text) {  // of which `tokenizers` takes now this one, now that one
                    throw Llama2Error(
                        .unsupported, "added tokens \(other) and \(token.id) have the same name once it is normalized: which one is meant is not said")
                }
                if text != token.name { normalizedNames[token.id] = text }
                normalized.append(token)
                texts.append(text)
            }
            added = try AddedTokens(raw, .leftmost)
            addedNormalized = try AddedTokens(normalized, names: texts, .leftmost)
            decoder = settings.decoder
            addsSpaceAfterNames = settings.addsSpaceToAll
        } else if isSentencePiece {
            let isMerged = { (index: Int) in types[index] != .control && types[index] != .unknown && types[index] != .byte && !isName[index] }
            var frozen: NameMatcher?
            if d.sentencePiece.keepsUserDefined {
                let list = d.tokens.walk().enumerated().filter { types[$0.offset] == .userDefined && !isName[$0.offset] }
                if !list.isEmpty { frozen = try NameMatcher(list.map { (Array($0.element), Int32($0.offset)) }) }
            }
            let model = try SentencePieceBPE(
                tokens: d.tokens, types: types, scores: d.scores, unknown: unknown, frozen: frozen, namesBytes: !d.sentencePiece.keepsUserDefined,
                isText: { isMerged($0) || isName[$0] && types[$0] == .userDefined && !AddedTokens.isMarker(Array(d.tokens[$0])) })
            pipeline = .sentencePiece(try SentencePieceNormalizer(d.sentencePiece, userDefined: frozen), model)
            added = try AddedTokens(names, .longest)
            addedNormalized = try AddedTokens([], .longest)
            decoder = TokenDecoder(sentencePiece: d.sentencePiece)
            addsSpaceAfterNames = d.sentencePiece.addsDummyPrefix && !d.sentencePiece.whitespaceIsSuffix && d.settings?.addsSpaceToFirstOnly != true
        } else {
            let named = try NamedPreTokenizer(d.pre)
            guard let merges = d.merges, !merges.isEmpty || count <= 256 else { throw Llama2Error(.corrupt, "a byte-level vocabulary without merges") }
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
            pipeline = .merges(Normalizer(steps: []), PreTokenizer(named.steps), model)
            added = try AddedTokens(names, .longest)
            addedNormalized = try AddedTokens([], .longest)
            decoder = .byteLevel
            addsSpaceAfterNames = false
        }
        if hasNamedTypes { try Self.checkNames(names, pipeline) }
        addsSpacePrefix = decoder.start != .nothing
        switch pipeline {
        case .sentencePiece: addsBOS = (d.addBOS ?? true) && bos != nil
        case .merges: addsBOS = (d.addBOS ?? (settings == nil && NamedPreTokenizer.addsBOS(d.pre))) && bos != nil
        }
        addsEOS = (d.addEOS ?? false) && eos != nil

        // 5. The bytes of every token. A name that was found normalized is text like any other.
        for id in normalizedNames.keys { isName[Int(id)] = false }
        self.isName = isName
        let decoder = decoder, pipeline = pipeline
        /// Whether a token of type unused, or of none, has a text: sentencepiece's own have, of others those that merges make.
        func isMade(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
            switch pipeline {
            case .sentencePiece(_, let model): d.sentencePiece.keepsUserDefined || settings == nil && model.makes(text)
            case .merges(_, _, let model): settings == nil && model.makes(text)
            }
        }
        let onlyNames = Set(settings?.onlyAdded ?? [])
        func isOnlyName(_ index: Int) -> Bool { settings == nil || onlyNames.contains(index) }
        var pieces: [UInt8] = []
        var offsets: [Int32] = [0]
        offsets.reserveCapacity(count + 1)
        pieces.reserveCapacity(d.tokens.byteCount - 8 * count)
        var longest = 0
        for (index, bytes) in d.tokens.walk().enumerated() {
            let text = bytes.bindMemory(to: UInt8.self), before = pieces.count
            if Self.standsForNothing(types[index]), !isMade(text) {
                // a row of the embedding that stands for nothing: what it is called is no text
            } else if let normalized = normalizedNames[Int32(index)] {
                try normalized.withUnsafeBufferPointer { text in Result { () throws(Llama2Error) in try decoder.append(text, isName: false, to: &pieces) } }
                    .get()
            } else if isName[index], settings == nil {
                pieces.append(contentsOf: text)
            } else if settings == nil, types[index] == .byte, let byte = SentencePieceBPE.byteValue(text) {
                pieces.append(byte)
            } else {
                // what merges make too, of bytes for instance, is given like all that they make
                try decoder.append(text, isName: isName[index] && isOnlyName(index), to: &pieces)
            }
            guard pieces.count <= Int32.max else { throw Llama2Error(.unsupported, "tokens of more than 2 GiB together") }
            longest = max(longest, pieces.count - before)
            offsets.append(Int32(pieces.count))
        }
        var spaces: Set<Int32> = []
        if isSentencePiece {
            for (index, text) in d.tokens.walk().enumerated() where text.first == 0x20 { spaces.insert(Int32(truncatingIfNeeded: index)) }
        }
        ownSpaces = spaces
        var firsts: [Int32] = []
        if decoder.start == .marksOfFirstToken {
            firsts.append(Int32(pieces.count))
            for (index, bytes) in d.tokens.walk().enumerated() {
                let text = bytes.bindMemory(to: UInt8.self), before = pieces.count
                let name = Self.standsForNothing(types[index]) && !isMade(text) ? [] : normalizedNames[Int32(index)]
                try (name ?? Array(text)).withUnsafeBufferPointer { text in
                    Result { () throws(Llama2Error) in try decoder.append(text, isName: isName[index] && isOnlyName(index), isFirst: true, to: &pieces) }
                }.get()
                guard pieces.count <= Int32.max else { throw Llama2Error(.unsupported, "tokens of more than 2 GiB together") }
                longest = max(longest, pieces.count - before)
                firsts.append(Int32(pieces.count))
            }
        }
        firstOffsets = firsts
        let buffer = try AlignedBuffer<UInt8>(count: pieces.count, of: "texts of the tokens"), start = buffer.pointer
        pieces.withUnsafeBufferPointer { if let bytes = $0.baseAddress { start.update(from: bytes, count: $0.count) } }
        self.pieces = buffer
        pieceOffsets = offsets
        longestPiece = longest + decoder.separator.count
        chats = ChatTemplates(d, isLlama2: isSentencePiece)
    }

    /// Whether generation ends with `token`: EOS, end of turn or message, or a token of such a name.
    public func isEndOfGeneration(_ token: Int32) -> Bool {
        if hasNamedTypes, namedEnds.endsNothing(token) { return false }
        return token == eos || token == eot || token == eom || ends.contains(token) || namedEnds.contains(token)
    }

    /// All of them, ascending.
    public var endsOfGeneration: [Int32] { (0..<Int32(truncatingIfNeeded: count)).filter { isEndOfGeneration($0) } }
}
