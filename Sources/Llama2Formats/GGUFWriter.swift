internal import Glibc
public import Llama2Core

/// Writes a GGUF file, version 3: directory first, then the tensors' bytes in order.
///
/// Everything goes to a temporary file beside the target, which takes the target's name when all is written and on
/// the disk: whatever fails, the old file or the complete new one is there, and nothing else.
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
    private let path: FilePath, temporary: FilePath
    private var descriptor: Int32
    private var buffer: GrowingBuffer<UInt8>
    /// Written at once; and what is gathered until there are so many.
    private static let bufferBytes = 1 << 20, smallBytes = 1 << 16
    private var position = 0
    /// Bytes that the system has; those on their way to the disk; how many may be.
    private var written = 0, behind = 0
    private static let behindBytes = 32 << 20
    private var finished = false
    private let process = Process.current

    public init(path given: FilePath, metadata: Metadata, tensors: [Tensor]) throws(Llama2Error) {
        let output = try OutputPath(given)
        path = output.path
        buffer = try GrowingBuffer(capacity: GGUFWriter.bufferBytes + GGUFWriter.smallBytes, of: "buffer of a file")
        (temporary, descriptor) = try output.create()
        try MemoryReserve.cover(metadata.byteCount, each: 4, for: "metadata of \(path)")
        var head: [UInt8] = Array("GGUF".utf8)
        head.append(number: UInt32(3))
        head.append(number: UInt64(tensors.count))
        head.append(number: UInt64(metadata.keys.count))
        for key in metadata.keys {
            metadata.encode(key, to: &head)
            try write(head)
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
            try write(head)
            head.removeAll(keepingCapacity: true)
        }
        try write(head)
        try pad()
    }

    /// A file of another format, written in the same way: what `write` gets is all that it holds.
    public init(raw given: FilePath) throws(Llama2Error) {
        let output = try OutputPath(given)
        path = output.path
        buffer = try GrowingBuffer(capacity: GGUFWriter.bufferBytes + GGUFWriter.smallBytes, of: "buffer of a file")
        (temporary, descriptor) = try output.create()
    }

    /// The next bytes of the current tensor.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) {
        position += bytes.count
        if bytes.count < GGUFWriter.smallBytes {
            try buffer.append(bytes)
            if buffer.count >= GGUFWriter.bufferBytes { try flush() }
            return
        }
        try flush()
        try put(bytes)
    }

    private func write(_ bytes: [UInt8]) throws(Llama2Error) {
        try bytes.withBytes { (bytes) throws(Llama2Error) in try write(bytes) }
    }

    /// After the last byte of a tensor.
    public func pad() throws(Llama2Error) {
        while position & (GGUFWriter.alignment - 1) != 0 {
            try buffer.append(0)
            position += 1
        }
    }

    private func flush() throws(Llama2Error) {
        try put(buffer.bytes)
        buffer.removeAll()
    }

    private func put(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) {
        var done = 0
        while done < bytes.count {
            let count = withoutFileSizeSignal { uninterrupted { Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done) } }
            guard count > 0 else { throw GGUFWriter.failure("cannot write", temporary) }
            done += count
        }
        written += bytes.count
        if written - behind >= GGUFWriter.behindBytes {
            guard writeBehind(descriptor, from: behind, until: max(0, behind - GGUFWriter.behindBytes)) else {
                throw GGUFWriter.failure("cannot write", temporary)
            }
            behind = written
        }
    }

    /// To the disk, and under its name.
    public func finish() throws(Llama2Error) {
        try flush()
        guard uninterrupted({ fsync(descriptor) }) == 0 else { throw GGUFWriter.failure("cannot write", temporary) }
        let closed = closeDescriptor(descriptor)
        descriptor = -1
        guard closed else { throw GGUFWriter.failure("cannot write", temporary) }
        let renamed = temporary.withBytes { old in path.withBytes { new in uninterrupted { rename(old, new) } } }
        guard renamed == 0 else { throw GGUFWriter.failure("cannot rename to", path) }
        finished = true
        // the new name itself to the disk; a file system that cannot do that loses nothing
        let directory = path.folder.withBytes { folder in uninterrupted { open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) } }
        if directory >= 0 {
            _ = uninterrupted { fsync(directory) }
            _ = closeDescriptor(directory)
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        // a child must not take away what its parent is writing
        if !finished && process == Process.current { _ = temporary.withBytes { unlink($0) } }
    }

    private static func failure(_ action: String, _ path: FilePath) -> Llama2Error {
        let code = errno
        return Llama2Error(.io, "\(action) \(path): \(String(cString: strerror(code)))", systemError: code)
    }
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

extension Array where Element: BitwiseCopyable {
    /// With the type of the error kept, which the library's own closures erase.
    func withBytes(_ body: (UnsafeRawBufferPointer) throws(Llama2Error) -> Void) throws(Llama2Error) {
        let result = withUnsafeBytes { bytes -> Result<Void, Llama2Error> in
            do throws(Llama2Error) { return .success(try body(bytes)) } catch { return .failure(error) }
        }
        try result.get()
    }
}
