internal import Llama2Core

/// adapter_config.json of a LoRA adapter of PEFT's. Each key is followed, known to change nothing once an adapter is trained, followed
/// only with the value that changes nothing, or refused by name.
///
/// Source: peft's tuners/lora/config.py (keys), tuners/lora/layer.py (what they do), utils/other.py (patterns).
struct AdapterConfig {
    private let path: FilePath
    private let rank: Int, alpha: Double, isStabilized: Bool
    private var ranks: [(pattern: ModulePattern, value: Int)] = []
    private var alphas: [(pattern: ModulePattern, value: Double)] = []
    private var targets: Modules = .linear, excluded: Modules = .none
    /// nil: all.
    private let layers: [Int]?
    /// Steps that all patterns together may take.
    private var budget = 20_000_000

    /// Which modules a key names.
    private enum Modules {
        case none, linear
        case names([ByteText])
        case pattern(ModulePattern)
    }

    private static let followed: Set<ByteText> = [
        "peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "target_modules", "exclude_modules", "layers_to_transform",
        "task_type", "init_lora_weights", "layers_pattern",
    ]

    /// What says how an adapter was trained, or where.
    private static let harmless: Set<ByteText> = [
        "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode", "lora_dropout", "megatron_core", "qalora_group_size",
        "runtime_config", "eva_config", "loftq_config",
    ]

    /// (key, what it would do): followed when null, false, {} or [], which all say no.
    private static let refused: [(key: ByteText, what: String)] = [
        ("bias", "trained biases"), ("fan_in_fan_out", "weights that are stored transposed"), ("modules_to_save", "modules that are replaced as a whole"),
        ("megatron_config", "layers of Megatron's"), ("trainable_token_indices", "tokens with embeddings of their own"),
        ("corda_config", "a base model that was changed"), ("lora_ga_config", "a base model that was changed"),
        ("use_dora", "magnitudes beside the product (DoRA)"),
        ("velora_config", "compressed activations (VeLoRA)"), ("alora_invocation_tokens", "an adapter that some tokens switch on (aLoRA)"),
        ("use_qalora", "pooled inputs (QA-LoRA)"), ("monteclora_config", "sampled adapters (MonteCLoRA)"),
        ("layer_replication", "layers that are there several times"),
        ("lora_bias", "biases of the adapter"), ("target_parameters", "parameters that are no modules'"), ("use_bdlora", "block-diagonal matrices (BD-LoRA)"),
        ("arrow_config", "a router between adapters (Arrow)"), ("kasa_config", "singular values (KaSA)"), ("ensure_weight_tying", "tied adapters"),
    ]

    init(_ json: JSON, _ path: FilePath) throws(Llama2Error) {
        self.path = path
        func failure(_ kind: Llama2Error.Kind, _ what: String) -> Llama2Error { Llama2Error(kind, "\(path): \(what)") }
        guard let members = json.members else { throw failure(.corrupt, "no JSON object") }
        func says(_ value: JSON) -> String {
            ByteText((value.bytes ?? value.numberText.map { Array($0) } ?? []).prefix(100)).description
        }
        for (key, value) in members {
            let name = ByteText(key.bytes ?? [])
            if AdapterConfig.followed.contains(name) || AdapterConfig.harmless.contains(name) { continue }
            guard let rule = AdapterConfig.refused.first(where: { $0.key == name }) else {
                throw failure(
                    .unsupported, "the key \"\(ByteText(name.bytes.prefix(100)))\" is none that this version knows; it could change what the adapter computes")
            }
            let isNo =
                value.isNull || value.bool == false || value.elements.map { $0.first { _ in true } == nil } ?? false
                || value.members.map { $0.first { _ in true } == nil } ?? false || (name == "bias" && value.bytes == Array("none".utf8))
            guard isNo else { throw failure(.unsupported, "\"\(name)\" asks for \(rule.what), which is not supported") }
        }
        guard let type = json["peft_type"]?.bytes, ByteText(type) == "LORA" else {
            throw failure(.unsupported, "\"peft_type\" is \"\(json["peft_type"].map(says) ?? "absent")\"; adapters of type LORA are read")
        }
        if let task = json["task_type"], !task.isNull, task.bytes.map({ ByteText($0) }) != "CAUSAL_LM" {
            throw failure(.unsupported, "\"task_type\" is \"\(says(task))\"; adapters of CAUSAL_LM are read")
        }
        // others change the base model when the adapter is loaded
        if let start = json["init_lora_weights"], !start.isNull, start.bool == nil {
            guard let name = start.bytes.map({ ByteText($0) }), ["gaussian", "eva", "orthogonal"].contains(name) else {
                throw failure(.unsupported, "\"init_lora_weights\" is \"\(says(start))\": such an adapter belongs to a base model that was changed")
            }
        }
        if let pattern = json["layers_pattern"], !pattern.isNull {
            let names = pattern.array?.map { $0.bytes ?? [] } ?? [pattern.bytes ?? []]
            // the first that is found counts, and no other word stands before a number in a Llama's names
            let areWords = names.allSatisfy { !$0.isEmpty && $0.allSatisfy { (0x61...0x7a).contains($0 | 0x20) || $0 == 0x5f } }
            guard names.isEmpty || areWords && names.contains(Array("layers".utf8)) else {
                throw failure(.unsupported, "\"layers_pattern\" is \"\(says(pattern))\"; a Llama's is \"layers\"")
            }
        }
        // 8 is the default of both in PEFT's LoraConfig; null is none
        guard let r = json["r"].map(\.integer) ?? 8, (1...65_536).contains(r) else {
            throw failure(.corrupt, "\"r\" is \"\(json["r"].map(says) ?? "absent")\", expected a rank of 1 to 65536")
        }
        guard let alpha = json["lora_alpha"].map(\.double) ?? 8, alpha.isFinite else { throw failure(.corrupt, "\"lora_alpha\" is no number") }
        rank = r
        self.alpha = alpha
        switch json["use_rslora"] {
        case nil: isStabilized = false
        case .some(let value):
            guard value.isNull || value.bool != nil else { throw failure(.corrupt, "\"use_rslora\" is neither true nor false") }
            isStabilized = value.bool ?? false
        }
        if let list = json["layers_to_transform"], !list.isNull {
            let numbers = list.array.map { $0.map(\.integer) } ?? [list.integer]
            guard numbers.count <= 1 << 16, numbers.allSatisfy({ $0 != nil }) else {
                throw failure(.corrupt, "\"layers_to_transform\" holds something else than numbers")
            }
            layers = numbers.isEmpty ? nil : numbers.compactMap { $0 }
        } else {
            layers = nil
        }
        for (key, pattern, value) in try AdapterConfig.patterns(json, "rank_pattern", path) {
            guard let n = value.integer, (1...65_536).contains(n) else {
                throw failure(.corrupt, "\"rank_pattern\" says \(says(value)) of \"\(key)\", expected 1 to 65536")
            }
            ranks.append((pattern, n))
        }
        for (key, pattern, value) in try AdapterConfig.patterns(json, "alpha_pattern", path) {
            guard let x = value.double else { throw failure(.corrupt, "\"alpha_pattern\" says no number of \"\(key)\"") }
            alphas.append((pattern, x))
        }
        // what PEFT takes for a Llama whose file names none
        targets = try AdapterConfig.modules(json, "target_modules", path) ?? .names(["q_proj", "v_proj"])
        excluded = try AdapterConfig.modules(json, "exclude_modules", path) ?? .none
    }

