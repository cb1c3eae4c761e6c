public import Llama2Core
public import Llama2Formats
internal import Llama2Kernels

/// A model's weights as views of its file. Immutable; shared by any number of contexts.
public final class Weights: @unchecked Sendable {
    struct Layer: BitwiseCopyable {
        let attentionNorm: UnsafePointer<Float>  // (embedding)
        let q, k, v: Linear  // (query, embedding), (key, embedding), (key, embedding)
        let attentionOutput: Linear  // (embedding, query)
        let feedForwardNorm: UnsafePointer<Float>  // (embedding)
        let gate, up: Linear  // (feedForward, embedding)
        let down: Linear  // (embedding, feedForward)
    }

    public let file: ModelFile
    public let hyperparameters: Hyperparameters
    let embedding: Matrix  // (vocabulary, embedding)
    let outputNorm: UnsafePointer<Float>
    let output: Linear  // (vocabulary, embedding); the embedding itself when tied
    let layers: [Layer]
    /// What RoPE's frequencies are divided by, (ropeDimension / 2); nil when the file has no such tensor. Those of longrope are for
    /// contexts beyond the trained length and for others.
    let ropeFactors, ropeFactorsLong, ropeFactorsShort: UnsafePointer<Float>?
    /// Where the biases of the layers' products lie, as F32.
    private let biases: Biases

    /// Weights in the file, a tied output matrix counted once.
    public var parameterCount: Int {
        file.tensors.reduce(0) { $0 &+ (uses($1.name) ? $1.rows &* $1.columns : 0) }
    }

    /// Whether most of what a token takes is products of floats.
    public var areFloats: Bool { layers.first?.up.type.isFloat ?? false }

    /// Bytes of all files, or of the tensors that a range of layers uses.
    public var byteCount: Int {
        hyperparameters.isPiece ? file.tensors.reduce(0) { $0 &+ (uses($1.name) ? $1.data.count : 0) } : file.byteCount
    }

    /// Whether the layers that were loaded compute with a tensor.
    func uses(_ name: ByteText) -> Bool {
        let h = hyperparameters
        guard h.isPiece else { return true }
        if let (layer, _) = TensorNames.inLayer(name) { return layer >= h.firstLayer && layer - h.firstLayer < h.layerCount }
        if name == "token_embd.weight" { return h.hasEmbedding || (h.hasOutput && file.tensor("output.weight") == nil) }
        return ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"].contains(name) || h.hasOutput
    }

    /// The type that most weights have.
    public var mainType: BlockType {
        var counts: [BlockType: Int] = [:]
        for tensor in file.tensors { counts[tensor.type, default: 0] &+= tensor.rows &* tensor.columns }
        return counts.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key ?? .f32
    }

