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

/// The input of a multiplication, in both forms: floats for float weights, int8 for the others.
/// The int8 form comes in tiles of `width` tokens that lie side by side: see `multiplyQuantized`.
public struct Activations: BitwiseCopyable {
    public let f32: UnsafePointer<Float>  // (tokens, columns)
    public let q: UnsafeMutablePointer<Int8>  // (tokens / width, columns / 32, width, 32)
    public let scale: UnsafeMutablePointer<Float>  // (tokens / width, columns / 32, width)
    public let corrections: UnsafeMutablePointer<Int32>  // (tokens / width, columns / 32, width, 4)
    public let width: Int

    public init(
        f32: UnsafePointer<Float>, q: UnsafeMutablePointer<Int8>, scale: UnsafeMutablePointer<Float>,
        corrections: UnsafeMutablePointer<Int32>, tokens: Int
    ) {
        self.f32 = f32
        self.q = q
        self.scale = scale
        self.corrections = corrections
        width = Activations.width(tokens)
    }

    /// Tiles of eight as soon as there are eight tokens.
    public static func width(_ tokens: Int) -> Int { tokens >= 8 ? 8 : 1 }

    /// Blocks that the int8 form of `tokens` tokens takes: whole tiles.
    public static func blocks(_ tokens: Int, columns: Int) -> Int {
        let w = width(tokens)
        return (tokens + w - 1) / w * w * (columns / 32)
    }
}
