internal import Glibc

/// A whole file mapped read-only. Nothing is read until it is touched, and nothing is copied.
///
/// If another process truncates the file while it is mapped, touching the lost pages raises
/// SIGBUS in this process: the operating system gives no other answer for a mapping.
public final class MappedFile: @unchecked Sendable {
    public let path: String
    public let bytes: UnsafeRawBufferPointer

    public init(path: String) throws(Llama2Error) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw MappedFile.failure("cannot open", path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw MappedFile.failure("cannot stat", path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Llama2Error(.io, "\(path) is not a regular file")
        }
        let size = Int(status.st_size)
        self.path = path
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let base = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0), base != MAP_FAILED else {
            throw MappedFile.failure("cannot map \(size) bytes of", path)
        }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
    }

    deinit {
        if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }

    private static func failure(_ action: String, _ path: String) -> Llama2Error {
        let code = errno
        return Llama2Error(code == ENOMEM ? .noMemory : .io, "\(action) \(path): \(String(cString: strerror(code)))")
    }
}
