internal import Llama2Core

/// The tokenizer files of a Hugging Face folder, as GGUF's `tokenizer.*` keys.
///
/// tokenizer.json when it holds byte-level BPE; otherwise tokenizer.model (SentencePiece), whose scores are the
/// original; otherwise tokenizer.json's BPE with byte fallback, whose order of merges serves as scores.
struct HuggingFaceTokenizer {
    let folder: FilePath
    let count: Int  // rows of the embedding
    let owned: OwnedBytes
    private var tokens: [[UInt8]] = []
    private var scores: [Float] = []
    private var types: [Int32] = []
    private var merges: [[UInt8]] = []

    init(folder: FilePath, count: Int, owned: OwnedBytes) {
        self.folder = folder
        self.count = count
        self.owned = owned
    }

    mutating func read(_ config: JSON, into metadata: inout Metadata) throws(Llama2Error) {
        let whole = try HuggingFaceFolder.json(folder, "tokenizer.json")
        try MemoryReserve.cover(count, each: 512, for: "the vocabulary")
        let model = whole?["model"]
        let byteLevel = model?["type"]?.text == "BPE" && model?["byte_fallback"]?.bool != true
        let proto = folder + "/tokenizer.model"
        var bos: Int?, eos: Int?, unknown: Int?, spacePrefix = true
        if let whole, let model, byteLevel {
            try readBPE(model, scored: false)
            put("model", "gpt2", &metadata)
            put("pre", try preTokenizer(whole["pre_tokenizer"]), &metadata)
        } else if try MappedFile.exists(proto) {
            let file = try MappedFile(path: proto, copy: true)
            let pieces = try SentencePieceModel(file, most: max(count, 1))
            tokens = withExtendedLifetime(pieces) { pieces.tokens.map { Array($0) } }
            scores = pieces.scores
            types = pieces.types
            (bos, eos, unknown, spacePrefix) = (pieces.bos, pieces.eos, pieces.unknown, pieces.addsSpacePrefix)
            put("model", "llama", &metadata)
        } else if let model, model["type"]?.text == "BPE" {
            try readBPE(model, scored: true)
            put("model", "llama", &metadata)
        } else if whole != nil {
            throw Llama2Error(.unsupported, "\(folder)/tokenizer.json: model type \(model?["type"]?.text ?? "missing"); BPE is read")
        } else {
            return  // a model without a vocabulary
        }
        try addAddedTokens(whole)
        guard tokens.count <= max(count, 1) else {
            throw Llama2Error(.corrupt, "\(folder): the tokenizer has \(tokens.count) tokens, the embedding \(count) rows")
        }
        while tokens.count < count {  // rows without a token
            tokens.append(Array("[PAD\(tokens.count)]".utf8))
            scores.append(-1e6)
            types.append(5)
        }
        // ids by name
        let settings = try HuggingFaceFolder.json(folder, "tokenizer_config.json") ?? .null
        let generation = try HuggingFaceFolder.json(folder, "generation_config.json") ?? .null
        func id(_ key: String) throws(Llama2Error) -> Int? {
            let named = settings[key + "_token"].flatMap { $0.bytes ?? $0["content"]?.bytes }.flatMap { tokens.firstIndex(of: $0) }
            let listed = try ids(key)
            return named ?? listed.first
        }
        /// One id or several; a negative one stands for none.
        func ids(_ key: String) throws(Llama2Error) -> [Int] {
            var found: [Int] = []
            for (file, object) in [("generation_config.json", generation), ("config.json", config)] {
                let value = object[key + "_token_id"]
                for id in value?.array?.compactMap(\.integer) ?? value?.integer.map({ [$0] }) ?? [] where id >= 0 {
                    guard id < count else {
                        throw Llama2Error(.corrupt, "\(folder)/\(file): \(key)_token_id is \(id), but the embedding has \(count) rows")
                    }
                    found.append(id)
                }
            }
            return found
        }
        let end = try id("eos") ?? eos
        put("bos_token_id", try id("bos") ?? bos, &metadata)
        put("eos_token_id", end, &metadata)
        put("unknown_token_id", try id("unk") ?? unknown, &metadata)
        // a second and a third end token, as chat models have; GGUF knows no more
        var ends: [Int] = []
        for other in try ids("eos") where other != end && !ends.contains(other) { ends.append(other) }
        put("eot_token_id", ends.first, &metadata)
        put("eom_token_id", ends.dropFirst().first, &metadata)
        if let adds = settings["add_bos_token"]?.bool ?? whole.flatMap({ addsBOS($0["post_processor"]) }) {
            _ = metadata.insert("tokenizer.ggml.add_bos_token", .bool(adds))
        }
        if !spacePrefix { _ = metadata.insert("tokenizer.ggml.add_space_prefix", .bool(false)) }
        if let template = try chatTemplate(settings) {
            _ = metadata.insert("tokenizer.chat_template", .string(owned.keep(template)))
        }
        _ = metadata.insert("tokenizer.ggml.tokens", .strings(try owned.keep(texts: tokens)))
        _ = metadata.insert("tokenizer.ggml.token_type", .array(.int32, count: types.count, owned.keep(types)))
        if byteLevel {
            _ = metadata.insert("tokenizer.ggml.merges", .strings(try owned.keep(texts: merges)))
        } else {
            _ = metadata.insert("tokenizer.ggml.scores", .array(.float32, count: scores.count, owned.keep(scores)))
        }
    }

