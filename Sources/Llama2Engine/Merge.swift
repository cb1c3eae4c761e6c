internal import Llama2Core
internal import Llama2Formats
internal import Llama2Model

/// An adapter that becomes part of a model's weights: W + s B A.
struct Merge {
    typealias Addition = Adapter.Addition

    private let adapter: Adapter
    private let scale: Float

    init(_ path: FilePath, _ scale: Float, _ weights: Weights) throws(Llama2Error) {
        adapter = try Adapter(try AdapterFile.open(path: path, layers: weights.hyperparameters.allLayers), for: weights, path)
        self.scale = scale
        guard adapter.productCount > 0 else { throw Llama2Error(.unsupported, "\(path) is a control vector: it adds to no weights and cannot be merged") }
        guard weights.file.tensor("output.weight") != nil || adapter.addition(to: "output.weight", scale) == nil else {
            throw Llama2Error(
                .unsupported, "\(path) adapts the output matrix, which this model shares with the embedding: it cannot be merged without changing that too")
        }
    }

    /// nil: the tensor stays as it is.
    func of(_ name: ByteText) -> Addition? { adapter.addition(to: name, scale) }
}
