internal import Llama2Core

/// config.json of a LlamaForCausalLM. Each key is read, known to change no logit, followed only with the value that
/// changes nothing, or refused by name.
///
/// Source: transformers' models/llama/configuration_llama.py (keys and their defaults), modeling_rope_utils.py (RoPE).
struct HuggingFaceConfig {
    private let json: JSON
    private let path: FilePath
    let tied: Bool
    private let attentionBias: Bool, mlpBias: Bool
    private let heads: Int, dimension: Int, layers: Int
    private let rope: HuggingFaceRoPE

    /// Read here or by the tokenizer.
    private static let read: Set<ByteText> = [
        "architectures", "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling", "rope_parameters",
        "partial_rotary_factor", "original_max_position_embeddings", "tie_word_embeddings", "attention_bias", "mlp_bias", "bos_token_id", "eos_token_id",
        "pad_token_id",
    ]

    /// What says nothing about logits: how a model was made, how its code runs, defaults of generation. Keys that begin with
    /// "_" or "unsloth_" are notes of the program that wrote the file.
    private static let harmless: Set<ByteText> = [
        "transformers_version", "torch_dtype", "dtype", "use_cache", "initializer_range", "attention_dropout", "hidden_dropout", "dropout",
        "pretraining_tp", "return_dict", "output_attentions", "output_hidden_states", "output_scores", "return_dict_in_generate", "torchscript",
        "use_bfloat16", "tf_legacy_loss", "chunk_size_feed_forward", "id2label", "label2id", "num_labels", "problem_type", "finetuning_task",
        "task_specific_params", "tokenizer_class", "prefix", "sep_token_id", "unk_token_id", "decoder_start_token_id", "max_length", "min_length", "do_sample",
        "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty",
        "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "num_return_sequences", "exponential_decay_length_penalty",
        "remove_invalid_values", "max_sequence_length", "model_max_length", "attn_implementation", "use_flash_attention", "use_flash_attention_2",
        "gradient_checkpointing", "neftune_noise_alpha", "is_decoder", "seed", "license", "name", "description",
    ]

    /// (key, the value that changes nothing): read by other models' code. null, 0, 1 and so on as JSON has them.
    private static let neutral: [(key: ByteText, value: Neutral)] = [
        ("sliding_window", .none), ("use_sliding_window", .flag(false)), ("max_window_layers", .any("use_sliding_window")),
        ("sliding_window_pattern", .none), ("attention_window", .none), ("window_size", .none), ("layer_types", .each("full_attention")),
        ("logit_scale", .one), ("logits_scaling", .one), ("logits_scale", .one), ("embedding_multiplier", .one), ("residual_multiplier", .one),
        ("attention_multiplier", .none), ("lm_head_multiplier", .one), ("scale_emb", .one), ("scale_depth", .none), ("query_pre_attn_scalar", .none),
        ("attn_logit_softcapping", .none), ("final_logit_softcapping", .none), ("logit_soft_cap", .none), ("attn_scale", .none),
        ("num_experts", .none), ("num_local_experts", .none), ("num_experts_per_tok", .none), ("n_routed_experts", .none),
        ("clip_qkv", .none), ("alibi", .flag(false)), ("use_alibi", .flag(false)), ("qk_norm", .flag(false)), ("use_qk_norm", .flag(false)),
        ("qk_layernorm", .flag(false)), ("parallel_attn", .flag(false)), ("use_parallel_residual", .flag(false)), ("lm_head_bias", .flag(false)),
        ("qkv_bias", .flag(false)), ("bias", .flag(false)), ("use_bias", .flag(false)), ("is_causal", .flag(true)), ("causal", .flag(true)),
        ("use_bidirectional_attention", .flag(false)), ("is_encoder_decoder", .flag(false)), ("add_cross_attention", .flag(false)),
        ("tie_encoder_decoder", .flag(false)), ("cross_attention_hidden_size", .none), ("pruned_heads", .none), ("quantization_config", .none),
        ("compression_config", .none), ("num_nextn_predict_layers", .none), ("no_rope_layers", .none), ("rope_interleaved", .flag(false)),
        ("rotary_pct", .one), ("rotary_percent", .one), ("position_embedding_type", .text("rope")), ("auto_map", .noModel),
    ]
    /// Which tokens are never drawn, or always, and where else a text ends, in this file or in generation_config.json. (How tokens are drawn, temperature
    /// for instance, is said by a caller's sampler: there these files have defaults of other programs.)
    private static let constraints: [ByteText] = [
        "suppress_tokens", "begin_suppress_tokens", "bad_words_ids", "force_words_ids", "constraints", "forced_bos_token_id", "forced_eos_token_id",
        "forced_decoder_ids", "sequence_bias", "stop_strings", "watermarking_config", "guidance_scale",
    ]
    private enum Neutral {
        case none, one
        case flag(Bool)
        case text(ByteText), each(ByteText)
        /// Of no meaning when the other key is absent or false, which is checked with that one.
        case any(StaticString)
        /// Code of its own for the tokenizer or the settings, but not for the model.
        case noModel
    }

