public import Llama2Core

/// Writes a GGUF file, version 3: directory first, then the tensors' bytes in order.
public final class GGUFWriter {
    public struct Tensor: Sendable {
        public let name: ByteText, type: BlockType, shape: [Int], size: Int

        public init(name: ByteText, type: BlockType, shape: [Int]) throws(Llama2Error) {
            self.name = name
            self.type = type
            self.shape = shape
            guard let columns = shape.first, let row = type.rowBytes(columns) else {
                throw Llama2Error(.invalidArgument, "tensor \(name) of shape \(shape) cannot be \(type.name)")
            }
            size = try checkedMultiply(row, shape.dropFirst().reduce(1, &*), "bytes of tensor \(name)")
        }
    }

    private static let alignment = 32
    private let file: AtomicFile

    public init(path: FilePath, metadata: Metadata, tensors: [Tensor]) throws(Llama2Error) {
        file = try AtomicFile(path)
        var head = try GrowingBuffer<UInt8>(of: "metadata")
        try head.append("GGUF")
        try head.append(number: UInt32(3))
        try head.append(number: UInt64(tensors.count))
        try head.append(number: UInt64(metadata.keys.count))
        for key in metadata.keys {
            try metadata.encode(key, to: &head)
            try file.write(head.rawSpan)
            head.removeAll()
        }
        var offset = 0
        for tensor in tensors {
            try head.append(text: tensor.name)
            try head.append(number: UInt32(tensor.shape.count))
            for length in tensor.shape { try head.append(number: UInt64(length)) }
            try head.append(number: tensor.type.rawValue)
            try head.append(number: UInt64(offset))
            offset = try alignUp(try checkedAdd(offset, tensor.size, "size of the file"), GGUFWriter.alignment, "size of the file")
            try file.write(head.rawSpan)
            head.removeAll()
        }
        try file.write(head.rawSpan)
        try pad()
    }

    /// The next bytes of the current tensor.
    public func write(_ bytes: RawSpan) throws(Llama2Error) { try file.write(bytes) }

    func write<T: BitwiseCopyable>(_ values: [T]) throws(Llama2Error) { try file.write(values) }

    /// After the last byte of a tensor.
    public func pad() throws(Llama2Error) {
        while file.count & (GGUFWriter.alignment - 1) != 0 {
            try file.write([UInt8(0)])
        }
    }

    /// To the disk, and under its name, unless `check` throws until then.
    public func finish(_ check: () throws(Llama2Error) -> Void = {}) throws(Llama2Error) { try file.finish(check) }
}

extension GrowingBuffer<UInt8> {
    mutating func append<T: FixedWidthInteger & BitwiseCopyable>(number: T) throws(Llama2Error) {
        var value = number.littleEndian
        for _ in 0..<MemoryLayout<T>.size {
            try append(UInt8(truncatingIfNeeded: value))
            value >>= 8
        }
    }

    mutating func append(text: ByteText) throws(Llama2Error) {
        try append(number: UInt64(text.count))
        for byte in text.bytes { try append(byte) }
    }

    mutating func append(text: UnsafeRawBufferPointer) throws(Llama2Error) {
        try append(number: UInt64(text.count))
        try append(text)
    }
}
