public import Llama2Core

/// A LoRA adapter on disk: for some products of a Llama two small matrices, so that W becomes W + factor * B A (Hu et al., LoRA, 2021).
/// A GGUF file as llama.cpp's convert_lora_to_gguf.py writes it, or a folder of PEFT's. Or a control vector (Zou et al., Representation
/// Engineering, 2023), in llama.cpp's GGUF form.
public final class AdapterFile {
    public struct Pair {
        /// GGUF's name of the product, "blk.0.attn_q.weight" for instance.
        public let name: ByteText
        /// (rank, columns) and (rows, rank), as GGUF has shapes: row length first.
        public let a: TensorInfo, b: TensorInfo
        /// alpha / rank, as a rule.
        public let factor: Double
        /// The names of the tensors in the file.
        public let namesInFile: (a: ByteText, b: ByteText)
    }

    public let pairs: [Pair]
    /// Matrices of the model itself, which PEFT saves beside an adapter of the output matrix or the embedding, and loads over the model's.
    public let wholes: [(name: ByteText, tensor: TensorInfo, nameInFile: ByteText)]
    /// Of a control vector: what is added to the residual stream behind each layer, (columns).
    public let directions: [(layer: Int, tensor: TensorInfo)]
    /// The rows of q and k are in Hugging Face's order, see `ModelFile`.
    public let rotatesHalves: Bool
    private let owners: [AnyObject]

    /// layers: of the model that it is for.
    public static func open(path: FilePath, layers: Int) throws(Llama2Error) -> AdapterFile {
        if try MappedFile.isFolder(path) { return try AdapterFile(folder: path, layers) }
        let file = try MappedFile(path: path)
        guard GGUFFile.isGGUF(file.bytes) else {
            throw Llama2Error(.format, "\(path) is no adapter that this version reads: neither GGUF nor a folder with adapter_config.json")
        }
        return try AdapterFile(gguf: file)
    }

    /// Keys that change nothing: notes, and what llama.cpp's converter writes of the file itself.
    private static func isHarmless(_ key: ByteText) -> Bool {
        key.hasPrefix(MetadataKey.generalPrefix) || key == MetadataKey.adapterTask.name || key == MetadataKey.adapterPrompt.name
    }

    private init(gguf file: MappedFile) throws(Llama2Error) {
        let path = file.path
        let gguf: GGUFFile
        do throws(Llama2Error) { gguf = try GGUFFile(file.bytes) } catch { throw Llama2Error(error.kind, "\(path): \(error.message)") }
        let metadata = gguf.metadata
        if try metadata.byteText(.architecture) == "controlvector" {
            pairs = []
            wholes = []
            directions = try AdapterFile.directions(gguf, path)
            rotatesHalves = false
            owners = [file]
            return
        }
        func text(_ key: MetadataKey) throws(Llama2Error) -> ByteText { try metadata.byteText(key) ?? "absent" }
        for (key, expected) in [(.generalType, "adapter"), (.adapterType, "lora"), (.architecture, "llama")] as [(MetadataKey, ByteText)] {
            let found = try text(key)
            guard found == expected else {
                throw Llama2Error(
                    .unsupported, "\(path): metadata \(key) is \"\(ByteText(found.bytes.prefix(100)))\", an adapter for a Llama says \"\(expected)\"")
            }
        }
        for key in metadata.keys where !AdapterFile.isHarmless(key) && key != MetadataKey.adapterType.name && key != MetadataKey.adapterAlpha.name {
            throw Llama2Error(.unsupported, "\(path): metadata \(key) is none that this version knows in an adapter; it could change what it computes")
        }
        // as llama.cpp reads it: without alpha the product counts as it is; zero stands for the same there, and for nothing in PEFT
        let alpha = try metadata.float(.adapterAlpha)
        guard alpha != 0 else { throw Llama2Error(.unsupported, "\(path): metadata \(MetadataKey.adapterAlpha) is 0, which readers take for different things") }
        var parts = Parts(path)
        for tensor in gguf.tensors {
            let isA = tensor.name.hasSuffix(".lora_a")
            guard isA || tensor.name.hasSuffix(".lora_b") else {
                throw Llama2Error(.unsupported, "\(path): tensor \(tensor.name) is neither a lora_a nor a lora_b")
            }
            try parts.add(tensor.name.dropLast(7), isA, tensor, tensor.name)
        }
        pairs = try parts.pairs { (_, rank, _) throws(Llama2Error) in alpha.map { $0 / Double(rank) } ?? 1 }
        directions = []
        wholes = []
        rotatesHalves = false
        owners = [file]
    }

