public import Llama2Core

/// A named tensor, as a view of the mapped file.
public struct TensorInfo: @unchecked Sendable {
    public let name: String
    public let type: BlockType
    /// Row length first, as in GGUF: `[columns, rows, ...]`.
    public let shape: [Int]
    public let data: UnsafeRawBufferPointer

    public var columns: Int { shape[0] }
    /// Rows of all higher dimensions together; their product was checked when the file was read.
    public var rows: Int { shape.dropFirst().reduce(1, &*) }
}
