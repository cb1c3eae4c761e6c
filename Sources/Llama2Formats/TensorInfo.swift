public import Llama2Core

/// A named tensor, as a view of the mapped file.
public struct TensorInfo: @unchecked Sendable {
    public let name: ByteText
    public let type: BlockType
    /// Row length first, as in GGUF: `[columns, rows, ...]`.
    public let shape: [Int]
    public let data: UnsafeRawBufferPointer

    /// Tensors of a model: ten times those of the largest Llama. Each takes some hundred bytes of memory, more than it
    /// may take in a file.
    static let most = 1 << 16

    /// Of a norm, which is copied where it is not F32: the longest embedding that is read.
    static let longestVector = 1 << 20

    public var columns: Int { shape[0] }
    /// Rows of all higher dimensions together; their product was checked when the file was read.
    public var rows: Int { shape.dropFirst().reduce(1, &*) }
}