    /// direction.N: behind layer N, counted from 0; there is none behind the first (llama.cpp's common_control_vector_load).
    private static func directions(_ gguf: GGUFFile, _ path: FilePath) throws(Llama2Error) -> [(layer: Int, tensor: TensorInfo)] {
        let metadata = gguf.metadata
        let model = MetadataKey.controlVectorModel
        for key in metadata.keys where !isHarmless(key) && key != model.name && key != MetadataKey.controlVectorLayers.name {
            throw Llama2Error(.unsupported, "\(path): metadata \(key) is none that this version knows in a control vector")
        }
        if let hint = try metadata.byteText(model), hint != "llama" {
            throw Llama2Error(
                .unsupported, "\(path): metadata \(model) is \"\(ByteText(hint.bytes.prefix(100)))\": a control vector for another model")
        }
        let prefix: ByteText = "direction."
        var found: [(layer: Int, tensor: TensorInfo)] = [], layers: Set<Int> = []
        for tensor in gguf.tensors {
            guard tensor.name.hasPrefix(prefix), let layer = tensor.name.dropFirst(prefix.count).index, layer > 0 else {
                throw Llama2Error(.unsupported, "\(path): tensor \(tensor.name) is no direction.N with N from 1 on")
            }
            guard tensor.type == .f32, tensor.shape.count == 1, layers.insert(layer).inserted else {
                throw Llama2Error(
                    .corrupt, "\(path): tensor \(tensor.name) has type \(tensor.type.name) and shape \(tensor.shape), expected one dimension of F32, once")
            }
            found.append((layer, tensor))
        }
        guard !found.isEmpty else { throw Llama2Error(.corrupt, "\(path) holds no tensors") }
        return found
    }

    private static let wholes: [ByteText: ByteText] = [
        "lm_head.weight": "output.weight", "lm_head.base_layer.weight": "output.weight",
        "model.embed_tokens.weight": "token_embd.weight", "model.embed_tokens.base_layer.weight": "token_embd.weight",
    ]

