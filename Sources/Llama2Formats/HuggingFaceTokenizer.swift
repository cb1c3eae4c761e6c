internal import Llama2Core

/// The tokenizer files of a Hugging Face folder, as GGUF's `tokenizer.*` keys.
///
/// tokenizer.json when it is there, as `transformers` reads it; otherwise tokenizer.model (SentencePiece) with the tokens
/// of added_tokens.json and tokenizer_config.json. What GGUF's keys cannot say (normalizers, expressions, settings of
/// added tokens) goes as JSON into `tokenizer.llama2swift.settings`, which the tokenizer reads: see HuggingFaceSettings.
struct HuggingFaceTokenizer {
    let folder: FilePath
    let count: Int  // rows of the embedding
    let owned: OwnedBytes
    var tokens: [[UInt8]] = []
    var scores: [Float] = []
    var types: [Int32] = []
    var merges: [[UInt8]] = []
    /// Added tokens as JSON, in their order; of two with one id the later, the earlier is empty.
    var added: [[UInt8]] = []
    var addedPlace: [Int: Int] = [:]  // by id
    /// Ids of added tokens that the model itself does not have.
    var onlyAdded: [Int] = []
    /// Whether any takes white space beside it, or stands alone, or is looked for in the normalized text: GGUF's types do not say it.
    var hasSettings = false, hasNormalized = false

    init(folder: FilePath, count: Int, owned: OwnedBytes) {
        self.folder = folder
        self.count = count
        self.owned = owned
    }

    static let hole: Int32 = 5  // unused