    private static func patterns(_ json: JSON, _ key: String, _ path: FilePath) throws(Llama2Error) -> [(key: ByteText, pattern: ModulePattern, value: JSON)] {
        guard let value = json[key], !value.isNull else { return [] }
        guard let members = value.members else { throw Llama2Error(.corrupt, "\(path): \"\(key)\" is no object") }
        var found: [(key: ByteText, pattern: ModulePattern, value: JSON)] = []
        for (name, value) in members {
            guard found.count < 8192 else { throw Llama2Error(.unsupported, "\(path): \"\(key)\" has more than 8192 entries") }
            let text = name.bytes ?? []
            found.append((ByteText(text.prefix(100)), try ModulePattern(text, "\(path): a key of \"\(key)\""), value))
        }
        return found
    }

    private static func modules(_ json: JSON, _ key: String, _ path: FilePath) throws(Llama2Error) -> Modules? {
        guard let value = json[key], !value.isNull else { return nil }
        if let text = value.bytes {
            if ByteText(key) == "target_modules", ByteText(text).lowercased == "all-linear" { return .linear }
            return .pattern(try ModulePattern(text, "\(path): \"\(key)\""))
        }
        guard let list = value.array, list.count <= 1 << 16 else { throw Llama2Error(.corrupt, "\(path): \"\(key)\" is neither a text nor a list of texts") }
        var names: [ByteText] = []
        for element in list {
            guard let text = element.bytes else { throw Llama2Error(.corrupt, "\(path): \"\(key)\" holds something else than texts") }
            names.append(ByteText(text))
        }
        return names.isEmpty && ByteText(key) == "exclude_modules" ? nil : .names(names)
    }

    /// What the product of `module` (model.layers.0.self_attn.q_proj, for instance), which has matrices of `rank`, is multiplied by; refused when
    /// the settings say that it has none, or others.
    mutating func factor(_ module: ByteText, layer: Int?, rank: Int, _ tensor: ByteText) throws(Llama2Error) -> Double {
        let isTarget = names(targets, module), isExcluded = names(excluded, module)
        // one that is named whole is adapted whatever its layer
        let isWhole = if case .names(let list) = targets { list.contains(module) } else { false }
        let isLayer = isWhole || layer.map { layer in layers?.contains(layer) ?? true } ?? (layers == nil)
        guard isTarget, !isExcluded, isLayer else {
            throw Llama2Error(.corrupt, "tensor \(tensor) is of a module that \(path) does not adapt (target_modules, exclude_modules, layers_to_transform)")
        }
        let expected = firstMatch(ranks, module) ?? self.rank, alpha = firstMatch(alphas, module) ?? self.alpha
        guard budget > 0 else { throw Llama2Error(.unsupported, "\(path): its patterns take too long") }
        guard rank == expected else { throw Llama2Error(.corrupt, "tensor \(tensor) has rank \(rank), but \(path) says \(expected)") }
        return isStabilized ? alpha / Double(rank).squareRoot() : alpha / Double(rank)
    }

    /// Of the first pattern that matches the end of a name, from its beginning or behind a dot.
    private mutating func firstMatch<T>(_ list: [(pattern: ModulePattern, value: T)], _ module: ByteText) -> T? {
        for (pattern, value) in list {
            for start in 0..<module.count where start == 0 || module.bytes[start - 1] == UInt8(ascii: ".") {
                if pattern.matches(module.bytes, from: start, budget: &budget) { return value }
            }
        }
        return nil
    }

    private mutating func names(_ modules: Modules, _ module: ByteText) -> Bool {
        switch modules {
        case .none: return false
        case .linear: return module != "lm_head"
        case .names(let list):
            budget -= list.count
            return list.contains { module == $0 || module.hasSuffix("." + $0) }
        case .pattern(let pattern): return pattern.matches(module.bytes, from: 0, budget: &budget)
        }
    }
}
