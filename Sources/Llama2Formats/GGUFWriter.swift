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
        try MemoryReserve.cover(metadata.byteCount, each: 4, for: "metadata of \(path)")
        var head: [UInt8] = Array("GGUF".utf8)
        head.append(number: UInt32(3))
        head.append(number: UInt64(tensors.count))
        head.append(number: UInt64(metadata.keys.count))
        for key in metadata.keys {
            metadata.encode(key, to: &head)
            try file.write(head)
            head.removeAll(keepingCapacity: true)
        }
        var offset = 0
        for tensor in tensors {
            head.append(text: tensor.name.bytes)
            head.append(number: UInt32(tensor.shape.count))
            for length in tensor.shape { head.append(number: UInt64(length)) }
            head.append(number: tensor.type.rawValue)
            head.append(number: UInt64(offset))
            offset = try alignUp(try checkedAdd(offset, tensor.size, "size of the file"), GGUFWriter.alignment, "size of the file")
            try file.write(head)
            head.removeAll(keepingCapacity: true)
        }
        try file.write(head)
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

    /// To the disk, and under its name.
    public func finish() throws(Llama2Error) { try file.finish() }
}

extension [UInt8] {
    mutating func append<T: FixedWidthInteger>(number: T) {
        var value = number.littleEndian
        Swift.withUnsafeBytes(of: &value) { self += $0 }
    }

    mutating func append(text: [UInt8]) {
        append(number: UInt64(text.count))
        self += text
    }
}
