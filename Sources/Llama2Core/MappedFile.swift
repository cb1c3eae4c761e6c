internal import Glibc

/// A whole file mapped read-only. Nothing is read until it is touched, and nothing is copied.
///
/// If another process truncates the file while it is mapped, touching the lost pages raises
/// SIGBUS in this process: the operating system gives no other answer for a mapping. Hosts that
/// cannot rule that out ask for a copy, which is read in full into memory of its own.
public final class MappedFile: @unchecked Sendable {
    /// What it is called in sentences, and where it lies if it came by a name.
    public let path: FilePath
    public let bytes: UnsafeRawBufferPointer
    /// False when it came without a name, so that nothing lies beside it.
    public let isNamed: Bool
    private let isOwned: Bool

    /// Only a regular file is opened: a FIFO would wait for its writer, and to open a device can do something. Should
    /// the name be given to one between the two looks, opening does not wait.
    public convenience init(path: FilePath, as memory: FileMemory = .view) throws(Llama2Error) {
        if let kind = try MappedFile.kind(path), kind != S_IFREG { throw MappedFile.notRegular(path, kind) }
        let descriptor = path.withBytes { path in uninterrupted { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) } }
        guard descriptor >= 0 else { throw MappedFile.failure("cannot open", path) }
        defer { close(descriptor) }
        try self.init(descriptor: descriptor, path: path, isNamed: true, as: memory)
    }

    /// A descriptor that is open for reading; it stays the caller's.
    public convenience init(descriptor: Int32, as memory: FileMemory = .view) throws(Llama2Error) {
        try self.init(descriptor: descriptor, path: FilePath("descriptor \(descriptor)"), isNamed: false, as: memory)
    }

    /// Bytes of the caller's, which stay as they are while this object lives; copied when that is asked for.
    public init(bytes given: UnsafeRawBufferPointer, as memory: FileMemory = .view) throws(Llama2Error) {
        path = FilePath("memory")
        isNamed = false
        isOwned = !memory.isView
        if !memory.isView, let first = given.baseAddress, given.count > 0 {
            let base = try MappedFile.anonymous(given.count, path, memory)
            base.copyMemory(from: first, byteCount: given.count)
            bytes = UnsafeRawBufferPointer(start: base, count: given.count)
        } else {
            bytes = given
        }
    }

    /// `size` bytes that `read` gives: (offset, where to, how many), 0 for success. Of these there is no view, a copy is made.
    public init(size: Int, as memory: FileMemory = .copy, read: (Int, UnsafeMutableRawPointer, Int) -> Int32) throws(Llama2Error) {
        path = FilePath("the host's file")
        isNamed = false
        isOwned = true
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let base = try MappedFile.anonymous(size, path, memory), piece = 16 << 20
        for offset in stride(from: 0, to: size, by: piece) {
            let code = read(offset, base + offset, min(piece, size - offset))
            guard code == 0 else {
                munmap(base, size)
                throw Llama2Error(.io, "the host's read at offset \(offset) returned \(code)")
            }
        }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
    }

    private static func anonymous(_ size: Int, _ path: FilePath, _ memory: FileMemory) throws(Llama2Error) -> UnsafeMutableRawPointer {
        guard let base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), base != MAP_FAILED else {
            throw failure("cannot map \(size) bytes for", path)
        }
        if memory == .interleavedCopy {
            do throws(Llama2Error) {
                try interleave(base, size)
            } catch {
                munmap(base, size)
                throw error
            }
        }
        return base
    }

    private init(descriptor: Int32, path: FilePath, isNamed: Bool, as memory: FileMemory) throws(Llama2Error) {
        self.isNamed = isNamed
        isOwned = true
        var status = stat()
        guard uninterrupted({ fstat(descriptor, &status) }) == 0 else { throw MappedFile.failure("cannot stat", path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw MappedFile.notRegular(path, status.st_mode & S_IFMT) }
        let size = Int(status.st_size)
        self.path = path
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let base: UnsafeMutableRawPointer
        if !memory.isView {
            base = try MappedFile.anonymous(size, path, memory)
        } else {
            guard let mapped = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0), mapped != MAP_FAILED else {
                throw MappedFile.failure("cannot map \(size) bytes of", path)
            }
            base = mapped
        }
        if !memory.isView {
            do throws(Llama2Error) {
                try MappedFile.read(descriptor, base, size, path)
            } catch {
                munmap(base, size)
                throw error
            }
        }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
    }

    /// Runs `body` on the bytes, which stay mapped until it returns: `bytes` alone does not keep them.
    public func withBytes<T>(_ body: (UnsafeRawBufferPointer) throws(Llama2Error) -> T) throws(Llama2Error) -> T {
        defer { withExtendedLifetime(self) {} }
        return try body(bytes)
    }

    deinit {
        if isOwned, let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }

    /// Whether something is there under this name. That the system cannot say is an error: a file that decides what a
    /// model is must not be passed over.
    public static func exists(_ path: FilePath) throws(Llama2Error) -> Bool { try kind(path) != nil }

    public static func isFolder(_ path: FilePath) throws(Llama2Error) -> Bool { try kind(path) == S_IFDIR }

    private static func notRegular(_ path: FilePath, _ kind: mode_t) -> Llama2Error {
        Llama2Error(.io, "\(path) is \(MappedFile.name(kind)), not a regular file")
    }

    /// Of a kind of file (S_IFMT), for people.
    public static func name(_ kind: UInt32) -> String {
        switch mode_t(kind) {
        case S_IFDIR: "a folder"
        case S_IFIFO: "a FIFO"
        case S_IFSOCK: "a socket"
        case S_IFCHR, S_IFBLK: "a device"
        default: "something else"
        }
    }

    /// S_IFMT of what is there, links followed; nil when there is nothing.
    private static func kind(_ path: FilePath) throws(Llama2Error) -> mode_t? {
        var status = stat()
        if path.withBytes({ path in uninterrupted { stat(path, &status) } }) == 0 { return status.st_mode & S_IFMT }
        guard errno == ENOENT || errno == ENOTDIR else { throw failure("cannot look at", path) }
        return nil
    }

    private static func read(_ descriptor: Int32, _ base: UnsafeMutableRawPointer, _ size: Int, _ path: FilePath)
        throws(Llama2Error)
    {
        var done = 0
        while done < size {
            let count = uninterrupted { pread(descriptor, base + done, size - done, done) }
            guard count >= 0 else { throw failure("cannot read", path) }
            guard count > 0 else {
                throw Llama2Error(.corrupt, "\(path) became shorter while it was read: \(done) of \(size) bytes")
            }
            done += count
        }
    }

    private static func failure(_ action: String, _ path: FilePath) -> Llama2Error {
        let code = errno
        return Llama2Error(
            code == ENOMEM ? .noMemory : .io, "\(action) \(path): \(String(cString: strerror(code)))", systemError: code)
    }
}
