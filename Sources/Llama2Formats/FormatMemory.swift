public import Llama2Core

/// What the parts of a model file become while it is read: every format makes the same of them.
extension MemoryReserve {
    /// Tensors by name: what the file says of each, its place among the others, and what becomes of it, each with a name and a shape.
    public static func cover(tensors count: Int, for what: @autoclosure () -> String) throws(Llama2Error) {
        try cover(3 * .list(count, of: TensorInfo.self) + 2 * .table(count, of: ByteText.self, Int.self) + .texts(8 * count), for: what())
    }

    /// Metadata: keys and values by name. What the values hold lies in the file.
    public static func cover(keys count: Int, for what: @autoclosure () -> String) throws(Llama2Error) {
        try cover(.list(count, of: ByteText.self) + .table(count, of: ByteText.self, Metadata.Value.self) + .texts(2 * count), for: what())
    }

    /// Tokens with scores and types, or merges, of `bytes` in all: as the file has them, and once more as they become.
    public static func cover(vocabulary count: Int, bytes: Int = 0, for what: @autoclosure () -> String) throws(Llama2Error) {
        try cover(
            2 * (.list(count, of: [UInt8].self) + .list(count, of: Float.self) + .list(count, of: Int32.self)) + .texts(3 * count, bytes: bytes),
            for: what())
    }
}
