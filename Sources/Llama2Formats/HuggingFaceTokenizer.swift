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
    private var tokens: [[UInt8]] = []
    private var scores: [Float] = []
    private var types: [Int32] = []
    private var merges: [[UInt8]] = []
    /// Added tokens by id.
    /// In their order; of two with one id the later, the earlier is empty.
    private var added: [[UInt8]] = []
    private var addedPlace: [Int: Int] = [:]  // by id
    /// Ids of added tokens that the model itself does not have.
    private var onlyAdded: [Int] = []

    init(folder: FilePath, count: Int, owned: OwnedBytes) {
        self.folder = folder
        self.count = count
        self.owned = owned
    }

    private static let hole: Int32 = 5  // unused

    mutating func read(_ config: JSON, into metadata: inout Metadata) throws(Llama2Error) {
        let whole = try HuggingFaceFolder.json(folder, "tokenizer.json")
        let settings = try HuggingFaceFolder.json(folder, "tokenizer_config.json") ?? .null
        let map = try HuggingFaceFolder.json(folder, "special_tokens_map.json") ?? .null
        try checkOptions(settings, whole)
        try MemoryReserve.cover(count, each: 512, for: "the vocabulary")
        // 1. the vocabulary
        let proto = folder + "/tokenizer.model"
        var pieces: SentencePieceModel?
        // one without merges says nothing of a vocabulary that tokenizer.model has: only its added tokens count
        let isStub = whole.map { $0["model"]?["merges"]?.array?.isEmpty != false } ?? true
        if isStub, try MappedFile.exists(proto) {
            let model = try SentencePieceModel(try MappedFile(path: proto, copy: true), most: max(count, 1))
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
        let bos = named("bos_token") ?? begins.first ?? pieces?.bos
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
        // 4. what is put around a text
        let around = try template(whole?["post_processor"])
        if let given = around.first, given != bos {
            throw Llama2Error(.unsupported, "\(folder)/tokenizer.json: post_processor begins a text with token \(given), which is not BOS")
        }
        if let given = around.last, given != eos {
            throw Llama2Error(.unsupported, "\(folder)/tokenizer.json: post_processor ends a text with token \(given), which is not EOS")
        }
        let saysBOS = try Self.bool(settings, "add_bos_token"), saysEOS = try Self.bool(settings, "add_eos_token")
        let addsBOS = saysBOS ?? (pieces != nil || whole == nil ? nil : around.first != nil), addsEOS = saysEOS ?? (around.last != nil)
        if let addsBOS { _ = metadata.insert(.addsBOS, .bool(addsBOS)) }
        if addsEOS { _ = metadata.insert(.addsEOS, .bool(true)) }
        if let template = try chatTemplate(settings) {
            _ = metadata.insert(.chatTemplate, .string(owned.keep(template)))
        }
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

    private func put(_ key: MetadataKey, _ value: String, _ metadata: inout Metadata) {
        _ = metadata.insert(key, .string(owned.keep(Array(value.utf8))))
    }

    /// -1 when there is none, so that nobody takes the usual id for it.
    private func put(_ key: MetadataKey, _ value: Int?, _ metadata: inout Metadata) {
        if let value, value >= 0, value < count {
            _ = metadata.insert(key, .unsigned(UInt64(value)))
        } else {
            _ = metadata.insert(key, .signed(-1))
        }
    }

    static func bool(_ settings: JSON, _ key: String) throws(Llama2Error) -> Bool? {
        guard let value = settings[key], !value.isNull else { return nil }
        guard let bool = value.bool else { throw Llama2Error(.corrupt, "tokenizer_config.json: \(key) is neither true nor false") }
        return bool
    }

    private func failure(_ what: String) -> Llama2Error { Llama2Error(.corrupt, "\(folder)/tokenizer.json: \(what)") }

    // MARK: the vocabulary

    /// `vocab` and `merges`, which are "left right" or ["left", "right"].
    private mutating func readBPE(_ model: JSON) throws(Llama2Error) {
        guard model.isObject else { throw Llama2Error(.unsupported, "\(folder)/tokenizer.json: the model is missing") }
        if let type = model["type"], type.bytes != Array("BPE".utf8) {
            throw Llama2Error(.unsupported, "\(folder)/tokenizer.json: model type \((type.text ?? "of another kind").prefix(40)); BPE is read")
        }
        guard let vocabulary = model["vocab"]?.members, vocabulary.contains(where: { _ in true }) else { throw failure("no vocabulary") }
        guard let list = model["merges"]?.elements else { throw failure("no merges") }
        try MemoryReserve.cover(vocabulary.count { _ in true } + list.count { _ in true }, each: 512, for: "the vocabulary")
        for (text, id) in vocabulary { try place(text.bytes ?? [], id.integer, type: 1) }
        for (index, merge) in list.enumerated() {
            var pair: [UInt8]
            if let text = merge.bytes {
                pair = text
            } else if var both = merge.elements?.makeIterator(), let left = both.next()?.bytes, let right = both.next()?.bytes, both.next() == nil {
                guard !left.contains(0x20), !right.contains(0x20) else {
                    throw Llama2Error(.unsupported, "\(folder)/tokenizer.json: merge \(index) is of tokens with spaces in them")
                }
                pair = []
                pair.reserveCapacity(left.count + 1 + right.count)
                pair += left
                pair.append(0x20)
                pair += right
            } else {
                throw failure("merge \(index) is no pair of texts")
            }
            guard pair.count(where: { $0 == 0x20 }) == 1 else { throw failure("merge \(index) is not two tokens with a space between") }
            merges.append(pair)
        }
        if let unknown = model["unk_token"]?.bytes, let id = tokens.firstIndex(of: unknown) { types[id] = 2 }
        guard model["byte_fallback"]?.bool == true else { return }
        for (id, token) in tokens.enumerated() where token.count == 6 && token.starts(with: "<0x".utf8) && types[id] == 1 { types[id] = 6 }
    }

    private mutating func addHole() {
        tokens.append(Array("[PAD\(tokens.count)]".utf8))
        scores.append(-1e6)
        types.append(Self.hole)
    }

    /// A token at its id; holes are filled with unused ones.
    private mutating func place(_ text: [UInt8], _ id: Int?, type: Int32) throws(Llama2Error) {
        guard let id, id >= 0, id < max(count, 1) else {
            throw failure("token \"\(String(decoding: text.prefix(40), as: UTF8.self))\" has an id outside of 0 to \(count - 1)")
        }
        while tokens.count <= id { addHole() }
        guard types[id] == Self.hole else { throw failure("id \(id) is that of two tokens") }
        tokens[id] = text
        types[id] = type
    }

    /// `added_tokens` of tokenizer.json, `added_tokens_decoder` of tokenizer_config.json, added_tokens.json. One whose id
    /// the embedding does not have is never needed, and left out.
    private mutating func addAddedTokens(_ whole: JSON?, _ settings: JSON, _ map: JSON, pieces: Bool) throws(Llama2Error) {
        let vocabulary = types.count { $0 != Self.hole }
        func add(_ id: Int?, _ text: [UInt8]?, _ flags: JSON, special: Bool, _ file: String) throws(Llama2Error) {
            guard let id, id >= 0, id <= Int(Int32.max), let text, !text.isEmpty else {
                throw Llama2Error(.corrupt, "\(folder)/\(file): an added token without id and content")
            }
            guard id < count else { return }
            while tokens.count <= id { addHole() }
            let isNew = types[id] == Self.hole && tokens[id] != text
            guard isNew || tokens[id] == text else {
                throw Llama2Error(
                    .corrupt, "\(folder)/\(file): added token \"\(String(decoding: text.prefix(40), as: UTF8.self))\" has the id \(id) of another token")
            }
            if isNew { onlyAdded.append(id) }
            tokens[id] = text
            let isSpecial = flags["special"]?.bool ?? special
            if types[id] != 2, whole != nil || isNew { types[id] = isSpecial ? 3 : 4 }
            var json: [UInt8] = Array("{\"id\":\(id),\"content\":".utf8)
            JSONWriter.append(text, to: &json)
            json += Array(",\"special\":\(isSpecial)".utf8)
            for key in ["single_word", "lstrip", "rstrip"] { json += Array(",\"\(key)\":\(flags[key]?.bool ?? false)".utf8) }
            json += Array(",\"normalized\":\(flags["normalized"]?.bool ?? !isSpecial)}".utf8)
            if let before = addedPlace[id] { added[before] = [] }
            addedPlace[id] = added.count
            added.append(json)
        }
        for token in whole?["added_tokens"]?.array ?? [] {
            try add(token["id"]?.integer, token["content"]?.bytes, token, special: false, "tokenizer.json")
        }
        if let list = settings["added_tokens_decoder"]?.members {
            for (key, token) in list {
                try add(key.bytes.flatMap { Self.number($0) }, token["content"]?.bytes, token, special: false, "tokenizer_config.json")
            }
        }
        let named = try specialTokens(settings, map)
        if let list = try HuggingFaceFolder.json(folder, "added_tokens.json")?.members {
            let special = Set(named.map(\.name))
            for (key, id) in list {
                guard let text = key.bytes else { continue }
                if let known = id.integer, addedPlace[known] != nil, known < tokens.count, tokens[known] == text { continue }
                try add(id.integer, text, .null, special: special.contains(text), "added_tokens.json")
            }
        }
        // what is named and in no list is added too: as the vocabulary's token of that text, or behind all others
        var listed = Set(addedPlace.keys.map { tokens[$0] })
        if pieces { for (id, token) in tokens.enumerated() where types[id] != 1 { listed.insert(token) } }
        let missing = named.filter { !listed.contains($0.name) }
        guard !missing.isEmpty else { return }
        var places: [[UInt8]: Int] = [:]
        for (id, token) in tokens.enumerated().reversed() where types[id] != Self.hole { places[token] = id }
        let last = addedPlace.keys.max() ?? -1
        var next = last >= vocabulary ? last + 1 : vocabulary
        for token in missing {
            let known = places[token.name]
            try add(known ?? next, token.name, token.flags, special: true, "tokenizer_config.json")
            if known == nil { next += 1 }
        }
    }

    private static func number(_ digits: [UInt8]) -> Int? {
        guard !digits.isEmpty, digits.count < 10, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }

    // MARK: the rules

    /// How the vocabulary is used: whole for us, and under GGUF's names when they say the same.
    private mutating func putRules(_ whole: JSON, _ unknown: [UInt8]?, _ metadata: inout Metadata) throws(Llama2Error) {
        var text: [UInt8] = []
        for key in ["version", "normalizer", "pre_tokenizer", "decoder"] {
            guard let value = whole[key] else { continue }
            JSONWriter.append(key, to: &text)
            text.append(UInt8(ascii: ":"))
            JSONWriter.append(value, to: &text)
            text.append(UInt8(ascii: ","))
        }
        text += Array("\"model\":{".utf8)
        var isFirst = true
        if let members = whole["model"]?.members {
            for (key, value) in members where key.bytes != Array("vocab".utf8) && key.bytes != Array("merges".utf8) {
                if !isFirst { text.append(UInt8(ascii: ",")) }
                isFirst = false
                JSONWriter.append(key, to: &text)
                text.append(UInt8(ascii: ":"))
                JSONWriter.append(value, to: &text)
            }
        }
        text += Array("}".utf8)
        putSettings(String(decoding: text, as: UTF8.self), &metadata)
        _ = metadata.insert(.merges, .strings(try owned.keep(texts: merges)))
        let names = GGUFNames(whole)
        put(.tokenizerModel, names.model, &metadata)
        if let pre = names.pre { put(.preTokenizer, pre, &metadata) }
        if names.model == "llama" {
            // SentencePiece's scores, as far as the order of merges tells them
            var rank: [[UInt8]: Int] = [:]
            for (index, pair) in merges.enumerated() {
                let result = pair.filter { $0 != 0x20 }
                if rank[result] == nil { rank[result] = index }
            }
            for (index, token) in tokens.enumerated() where types[index] != Self.hole {
                scores[index] = rank[token].map { -Float($0 + 1) } ?? (types[index] == 1 ? -1e5 : 0)
            }
            if !names.addsSpacePrefix { _ = metadata.insert(.addsSpacePrefix, .bool(false)) }
            _ = metadata.insert(.scores, .array(.float32, count: scores.count, owned.keep(scores)))
        }
    }

    private func putSettings(_ rules: String, _ metadata: inout Metadata) {
        var text = Array("{\"added_tokens\":[".utf8)
        for (i, json) in added.filter({ !$0.isEmpty }).enumerated() {
            if i > 0 { text.append(UInt8(ascii: ",")) }
            text += json
        }
        text += Array("],\"only_added\":[\(onlyAdded.map { String($0) }.joined(separator: ","))],".utf8)
        text += Array(rules.utf8)
        text.append(UInt8(ascii: "}"))
        _ = metadata.insert(.tokenizerSettings, .string(owned.keep(text)))
    }

    /// The special token before a text and the one behind it, by TemplateProcessing's `single`.
    private func template(_ processor: JSON?) throws(Llama2Error) -> (first: Int?, last: Int?) {
        guard let processor, !processor.isNull else { return (nil, nil) }
        func refused(_ what: String) -> Llama2Error { Llama2Error(.unsupported, "\(folder)/tokenizer.json: post_processor \(what)") }
        switch processor["type"]?.text {
        case "ByteLevel": return (nil, nil)  // offsets only
        case "Sequence":
            var found: (first: Int?, last: Int?) = (nil, nil)
            for part in processor["processors"]?.array ?? [] {
                let one = try template(part)
                if one.first != nil, found.first != nil || one.last != nil && found.last != nil { throw refused("puts two tokens before or behind a text") }
                found = (one.first ?? found.first, one.last ?? found.last)
            }
            return found
        case "TemplateProcessing":
            var first: Int?, last: Int?, isBehind = false
            for part in processor["single"]?.array ?? [] {
                if let name = part["SpecialToken"]?["id"]?.bytes {
                    let entry = processor["special_tokens"]?.members?.first { $0.key.bytes == name }
                    let ids = entry.map { $0.value["ids"]?.array?.map(\.integer) ?? [] } ?? [tokens.firstIndex(of: name)]
                    guard ids.count == 1, let id = ids[0], isBehind ? last == nil : first == nil else {
                        throw refused("puts more than one token before or behind a text")
                    }
                    if isBehind { last = id } else { first = id }
                } else if part["Sequence"]?["id"]?.bytes == Array("A".utf8), !isBehind {
                    isBehind = true
                } else {
                    throw refused("has a part that is not known")
                }
            }
            guard isBehind else { throw refused("leaves out the text") }
            return (first, last)
        default: throw refused("type \((processor["type"]?.text ?? "missing").prefix(40)) is not known")
        }
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
        return (list.first { $0["name"]?.bytes == Array("default".utf8) } ?? list.first)?["template"]?.bytes
    }
}

/// GGUF's names for the rules of a tokenizer.json: only when llama.cpp does the same by them; else a name that it
/// refuses. We ourselves go by the settings.
private struct GGUFNames {
    private(set) var model = "llama2swift"
    private(set) var pre: String?
    private(set) var addsSpacePrefix = true

    private static let llama3 =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let qwen2 =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    init(_ whole: JSON) {
        func text(_ json: JSON?) -> String { json?.bytes.map { String(decoding: $0, as: UTF8.self) } ?? "" }
        func isSet(_ json: JSON?) -> Bool { json.map { !$0.isNull } ?? false }
        let bpe = whole["model"], pre = whole["pre_tokenizer"]
        let plain = (whole["added_tokens"]?.array ?? []).allSatisfy { token in
            !["lstrip", "rstrip", "single_word"].contains { token[$0]?.bool == true }
        }
        guard plain, !isSet(bpe?["dropout"]), text(bpe?["continuing_subword_prefix"]).isEmpty, text(bpe?["end_of_word_suffix"]).isEmpty else { return }
        let parts = text(pre?["type"]) == "Sequence" ? pre?["pretokenizers"]?.array ?? [] : isSet(pre) ? [pre ?? .null] : []
        let normalizer = whole["normalizer"]
        func isByteLevel(_ json: JSON, regex: Bool) -> Bool {
            text(json["type"]) == "ByteLevel" && json["add_prefix_space"]?.bool == false && (json["use_regex"]?.bool ?? true) == regex
        }
        if let last = parts.last, !isSet(normalizer), bpe?["byte_fallback"]?.bool != true, text(whole["decoder"]?["type"]) == "ByteLevel" {
            let ignores = bpe?["ignore_merges"]?.bool ?? false
            var name: String?
            if parts.count == 1, isByteLevel(last, regex: true), !ignores { name = "gpt-2" }
            if parts.count == 2, isByteLevel(last, regex: true), text(parts[0]["type"]) == "Digits", parts[0]["individual_digits"]?.bool == true, !ignores {
                name = "smollm"
            }
            if parts.count == 2, isByteLevel(last, regex: false), text(parts[0]["type"]) == "Split", text(parts[0]["behavior"]) == "Isolated",
                parts[0]["invert"]?.bool == false
            {
                let expression = parts[0]["pattern"]?["Regex"]?.bytes
                if expression == Array(Self.llama3.utf8) { name = ignores ? "llama-bpe" : "dbrx" }
                if expression == Array(Self.qwen2.utf8), !ignores { name = "qwen2" }
            }
            if let name { (model, self.pre) = ("gpt2", name) }
            return
        }
        guard bpe?["byte_fallback"]?.bool == true, bpe?["fuse_unk"]?.bool == true, bpe?["ignore_merges"]?.bool != true else { return }
        let steps = text(normalizer?["type"]) == "Sequence" ? normalizer?["normalizers"]?.array ?? [] : isSet(normalizer) ? [normalizer ?? .null] : []
        func replaces(_ json: JSON) -> Bool {
            text(json["type"]) == "Replace" && text(json["pattern"]?["String"]) == " " && json["content"]?.bytes == Array("\u{2581}".utf8)
        }
        if parts.isEmpty, steps.count == 2, text(steps[0]["type"]) == "Prepend", steps[0]["prepend"]?.bytes == Array("\u{2581}".utf8), replaces(steps[1]) {
            model = "llama"
        } else if parts.isEmpty, steps.count == 1, replaces(steps[0]) {
            (model, addsSpacePrefix) = ("llama", false)
        } else if steps.isEmpty, parts.count == 1, text(parts[0]["type"]) == "Metaspace", parts[0]["replacement"]?.bytes == Array("\u{2581}".utf8),
            parts[0]["split"]?.bool == false
        {
            model = "llama"
            addsSpacePrefix = text(parts[0]["prepend_scheme"]) != "never"
        }
    }
}

/// JSON values as text again.
enum JSONWriter {
    static func append(_ text: [UInt8], to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                out += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }

    static func append(_ text: String, to out: inout [UInt8]) { append(Array(text.utf8), to: &out) }

    /// Nesting is bounded by the parser.
    static func append(_ value: JSON, to out: inout [UInt8]) {
        if let text = value.bytes {
            append(text, to: &out)
        } else if let bool = value.bool {
            out += Array((bool ? "true" : "false").utf8)
        } else if let number = value.double {
            out += Array((value.integer.map { String($0) } ?? String(number)).utf8)
        } else if let members = value.members {
            out.append(UInt8(ascii: "{"))
            var isFirst = true
            for (key, member) in members {
                if !isFirst { out.append(UInt8(ascii: ",")) }
                isFirst = false
                append(key, to: &out)
                out.append(UInt8(ascii: ":"))
                append(member, to: &out)
            }
            out.append(UInt8(ascii: "}"))
        } else if let elements = value.elements {
            out.append(UInt8(ascii: "["))
            var isFirst = true
            for element in elements {
                if !isFirst { out.append(UInt8(ascii: ",")) }
                isFirst = false
                append(element, to: &out)
            }
            out.append(UInt8(ascii: "]"))
        } else {
            out += Array("null".utf8)
        }
    }
}
