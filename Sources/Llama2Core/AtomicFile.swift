internal import Glibc

/// A file that is written whole or not at all.
///
/// Everything goes to a temporary file beside the target, which takes the target's name when all is written and on
/// the disk: whatever fails, the old file or the complete new one is there, and nothing else.
public final class AtomicFile {
    private let path: FilePath, temporary: FilePath
    private var descriptor: Int32
    private var buffer: GrowingBuffer<UInt8>
    /// Written at once; and what is gathered until there are so many.
    private static let bufferBytes = 1 << 20, smallBytes = 1 << 16
    /// Bytes that `write` got.
    public private(set) var count = 0
    /// Bytes that the system has; those on their way to the disk; how many may be.
    private var written = 0, behind = 0
    private static let behindBytes = 32 << 20
    /// What is waited for at its end before `finish` asks again: a slow disk's tenth of a second.
    private static let waitedBytes = 4 << 20
    private var finished = false
    private let process = Process.current

    public init(_ given: FilePath) throws(Llama2Error) {
        let output = try OutputPath(given)
        path = output.path
        buffer = try GrowingBuffer(capacity: AtomicFile.bufferBytes + AtomicFile.smallBytes, of: "buffer of a file")
        (temporary, descriptor) = try output.create()
    }

    public func write(_ bytes: RawSpan) throws(Llama2Error) {
        count += bytes.byteCount
        if bytes.byteCount < AtomicFile.smallBytes {
            try buffer.append(bytes)
            if buffer.count >= AtomicFile.bufferBytes { try flush() }
            return
        }
        try flush()
        try put(bytes)
    }

    public func write<T: BitwiseCopyable>(_ values: [T]) throws(Llama2Error) {
        // not values.span: optimised code (Swift 6.3.1) gives the array's memory back before the span is read where the caller is another module
        try values.withRawBytes { (bytes) throws(Llama2Error) in try write(bytes.bytes) }
    }

    private func flush() throws(Llama2Error) {
        try put(buffer.bytes.bytes)
        buffer.removeAll()
    }

    private func put(_ bytes: RawSpan) throws(Llama2Error) {
        var done = 0
        while done < bytes.byteCount {
            let count = bytes.withUnsafeBytes { bytes in
                withoutFileSizeSignal { uninterrupted { Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done) } }
            }
            guard count > 0 else { throw OutputPath.failure("cannot write", temporary) }
            done += count
        }
        written += bytes.byteCount
        if written - behind >= AtomicFile.behindBytes {
            guard writeBehind(descriptor, from: behind, until: max(0, behind - AtomicFile.behindBytes)) else {
                throw OutputPath.failure("cannot write", temporary)
            }
            behind = written
        }
    }

    /// To the disk, and under its name. `check` is asked while the disk works and once before the name: what it throws leaves everything as it was.
    public func finish(_ check: () throws(Llama2Error) -> Void = {}) throws(Llama2Error) {
        try flush()
        var waited = max(0, behind - AtomicFile.behindBytes)
        while waited < written {
            waited = min(written, waited + AtomicFile.waitedBytes)
            guard writeBehind(descriptor, from: behind, until: waited) else { throw OutputPath.failure("cannot write", temporary) }
            behind = written
            try check()
        }
        guard uninterrupted({ fsync(descriptor) }) == 0 else { throw OutputPath.failure("cannot write", temporary) }
        try check()
        let closed = closeDescriptor(descriptor)
        descriptor = -1
        guard closed else { throw OutputPath.failure("cannot write", temporary) }
        let renamed = temporary.withBytes { old in path.withBytes { new in uninterrupted { rename(old, new) } } }
        guard renamed == 0 else { throw OutputPath.failure("cannot rename to", path) }
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
}

extension Array where Element: BitwiseCopyable {
    /// The standard library's closure would erase the error's type.
    public func withRawBytes<T: ~Copyable>(_ body: (UnsafeRawBufferPointer) throws(Llama2Error) -> T) throws(Llama2Error) -> T {
        var result: Result<T, Llama2Error>?
        withUnsafeBytes { bytes in
            do throws(Llama2Error) { result = .success(try body(bytes)) } catch { result = .failure(error) }
        }
        guard let result else { throw Llama2Error(.invalidArgument, "no bytes") }
        return try result.get()
    }
}
