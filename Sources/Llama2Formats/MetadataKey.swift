public import Llama2Core

/// A key of GGUF's metadata. The names that this library reads or writes stand in this file and in no other (`test_rooms.py`), so that who
/// turns another format into GGUF's keys and who reads them cannot mean different ones.
///
/// Constants are computed: nothing of them is made lazily, and a forked child waits for nobody.
public struct MetadataKey: Hashable, Sendable, CustomStringConvertible {
    public let name: ByteText

    public init(_ name: ByteText) { self.name = name }

    public var description: String { name.description }
}

// MARK: general.*, split.*

extension MetadataKey {
    /// What every file may say of itself.
    static var generalPrefix: ByteText { "general." }
    private static func general(_ name: ByteText) -> MetadataKey { MetadataKey(generalPrefix + name) }

    public static var architecture: MetadataKey { general("architecture") }
    public static var modelName: MetadataKey { general("name") }
    public static var generalType: MetadataKey { general("type") }
    public static var alignment: MetadataKey { general("alignment") }
    public static var fileType: MetadataKey { general("file_type") }
    public static var quantizationVersion: MetadataKey { general("quantization_version") }

    public static var splitIndex: MetadataKey { MetadataKey("split.no") }
    public static var splitCount: MetadataKey { MetadataKey("split.count") }
    public static var splitTensors: MetadataKey { MetadataKey("split.tensors.count") }
}

// MARK: tokenizer.*

extension MetadataKey {
    private static func tokenizer(_ name: ByteText) -> MetadataKey { MetadataKey("tokenizer.ggml." + name) }

    public static var tokenizerModel: MetadataKey { tokenizer("model") }
    public static var preTokenizer: MetadataKey { tokenizer("pre") }
    public static var tokens: MetadataKey { tokenizer("tokens") }
    public static var scores: MetadataKey { tokenizer("scores") }
    public static var tokenTypes: MetadataKey { tokenizer("token_type") }
    public static var merges: MetadataKey { tokenizer("merges") }
    public static var bos: MetadataKey { tokenizer("bos_token_id") }
    public static var eos: MetadataKey { tokenizer("eos_token_id") }
    public static var eot: MetadataKey { tokenizer("eot_token_id") }
    public static var eom: MetadataKey { tokenizer("eom_token_id") }
    public static var unknown: MetadataKey { tokenizer("unknown_token_id") }
    /// Of filling in the middle of a text: padding, the repository's name, between files.
    public static var fillingPad: MetadataKey { tokenizer("fim_pad_token_id") }
    public static var fillingRepository: MetadataKey { tokenizer("fim_rep_token_id") }
    public static var fillingSeparator: MetadataKey { tokenizer("fim_sep_token_id") }
    /// Before, behind and between the texts of filling in, and the older names of these keys.
    public static var fillingMiddle: [[MetadataKey]] {
        [
            [tokenizer("fim_pre_token_id"), tokenizer("prefix_token_id")], [tokenizer("fim_suf_token_id"), tokenizer("suffix_token_id")],
            [tokenizer("fim_mid_token_id"), tokenizer("middle_token_id")],
        ]
    }
    /// Never drawn by llama.cpp's samplers.
    public static var suppressedTokens: MetadataKey { tokenizer("suppress_tokens") }
    public static var addsBOS: MetadataKey { tokenizer("add_bos_token") }
    public static var addsEOS: MetadataKey { tokenizer("add_eos_token") }
    public static var addsSpacePrefix: MetadataKey { tokenizer("add_space_prefix") }
    public static var removesExtraWhitespaces: MetadataKey { tokenizer("remove_extra_whitespaces") }
    public static var characterMap: MetadataKey { tokenizer("precompiled_charsmap") }
    public static var chatTemplate: MetadataKey { MetadataKey("tokenizer.chat_template") }
    /// Templates of other names: `tool_use` stands in its place where a conversation has tools, others are for who asks for them.
    public static var namedTemplates: ByteText { "tokenizer.chat_template." }
    public static var templateNames: MetadataKey { MetadataKey("tokenizer.chat_templates") }