    mutating func read(_ config: JSON, into metadata: inout Metadata) throws(Llama2Error) {
        let whole = try HuggingFaceFolder.json(folder, "tokenizer.json")
        let settings = try HuggingFaceFolder.json(folder, "tokenizer_config.json") ?? .null
        let map = try HuggingFaceFolder.json(folder, "special_tokens_map.json") ?? .null
        try checkOptions(settings, whole)
        try MemoryReserve.cover(vocabulary: count, for: "the vocabulary")
        // 1. the vocabulary
        let proto = folder + "/tokenizer.model"
        var pieces: SentencePieceModel?
        // one without merges says nothing of a vocabulary that tokenizer.model has: only its added tokens count
        let isStub = whole.map { $0["model"]?["merges"]?.array?.isEmpty != false } ?? true
        if isStub, try MappedFile.exists(proto) {
            let model = try SentencePieceModel(try MappedFile(path: proto, as: .copy), most: max(count, 1))
            if whole.map({ ($0["model"]?["vocab"]?.members.map { Array($0).count } ?? 0) < model.tokens.count }) ?? true { pieces = model }
        }
        if let whole, pieces == nil {
            try readBPE(whole["model"] ?? .null)
        } else if let model = pieces {
            tokens = withExtendedLifetime(model) { model.tokens.map { Array($0) } }
            scores = model.scores
            types = model.types
        } else {
            return  // a model without a vocabulary
        }
        let own = tokens.count
        // 2. added tokens: of tokenizer.json, then what the other files change and add
        try addAddedTokens(whole, settings, map, pieces: pieces != nil)
        guard own <= max(count, 1) else {
            throw Llama2Error(.corrupt, "\(folder): the tokenizer has \(own) tokens, the embedding \(count) rows")
        }
        while tokens.count < count { addHole() }
        // 3. ids by name
        let generation = try HuggingFaceFolder.json(folder, "generation_config.json") ?? .null
        func named(_ key: String) -> Int? {
            for file in [settings, map] {
                guard let value = file[key], !value.isNull, let name = value.bytes ?? value["content"]?.bytes else { continue }
                if let id = tokens.firstIndex(of: name) { return id }
            }
            return nil
        }
        /// One id or several; a negative one stands for none.
        func ids(_ key: String) throws(Llama2Error) -> [Int] {
            var found: [Int] = []
            for (file, object) in [("generation_config.json", generation), ("config.json", config)] {
                guard let value = object[key + "_token_id"], !value.isNull else { continue }
                for one in value.array ?? [value] {
                    guard let id = one.integer else { throw Llama2Error(.corrupt, "\(folder)/\(file): \(key)_token_id is no integer") }
                    if id < 0 { continue }
                    guard id < count else {
                        throw Llama2Error(.corrupt, "\(folder)/\(file): \(key)_token_id is \(id), but the embedding has \(count) rows")
                    }
                    found.append(id)
                }
            }
            return found
        }
        let ends = try ids("eos"), begins = try ids("bos")
        // what is put around a text; where no file names BOS, the token that begins one is it
        let around = try template(whole?["post_processor"])
        let bos = named("bos_token") ?? begins.first ?? pieces?.bos ?? around.first
        let eos = named("eos_token") ?? ends.first ?? pieces?.eos
        let unknownName = pieces == nil ? whole.map { $0["model"]?["unk_token"]?.bytes } ?? nil : nil
        let unknown = unknownName.flatMap { tokens.firstIndex(of: $0) } ?? pieces?.unknown ?? named("unk_token")
        put(.bos, bos, &metadata)
        put(.eos, eos, &metadata)
        put(.unknown, unknown, &metadata)
        // a second and a third end token, as chat models have, under GGUF's names; then all of them
        var others: [Int] = []
        for other in ends where other != eos && !others.contains(other) { others.append(other) }
        if let first = others.first { put(.eot, first, &metadata) }
        if others.count > 1 { put(.eom, others[1], &metadata) }
        if others.count > 2 {
            let list = others.map { Int32($0) }
            _ = metadata.insert(.endTokens, .array(.int32, count: list.count, owned.keep(list)))
        }
        // 4. whether it is put around one
        if let given = around.first, given != bos {
            throw Llama2Error(.unsupported, "\(folder)/tokenizer.json: post_processor begins a text with token \(given), which is not BOS")
        }
        if let given = around.last, given != eos {
            throw Llama2Error(.unsupported, "\(folder)/tokenizer.json: post_processor ends a text with token \(given), which is not EOS")
        }
        let saysBOS = try Self.bool(settings, "add_bos_token"), saysEOS = try Self.bool(settings, "add_eos_token")
        let addsBOS = saysBOS ?? (pieces != nil || whole == nil ? nil : around.first != nil), addsEOS = saysEOS ?? (around.last != nil)
        // where there is none llama.cpp would put its usual id there
        if let addsBOS = bos ?? -1 < 0 ? false : addsBOS { _ = metadata.insert(.addsBOS, .bool(addsBOS)) }
        if addsEOS { _ = metadata.insert(.addsEOS, .bool(true)) }
        try putTemplates(settings, &metadata)
        // 5. the vocabulary and its rules
        if let whole, pieces == nil {
            try putRules(whole, unknownName, &metadata)
        } else if let pieces {
            put(.tokenizerModel, "llama", &metadata)
            pieces.putSettings(&metadata, owned)
            _ = metadata.insert(.scores, .array(.float32, count: scores.count, owned.keep(scores)))
            // transformers' older way, which files mean that say nothing: a space after every added token
            let isNew = try Self.bool(settings, "legacy") == false
            if try Self.bool(settings, "add_prefix_space") == false { pieces.putPrefix(false, &metadata) }
            if !added.isEmpty || isNew { putSettings("\"sentencepiece\":{\"first\":\(isNew)}", &metadata) }
        }
        _ = metadata.insert(.tokens, .strings(try owned.keep(texts: tokens)))
        _ = metadata.insert(.tokenTypes, .array(.int32, count: types.count, owned.keep(types)))
    }

    func put(_ key: MetadataKey, _ value: ByteText, _ metadata: inout Metadata) {
        _ = metadata.insert(key, .string(owned.keep(value.bytes)))
    }

    /// 32 bits of ones when there is none, so that nobody takes the usual id for it. With a sign, as -1, llama.cpp does not load the file.
    func put(_ key: MetadataKey, _ value: Int?, _ metadata: inout Metadata) {
        if let value, value >= 0, value < count {
            _ = metadata.insert(key, .unsigned(UInt64(value)))
        } else {
            _ = metadata.insert(key, .unsigned(UInt64(UInt32.max)))
        }
    }

    static func bool(_ settings: JSON, _ key: String) throws(Llama2Error) -> Bool? {
        guard let value = settings[key], !value.isNull else { return nil }
        guard let bool = value.bool else { throw Llama2Error(.corrupt, "tokenizer_config.json: \(key) is neither true nor false") }
        return bool
    }

    func failure(_ what: String) -> Llama2Error { Llama2Error(.corrupt, "\(folder)/tokenizer.json: \(what)") }
}
