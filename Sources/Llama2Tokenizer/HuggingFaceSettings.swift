public import Llama2Core

/// What Hugging Face's tokenizer files say beside the vocabulary: `tokenizer.json` without `vocab` and `merges`.
///
/// Each part is known under the name that `tokenizers` gives it and done as it does it, or refused by name: so is a
/// member of a known part that is not known. Tests/compare/TOKENIZERS.md is the table of them.
public struct HuggingFaceSettings: Sendable {
    public var addedTokens: [AddedToken] = []
    /// Ids of those that the model itself does not have.
    var onlyAdded: [Int] = []
    var normalizer: [NormalizerStep] = []
    var preTokenizer: [PreTokenizerStep] = []
    var decoder = TokenDecoder()
    var options = MergeBPE.Options()
    public var unknownName: [UInt8]?
    /// Whether every piece after an added token begins with a space that was not in the text: that of a Prepend. (A
    /// Metaspace adds none where there is one, so that nobody can tell.)
    var addsSpaceToAll = false
    /// The vocabulary is SentencePiece's and only the added tokens are Hugging Face's.
    public var isSentencePiece = false
    /// Of SentencePiece's: only the first piece of a text begins with a space (`legacy` is false).
    public var addsSpaceToFirstOnly = false

    /// name: of the file, for errors.
    public init(_ json: JSON, _ name: String) throws(Llama2Error) {
        do throws(Llama2Error) {
            try check(
                json, "tokenizer.json",
                [
                    "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model", "sentencepiece",
                    "only_added",
                ])
            if let version = json["version"], !version.isNull, !version.isText("1.0") { throw unknown("version", version) }
            for token in json["added_tokens"]?.array ?? [] { addedTokens.append(try addedToken(token)) }
            onlyAdded = (json["only_added"]?.array ?? []).compactMap { $0.integer }.filter { $0 >= 0 }
            if let settings = json["sentencepiece"] {
                isSentencePiece = true
                addsSpaceToFirstOnly = settings["first"]?.bool == true
                return
            }
            try readModel(json["model"] ?? .null)
            normalizer = try NormalizerReader.steps(json["normalizer"])
            preTokenizer = try PreTokenizerReader.steps(json["pre_tokenizer"])
            try checkFirst()
            decoder = try TokenDecoder(json["decoder"])
            // what is added to a character, or stands for one without a token, is spelled: bytes have no place for it
            options.isByteLevel =
                PreTokenizer(preTokenizer).givesBytes && !options.fallsBackToBytes && options.continuingPrefix.isEmpty && options.wordSuffix.isEmpty
            addsSpaceToAll = normalizer.contains { if case .prepend = $0 { true } else { false } }
        } catch {
            throw Llama2Error(error.kind, "\(name): \(error.message)")
        }
    }

    /// Metaspace's "first" asks whether a word begins where the text did. Where a normalizer makes several characters of the first one, or puts some before
    /// it, and a step before Metaspace cuts between them, `tokenizers` takes each such word for the first.
    private func checkFirst() throws(Llama2Error) {
        let makesMore = normalizer.contains { step in
            switch step {
            case .strip, .stripAccents, .nmt: false
            case .form, .lowercase, .prepend, .replace, .replaceText, .bert, .precompiled, .byteLevel: true
            }
        }
        let isBehind = preTokenizer.dropFirst().contains { if case .metaspace(_, .first, _) = $0 { true } else { false } }
        guard makesMore, isBehind else { return }
        throw Llama2Error(
            .unsupported,
            "pre-tokenizer Metaspace with prepend_scheme \"first\" behind another one, and a normalizer that may make more of a text's first character")
    }

    private func addedToken(_ json: JSON) throws(Llama2Error) -> AddedToken {
        try check(json, "added token", ["id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"])
        guard let id = json["id"]?.integer, let id = Int32(exactly: id), id >= 0, let content = json["content"]?.bytes else {
            throw Llama2Error(.corrupt, "an added token without id and content")
        }
        var token = AddedToken(id: id, name: content, isSpecial: try flag(json, "special", false))
        token.isSingleWord = try flag(json, "single_word", false)
        token.stripsLeft = try flag(json, "lstrip", false)
        token.stripsRight = try flag(json, "rstrip", false)
        token.isNormalized = try flag(json, "normalized", !token.isSpecial)
        return token
    }