    /// What tokenizers say for which GGUF has no key.
    private static func own(_ name: ByteText) -> MetadataKey { MetadataKey("tokenizer.llama2swift." + name) }

    public static var endTokens: MetadataKey { own("end_token_ids") }
    public static var whitespaceIsSuffix: MetadataKey { own("treat_whitespace_as_suffix") }
    public static var escapesWhitespaces: MetadataKey { own("escape_whitespaces") }
    public static var keepsUserDefined: MetadataKey { own("user_defined_in_text") }
    public static var tokenizerSettings: MetadataKey { own("settings") }
}

// MARK: What is no model

extension MetadataKey {
    public static var adapterType: MetadataKey { MetadataKey("adapter.type") }
    public static var adapterAlpha: MetadataKey { MetadataKey("adapter.lora.alpha") }
    public static var adapterTask: MetadataKey { MetadataKey("adapter.lora.task_name") }
    public static var adapterPrompt: MetadataKey { MetadataKey("adapter.lora.prompt_prefix") }

    public static var controlVectorModel: MetadataKey { MetadataKey("controlvector.model_hint") }
    public static var controlVectorLayers: MetadataKey { MetadataKey("controlvector.layer_count") }

    public static var importanceDatasets: MetadataKey { MetadataKey("imatrix.datasets") }
    public static var importanceChunks: MetadataKey { MetadataKey("imatrix.chunk_count") }
    public static var importanceChunkSize: MetadataKey { MetadataKey("imatrix.chunk_size") }
}

// MARK: llama.*

extension MetadataKey {
    /// Of the model's shape and arithmetic.
    public static var modelPrefix: ByteText { "llama." }
    fileprivate static func llama(_ name: ByteText) -> MetadataKey { MetadataKey(modelPrefix + name) }

    public static var vocabularySize: MetadataKey { llama("vocab_size") }
    public static var contextLength: MetadataKey { llama("context_length") }
    public static var embeddingLength: MetadataKey { llama("embedding_length") }
    public static var blockCount: MetadataKey { llama("block_count") }
    public static var feedForwardLength: MetadataKey { llama("feed_forward_length") }
    public static var headCount: MetadataKey { llama("attention.head_count") }
    public static var headCountKV: MetadataKey { llama("attention.head_count_kv") }
    public static var keyLength: MetadataKey { llama("attention.key_length") }
    public static var valueLength: MetadataKey { llama("attention.value_length") }
    public static var rmsEpsilon: MetadataKey { llama("attention.layer_norm_rms_epsilon") }
    public static var ropeDimensionCount: MetadataKey { llama("rope.dimension_count") }
    public static var ropeBase: MetadataKey { llama("rope.freq_base") }
    public static var ropeScalingType: MetadataKey { llama("rope.scaling.type") }
    public static var ropeScalingFactor: MetadataKey { llama("rope.scaling.factor") }
    public static var ropeScaleLinear: MetadataKey { llama("rope.scale_linear") }
    public static var ropeOriginalContextLength: MetadataKey { llama("rope.scaling.original_context_length") }
    public static var ropeYarnBetaFast: MetadataKey { llama("rope.scaling.yarn_beta_fast") }
    public static var ropeYarnBetaSlow: MetadataKey { llama("rope.scaling.yarn_beta_slow") }
    public static var ropeYarnLogMultiplier: MetadataKey { llama("rope.scaling.yarn_log_multiplier") }
    public static var ropeAttentionFactor: MetadataKey { llama("rope.scaling.attn_factor") }
    public static var ropeAlpha: MetadataKey { llama("rope.scaling.alpha") }
}

/// What is done with a key under `llama.` of a file.
public enum MetadataRule: Sendable {
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
    case sameAs(MetadataKey)
}

