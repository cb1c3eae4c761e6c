internal import Llama2Core
internal import Llama2Formats

/// What is done with each key under `llama.` of a file. A key that is in no list is refused by name: nobody knows whether
/// it changes what the model computes. `Tests/METADATA.md` is made from these lines.
///
/// Sources: llama.cpp's src/llama-arch.cpp (names), src/llama-model.cpp (what is read for a Llama), gguf-py's constants.py.
enum MetadataKeys {
    enum Rule {
        /// Read by `Hyperparameters`.
        case read
        /// Changes no logit.
        case harmless
        /// Changes the arithmetic of other models; followed when its value is one of these, which change nothing (an array: each of
        /// its elements), and refused by name otherwise.
        case numbers([Double])
        case flag(Bool)
        case texts([ByteText])
        /// 0, or what attention multiplies its scores by anyway: 1 / sqrt(head length).
        case attentionScale
        /// 0, or no shorter than the context: a window that hides nothing.
        case window
        /// -1, which stands for unset, or what the type of the scaling says anyway: 1 with YaRN, 0 without.
        case mixing
        /// The same number as of another key that is read.
        case sameAs(String)
    }

    struct Entry {
        let key: ByteText, rule: Rule, why: String
        init(_ key: ByteText, _ rule: Rule, _ why: String) { (self.key, self.rule, self.why) = (key, rule, why) }
    }

    static let entries: [Entry] = [
        Entry("vocab_size", .read, "rows of token_embd.weight; must be the same number"),
        Entry("context_length", .read, "positions the model was trained on"),
        Entry("embedding_length", .read, "columns of token_embd.weight"),
        Entry("block_count", .read, "layers"),
        Entry("feed_forward_length", .read, "rows of ffn_gate; an array of equal numbers is followed"),
        Entry("attention.head_count", .read, "heads of queries; an array of equal numbers is followed"),
        Entry("attention.head_count_kv", .read, "heads of keys and values; an array of equal numbers is followed"),
        Entry("attention.key_length", .read, "components of a head"),
        Entry("attention.value_length", .read, "must be the key's"),
        Entry("attention.layer_norm_rms_epsilon", .read, "RMSNorm's epsilon; required, as in llama.cpp"),
        Entry("rope.dimension_count", .read, "leading components of a head that are rotated"),
        Entry("rope.freq_base", .read, "RoPE's base; 10000 when absent"),
        Entry("rope.scaling.type", .read, "none, linear (also when absent), yarn, longrope, dynamic (which ends at the trained length)"),
        Entry("rope.scaling.factor", .read, "positions are divided by it; with type none it is not used"),
        Entry("rope.scale_linear", .read, "the older name of the factor, when there is no other"),
        Entry(
            "rope.scaling.original_context_length", .read,
            "positions before the scaling: YaRN and longrope use it; where dynamic scaling would begin; context_length when absent"),
        Entry("rope.scaling.finetuned", .harmless, "whether the model was trained with the scaling"),
        Entry(
            "rope.scaling.yarn_beta_fast", .read,
            "turns within the trained length from which on YaRN leaves a pair alone; 32 when absent; of no meaning to other types"),
        Entry("rope.scaling.yarn_beta_slow", .read, "turns up to which YaRN divides by the factor; 1 when absent; of no meaning to other types"),
        Entry("rope.scaling.yarn_log_multiplier", .read, "YaRN's divisor of the stretching of queries and keys (mscale_all_dim); of no meaning to other types"),
        Entry("rope.scaling.attn_factor", .read, "factor of the rotated queries and keys, beside YaRN's own"),
        Entry("rope.scaling.alpha", .read, "NTK-aware scaling: the base times alpha^(d / (d - 2)); 0 for none"),
        Entry("rope.scaling.yarn_ext_factor", .mixing, "YaRN's mixing"),
        Entry("pooling_type", .harmless, "how embeddings of a text are pooled; logits are not"),
        Entry("attention.layer_norm_epsilon", .harmless, "of LayerNorm, which a Llama does not have; converters write it from config.json"),
        Entry("rope.scaling.yarn_attn_factor", .numbers([1]), "YaRN's stretching, which llama.cpp computes from the factor whatever this says"),
        Entry("rope.dimension_sections", .numbers([0]), "rotation by several positions of images"),
        Entry("rope.dimension_count_swa", .sameAs("rope.dimension_count"), "rotation in layers with a sliding window"),
        Entry("rope.freq_base_swa", .sameAs("rope.freq_base"), "rotation in layers with a sliding window"),
        Entry("attention.causal", .flag(true), "attention that sees what follows"),
        Entry("attention.scale", .attentionScale, "factor of the scores"),
        Entry("attention.output_scale", .numbers([0, 1]), "factor of attention's output"),
        Entry("attention.value_scale", .numbers([0, 1]), "factor of the values"),
        Entry("attention.sliding_window", .window, "positions that a token sees"),
        Entry("attention.sliding_window_pattern", .numbers([0]), "which layers have a window"),
        Entry("attention.key_length_swa", .sameAs("attention.key_length"), "heads in layers with a sliding window"),
        Entry("attention.value_length_swa", .sameAs("attention.value_length"), "heads in layers with a sliding window"),
        Entry("attention.max_alibi_bias", .numbers([0]), "ALiBi"),
        Entry("attention.clamp_kqv", .numbers([0]), "limits of keys, queries and values"),
        Entry("attention.temperature_length", .numbers([0]), "scores that depend on the position"),
        Entry("attention.temperature_scale", .numbers([0]), "scores that depend on the position"),
        Entry("attention.q_lora_rank", .numbers([0]), "queries as products of two matrices"),
        Entry("attention.kv_lora_rank", .numbers([0]), "keys and values as products of two matrices"),
        Entry("attention.shared_kv_layers", .numbers([0]), "layers that share keys and values"),
        Entry("attn_logit_softcapping", .numbers([0]), "soft cap of the scores"),
        Entry("final_logit_softcapping", .numbers([0]), "soft cap of the logits"),
        Entry("router_logit_softcapping", .numbers([0]), "soft cap of a router"),
        Entry("logit_scale", .numbers([0, 1]), "factor of the logits"),
        Entry("residual_scale", .numbers([0, 1]), "factor of what a layer adds"),
        Entry("embedding_scale", .numbers([0, 1]), "factor of the embedding"),
        Entry("embedding_length_out", .sameAs("embedding_length"), "another length of the last hidden state"),
        Entry("hidden_activation", .texts(["silu", "swish"]), "the activation between gate and up"),
        Entry("use_parallel_residual", .flag(false), "attention and feed-forward side by side"),
        Entry("swin_norm", .flag(false), "norms after the blocks"),
        Entry("tensor_data_layout", .texts(["Meta AI original pth"]), "the order of the rows of attn_q and attn_k"),
        Entry("rescale_every_n_layers", .numbers([0]), "halving of weights"),
        Entry("full_attention_interval", .numbers([0, 1]), "layers without attention"),
        Entry("nextn_predict_layers", .numbers([0]), "layers that predict further tokens"),
        Entry("n_deepstack_layers", .numbers([0]), "inputs of images"),
        Entry("leading_dense_block_count", .numbers([0]), "layers before those with experts"),
        Entry("interleave_moe_layer_step", .numbers([0, 1]), "layers with experts"),
        Entry("moe_every_n_layers", .numbers([0]), "layers with experts"),
        Entry("expert_count", .numbers([0]), "mixtures of experts"),
        Entry("expert_used_count", .numbers([0]), "mixtures of experts"),
        Entry("expert_shared_count", .numbers([0]), "mixtures of experts"),
        Entry("expert_group_count", .numbers([0]), "mixtures of experts"),
        Entry("expert_group_used_count", .numbers([0]), "mixtures of experts"),
        Entry("expert_feed_forward_length", .numbers([0]), "mixtures of experts"),
        Entry("expert_shared_feed_forward_length", .numbers([0]), "mixtures of experts"),
        Entry("expert_weights_scale", .numbers([0, 1]), "mixtures of experts"),
        Entry("expert_weights_norm", .flag(false), "mixtures of experts"),
        Entry("expert_gating_func", .numbers([0]), "mixtures of experts"),
    ]

