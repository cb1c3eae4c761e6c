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
}

/// The input of a multiplication, in both forms: floats for float weights, int8 for the others.
public struct Activations: BitwiseCopyable {
    public let f32: UnsafePointer<Float>  // (tokens, columns)
    public let q: UnsafePointer<Int8>  // (tokens, columns)
    public let scale: UnsafePointer<Float>  // (tokens, columns/32)
    public let sum: UnsafePointer<Int32>  // (tokens, columns/32), packed: see quantizeRow

    public init(
        f32: UnsafePointer<Float>, q: UnsafePointer<Int8>, scale: UnsafePointer<Float>, sum: UnsafePointer<Int32>
    ) {
        self.f32 = f32
        self.q = q
        self.scale = scale
        self.sum = sum
    }
}