/// A line of the list of keys under `llama.`. A key that is in no line is refused by name: nobody knows whether it changes what the model
/// computes. `Tests/METADATA.md` is made from these lines.
///
/// Sources: llama.cpp's src/llama-arch.cpp (names), src/llama-model.cpp (what is read for a Llama), gguf-py's constants.py.
public struct ModelKeyEntry: Sendable {
    public let key: MetadataKey, rule: MetadataRule, why: String

    private init(_ key: MetadataKey, _ rule: MetadataRule, _ why: String) { (self.key, self.rule, self.why) = (key, rule, why) }

    /// One that nobody reads: its name stands in its line.
    private init(named name: ByteText, _ rule: MetadataRule, _ why: String) { self.init(.llama(name), rule, why) }

    public static var all: [ModelKeyEntry] {
        typealias Entry = ModelKeyEntry
        return [
            Entry(.vocabularySize, .read, "rows of token_embd.weight; must be the same number"),
            Entry(.contextLength, .read, "positions the model was trained on"),
            Entry(.embeddingLength, .read, "columns of token_embd.weight"),
            Entry(.blockCount, .read, "layers"),
            Entry(.feedForwardLength, .read, "rows of ffn_gate; an array of equal numbers is followed"),
            Entry(.headCount, .read, "heads of queries; an array of equal numbers is followed"),
            Entry(.headCountKV, .read, "heads of keys and values; an array of equal numbers is followed"),
            Entry(.keyLength, .read, "components of a head"),
            Entry(.valueLength, .read, "must be the key's"),
            Entry(.rmsEpsilon, .read, "RMSNorm's epsilon; required, as in llama.cpp"),
            Entry(.ropeDimensionCount, .read, "leading components of a head that are rotated"),
            Entry(.ropeBase, .read, "RoPE's base; 10000 when absent"),
            Entry(.ropeScalingType, .read, "none, linear (also when absent), yarn, longrope, dynamic (which ends at the trained length)"),
            Entry(.ropeScalingFactor, .read, "positions are divided by it; with type none it is not used"),
            Entry(.ropeScaleLinear, .read, "the older name of the factor, when there is no other"),
            Entry(
                .ropeOriginalContextLength, .read,
                "positions before the scaling: YaRN and longrope use it; where dynamic scaling would begin; context_length when absent"),
            Entry(named: "rope.scaling.finetuned", .harmless, "whether the model was trained with the scaling"),
            Entry(
                .ropeYarnBetaFast, .read,
                "turns within the trained length from which on YaRN leaves a pair alone; 32 when absent; of no meaning to other types"),
            Entry(.ropeYarnBetaSlow, .read, "turns up to which YaRN divides by the factor; 1 when absent; of no meaning to other types"),
            Entry(.ropeYarnLogMultiplier, .read, "YaRN's divisor of the stretching of queries and keys (mscale_all_dim); of no meaning to other types"),
            Entry(.ropeAttentionFactor, .read, "factor of the rotated queries and keys, beside YaRN's own"),
            Entry(.ropeAlpha, .read, "NTK-aware scaling: the base times alpha^(d / (d - 2)); 0 for none"),
            Entry(named: "rope.scaling.yarn_ext_factor", .mixing, "YaRN's mixing"),
            Entry(named: "pooling_type", .harmless, "how embeddings of a text are pooled; logits are not"),
            Entry(named: "attention.layer_norm_epsilon", .harmless, "of LayerNorm, which a Llama does not have; converters write it from config.json"),
            Entry(named: "rope.scaling.yarn_attn_factor", .numbers([1]), "YaRN's stretching, which llama.cpp computes from the factor whatever this says"),
            Entry(named: "rope.dimension_sections", .numbers([0]), "rotation by several positions of images"),
            Entry(named: "rope.dimension_count_swa", .sameAs(.ropeDimensionCount), "rotation in layers with a sliding window"),
            Entry(named: "rope.freq_base_swa", .sameAs(.ropeBase), "rotation in layers with a sliding window"),
            Entry(named: "attention.causal", .flag(true), "attention that sees what follows"),
            Entry(named: "attention.scale", .attentionScale, "factor of the scores"),
            Entry(named: "attention.output_scale", .numbers([0, 1]), "factor of attention's output"),
            Entry(named: "attention.value_scale", .numbers([0, 1]), "factor of the values"),
            Entry(named: "attention.sliding_window", .window, "positions that a token sees"),
            Entry(named: "attention.sliding_window_pattern", .numbers([0]), "which layers have a window"),
            Entry(named: "attention.key_length_swa", .sameAs(.keyLength), "heads in layers with a sliding window"),
            Entry(named: "attention.value_length_swa", .sameAs(.valueLength), "heads in layers with a sliding window"),
            Entry(named: "attention.max_alibi_bias", .numbers([0]), "ALiBi"),
            Entry(named: "attention.clamp_kqv", .numbers([0]), "limits of keys, queries and values"),
            Entry(named: "attention.temperature_length", .numbers([0]), "scores that depend on the position"),
            Entry(named: "attention.temperature_scale", .numbers([0]), "scores that depend on the position"),
            Entry(named: "attention.q_lora_rank", .numbers([0]), "queries as products of two matrices"),
            Entry(named: "attention.kv_lora_rank", .numbers([0]), "keys and values as products of two matrices"),
            Entry(named: "attention.shared_kv_layers", .numbers([0]), "layers that share keys and values"),
            Entry(named: "attn_logit_softcapping", .numbers([0]), "soft cap of the scores"),
            Entry(named: "final_logit_softcapping", .numbers([0]), "soft cap of the logits"),
            Entry(named: "router_logit_softcapping", .numbers([0]), "soft cap of a router"),
            Entry(named: "logit_scale", .numbers([0, 1]), "factor of the logits"),
            Entry(named: "residual_scale", .numbers([0, 1]), "factor of what a layer adds"),
            Entry(named: "embedding_scale", .numbers([0, 1]), "factor of the embedding"),
            Entry(named: "embedding_length_out", .sameAs(.embeddingLength), "another length of the last hidden state"),
            Entry(named: "hidden_activation", .texts(["silu", "swish"]), "the activation between gate and up"),
            Entry(named: "use_parallel_residual", .flag(false), "attention and feed-forward side by side"),
            Entry(named: "swin_norm", .flag(false), "norms after the blocks"),
            Entry(named: "tensor_data_layout", .texts(["Meta AI original pth"]), "the order of the rows of attn_q and attn_k"),
            Entry(named: "rescale_every_n_layers", .numbers([0]), "halving of weights"),
            Entry(named: "full_attention_interval", .numbers([0, 1]), "layers without attention"),
            Entry(named: "nextn_predict_layers", .numbers([0]), "layers that predict further tokens"),
            Entry(named: "n_deepstack_layers", .numbers([0]), "inputs of images"),
            Entry(named: "leading_dense_block_count", .numbers([0]), "layers before those with experts"),
            Entry(named: "interleave_moe_layer_step", .numbers([0, 1]), "layers with experts"),
            Entry(named: "moe_every_n_layers", .numbers([0]), "layers with experts"),
            Entry(named: "expert_count", .numbers([0]), "mixtures of experts"),
            Entry(named: "expert_used_count", .numbers([0]), "mixtures of experts"),
            Entry(named: "expert_shared_count", .numbers([0]), "mixtures of experts"),
            Entry(named: "expert_group_count", .numbers([0]), "mixtures of experts"),
            Entry(named: "expert_group_used_count", .numbers([0]), "mixtures of experts"),
            Entry(named: "expert_feed_forward_length", .numbers([0]), "mixtures of experts"),
            Entry(named: "expert_shared_feed_forward_length", .numbers([0]), "mixtures of experts"),
            Entry(named: "expert_weights_scale", .numbers([0, 1]), "mixtures of experts"),
            Entry(named: "expert_weights_norm", .flag(false), "mixtures of experts"),
            Entry(named: "expert_gating_func", .numbers([0]), "mixtures of experts"),
        ]
    }
}
