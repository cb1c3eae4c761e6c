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
            decoder = try TokenDecoder(json["decoder"])
            options.isByteLevel = PreTokenizer(preTokenizer).givesBytes
            addsSpaceToAll = normalizer.contains { if case .prepend = $0 { true } else { false } }
        } catch {
            throw Llama2Error(error.kind, "\(name): \(error.message)")
        }
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

enum NormalizerReader {
    private static let mostSteps = 64

    static func steps(_ json: JSON?, depth: Int = 0) throws(Llama2Error) -> [NormalizerStep] {
        guard let json, !json.isNull else { return [] }
        let names: [StaticString] = [
            "Sequence", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Prepend", "Replace", "Nmt", "BertNormalizer", "Bert",
            "Precompiled",
            "ByteLevel",
        ]
        switch try json.kind("normalizer", names) {
        case 0:
            try check(json, "normalizer Sequence", ["type", "normalizers"])
            guard depth < 8 else { throw Llama2Error(.unsupported, "normalizers nested deeper than 8") }
            var steps: [NormalizerStep] = []
            for step in json["normalizers"]?.array ?? [] { steps += try self.steps(step, depth: depth + 1) }
            guard steps.count <= mostSteps else { throw Llama2Error(.unsupported, "more than \(mostSteps) normalizers") }
            return steps
        case 1: return [.form(.nfc)]
        case 2: return [.form(.nfd)]
        case 3: return [.form(.nfkc)]
        case 4: return [.form(.nfkd)]
        case 5: return [.lowercase]
        case 6: return [.stripAccents]
        case 7:
            try check(json, "normalizer Strip", ["type", "strip_left", "strip_right"])
            return [.strip(left: try flag(json, "strip_left", nil), right: try flag(json, "strip_right", nil))]
        case 8:
            try check(json, "normalizer Prepend", ["type", "prepend"])
            return [.prepend(try text(json, "prepend") ?? [])]
        case 9:
            try check(json, "normalizer Replace", ["type", "pattern", "content"])
            let content = try text(json, "content") ?? []
            switch try TextPattern(json["pattern"]) {
            case .text(let bytes): return [.replaceText(bytes, with: content)]
            case .expression(let program): return [.replace(program, with: content)]
            }
        case 10: return [.nmt]
        case 11, 12:
            try check(json, "BertNormalizer", ["type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"])
            let lowers = try flag(json, "lowercase", nil)
            return [
                .bert(
                    cleans: try flag(json, "clean_text", nil), separatesChinese: try flag(json, "handle_chinese_chars", nil),
                    stripsAccents: try flag(json, "strip_accents", lowers), lowercases: lowers)
            ]
        case 13:
            try check(json, "normalizer Precompiled", ["type", "precompiled_charsmap"])
            return [.precompiled(try CharacterMap(try decodeBase64(try text(json, "precompiled_charsmap") ?? [])))]
        default: return [.byteLevel]
        }
    }