    private static let rules: [ByteText: Entry] = Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0) })

    /// Refuses what is not followed.
    static func check(_ metadata: Metadata, _ h: Hyperparameters) throws(Llama2Error) {
        let prefix: ByteText = "llama."
        for key in metadata.keys where key.hasPrefix(prefix) {
            guard let entry = rules[key.dropFirst(prefix.count)] else {
                throw Llama2Error(
                    .unsupported,
                    "metadata \(key) is \(shown(metadata, key)): a key that this version does not know, which could change what the model computes")
            }
            guard try isFollowed(entry.rule, String(decoding: key.bytes, as: UTF8.self), metadata, h) else {
                throw Llama2Error(.unsupported, "metadata \(key) is \(shown(metadata, key)): \(entry.why) \(expectation(entry.rule))")
            }
        }
    }

    private static func shown(_ metadata: Metadata, _ key: ByteText) -> String { String((metadata.text(key) ?? "absent").prefix(100)) }

    private static func expectation(_ rule: Rule) -> String {
        switch rule {
        case .read, .harmless: ""
        case .numbers(let list):
            "is not supported, only \(list.map { $0 == $0.rounded() ? String(Int($0)) : String($0) }.joined(separator: " or ")), which changes nothing"
        case .flag(let value): "is not supported, only \(value), which changes nothing"
        case .texts(let list): "is supported as \(list.map(\.description).joined(separator: " or ")) alone"
        case .attentionScale: "is not supported, only 1 / sqrt(head length) or 0, which stands for it"
        case .window: "is not supported, only 0 or no fewer than the context"
        case .mixing: "is not supported, only -1 (unset), 1 with YaRN and 0 without"
        case .sameAs(let key): "is not supported, only the value of llama.\(key)"
        }
    }

    /// key: whole.
    private static func isFollowed(_ rule: Rule, _ key: String, _ metadata: Metadata, _ h: Hyperparameters) throws(Llama2Error) -> Bool {
        switch rule {
        case .read, .harmless: return true
        case .numbers(let list): return try metadata.everyNumber(key).allSatisfy { list.contains($0) }
        case .flag(let value): return try metadata.everyBool(key).allSatisfy { $0 == value }
        case .texts(let list): return try metadata.byteText(key).map { list.contains($0) } ?? true
        case .attentionScale:
            let usual = 1 / Double(h.headDimension).squareRoot()
            return try metadata.everyNumber(key).allSatisfy { $0 == 0 || abs($0 - usual) <= 1e-6 * usual }
        case .window: return try metadata.everyNumber(key).allSatisfy { $0 == 0 || $0 >= Double(h.contextLength) }
        case .mixing: return try metadata.everyNumber(key).allSatisfy { $0 == -1 || $0 == (h.ropeScaling.kind == .yarn ? 1 : 0) }
        case .sameAs(let other):
            let own: [String: Double] = [
                "embedding_length": Double(h.embeddingLength), "attention.key_length": Double(h.headDimension),
                "attention.value_length": Double(h.headDimension), "rope.dimension_count": Double(h.ropeDimension),
                "rope.freq_base": h.ropeBase,
            ]
            return try metadata.everyNumber(key).allSatisfy { $0 == own[other] }
        }
    }
}
