internal import Glibc
internal import Llama2Core

/// A folder as `transformers` saves a LlamaForCausalLM: config.json, weights, tokenizer files. It becomes what a GGUF file of the same
/// model would say.
///
/// Of the weights, as `transformers` looks for them: model.safetensors, or the files of model.safetensors.index.json, or
/// pytorch_model.bin, or the files of pytorch_model.bin.index.json; the first that is there counts, whatever lies beside it.
///
/// q and k keep their rows in Hugging Face's order, where component i of a head is rotated with i + d/2;
/// `ModelFile.rotatesHalves` says so.
struct HuggingFaceFolder {
    private(set) var metadata = Metadata()
    private(set) var tensors: [TensorInfo] = []
    private(set) var files: [MappedFile] = []
    let owned: OwnedBytes
    /// For people.
    let container: String
    var shardCount: Int { files.count }

    /// named: a file of the folder that the caller gave for it; it has to be one of those that are read.
    init(_ folder: FilePath, named: [UInt8]? = nil, _ options: LoadOptions) throws(Llama2Error) {
        let json = try HuggingFaceFolder.json(folder, "config.json") ?? .null
        let config = try HuggingFaceConfig(json, folder + "/config.json")
        try HuggingFaceConfig.checkConstraints(try HuggingFaceFolder.json(folder, "generation_config.json") ?? .null, folder + "/generation_config.json")
        if try MappedFile.exists(folder + "/adapter_config.json") {
            throw Llama2Error(
                .unsupported,
                "\(folder): adapter_config.json lies beside config.json, and transformers takes another model for its base: load it as an adapter, or move it")
        }
        // 1. tensors
        let weights = try WeightFiles(folder)
        container = weights.isTorch ? "PyTorch" : "safetensors"
        if let named, !weights.names.contains(named) {
            throw Llama2Error(
                .unsupported,
                "\(folder): \(ByteText(named)) is none of the files that this folder's model is read from, \(weights.names.prefix(4).map { ByteText($0) })")
        }
        var found: [(tensor: StoredTensor, file: [UInt8])] = []
        for (name, path) in weights.files {
            let file = try MappedFile(path: path, as: options.memory)
            files.append(file)
            for tensor in weights.isTorch ? try TorchFile.tensors(file) : try Safetensors.tensors(file) { found.append((tensor, name)) }
            guard found.count <= TensorInfo.most else { throw Llama2Error(.unsupported, "\(folder): more than \(TensorInfo.most) tensors") }
        }
        let copies = Copies(limit: files.reduce(16 << 20) { $0 &+ $1.bytes.count }, options.memory)
        owned = copies.owned
        let embedding = found.first { $0.tensor.name == "model.embed_tokens.weight" }?.tensor
        var names: Set<ByteText> = []
        for (tensor, _) in found {
            guard let name = try HuggingFaceFolder.name(tensor.name, folder) else { continue }
            // config.json decides, as in transformers 4 and in what other engines do; transformers 5 would take another lm_head
            if name == "output.weight", config.tied || embedding.map({ tensor.isSame(as: $0) }) ?? false { continue }
            guard names.insert(name).inserted else { throw Llama2Error(.corrupt, "\(folder): tensor \(tensor.name) is in two files") }
            tensors.append(try tensor.named(name, copies, "\(folder): tensor \(tensor.name)"))
        }
        try weights.check(found)
        try config.checkBiases(names)
        // 2. metadata
        let vocabulary = tensors.first { $0.name == "token_embd.weight" }?.rows ?? 0
        try config.add(to: &metadata, owned)
        tensors += try config.ropeTensors(owned)
        var tokenizer = HuggingFaceTokenizer(folder: folder, count: vocabulary, owned: owned)
        try tokenizer.read(json, into: &metadata)
    }

    /// A JSON file of the folder; nil when it is not there.
    static func json(_ folder: FilePath, _ name: String) throws(Llama2Error) -> JSON? {
        let path = folder + "/" + name
        guard try MappedFile.exists(path) else { return nil }
        let file = try MappedFile(path: path, as: .copy)
        return try JSON.parse(file.bytes, path.description, owner: file)
    }

    /// Transformers' names within a layer, without `.weight` or `.bias`; and whether the product can have a bias.
    private static let layerNames: [ByteText: (own: ByteText, canHaveBias: Bool)] = [
        "self_attn.q_proj": ("attn_q", true), "self_attn.k_proj": ("attn_k", true), "self_attn.v_proj": ("attn_v", true),
        "self_attn.o_proj": ("attn_output", true), "mlp.gate_proj": ("ffn_gate", true), "mlp.up_proj": ("ffn_up", true),
        "mlp.down_proj": ("ffn_down", true), "input_layernorm": ("attn_norm", false), "post_attention_layernorm": ("ffn_norm", false),
    ]