    private static func decodeBase64(_ text: [UInt8]) throws(Llama2Error) -> [UInt8] {
        var out: [UInt8] = [], bits: UInt32 = 0, count = 0
        out.reserveCapacity(text.count / 4 * 3)
        for c in text where c != UInt8(ascii: "=") {
            let value: UInt8
            switch c {
            case 0x41...0x5A: value = c - 0x41
            case 0x61...0x7A: value = c - 0x61 + 26
            case 0x30...0x39: value = c - 0x30 + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            default: throw Llama2Error(.corrupt, "precompiled_charsmap is no base64")
            }
            bits = (bits << 6 | UInt32(value)) & 0xFFFFFF
            count += 6
            if count >= 8 {
                count -= 8
                out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return out
    }
}

enum PreTokenizerReader {
    private static let mostSteps = 64

    static func steps(_ json: JSON?, depth: Int = 0) throws(Llama2Error) -> [PreTokenizerStep] {
        guard let json, !json.isNull else { return [] }
        let names: [StaticString] = [
            "Sequence", "ByteLevel", "Metaspace", "Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit", "CharDelimiterSplit", "Delimiter",
            "FixedLength", "BertPreTokenizer",
        ]
        switch try json.kind("pre-tokenizer", names) {
        case 0:
            try check(json, "pre-tokenizer Sequence", ["type", "pretokenizers"])
            guard depth < 8 else { throw Llama2Error(.unsupported, "pre-tokenizers nested deeper than 8") }
            var steps: [PreTokenizerStep] = []
            for step in json["pretokenizers"]?.array ?? [] { steps += try self.steps(step, depth: depth + 1) }
            guard steps.count <= mostSteps else { throw Llama2Error(.unsupported, "more than \(mostSteps) pre-tokenizers") }
            return steps
        case 1:
            try check(json, "pre-tokenizer ByteLevel", ["type", "add_prefix_space", "trim_offsets", "use_regex"])
            return [
                .byteLevel(
                    addsPrefixSpace: try flag(json, "add_prefix_space", nil),
                    try flag(json, "use_regex", true) ? RegexProgram(Array(NamedPreTokenizer.gpt2.utf8)) : nil)
            ]
        case 2:
            let (mark, scheme) = try metaspace(json)
            return [.metaspace(replacement: mark, scheme, splits: try flag(json, "split", true))]
        case 3:
            try check(json, "pre-tokenizer Split", ["type", "pattern", "behavior", "invert"])
            return [.split(try TextPattern(json["pattern"]).program(), try behavior(json, nil), inverted: try flag(json, "invert", nil))]
        case 4:
            try check(json, "pre-tokenizer Digits", ["type", "individual_digits"])
            return [.characters(.numeric, try flag(json, "individual_digits", nil) ? .isolated : .contiguous)]
        case 5:
            try check(json, "pre-tokenizer Punctuation", ["type", "behavior"])
            return [.characters(.punctuation, try behavior(json, .isolated))]
        case 6: return [.words]
        case 7: return [.characters(.whiteSpace, .removed)]
        case 8, 9:
            try check(json, "pre-tokenizer CharDelimiterSplit", ["type", "delimiter"])
            let bytes = try character(json, "delimiter")
            let scalar = bytes.withUnsafeBufferPointer { text in if case .scalar(let c, _) = decodeUTF8(text, at: 0) { c } else { UInt32(0) } }
            return [.characters(.scalar(scalar), .removed)]
        case 10:
            try check(json, "pre-tokenizer FixedLength", ["type", "length"])
            guard let length = json["length"]?.integer ?? (json["length"] == nil ? 5 : nil), length > 0 else {
                throw Llama2Error(.corrupt, "FixedLength without a length")
            }
            return [.fixedLength(length)]
        default: return [.characters(.whiteSpace, .removed), .characters(.punctuation, .isolated)]
        }
    }

    static func metaspace(_ json: JSON) throws(Llama2Error) -> ([UInt8], PreTokenizerStep.PrependScheme) {
        try check(json, "Metaspace", ["type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"])
        var scheme = PreTokenizerStep.PrependScheme.always
        if let given = json["prepend_scheme"], !given.isNull {
            if given.isText("always") {
                scheme = .always
            } else if given.isText("first") {
                scheme = .first
            } else if given.isText("never") {
                scheme = .never
            } else {
                throw unknown("prepend_scheme", given)
            }
        }
        if try !flag(json, "add_prefix_space", true), scheme != .never {
            throw Llama2Error(.corrupt, "Metaspace: add_prefix_space is false, prepend_scheme is not never")
        }
        return (try character(json, "replacement"), scheme)
    }

    private static func behavior(_ json: JSON, _ usual: SplitBehavior?) throws(Llama2Error) -> SplitBehavior {
        guard let given = json["behavior"], !given.isNull else {
            guard let usual else { throw Llama2Error(.corrupt, "behavior is missing") }
            return usual
        }
        let known: [(StaticString, SplitBehavior)] = [
            ("Removed", .removed), ("Isolated", .isolated), ("MergedWithPrevious", .mergedWithPrevious), ("MergedWithNext", .mergedWithNext),
            ("Contiguous", .contiguous),
        ]
        guard let found = known.first(where: { given.isText($0.0) }) else { throw unknown("behavior", given) }
        return found.1
    }
}