    init(_ json: JSON, _ path: FilePath) throws(Llama2Error) {
        self.json = json
        self.path = path
        let values = Values(object: json, path: path)
        guard let members = json.members else { throw Llama2Error(.corrupt, "\(path): not a JSON object") }
        // 1. the kind of model, told in any capitals
        let kinds = (json["architectures"]?.array ?? []).compactMap { $0.bytes.map { ByteText($0) } }
        let type = try values.text("model_type")
        guard kinds.isEmpty ? type?.lowercased == "llama" : kinds.contains(where: { $0.lowercased == "llamaforcausallm" }) else {
            throw Llama2Error(
                .unsupported, "\(path): architectures is \(kinds.prefix(4)), model_type \(type?.description ?? "absent"); LlamaForCausalLM is read")
        }
        if let type, type.lowercased != "llama" {
            throw Llama2Error(.unsupported, "\(path): model_type is \"\(ByteText(type.bytes.prefix(100)))\"; LlamaForCausalLM is read")
        }
        // 2. what this version does not know or do
        for (key, value) in members {
            guard let bytes = key.bytes, case let key = ByteText(bytes), !HuggingFaceConfig.saysNothing(value) else { continue }
            if HuggingFaceConfig.read.contains(key) || HuggingFaceConfig.harmless.contains(key) { continue }
            if key.hasPrefix("_") || key.hasPrefix("unsloth_") || HuggingFaceConfig.constraints.contains(key) { continue }
            guard let known = HuggingFaceConfig.neutral.first(where: { $0.key == key }) else {
                throw Llama2Error(
                    .unsupported,
                    "\(path): \(ByteText(key.bytes.prefix(100))) is a key that this version does not know, which could change what the model computes")
            }
            guard HuggingFaceConfig.changesNothing(value, known.value) else {
                throw Llama2Error(.unsupported, "\(path): \(key) is \(Values.shown(value)), which is not supported for a Llama")
            }
        }
        try HuggingFaceConfig.checkConstraints(json, path)
        if let act = try values.text("hidden_act"), act != "silu", act != "swish" {
            throw Llama2Error(.unsupported, "\(path): hidden_act is \"\(ByteText(act.bytes.prefix(40)))\"; Llama's silu is supported")
        }
        // 3. numbers that more than one place needs
        tied = try values.flag("tie_word_embeddings", default: false)
        attentionBias = try values.flag("attention_bias", default: false)
        mlpBias = try values.flag("mlp_bias", default: false)
        heads = try values.needed("num_attention_heads")
        layers = try values.needed("num_hidden_layers")
        let e = try values.needed("hidden_size")
        let stated = try values.integer("head_dim")
        guard stated != nil || e % heads == 0 else {
            throw Llama2Error(.corrupt, "\(path): hidden_size is \(e), not a multiple of num_attention_heads, \(heads)")
        }
        dimension = stated ?? e / heads
        rope = try HuggingFaceRoPE(values, dimension: dimension)
    }

    static func checkConstraints(_ json: JSON, _ path: FilePath) throws(Llama2Error) {
        guard let members = json.members else {
            if json.isNull { return }
            throw Llama2Error(.corrupt, "\(path): not a JSON object")
        }
        for (key, value) in members {
            guard let key = key.bytes.map({ ByteText($0) }), constraints.contains(key), !saysNothing(value) else { continue }
            if key == "guidance_scale", value.double == 1 { continue }
            throw Llama2Error(.unsupported, "\(path): \(key) is not supported: it says which tokens are drawn, or where a text ends")
        }
    }

    /// null, and lists and objects without anything in them.
    private static func saysNothing(_ value: JSON) -> Bool {
        var open = [value]
        while let next = open.popLast() {
            if let elements = next.array {
                open += elements
            } else if let members = next.members {
                for (_, member) in members { open.append(member) }
            } else if !next.isNull {
                return false
            }
        }
        return true
    }

    private static func changesNothing(_ value: JSON, _ neutral: Neutral) -> Bool {
        switch neutral {
        case .none: return value.double == 0 || value.bool == false
        case .one: return value.double == 1
        case .flag(let flag): return value.bool == flag
        case .text(let text): return value.bytes.map { ByteText($0) == text } ?? false
        case .each(let text): return value.array?.allSatisfy { $0.bytes.map { ByteText($0) == text } ?? false } ?? false
        case .any: return true
        case .noModel: return value.members?.allSatisfy { key, _ in key.bytes.map { !ByteText($0).hasPrefix("AutoModel") } ?? false } ?? false
        }
    }

