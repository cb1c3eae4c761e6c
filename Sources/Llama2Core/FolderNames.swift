internal import Glibc
internal import LinuxSystem

/// The names of what is in a folder, in the order of their bytes.
public enum FolderNames {
    /// Without "." and "..".
    /// - Parameter most: more of them are an error.
    public static func of(_ path: FilePath, most: Int) throws(Llama2Error) -> [ByteText] {
        func failure(_ action: String) -> Llama2Error {
            let code = errno
            return Llama2Error(code == ENOMEM ? .noMemory : .io, "\(action) \(path): \(String(cString: strerror(code)))", systemError: code)
        }
        guard let folder = path.withBytes({ l2s_folder_open($0) }) else { throw failure("cannot open the folder") }
        defer { l2s_folder_close(folder) }
        try MemoryReserve.cover(.list(most, of: ByteText.self) + 2 * .text(256), for: path.description)
        var names: [ByteText] = []
        while let next = l2s_folder_next(folder) {
            let name = FilePath(next).bytes
            if name == [0x2e] || name == [0x2e, 0x2e] { continue }
            guard names.count < most else { throw Llama2Error(.unsupported, "\(path) has more than \(most) files") }
            try MemoryReserve.cover(2 * .text(name.count), for: path.description)
            names.append(ByteText(name))
        }
        guard errno == 0 else { throw failure("cannot read the folder") }
        return names.sorted()
    }
}
