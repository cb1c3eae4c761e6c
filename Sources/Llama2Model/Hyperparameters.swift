public import Llama2Core
public import Llama2Formats

/// The shape of a Llama model. Touvron et al., LLaMA, 2023; Llama 2, 2023.
public struct Hyperparameters: Sendable, Equatable {
    public var vocabularySize: Int
    public var embeddingLength: Int
    /// Of the file, or of the range of them that was loaded.
    public var layerCount: Int
    /// Of the file's `allLayers`, the first one of the range.
    public var firstLayer = 0, allLayers: Int
    public var headCount: Int
    public var headCountKV: Int
    public var headDimension: Int
    /// Leading components of a head that are rotated; even.
    public var ropeDimension: Int
    /// q and k come with component i of a head beside i + d/2 to rotate (Hugging Face's files), not 2i and 2i + 1.
    public var rotatesHalves = false
    public var feedForwardLength: Int
    /// Positions the model was trained on.
    public var contextLength: Int
    public var rmsEpsilon: Float
    public var ropeBase: Double
    public var ropeScaling = RoPEScaling()

    public init(
        vocabularySize: Int, embeddingLength: Int, layerCount: Int, headCount: Int, headCountKV: Int,
        feedForwardLength: Int, contextLength: Int, rmsEpsilon: Float = 1e-5, ropeBase: Double = 10_000
    ) {
        self.vocabularySize = vocabularySize
        self.embeddingLength = embeddingLength
        self.layerCount = layerCount
        allLayers = layerCount
        self.headCount = headCount
        self.headCountKV = headCountKV
        headDimension = embeddingLength / headCount
        ropeDimension = headDimension
        self.feedForwardLength = feedForwardLength
        self.contextLength = contextLength
        self.rmsEpsilon = rmsEpsilon
        self.ropeBase = ropeBase
    }

    /// Whether this is a part of a model only, and whether the embedding and the output matrix are in it.
    public var isPiece: Bool { layerCount < allLayers }
    var hasEmbedding: Bool { firstLayer == 0 }
    var hasOutput: Bool { firstLayer + layerCount == allLayers }

    /// Lengths of the query vector and of the key (and value) vector of one token.
    public var queryLength: Int { headCount * headDimension }
    public var keyLength: Int { headCountKV * headDimension }

    /// Weights of a model of this shape, with its own output matrix or the embedding's.
    public func parameterCount(tiedOutput: Bool) -> Int {
        let attention = 2 * embeddingLength * queryLength + 2 * embeddingLength * keyLength
        let layer = attention + 3 * embeddingLength * feedForwardLength + 2 * embeddingLength
        return vocabularySize * embeddingLength * (tiedOutput ? 1 : 2) + layerCount * layer + embeddingLength
    }

    /// Reads and checks the `llama.*` keys. Every limit keeps later products far inside 63 bits.
    public init(metadata: Metadata, embedding: TensorInfo) throws(Llama2Error) {
        guard let architecture = try metadata.byteText(.architecture) else {
            throw Llama2Error(.corrupt, "metadata \(MetadataKey.architecture) is missing")
        }
        guard architecture == "llama" else {
            throw Llama2Error(
                .unsupported, "metadata \(MetadataKey.architecture) is \"\(ByteText(architecture.bytes.prefix(100)))\"; this version runs \"llama\"")
        }
        if let type = try metadata.byteText(.generalType), type != "model" {
            throw Llama2Error(.unsupported, "metadata \(MetadataKey.generalType) is \"\(ByteText(type.bytes.prefix(100)))\": this file is no model")
        }
        func required(_ key: MetadataKey, _ range: ClosedRange<Int>) throws(Llama2Error) -> Int {
            guard let value = try optional(key, range) else {
                throw Llama2Error(.corrupt, "metadata \(key) is missing")
            }
            return value
        }
        var layers = 1
        func optional(_ key: MetadataKey, _ range: ClosedRange<Int>) throws(Llama2Error) -> Int? {
            try metadata.integer(key, in: range, layers: layers)
        }
        embeddingLength = try required(.embeddingLength, 1...1 << 20)
        layerCount = try required(.blockCount, 1...4096)
        allLayers = layerCount
        layers = layerCount  // what follows may be said of each
        feedForwardLength = try required(.feedForwardLength, 1...1 << 22)
        contextLength = try required(.contextLength, 1...1 << 30)
        headCount = try required(.headCount, 1...65_536)
        headCountKV = try optional(.headCountKV, 1...65_536) ?? headCount
        guard headCount % headCountKV == 0 else {
            throw Llama2Error(.corrupt, "\(MetadataKey.headCount) is \(headCount), not a multiple of head_count_kv, \(headCountKV)")
        }
        if let given = try metadata.integer(.keyLength, in: 1...65_536) {
            headDimension = given
        } else {
            guard embeddingLength % headCount == 0 else {
                throw Llama2Error(.corrupt, "\(MetadataKey.embeddingLength) is \(embeddingLength), not a multiple of attention.head_count, \(headCount)")
            }
            headDimension = embeddingLength / headCount
        }
        guard try metadata.integer(.valueLength, in: 1...65_536) ?? headDimension == headDimension else {
            throw Llama2Error(.unsupported, "\(MetadataKey.valueLength) differs from the key length \(headDimension)")
        }
        ropeDimension = try metadata.integer(.ropeDimensionCount, in: 0...headDimension) ?? headDimension
        guard ropeDimension % 2 == 0 else {
            throw Llama2Error(.corrupt, "\(MetadataKey.ropeDimensionCount) is \(ropeDimension), expected an even number")
        }
        guard let epsilon = try metadata.float(.rmsEpsilon) else {
            throw Llama2Error(.corrupt, "metadata \(MetadataKey.rmsEpsilon) is missing")
        }
        guard epsilon >= 0, epsilon <= 1 else {
            throw Llama2Error(.corrupt, "\(MetadataKey.rmsEpsilon) is \(epsilon), expected 0 to 1")
        }
        rmsEpsilon = Float(epsilon)
        ropeBase = try metadata.float(.ropeBase) ?? 10_000
        guard ropeBase >= 1, ropeBase <= 1e12 else {
            throw Llama2Error(.corrupt, "\(MetadataKey.ropeBase) is \(ropeBase), expected 1 to 1e12")
        }
        ropeScaling = try RoPEScaling(metadata: metadata, contextLength: contextLength, layers: layerCount)
        vocabularySize = embedding.rows
        guard vocabularySize <= 1 << 26 else {
            throw Llama2Error(.unsupported, "a vocabulary of \(vocabularySize); the limit is \(1 << 26)")
        }
        if let stated = try metadata.integer(.vocabularySize, in: 1...1 << 26), stated != vocabularySize {
            throw Llama2Error(.corrupt, "\(MetadataKey.vocabularySize) is \(stated), but token_embd.weight has \(vocabularySize) rows")
        }
        try MetadataKeys.check(metadata, self)
    }
}