    /// GGUF's name for transformers' one; nil for what is computed.
    static func name(_ name: ByteText, _ folder: FilePath) throws(Llama2Error) -> ByteText? {
        switch name {
        case "model.embed_tokens.weight": return "token_embd.weight"
        case "model.norm.weight": return "output_norm.weight"
        case "lm_head.weight": return "output.weight"
        default: break
        }
        if name.hasSuffix("rotary_emb.inv_freq") { return nil }
        let layers: ByteText = "model.layers."
        if name.hasPrefix(layers), let dot = name.bytes.dropFirst(layers.count).firstIndex(of: UInt8(ascii: ".")),
            let layer = ByteText(name.bytes[layers.count..<dot]).index
        {
            let rest = ByteText(name.bytes[(dot + 1)...])
            for suffix in [".weight", ".bias"] as [ByteText] where rest.hasSuffix(suffix) {
                guard let known = layerNames[rest.dropLast(suffix.count)], known.canHaveBias || suffix == ".weight" else { continue }
                return "blk.\(layer)." + known.own + suffix
            }
        }
        throw Llama2Error(.unsupported, "\(folder): tensor \(ByteText(name.bytes.prefix(200))) is not one of LlamaForCausalLM")
    }
}

/// The files that a folder's weights lie in.
private struct WeightFiles {
    let isTorch: Bool
    private(set) var files: [(name: [UInt8], path: FilePath)] = []
    /// (tensor, the file that the index says it is in)
    private var places: [(tensor: ByteText, file: [UInt8])] = []
    private let folder: FilePath

    var names: [[UInt8]] { files.map(\.name) }

    init(_ folder: FilePath) throws(Llama2Error) {
        self.folder = folder
        for (name, isTorch) in [("model.safetensors", false), ("pytorch_model.bin", true)] {
            if try MappedFile.exists(folder + "/" + name) {
                self.isTorch = isTorch
                files = [(Array(name.utf8), folder + "/" + name)]
                return
            }
            if let index = try HuggingFaceFolder.json(folder, name + ".index.json") {
                self.isTorch = isTorch
                try read(index, folder + "/" + name + ".index.json")
                return
            }
        }
        throw Llama2Error(
            .io,
            "\(folder) holds config.json, but no weights: none of model.safetensors, model.safetensors.index.json, pytorch_model.bin and pytorch_model.bin.index.json",
            systemError: ENOENT)
    }

    /// The files that `weight_map` names, each once. Names of files in this folder: whatever else is written there is no way out of it.
    private mutating func read(_ index: JSON, _ path: FilePath) throws(Llama2Error) {
        guard let map = index["weight_map"]?.members, map.contains(where: { _ in true }) else {
            throw Llama2Error(.corrupt, "\(path): no weight_map")
        }
        try MemoryReserve.cover(tensors: min(map.count { _ in true }, TensorInfo.most + 1), for: "the tensors of \(path)")
        var found: [ByteText: FilePath] = [:]
        for (key, value) in map {
            guard let tensor = key.bytes, let name = value.bytes, let child = folder.child(name) else {
                throw Llama2Error(.corrupt, "\(path): weight_map[\"\(ByteText((key.bytes ?? []).prefix(100)))\"] is no file name in this folder")
            }
            found[ByteText(name)] = child
            places.append((ByteText(tensor), name))
            guard places.count <= TensorInfo.most else { throw Llama2Error(.unsupported, "\(path): more than \(TensorInfo.most) tensors") }
        }
        files = found.sorted { $0.key < $1.key }.map { ($0.key.bytes, $0.value) }
    }

    /// The files hold what the index says that they hold.
    func check(_ found: [(tensor: StoredTensor, file: [UInt8])]) throws(Llama2Error) {
        var held: [ByteText: [UInt8]] = [:]
        for (tensor, file) in found { held[tensor.name] = file }
        for (tensor, file) in places where held[tensor] != file {
            throw Llama2Error(.corrupt, "\(folder): the index says that \(ByteText(tensor.bytes.prefix(200))) is in \(ByteText(file)), but it is not")
        }
    }
}

/// Llama 3.1's frequencies, as the factor that each is divided by: long waves by `factor`, short ones not at all,
/// and between the two a straight line.
func llama3Factors(
    _ base: Double, _ dimension: Int, factor: Double, low: Double, high: Double, trained: Double, _ owned: OwnedBytes,
    _ path: FilePath
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
