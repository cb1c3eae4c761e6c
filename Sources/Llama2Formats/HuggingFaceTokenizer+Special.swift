internal import Llama2Core

/// What tokenizer_config.json and special_tokens_map.json say of special tokens and of transformers' classes.
extension HuggingFaceTokenizer {
    /// The special tokens that tokenizer_config.json and special_tokens_map.json name, in transformers' order, each once; with
    /// the settings that they have there.
    func specialTokens(_ settings: JSON, _ map: JSON) throws(Llama2Error) -> [(name: [UInt8], flags: JSON)] {
        var found: [(name: [UInt8], flags: JSON)] = [], seen: Set<[UInt8]> = []
        func take(_ value: JSON, _ key: String, _ file: String) throws(Llama2Error) {
            guard let name = value.bytes ?? value["content"]?.bytes else {
                throw Llama2Error(.corrupt, "\(folder)/\(file): \(key) is neither a text nor an object with content")
            }
            if !name.isEmpty, seen.insert(name).inserted { found.append((name, value)) }
        }
        let files = [("tokenizer_config.json", settings), ("special_tokens_map.json", map)]
        for key in ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"] {
            // the first file that says something
            for (file, object) in files {
                guard let value = object[key], !value.isNull else { continue }
                try take(value, key, file)
                break
            }
        }
        for key in ["additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens"] {
            for (file, object) in files {
                guard let value = object[key], !value.isNull else { continue }
                if let members = value.members {
                    for (_, one) in members { try take(one, key, file) }
                } else if let list = value.elements {
                    for one in list { try take(one, key, file) }
                } else {
                    throw Llama2Error(.corrupt, "\(folder)/\(file): \(key) is neither a list nor an object")
                }
            }
        }
        return found
    }

    /// What tokenizer_config.json asks of transformers' classes that is not what the files beside it say.
    func checkOptions(_ settings: JSON, _ whole: JSON?) throws(Llama2Error) {
        func refused(_ what: String) -> Llama2Error { Llama2Error(.unsupported, "\(folder)/tokenizer_config.json: \(what)") }
        if try Self.bool(settings, "split_special_tokens") == true {
            throw refused("split_special_tokens is true: here the caller says whether names of special tokens are text")
        }
        guard let whole, let wanted = try Self.bool(settings, "add_prefix_space"), let name = settings["tokenizer_class"]?.bytes else { return }
        let isGPT2 = name.starts(with: "GPT2".utf8)
        guard isGPT2 || name.starts(with: "Llama".utf8) || name.starts(with: "CodeLlama".utf8) else { return }  // others pass over it
        func parts(_ json: JSON?, _ list: String) -> [JSON] {
            guard let json, !json.isNull else { return [] }
            return json[list]?.array ?? [json]
        }
        func has(_ json: JSON, _ type: String) -> Bool { json["type"]?.bytes == Array(type.utf8) }
        var said: Bool?
        for step in parts(whole["pre_tokenizer"], "pretokenizers") {
            if isGPT2, has(step, "ByteLevel") { said = step["add_prefix_space"]?.bool ?? true }
            if !isGPT2, has(step, "Metaspace") {
                said = step["prepend_scheme"].map { $0.bytes != Array("never".utf8) } ?? step["add_prefix_space"]?.bool ?? true
            }
        }
        for step in parts(whole["normalizer"], "normalizers") where !isGPT2 {
            if has(step, "Prepend") { said = true } else if has(step, "Replace"), said == nil { said = false }
        }
        if let said, said != wanted { throw refused("add_prefix_space is \(wanted), but tokenizer.json says that it is \(said)") }
    }
}
