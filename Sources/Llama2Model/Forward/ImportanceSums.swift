public import Llama2Core

/// Sums over tokens of the squares of each matrix's input, column by column: how much an error in a column matters.
/// (layers, embedding + query + embedding + feedForward) F32: the inputs of q k v, of attn_output, of gate and up, of down.
public final class ImportanceSums {
    private let shape: Hyperparameters
    private let memory: AlignedBuffer<Float>
    public internal(set) var tokens = 0

    public init(_ weights: Weights) throws(Llama2Error) {
        shape = weights.hyperparameters
        let width = ImportanceSums.offset(shape, 1, 0)
        memory = try AlignedBuffer(count: try checkedMultiply(width, shape.layerCount, "importance", .noMemory), of: "importance")
    }

    var pointer: UnsafeMutablePointer<Float> { memory.pointer }

    static func offset(_ h: Hyperparameters, _ layer: Int, _ kind: Int) -> Int {
        // no list: the threads of a pass ask
        var offset = layer &* (2 &* h.embeddingLength &+ h.queryLength &+ h.feedForwardLength)
        if kind > 0 { offset &+= h.embeddingLength }
        if kind > 1 { offset &+= h.queryLength }
        if kind > 2 { offset &+= h.embeddingLength }
        return offset
    }

    /// (GGUF name, columns' sums) of every matrix.
    public func forEach(_ body: (String, UnsafeBufferPointer<Float>) throws(Llama2Error) -> Void) throws(Llama2Error) {
        let names = [["attn_q", "attn_k", "attn_v"], ["attn_output"], ["ffn_gate", "ffn_up"], ["ffn_down"]]
        let lengths = [shape.embeddingLength, shape.queryLength, shape.embeddingLength, shape.feedForwardLength]
        for layer in 0..<shape.layerCount {
            for kind in 0..<4 {
                let sums = UnsafeBufferPointer(
                    start: memory.pointer + ImportanceSums.offset(shape, layer, kind), count: lengths[kind])
                for name in names[kind] { try body("blk.\(layer).\(name).weight", sums) }
            }
        }
    }
}