    /// What RoPE's frequencies are divided by, as tensors.
    func ropeTensors(_ owned: OwnedBytes) throws(Llama2Error) -> [TensorInfo] { try rope.tensors(owned) }

    // MARK: What becomes of it

    /// Biases are there when config.json says so, and only then: what it does not say, transformers passes over.
    func checkBiases(_ names: Set<ByteText>) throws(Llama2Error) {
        for (key, isTrue, matrices) in [
            ("attention_bias", attentionBias, ["attn_q", "attn_k", "attn_v", "attn_output"]), ("mlp_bias", mlpBias, ["ffn_gate", "ffn_up", "ffn_down"]),
        ] {
            let suffixes = matrices.map { ByteText(".\($0).bias") }
            if !isTrue, let bias = names.filter({ name in suffixes.contains { name.hasSuffix($0) } }).min() {
                throw Llama2Error(.unsupported, "\(path): \(key) is not true, but \(bias) is there")
            }
            for layer in 0..<(isTrue ? min(layers, TensorInfo.most) : 0) {
                if let missing = suffixes.map({ "blk.\(layer)" + $0 }).first(where: { !names.contains($0) }) {
                    throw Llama2Error(.corrupt, "\(path): \(key) is true, but \(missing) is missing")
                }
            }
        }
    }

    func add(to metadata: inout Metadata, _ owned: OwnedBytes) throws(Llama2Error) {
        let values = Values(object: json, path: path)
        func set(_ key: MetadataKey, _ value: Int) { _ = metadata.insert(key, .unsigned(UInt64(value))) }
        func set(_ key: MetadataKey, _ value: Double) { _ = metadata.insert(key, .float(value)) }
        func set(_ key: MetadataKey, _ value: String) { _ = metadata.insert(key, .string(owned.keep(Array(value.utf8)))) }
        let length = try values.integer("max_position_embeddings") ?? 2048
        set(.architecture, "llama")
        set(.embeddingLength, try values.needed("hidden_size"))
        set(.blockCount, layers)
        set(.feedForwardLength, try values.needed("intermediate_size"))
        set(.contextLength, length)
        set(.headCount, heads)
        set(.headCountKV, try values.integer("num_key_value_heads") ?? heads)
        set(.keyLength, dimension)
        set(.valueLength, dimension)
        set(.ropeDimensionCount, dimension)
        if let size = try values.integer("vocab_size") { set(.vocabularySize, size) }
        set(.rmsEpsilon, try values.number("rms_norm_eps") ?? 1e-6)
        rope.add(to: &metadata, contextLength: length, owned)
    }
}

/// Members of an object of config.json, by type; null is absent.
struct Values {
    let object: JSON, path: FilePath
    /// The name of the object itself, for sentences.
    var within = ""

    private func present(_ key: String) -> JSON? { object[key].flatMap { $0.isNull ? nil : $0 } }
    private func named(_ key: String) -> String { within.isEmpty ? key : "\(within).\(key)" }

    func integer(_ key: String, most limit: Int = 1 << 30) throws(Llama2Error) -> Int? {
        guard let value = present(key) else { return nil }
        guard let n = value.integer, n > 0, n <= limit else {
            throw Llama2Error(.corrupt, "\(path): \(named(key)) is not an integer from 1 to \(limit)")
        }
        return n
    }

    func needed(_ key: String) throws(Llama2Error) -> Int {
        guard let n = try integer(key) else { throw Llama2Error(.corrupt, "\(path): \(named(key)) is missing") }
        return n
    }

    func number(_ key: String) throws(Llama2Error) -> Double? {
        guard let value = present(key) else { return nil }
        guard let x = value.double else { throw Llama2Error(.corrupt, "\(path): \(named(key)) is not a number") }
        return x
    }

    func neededNumber(_ key: String) throws(Llama2Error) -> Double {
        guard let x = try number(key) else { throw Llama2Error(.corrupt, "\(path): \(named(key)) is missing") }
        return x
    }

    func flag(_ key: String, default usual: Bool) throws(Llama2Error) -> Bool {
        guard let value = present(key) else { return usual }
        guard let flag = value.bool else { throw Llama2Error(.corrupt, "\(path): \(named(key)) is not true or false") }
        return flag
    }

    func text(_ key: String) throws(Llama2Error) -> ByteText? {
        guard let value = present(key) else { return nil }
        guard let bytes = value.bytes else { throw Llama2Error(.corrupt, "\(path): \(named(key)) is not a string") }
        return ByteText(bytes)
    }

    static func shown(_ value: JSON) -> String {
        if let number = value.double { return String(number) }
        if let flag = value.bool { return String(flag) }
        if let bytes = value.bytes { return "\"\(ByteText(bytes.prefix(40)))\"" }
        return value.isObject ? "an object" : "a list"
    }
}
