internal import Llama2Core
internal import Llama2Kernels

/// A product of the model with what is added to it: y = W x + b.
///
/// A row's bias is one F32 addition to the finished dot product, wherever the row is computed, so that the numeric
/// contract (threads, splits, batch, kernels) holds with it too. Whoever multiplies does not see whether there is one.
struct Linear: BitwiseCopyable {
    let matrix: Matrix  // (rows, columns)
    /// (rows) F32; nil for none.
    let bias: UnsafePointer<Float>?

    init(_ matrix: Matrix, bias: UnsafePointer<Float>? = nil) {
        self.matrix = matrix
        self.bias = bias
    }

    var panels: Int { matrix.panels }
    var columns: Int { matrix.columns }
    var type: BlockType { matrix.type }
    var data: UnsafeRawPointer { matrix.data }

    func panel(_ index: Int) -> UnsafeRawPointer { matrix.panel(index) }

    /// out[t][row] = sum_k w[row][k] x[t][k] + b[row] for the rows of `panels`; out: (tokens, outStride), row 0 at its
    /// beginning. next, scratch: see `Kernels.multiply`.
    @inline(__always)
    func multiply(
        _ kernels: borrowing Kernels, panels: Range<Int>, _ input: Activations, tokens: Int,
        out: UnsafeMutablePointer<Float>, outStride: Int, next: UnsafeRawPointer, scratch: UnsafeMutableRawPointer
    ) {
        kernels.multiply(
            matrix, panels: panels, input, tokens: tokens, out: out, outStride: outStride, next: next, scratch: scratch)
        guard let bias else { return }
        let first = 16 &* panels.lowerBound, count = min(16 &* panels.upperBound, matrix.rows) &- first
        for t in 0..<tokens { kernels.table.add(out + (t &* outStride &+ first), bias + first, count) }
    }
}

extension Linear {
    /// The 16 rows (the last panel may have fewer) of panel `index` as a product of their own, so that its output begins
    /// where it is written.
    @inline(__always)
    func onePanel(_ index: Int) -> Linear {
        Linear(matrix.onePanel(index), bias: bias.map { $0 + 16 &* index })
    }
}
