public import Llama2Core
public import Llama2Formats
internal import Llama2Grammar
public import Llama2Model
public import Llama2Tokenizer

/// A loaded model: weights and vocabulary. Immutable; any number of contexts and threads share it.
public final class Model: Sendable {
    private let file: ModelFile
    /// nil when the file has a vocabulary and no weights.
    private let weights_: Weights?
    /// nil when the file has no vocabulary.
    private let tokenizer_: Tokenizer?
    let grammarVocabulary_ = Kept<GrammarVocabulary>()

    public convenience init(path: FilePath, _ options: LoadOptions) throws(Llama2Error) {
        try self.init(try ModelFile.open(path: path, options), options)
    }

    /// One file without a name: memory, a descriptor, what a host reads.
    public convenience init(file: MappedFile, _ options: LoadOptions) throws(Llama2Error) {
        try self.init(try ModelFile.open(file, options), options)
    }

    private init(_ file: ModelFile, _ options: LoadOptions) throws(Llama2Error) {
        self.file = file
        if file.isVocabularyOnly {
            weights_ = nil
            let count = try file.metadata.byteStrings(.tokens)?.count ?? 0
            guard count <= 1 << 26 else { throw Llama2Error(.unsupported, "a vocabulary of \(count); the limit is \(1 << 26)") }
            guard let tokenizer = try Model.tokenizer(file.metadata, count: count) else {
                throw Llama2Error(.unsupported, "this file holds neither weights nor a vocabulary that says how it is used")
            }
            tokenizer_ = tokenizer
            vocabularySize = count
            return
        }
        let weights = try Weights(file: file, firstLayer: options.firstLayer, layerCount: options.layerCount)
        weights_ = weights
        vocabularySize = weights.hyperparameters.vocabularySize
        tokenizer_ = try Model.tokenizer(file.metadata, count: vocabularySize)
    }

    /// Refused for a file with a vocabulary and no weights.
    var weights: Weights {
        get throws(Llama2Error) {
            guard let weights_ else { throw Llama2Error(.unsupported, "this file holds a vocabulary and no weights: it can only tokenize") }
            return weights_
        }
    }
    /// Of what there is: nil, 0 and the file's size for a vocabulary alone.
    public var shape: Hyperparameters? { weights_?.hyperparameters }
    public var parameterCount: Int { weights_?.parameterCount ?? 0 }
    public var byteCount: Int { weights_?.byteCount ?? file.byteCount }
    /// Refused for a file with a vocabulary and no weights.
    public var hyperparameters: Hyperparameters {
        get throws(Llama2Error) { try weights.hyperparameters }
    }
    public let vocabularySize: Int

    public var metadata: Metadata { file.metadata }
    public var tensors: [TensorInfo] { file.tensors }

    /// A LoRA adapter or a control vector for this model.
    public func adapter(path: FilePath) throws(Llama2Error) -> Adapter {
        let weights = try weights
        return try Adapter(try AdapterFile.open(path: path, layers: weights.hyperparameters.allLayers), for: weights, path)
    }

    public func tokenizer() throws(Llama2Error) -> Tokenizer {
        guard let tokenizer_ else { throw Llama2Error(.unsupported, "this model file has no vocabulary") }
        return tokenizer_
    }

    /// For people: "llama 134.5M, Q4_1, 30 layers, GGUF v3".
    public var description: String {
        guard let weights = weights_ else { return "vocabulary of \(vocabularySize) tokens without weights, \(file.formatDescription)" }
        let count = weights.parameterCount
        let size =
            count >= 1_000_000_000
            ? Model.oneDecimal(count / 100_000_000) + "B"
            : count >= 1_000_000 ? Model.oneDecimal(count / 100_000) + "M" : Model.oneDecimal(count / 100) + "K"
        let h = weights.hyperparameters
        let layers = h.isPiece ? "\(h.layerCount) of \(h.allLayers)" : String(h.layerCount)
        return
            "llama \(size), \(weights.mainType.name), \(layers) layers, \(file.formatDescription)"
    }

    private static func oneDecimal(_ tenths: Int) -> String { "\(tenths / 10).\(tenths % 10)" }
}
