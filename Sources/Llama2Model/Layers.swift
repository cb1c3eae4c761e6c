internal import Llama2Core

/// What goes in and out where a context computes a range of a model's layers: rows (count, embedding) of the residual stream.
public struct HiddenStates {
    /// Before the first layer; nil where that is the model's first, and tokens are embedded.
    public var input: UnsafePointer<Float>?
    /// Behind the last layer; nil where nobody wants it.
    public var output: UnsafeMutablePointer<Float>?

    public init(input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?) { (self.input, self.output) = (input, output) }
}

extension Inference {
    func checkPiece(_ hidden: HiddenStates?) throws(Llama2Error) {
        let h = weights.hyperparameters
        guard hidden == nil else { return }
        guard !h.isPiece else {
            throw Llama2Error(.unsupported, "this model is a piece, \(piece): it is evaluated by llama2_eval_layers")
        }
    }

    /// Before anything changes.
    func checkHidden(_ hidden: HiddenStates?, _ count: Int, _ rows: Int) throws(Llama2Error) {
        let h = weights.hyperparameters, e = h.embeddingLength
        guard let hidden else { return }
        guard (hidden.input == nil) == h.hasEmbedding else {
            throw Llama2Error(
                .invalidArgument,
                "hidden states \(hidden.input == nil ? "are missing" : "are given") for \(piece), which \(h.hasEmbedding ? "embeds its tokens" : "needs what the layers before left")"
            )
        }
        guard h.hasOutput || hidden.output != nil else { throw Llama2Error(.invalidArgument, "nobody takes what \(piece) leave") }
        guard h.hasOutput || rows == 0 else {
            throw Llama2Error(.invalidArgument, "logits are wanted of \(piece); only the piece with the last layer has them")
        }
        // a product that would not fit is one that no host has
        guard let input = hidden.input, !count.multipliedReportingOverflow(by: e).overflow else { return }
        for i in 0..<(count * e) where !input[i].isFinite {
            throw Llama2Error(.invalidArgument, "the hidden states hold \(input[i]) in row \(i / e), column \(i % e)")
        }
    }

    /// For sentences.
    private var piece: String {
        let h = weights.hyperparameters
        return "layers \(h.firstLayer) to \(h.firstLayer + h.layerCount - 1) of \(h.allLayers)"
    }
}