    private func put(_ key: String, _ value: String, _ metadata: inout Metadata) {
        _ = metadata.insert("tokenizer.ggml." + key, .string(owned.keep(Array(value.utf8))))
    }

    private func put(_ key: String, _ value: Int?, _ metadata: inout Metadata) {
        if let value, value >= 0, value < count { _ = metadata.insert("tokenizer.ggml." + key, .unsigned(UInt64(value))) }
    }

    private func failure(_ what: String) -> Llama2Error { Llama2Error(.corrupt, "\(folder)/tokenizer.json: \(what)") }

    /// `vocab` and `merges`, which are "left right" or ["left", "right"]. scored: a token's score is the order of its merge.
    private mutating func readBPE(_ model: JSON, scored: Bool) throws(Llama2Error) {
        guard let vocabulary = model["vocab"]?.members, vocabulary.contains(where: { _ in true }) else { throw failure("no vocabulary") }
        guard let list = model["merges"]?.elements else { throw failure("no merges") }
        try MemoryReserve.cover(vocabulary.count { _ in true } + list.count { _ in true }, each: 512, for: "the vocabulary")
        for (text, id) in vocabulary { try place(text.bytes ?? [], id.integer, type: 1) }
        var rank: [[UInt8]: Int] = [:]
        for (index, merge) in list.enumerated() {
            let pair: [UInt8]
            if let text = merge.bytes {
                pair = text
            } else if let both = merge.array, both.count == 2, let left = both[0].bytes, let right = both[1].bytes {
                pair = left + [0x20] + right
            } else {
                throw failure("merge \(index) is no pair of texts")
            }
            guard pair.count(where: { $0 == 0x20 }) == 1 else { throw failure("merge \(index) is not two tokens with a space between") }
            merges.append(pair)
            if scored {
                let whole = pair.filter { $0 != 0x20 }
                if rank[whole] == nil { rank[whole] = index }
            }
        }
        guard scored else { return }
        for (index, token) in tokens.enumerated() {
            scores[index] = rank[token].map { -Float($0 + 1) } ?? (token.isEmpty ? 0 : -1e5)
            if token.count == 6, token.starts(with: "<0x".utf8) { types[index] = 6 }
            if token == Array("<unk>".utf8) { types[index] = 2 }
        }
    }

    /// A token at its id; holes are filled with unused ones.
    private mutating func place(_ text: [UInt8], _ id: Int?, type: Int32) throws(Llama2Error) {
        guard let id, id >= 0, id < max(count, 1) else {
            throw failure("token \"\(String(decoding: text.prefix(40), as: UTF8.self))\" has an id outside of 0 to \(count - 1)")
        }
        while tokens.count <= id {
            tokens.append(Array("[PAD\(tokens.count)]".utf8))
            scores.append(-1e6)
            types.append(5)
        }
        tokens[id] = text
        types[id] = type
    }

    /// `added_tokens`: special ones are control tokens, the others are found in text before all else.
    private mutating func addAddedTokens(_ whole: JSON?) throws(Llama2Error) {
        for added in whole?["added_tokens"]?.array ?? [] {
            guard let text = added["content"]?.bytes else { throw failure("an added token without content") }
            let known = added["id"]?.integer.flatMap { $0 >= 0 && $0 < types.count ? types[$0] : nil }
            try place(text, added["id"]?.integer, type: known == 2 ? 2 : added["special"]?.bool == true ? 3 : 4)
        }
    }

    /// llama.cpp's name for the way in which words are cut.
    private func preTokenizer(_ pre: JSON?) throws(Llama2Error) -> String {
        let steps = pre?["type"]?.text == "Sequence" ? pre?["pretokenizers"]?.array ?? [] : pre.map { [$0] } ?? []
        for step in steps {
            switch step["type"]?.text {
            case "Digits": return "smollm"
            case "Split":
                let pattern = step["pattern"]?["Regex"]?.text ?? ""
                if pattern.contains("\\p{N}{1,3}") { return "llama-bpe" }
                throw Llama2Error(.unsupported, "\(folder)/tokenizer.json: the words are cut by \(pattern.prefix(200)), which is not known")
            default: break
            }
        }
        return "gpt-2"
    }

    /// Whether the post-processor begins a text with a special token; nil when it says nothing.
    private func addsBOS(_ processor: JSON?) -> Bool? {
        let steps = processor?["type"]?.text == "Sequence" ? processor?["processors"]?.array ?? [] : processor.map { [$0] } ?? []
        for step in steps where step["type"]?.text == "TemplateProcessing" {
            return step["single"]?.array?.first?["SpecialToken"] != nil
        }
        return nil
    }

    /// A text, a list of named ones of which the default counts, or a file of its own.
    private func chatTemplate(_ settings: JSON) throws(Llama2Error) -> [UInt8]? {
        let path = folder + "/chat_template.jinja"
        if try MappedFile.exists(path) {
            let file = try MappedFile(path: path, copy: true)
            try MemoryReserve.cover(file.bytes.count, each: 3, for: path.description)
            return try file.withBytes { Array($0) }
        }
        let value = settings["chat_template"]
        if let text = value?.bytes { return text }
        let list = value?.array ?? []
        return (list.first { $0["name"]?.text == "default" } ?? list.first)?["template"]?.bytes
    }
}
