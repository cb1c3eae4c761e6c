internal import KernelOperands
public import Llama2Core

/// A weight matrix as it lies in the file: `rows` output rows of `columns` weights.
public struct Matrix: @unchecked Sendable, BitwiseCopyable {
    public let data: UnsafeRawPointer
    public let type: BlockType
    public let rows: Int
    public let columns: Int
    public let rowBytes: Int

    /// The caller has checked that `data` holds `rows` rows of `type.rowBytes(columns)` bytes.
    public init(data: UnsafeRawPointer, type: BlockType, rows: Int, columns: Int) {
        self.data = data
        self.type = type
        self.rows = rows
        self.columns = columns
        rowBytes = type.rowBytes(columns) ?? 0
    }

    /// Panels of 16 rows, the last one possibly short: the unit by which threads divide a matrix.
    public var panels: Int { rows / 16 + (rows % 16 == 0 ? 0 : 1) }

    /// The rows of panel `index` as a matrix of their own.
    public func onePanel(_ index: Int) -> Matrix {
        Matrix(data: panel(index), type: type, rows: Swift.min(16, rows &- 16 &* index), columns: columns, rowBytes: rowBytes)
    }

    private init(data: UnsafeRawPointer, type: BlockType, rows: Int, columns: Int, rowBytes: Int) {
        self.data = data
        self.type = type
        self.rows = rows
        self.columns = columns
        self.rowBytes = rowBytes
    }

    /// Where panel `index` begins; beyond the last one, where the matrix ends.
    public func panel(_ index: Int) -> UnsafeRawPointer { data + Swift.min(16 &* index, rows) &* rowBytes }
}

extension Kernels {
    /// out[t][row] = sum_k w[row][k] x[t][k] for the rows of `panels` (16 each). out: (tokens, outStride).
    /// next: what this thread will read next, nil for the panel that follows; only fetched ahead.
    public func multiply(
        _ w: Matrix, panels: Range<Int>, _ a: Activations, tokens: Int, out: UnsafeMutablePointer<Float>,
        outStride: Int, next: UnsafeRawPointer? = nil, scratch: UnsafeMutableRawPointer
    ) {
        let first = panels.lowerBound, end = panels.upperBound, ahead = next ?? w.panel(end)
        if w.type.isFloat {
            let o = FloatProductOperands(
                data: w.data, next: ahead, columns: w.columns, first_row: first &* 16,
                end_row: Swift.min(end &* 16, w.rows), x: a.f32, tokens: tokens, out: out, out_stride: outStride,
                scratch: scratch, type: w.type.rawValue)
            withUnsafePointer(to: o) { if !table.multiplyFloats($0) { _ = second.multiplyFloats($0) } }
            return
        }
        let o = ProductOperands(
            data: w.data, next: ahead, row_bytes: w.rowBytes, rows: w.rows, columns: w.columns, first_panel: first,
            end_panel: end, q: a.q, s: a.scale, c: a.corrections, tokens: tokens, width: a.width, out: out,
            out_stride: outStride, scratch: scratch, type: w.type.rawValue)
        withUnsafePointer(to: o) {
            if !table.multiply($0) && !second.multiply($0) && !third.multiply($0) { _ = Kernels.reference.table.multiply($0) }
        }
    }
}
