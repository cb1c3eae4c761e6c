internal import Glibc

/// A whole file mapped read-only. Nothing is read until it is touched, and nothing is copied.
///
/// If another process truncates the file while it is mapped, touching the lost pages raises
/// SIGBUS in this process: the operating system gives no other answer for a mapping. Hosts that
/// cannot rule that out ask for a copy, which is read in full into memory of its own.
public final class MappedFile: @unchecked Sendable {
    public let path: String
    public let bytes: UnsafeRawBufferPointer

    public init(path: String, copy: Bool = false) throws(Llama2Error) {
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
        let base =
            copy
            ? mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            : mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0)
        guard let base, base != MAP_FAILED else { throw MappedFile.failure("cannot map \(size) bytes of", path) }
        if copy {
            do throws(Llama2Error) {
                try MappedFile.read(descriptor, base, size, path)
            } catch {
                munmap(base, size)
                throw error
            }
        }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
    }

    deinit {
        if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }

    /// Whether something is there under this name.
    public static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0
    }

    public static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func read(_ descriptor: Int32, _ base: UnsafeMutableRawPointer, _ size: Int, _ path: String)
        throws(Llama2Error)
    {
        var done = 0
        while done < size {
            let count = Glibc.read(descriptor, base + done, size - done)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw failure("cannot read", path) }
            guard count > 0 else {
                throw Llama2Error(.corrupt, "\(path) became shorter while it was read: \(done) of \(size) bytes")
            }
            done += count
        }
    }

    private static func failure(_ action: String, _ path: String) -> Llama2Error {
        let code = errno
        return Llama2Error(code == ENOMEM ? .noMemory : .io, "\(action) \(path): \(String(cString: strerror(code)))")
    }
}
