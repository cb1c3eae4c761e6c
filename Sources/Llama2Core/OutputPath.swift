internal import Glibc

/// Where a file is to be written: what the caller's path leads to is looked at first. A regular file is replaced and keeps its mode,
/// a link stays and what it leads to is replaced; a device, FIFO, socket or folder is never put out of the way.
struct OutputPath {
    let path: FilePath
    /// Of the file that is there; nil when there is none.
    private let mode: mode_t?
    private static let mostLinks = 40  // the kernel's own limit

    init(_ given: FilePath) throws(Llama2Error) {
        guard let last = given.bytes.last else { throw Llama2Error(.io, "the path of the output is empty") }
        guard last != UInt8(ascii: "/") else { throw Llama2Error(.io, "\(given) names a folder, not a file to write", systemError: EISDIR) }
        var path = given
        for _ in 0..<OutputPath.mostLinks {
            var status = stat()
            if path.withBytes({ path in uninterrupted { lstat(path, &status) } }) != 0 {
                guard errno == ENOENT else { throw OutputPath.failure("cannot look at", path) }
                (self.path, mode) = (path, nil)
                return
            }
            let kind = status.st_mode & S_IFMT
            guard kind == S_IFLNK else {
                guard kind == S_IFREG else {
                    throw Llama2Error(
                        .io, "\(path) is \(MappedFile.name(kind)), not a regular file: it is not replaced", systemError: kind == S_IFDIR ? EISDIR : 0)
                }
                (self.path, mode) = (path, status.st_mode & 0o7777)
                return
            }
            path = try OutputPath.target(of: path)
        }
        throw Llama2Error(.io, "\(given) is a link through more than \(OutputPath.mostLinks) others")
    }

    private static func target(of link: FilePath) throws(Llama2Error) -> FilePath {
        var target = [CChar](repeating: 0, count: 4096)
        let most = target.count, count = link.withBytes { readlink($0, &target, most) }
        guard count > 0, count < most else { throw failure("cannot follow the link", link) }
        let found = FilePath(target[..<count].map { UInt8(bitPattern: $0) })
        return found.bytes.first == UInt8(ascii: "/") ? found : FilePath((link.folder + "/").bytes + found.bytes)
    }

    /// A new file `path.PROCESS.part`, with a number added when that is there: another thread's, or what a process that was
    /// killed has left. Where the file system has no room for so long a name, `.llama2swift.PROCESS.part` beside it. Its mode is that of the file
    /// it will replace from the beginning on.
    func create() throws(Llama2Error) -> (FilePath, Int32) {
        var base = path + "."
        for number in 0..<1000 {
            let suffix = "\(getpid())\(number == 0 ? "" : "-\(number)").part"
            var temporary = base + suffix
            var descriptor = open(temporary)
            if descriptor < 0, errno == ENAMETOOLONG {
                base = path.folder + "/.llama2swift."
                temporary = base + suffix
                descriptor = open(temporary)
            }
            if descriptor >= 0 {
                // the process's mask does not count for a mode that is kept
                if let mode { _ = fchmod(descriptor, mode) }
                return (temporary, descriptor)
            }
            guard errno == EEXIST else { throw OutputPath.failure("cannot create", temporary) }
        }
        throw OutputPath.failure("cannot create a file beside", path)
    }

    private func open(_ path: FilePath) -> Int32 {
        path.withBytes { path in uninterrupted { Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode.map { $0 & 0o777 } ?? 0o666) } }
    }

    static func failure(_ action: String, _ path: FilePath) -> Llama2Error {
        let code = errno
        return Llama2Error(.io, "\(action) \(path): \(String(cString: strerror(code)))", systemError: code)
    }
}