    /// layers: those that are computed with, of the file's.
    public init(file: ModelFile, firstLayer: Int = 0, layerCount: Int? = nil) throws(Llama2Error) {
        self.file = file
        guard !file.isVocabularyOnly else {
            throw Llama2Error(.unsupported, "this file holds a vocabulary and no weights: it can only tokenize")
        }
        guard let embeddingInfo = file.tensor("token_embd.weight") else {
            throw Llama2Error(.corrupt, "tensor token_embd.weight is missing")
        }
        var h = try Hyperparameters(metadata: file.metadata, embedding: embeddingInfo)
        h.rotatesHalves = file.rotatesHalves
        let wanted = layerCount ?? max(h.allLayers - firstLayer, 0)
        guard firstLayer >= 0, wanted > 0, firstLayer < h.allLayers, wanted <= h.allLayers - firstLayer else {
            throw Llama2Error(.outOfRange, "\(layerCount.map { String($0) } ?? "all") layers from \(firstLayer) on; this model has 0 to \(h.allLayers - 1)")
        }
        (h.firstLayer, h.layerCount) = (firstLayer, wanted)
        hyperparameters = h
        let e = h.embeddingLength, f = h.feedForwardLength
        embedding = try Self.matrix(file, "token_embd.weight", rows: h.vocabularySize, columns: e)
        outputNorm = try Self.vector(file, "output_norm.weight", e)
        output = Linear(
            file.tensor("output.weight") == nil
                ? embedding : try Self.matrix(file, "output.weight", rows: h.vocabularySize, columns: e))
        // the names of a layer's twelve tensors are made to look for them; frequencies of RoPE are computed in doubles, for short and long texts
        try MemoryReserve.cover(
            .list(h.layerCount, of: Layer.self) + .texts(12 * h.layerCount) + 2 * .list(h.ropeDimension / 2, of: Double.self),
            for: "\(h.layerCount) layers")
        var biases = try Biases(file)
        var layers: [Layer] = []
        for index in 0..<h.layerCount {
            let prefix = "blk.\(h.firstLayer + index)."
            func linear(_ name: String, _ rows: Int, _ columns: Int, _ biases: inout Biases) throws(Llama2Error) -> Linear {
                Linear(
                    try Self.matrix(file, prefix + name + ".weight", rows: rows, columns: columns),
                    bias: try biases.next(file, prefix + name + ".bias", rows))
            }
            layers.append(
                Layer(
                    attentionNorm: try Self.vector(file, prefix + "attn_norm.weight", e),
                    q: try linear("attn_q", h.queryLength, e, &biases), k: try linear("attn_k", h.keyLength, e, &biases),
                    v: try linear("attn_v", h.keyLength, e, &biases),
                    attentionOutput: try linear("attn_output", e, h.queryLength, &biases),
                    feedForwardNorm: try Self.vector(file, prefix + "ffn_norm.weight", e),
                    gate: try linear("ffn_gate", f, e, &biases), up: try linear("ffn_up", f, e, &biases),
                    down: try linear("ffn_down", e, f, &biases)))
        }
        self.layers = layers
        self.biases = biases
        let isLong = h.ropeScaling.kind == .longrope
        ropeFactors = isLong ? nil : try Self.factors(file, "rope_freqs.weight", h)
        ropeFactorsLong = isLong ? try Self.factors(file, "rope_factors_long.weight", h) : nil
        ropeFactorsShort = isLong ? try Self.factors(file, "rope_factors_short.weight", h) : nil
        for (name, isUsed) in [("rope_freqs.weight", !isLong), ("rope_factors_long.weight", isLong), ("rope_factors_short.weight", isLong)] {
            guard file.tensor(name) == nil || isUsed else {
                throw Llama2Error(
                    .unsupported, "tensor \(name) is not one of a model whose \(MetadataKey.ropeScalingType) is \(isLong ? "longrope" : "not longrope")")
            }
            guard !isLong || !isUsed || file.tensor(name) != nil else { throw Llama2Error(.corrupt, "tensor \(name) is missing") }
        }
        try Self.refuseLeftOver(file, layers: h.allLayers)
    }

    /// A positive number for each pair that RoPE rotates.
    private static func factors(_ file: ModelFile, _ name: String, _ h: Hyperparameters) throws(Llama2Error) -> UnsafePointer<Float>? {
        guard file.tensor(name) != nil else { return nil }
        let factors = try vector(file, name, h.ropeDimension / 2)
        for i in 0..<h.ropeDimension / 2 {
            guard factors[i].isFinite, factors[i] > 0 else {
                throw Llama2Error(.corrupt, "\(name)[\(i)] is \(factors[i]), expected a positive number")
            }
        }
        return factors
    }

    /// What a file holds is used or known to be of no use; anything else would be passed over.
    private static func refuseLeftOver(_ file: ModelFile, layers: Int) throws(Llama2Error) {
        for tensor in file.tensors where !TensorNames.isUsed(tensor.name, layers: layers) && !TensorNames.isHarmless(tensor.name) {
            throw Llama2Error(
                .unsupported, "tensor \(tensor.name) is none that a Llama of \(layers) layers has: the model would not be what the file says")
        }
    }

    private static func matrix(_ file: ModelFile, _ name: String, rows: Int, columns: Int) throws(Llama2Error) -> Matrix {
        guard let tensor = file.tensor(name) else { throw Llama2Error(.corrupt, "tensor \(name) is missing") }
        guard tensor.shape == [columns, rows] || (rows == 1 && tensor.shape == [columns]) else {
            throw Llama2Error(.corrupt, "tensor \(name) has shape \(tensor.shape), expected [\(columns), \(rows)]")
        }
        guard let base = tensor.data.baseAddress else { throw Llama2Error(.corrupt, "tensor \(name) is empty") }
        return Matrix(data: base, type: tensor.type, rows: rows, columns: columns)
    }

    private static func vector(_ file: ModelFile, _ name: String, _ count: Int) throws(Llama2Error) -> UnsafePointer<Float> {
        guard let tensor = file.tensor(name) else { throw Llama2Error(.corrupt, "tensor \(name) is missing") }
        guard tensor.shape == [count] else {
            throw Llama2Error(.corrupt, "tensor \(name) has shape \(tensor.shape), expected [\(count)]")
        }
        guard tensor.type == .f32, let base = tensor.data.baseAddress else {
            throw Llama2Error(.unsupported, "tensor \(name) has type \(tensor.type.name), expected F32")
        }
        return base.assumingMemoryBound(to: Float.self)
    }
}
