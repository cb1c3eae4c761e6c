internal import Llama2Core

/// A folder as `transformers` saves a LlamaForCausalLM: config.json, model.safetensors (or shards with
/// model.safetensors.index.json), tokenizer files. It becomes what a GGUF file of the same model would say.
///
/// q and k keep their rows in Hugging Face's order, where component i of a head is rotated with i + d/2;
/// `ModelFile.rotatesHalves` says so.
struct HuggingFaceFolder {
    private(set) var metadata = Metadata()
    private(set) var tensors: [TensorInfo] = []
    private(set) var files: [MappedFile] = []
    let owned = OwnedBytes()
    let shardCount: Int

    init(_ folder: String, copy: Bool) throws(Llama2Error) {
        let config = try HuggingFaceFolder.json(folder, "config.json") ?? .null
        // 1. tensors
        var shards = ["model.safetensors"]
        if let index = try HuggingFaceFolder.json(folder, "model.safetensors.index.json") {
            shards = try HuggingFaceFolder.shardNames(index, folder)
        }
        shardCount = shards.count
        var found: [TensorInfo] = []
        for shard in shards {
            let file = try MappedFile(path: folder + "/" + shard, copy: copy)
            files.append(file)
            found += try Safetensors.tensors(file.bytes, file.path)
        }
        let tied = config["tie_word_embeddings"]?.bool ?? false
        var names: Set<String> = []
        for tensor in found {
            guard let name = try HuggingFaceFolder.name(tensor.name, folder) else { continue }
            if tied && name == "output.weight" { continue }
            guard names.insert(name).inserted else { throw Llama2Error(.corrupt, "\(folder): tensor \(tensor.name) is in two files") }
            tensors.append(try named(tensor, name))
        }
        // 2. metadata
        let vocabulary = tensors.first { $0.name == "token_embd.weight" }?.rows ?? 0
        try addConfig(config, folder)
        var tokenizer = HuggingFaceTokenizer(folder: folder, count: vocabulary, owned: owned)
        try tokenizer.read(config, into: &metadata)
    }

    /// Under GGUF's name; norms as F32, which they are in GGUF.
    private func named(_ tensor: TensorInfo, _ name: String) throws(Llama2Error) -> TensorInfo {
        guard tensor.shape.count == 1, tensor.type != .f32 else {
            return TensorInfo(name: name, type: tensor.type, shape: tensor.shape, data: tensor.data)
        }
        guard tensor.columns <= TensorInfo.longestVector else {
            throw Llama2Error(.corrupt, "tensor \(tensor.name) has \(tensor.columns) weights in one dimension")
        }
        let values = try owned.make(tensor.columns) { (out: UnsafeMutablePointer<Float>) in
            for i in 0..<tensor.columns {
                let bits = tensor.data.loadUnaligned(fromByteOffset: 2 &* i, as: UInt16.self)
                out[i] = tensor.type == .bf16 ? Float(bitPattern: UInt32(bits) << 16) : halfToFloat(bits)
            }
        }
        return TensorInfo(name: name, type: .f32, shape: tensor.shape, data: values)
    }

    /// A JSON file of the folder; nil when it is not there.
    static func json(_ folder: String, _ name: String) throws(Llama2Error) -> JSON? {
        let path = folder + "/" + name
        guard try MappedFile.exists(path) else { return nil }
        let file = try MappedFile(path: path, copy: true)
        return try JSON.parse(file.bytes, path, owner: file)
    }

    /// The files that `weight_map` names, in their order.
    private static func shardNames(_ index: JSON, _ folder: String) throws(Llama2Error) -> [String] {
        guard let map = index["weight_map"]?.members, map.contains(where: { _ in true }) else {
            throw Llama2Error(.corrupt, "\(folder)/model.safetensors.index.json: no weight_map")
        }
        var names: Set<String> = []
        for (key, value) in map {
            guard let name = value.text, !name.isEmpty, !name.contains("/"), !name.utf8.contains(0), name != ".." else {
                throw Llama2Error(.corrupt, "\(folder)/model.safetensors.index.json: weight_map[\"\((key.text ?? "").prefix(100))\"] is no file name")
            }
            names.insert(name)
        }
        return names.sorted()
    }

    private static let layerNames = [
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    ]

    /// GGUF's name for transformers' one; nil for what is computed.
    private static func name(_ name: String, _ folder: String) throws(Llama2Error) -> String? {
        switch name {
        case "model.embed_tokens.weight": return "token_embd.weight"
        case "model.norm.weight": return "output_norm.weight"
        case "lm_head.weight": return "output.weight"
        default: break
        }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        if name.hasSuffix("rotary_emb.inv_freq") { return nil }
        guard parts.count >= 5, parts[0] == "model", parts[1] == "layers", parts.last == "weight", let layer = Int(parts[2]), layer >= 0,
            let own = layerNames[parts[3..<(parts.count - 1)].joined(separator: ".")]
        else {
            throw Llama2Error(.unsupported, "\(folder): tensor \(name.prefix(200)) is not one of LlamaForCausalLM")
        }
        return "blk.\(layer).\(own).weight"
    }

    // MARK: config.json

