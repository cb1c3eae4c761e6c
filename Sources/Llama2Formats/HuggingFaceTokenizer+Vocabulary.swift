internal import Llama2Core

/// The tokens: those of the model, and what is added to them.
extension HuggingFaceTokenizer {
    /// `vocab` and `merges`, which are "left right" or ["left", "right"].
    mutating func readBPE(_ model: JSON) throws(Llama2Error) {
        guard model.isObject else { throw Llama2Error(.unsupported, "\(folder)/tokenizer.json: the model is missing") }
        if let type = model["type"], type.bytes != Array("BPE".utf8) {
            throw Llama2Error(.unsupported, "\(folder)/tokenizer.json: model type \((type.text ?? "of another kind").prefix(40)); BPE is read")
        }
        guard let vocabulary = model["vocab"]?.members, vocabulary.contains(where: { _ in true }) else { throw failure("no vocabulary") }
        guard let list = model["merges"]?.elements else { throw failure("no merges") }
        // their bytes were covered with the JSON
        try MemoryReserve.cover(vocabulary: vocabulary.count { _ in true } + list.count { _ in true }, for: "the vocabulary")
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

    mutating func addHole() {
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
    mutating func addAddedTokens(_ whole: JSON?, _ settings: JSON, _ map: JSON, pieces: Bool) throws(Llama2Error) {
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
            if ["single_word", "lstrip", "rstrip"].contains(where: { flags[$0]?.bool == true }) { hasSettings = true }
            if flags["normalized"]?.bool ?? !isSpecial { hasNormalized = true }
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
}