    private init(folder: FilePath, _ layers: Int) throws(Llama2Error) {
        guard let json = try HuggingFaceFolder.json(folder, "adapter_config.json") else {
            throw Llama2Error(.format, "\(folder) holds no adapter_config.json: not a folder of PEFT's")
        }
        var config = try AdapterConfig(json, folder + "/adapter_config.json")
        let isSafe = try MappedFile.exists(folder + "/adapter_model.safetensors")
        let file = try MappedFile(path: folder + (isSafe ? "/adapter_model.safetensors" : "/adapter_model.bin"))
        let stored = isSafe ? try Safetensors.tensors(file) : try TorchFile.tensors(file)
        let copies = Copies(limit: file.bytes.count &+ 16 << 20)
        var parts = Parts(folder), modules: [ByteText: ByteText] = [:]
        let prefix: ByteText = "base_model.model."
        var whole: [(name: ByteText, tensor: TensorInfo, nameInFile: ByteText)] = []
        for tensor in stored {
            let name = tensor.name, isA = name.hasSuffix(".lora_A.weight")
            if name.hasPrefix(prefix), let own = AdapterFile.wholes[name.dropFirst(prefix.count)] {
                whole.append((own, try tensor.named(own, copies, "\(folder): tensor \(name)"), name))
                continue
            }
            guard name.hasPrefix(prefix), isA || name.hasSuffix(".lora_B.weight"), name.count > prefix.count + 14 else {
                throw Llama2Error(
                    .unsupported,
                    "\(folder): tensor \(ByteText(name.bytes.prefix(200))) is not \(prefix)MODULE.lora_A.weight or its lora_B: no matrix of a product")
            }
            let module = name.dropFirst(prefix.count).dropLast(14)
            guard let own = try HuggingFaceFolder.name(module + ".weight", folder), own != "token_embd.weight" else {
                throw Llama2Error(.unsupported, "\(folder): tensor \(name) adapts what is no product")
            }
            if let (layer, _) = TensorNames.inLayer(own), layer >= layers {
                throw Llama2Error(.unsupported, "\(folder): tensor \(name) is for a layer that this model of \(layers) layers does not have")
            }
            modules[own] = module
            try parts.add(own, isA, try tensor.named(own, copies, "\(folder): tensor \(name)"), name)
        }
        pairs = try parts.pairs { (own, rank, tensor) throws(Llama2Error) in
            try config.factor(modules[own] ?? own, layer: TensorNames.inLayer(own)?.layer, rank: rank, tensor)
        }
        directions = []
        wholes = whole
        rotatesHalves = true
        owners = [file, copies]
    }

    /// Matrices as they are found, until every product has both.
    private struct Parts {
        private let path: FilePath
        private var order: [ByteText] = []
        private var found: [ByteText: (a: (TensorInfo, ByteText)?, b: (TensorInfo, ByteText)?)] = [:]

        init(_ path: FilePath) { self.path = path }

        mutating func add(_ name: ByteText, _ isA: Bool, _ tensor: TensorInfo, _ nameInFile: ByteText) throws(Llama2Error) {
            guard tensor.shape.count == 2 else {
                throw Llama2Error(.corrupt, "\(path): tensor \(nameInFile) has shape \(tensor.shape), expected two dimensions")
            }
            var both = found[name] ?? (nil, nil)
            if found[name] == nil { order.append(name) }
            guard (isA ? both.a : both.b) == nil else { throw Llama2Error(.corrupt, "\(path): tensor \(nameInFile) is there twice") }
            if isA { both.a = (tensor, nameInFile) } else { both.b = (tensor, nameInFile) }
            found[name] = both
        }

        func pairs(_ factor: (_ name: ByteText, _ rank: Int, _ tensor: ByteText) throws(Llama2Error) -> Double) throws(Llama2Error) -> [Pair] {
            guard !order.isEmpty else { throw Llama2Error(.corrupt, "\(path) holds no tensors") }
            var list: [Pair] = []
            for name in order {
                guard let both = found[name] else { continue }
                guard let (a, nameOfA) = both.a else {
                    throw Llama2Error(.corrupt, "\(path): tensor \(both.b?.1 ?? name) has no lora_a beside it")
                }
                guard let (b, nameOfB) = both.b else { throw Llama2Error(.corrupt, "\(path): tensor \(nameOfA) has no lora_b beside it") }
                guard a.rows == b.columns, a.rows <= 65_536 else {
                    throw Llama2Error(
                        .corrupt,
                        "\(path): tensor \(nameOfA) has shape \(a.shape) and \(nameOfB) \(b.shape): the rank is \(a.rows) in one and \(b.columns) in the other, expected the same, at most 65536"
                    )
                }
                let factor = try factor(name, a.rows, nameOfA)
                guard Float(factor).isFinite else { throw Llama2Error(.corrupt, "\(path): tensor \(nameOfA): its factor is \(factor)") }
                list.append(Pair(name: name, a: a, b: b, factor: factor, namesInFile: (nameOfA, nameOfB)))
            }
            return list
        }
    }
}