    private mutating func readModel(_ model: JSON) throws(Llama2Error) {
        if let type = model["type"], !type.isText("BPE") { throw unknown("model type", type) }
        try check(
            model, "model",
            [
                "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                "merges",
            ])
        if let dropout = model["dropout"], !dropout.isNull, dropout.double != 0 {
            throw Llama2Error(.unsupported, "BPE with dropout, whose tokens are random")
        }
        options.isHuggingFace = true
        options.ignoresMerges = try flag(model, "ignore_merges", false)
        options.fallsBackToBytes = try flag(model, "byte_fallback", false)
        options.fusesUnknown = try flag(model, "fuse_unk", false)
        unknownName = try text(model, "unk_token")
        options.continuingPrefix = try text(model, "continuing_subword_prefix") ?? []
        options.wordSuffix = try text(model, "end_of_word_suffix") ?? []
    }
}

// MARK: what every part is read with

func unknown(_ what: String, _ json: JSON) -> Llama2Error {
    Llama2Error(
        .unsupported, "\(what) \(json.text.map { "\"\($0.unicodeScalars.prefix(60).map { String($0) }.joined())\"" } ?? "of another type") is not known")
}

/// Refuses members that are not known.
func check(_ object: JSON, _ what: String, _ known: [StaticString]) throws(Llama2Error) {
    guard let members = object.members else { throw Llama2Error(.corrupt, "\(what) is no object") }
    for (key, _) in members where !known.contains(where: { key.isText($0) }) { throw unknown("\(what): member", key) }
}

func flag(_ object: JSON, _ key: String, _ usual: Bool?) throws(Llama2Error) -> Bool {
    guard let value = object[key], !value.isNull else {
        guard let usual else { throw Llama2Error(.corrupt, "\(key) is missing") }
        return usual
    }
    guard let flag = value.bool else { throw Llama2Error(.corrupt, "\(key) is neither true nor false") }
    return flag
}

func text(_ object: JSON, _ key: String) throws(Llama2Error) -> [UInt8]? {
    guard let value = object[key], !value.isNull else { return nil }
    guard let text = value.bytes else { throw Llama2Error(.corrupt, "\(key) is no text") }
    return text
}

func character(_ object: JSON, _ key: String) throws(Llama2Error) -> [UInt8] {
    guard let bytes = try text(object, key), !bytes.isEmpty else { throw Llama2Error(.corrupt, "\(key) is no character") }
    let length = bytes.withUnsafeBufferPointer { text in
        if case .scalar(_, let length) = decodeUTF8(text, at: 0) { length } else { 1 }
    }
    guard length == bytes.count else { throw Llama2Error(.corrupt, "\(key) is more than one character") }
    return bytes
}

extension JSON {
    /// Whether this is that text, byte for byte.
    func isText(_ wanted: StaticString) -> Bool {
        guard let bytes else { return false }
        return bytes.elementsEqual(UnsafeBufferPointer(start: wanted.utf8Start, count: wanted.utf8CodeUnitCount))
    }

    /// The member `type`, as one of those that are known.
    func kind(_ what: String, _ known: [StaticString]) throws(Llama2Error) -> Int {
        guard let type = self["type"] else { throw Llama2Error(.unsupported, "\(what) without a type") }
        guard let index = known.firstIndex(where: { type.isText($0) }) else { throw unknown("\(what)", type) }
        return index
    }
}

/// `{"String": "x"}` or `{"Regex": "x"}`.
enum TextPattern {
    case text([UInt8]), expression(RegexProgram)

    init(_ json: JSON?) throws(Llama2Error) {
        if let bytes = json?["String"]?.bytes, !bytes.isEmpty {
            // looked for at every place of a text
            guard bytes.count <= NameMatcher.longestName else {
                throw Llama2Error(.unsupported, "a pattern of \(bytes.count) bytes; the limit is \(NameMatcher.longestName)")
            }
            self = .text(bytes)
        } else if let bytes = json?["Regex"]?.bytes {
            self = .expression(try RegexProgram(bytes))
        } else {
            throw Llama2Error(.unsupported, "a pattern that is neither a text nor an expression, or empty")
        }
    }

    func program() throws(Llama2Error) -> RegexProgram {
        switch self {
        case .text(let bytes): try RegexProgram(literal: bytes)
        case .expression(let program): program
        }
    }
}