    private mutating func addConfig(_ config: JSON, _ folder: String) throws(Llama2Error) {
        let path = folder + "/config.json"
        guard config.isObject else { throw Llama2Error(.corrupt, "\(path): not a JSON object") }
        let kinds = config["architectures"]?.array?.compactMap(\.text) ?? []
        guard kinds.contains("LlamaForCausalLM") || (kinds.isEmpty && config["model_type"]?.text == "llama") else {
            throw Llama2Error(.unsupported, "\(path): architectures is \(kinds.prefix(4)); LlamaForCausalLM is read")
        }
        for key in ["attention_bias", "mlp_bias"] where config[key]?.bool == true {
            throw Llama2Error(.unsupported, "\(path): \(key) is true; models with biases are not supported")
        }
        if let part = config["partial_rotary_factor"]?.double, part != 1 {
            throw Llama2Error(.unsupported, "\(path): partial_rotary_factor is \(part); whole heads are rotated")
        }
        if let act = config["hidden_act"]?.text, act != "silu" {
            throw Llama2Error(.unsupported, "\(path): hidden_act is \"\(act.prefix(40))\"; Llama's silu is supported")
        }
        func integer(_ key: String, _ limit: Int = 1 << 30) throws(Llama2Error) -> Int? {
            guard let value = config[key], !value.isNull else { return nil }
            guard let n = value.integer, n > 0, n <= limit else {
                throw Llama2Error(.corrupt, "\(path): \(key) is not an integer from 1 to \(limit)")
            }
            return n
        }
        func needed(_ key: String) throws(Llama2Error) -> Int {
            guard let n = try integer(key) else { throw Llama2Error(.corrupt, "\(path): \(key) is missing") }
            return n
        }
        func number(_ key: String, in object: JSON?, default value: Double) throws(Llama2Error) -> Double {
            guard let given = object?[key], !given.isNull else { return value }
            guard let x = given.double else { throw Llama2Error(.corrupt, "\(path): \(key) is not a number") }
            return x
        }
        let heads = try needed("num_attention_heads"), e = try needed("hidden_size")
        let headsKV = try integer("num_key_value_heads") ?? heads
        guard e % heads == 0 || config["head_dim"] != nil else {
            throw Llama2Error(.corrupt, "\(path): hidden_size is \(e), not a multiple of num_attention_heads, \(heads)")
        }
        let dimension = try integer("head_dim") ?? e / heads
        set("general.architecture", "llama")
        set("llama.embedding_length", e)
        set("llama.block_count", try needed("num_hidden_layers"))
        set("llama.feed_forward_length", try needed("intermediate_size"))
        set("llama.context_length", try integer("max_position_embeddings") ?? 2048)
        set("llama.attention.head_count", heads)
        set("llama.attention.head_count_kv", headsKV)
        set("llama.attention.key_length", dimension)
        set("llama.attention.value_length", dimension)
        set("llama.rope.dimension_count", dimension)
        if let size = try integer("vocab_size") { set("llama.vocab_size", size) }
        set("llama.attention.layer_norm_rms_epsilon", try number("rms_norm_eps", in: config, default: 1e-6))
        // transformers 5 keeps RoPE's settings together in rope_parameters
        let rope = config["rope_parameters"].flatMap { $0.isNull ? nil : $0 } ?? config["rope_scaling"]
        let base = try number("rope_theta", in: rope, default: try number("rope_theta", in: config, default: 10_000))
        set("llama.rope.freq_base", base)
        switch rope?["rope_type"]?.text ?? rope?["type"]?.text {
        case nil, "default", "none":
            break
        case "dynamic":
            // its frequencies change only beyond the trained length, where a context of this model may not go
            set("llama.rope.scaling.type", "dynamic")
        case "linear":
            set("llama.rope.scaling.type", "linear")
            set("llama.rope.scaling.factor", try number("factor", in: rope, default: 1))
        case "llama3":
            let factors = try llama3Factors(
                base, dimension, factor: try number("factor", in: rope, default: 8),
                low: try number("low_freq_factor", in: rope, default: 1), high: try number("high_freq_factor", in: rope, default: 4),
                trained: try number("original_max_position_embeddings", in: rope, default: 8192), owned, path)
            tensors.append(factors)
        case let other?:
            throw Llama2Error(.unsupported, "\(path): rope type \"\(other.prefix(40))\"; linear, dynamic and llama3 are read")
        }
    }

    private mutating func set(_ key: String, _ value: Int) { _ = metadata.insert(key, .unsigned(UInt64(value))) }
    private mutating func set(_ key: String, _ value: Double) { _ = metadata.insert(key, .float(value)) }
    private mutating func set(_ key: String, _ value: String) {
        _ = metadata.insert(key, .string(owned.keep(Array(value.utf8))))
    }
}

/// Llama 3.1's frequencies, as the factor that each is divided by: long waves by `factor`, short ones not at all,
/// and between the two a straight line.
func llama3Factors(
    _ base: Double, _ dimension: Int, factor: Double, low: Double, high: Double, trained: Double, _ owned: OwnedBytes,
    _ path: String
) throws(Llama2Error) -> TensorInfo {
    guard base > 0, factor > 0, low > 0, high > low, trained > 0, (2...65_536).contains(dimension) else {
        throw Llama2Error(.corrupt, "\(path): factors of llama3's RoPE that are not positive, or high_freq_factor not above low_freq_factor")
    }
    func divisor(of i: Int) -> Float {
        let frequency = power(base, -2 * Double(i) / Double(dimension)), wave = 2 * Double.pi / frequency
        if wave < trained / high { return 1 }
        if wave > trained / low { return Float(factor) }
        let smooth = (trained / wave - low) / (high - low)
        return Float(1 / ((1 - smooth) / factor + smooth))
    }
    let factors = try owned.make(dimension / 2) { (out: UnsafeMutablePointer<Float>) in
        for i in 0..<dimension / 2 { out[i] = divisor(of: i) }
    }
    return TensorInfo(name: "rope_freqs.weight", type: .f32, shape: [dimension / 2], data: factors)
}
