/// A path: bytes to the system, text only in sentences.
///
/// There is one way in from a caller, `init(_: UnsafePointer<CChar>)`, and one from a file, `child`, which takes a single
/// component and looks at it in bytes. `+` is for names that are written in this library.
public struct FilePath: Hashable, Sendable, CustomStringConvertible {
    /// Without the terminator; never 0 inside.
    public let bytes: [UInt8]

    /// As open(2) takes it.
    public init(_ path: UnsafePointer<CChar>) {
        var bytes: [UInt8] = [], next = path
        while next.pointee != 0 {
            bytes.append(UInt8(bitPattern: next.pointee))
            next += 1
        }
        self.bytes = bytes
    }

    /// Up to the first NUL, if there is one.
    public init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes.prefix { $0 != 0 }) }
    public init(_ text: String) { self.init(text.utf8) }

    /// What is no UTF-8 becomes U+FFFD.
    public var description: String { String(decoding: bytes, as: UTF8.self) }

    public static func + (path: FilePath, known: String) -> FilePath { FilePath(path.bytes + Array(known.utf8)) }

    /// The file of that name in this folder; nil for what is no name of a file in it: nothing, "." and "..", with a
    /// slash or NUL, or more than 255 bytes.
    public func child(_ name: [UInt8]) -> FilePath? {
        guard (1...255).contains(name.count), !name.contains(UInt8(ascii: "/")), !name.contains(0), name != [0x2e], name != [0x2e, 0x2e]
        else { return nil }
        return FilePath(bytes + [UInt8(ascii: "/")] + name)
    }

    /// What the file lies in: up to the last slash, or ".".
    public var folder: FilePath {
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return FilePath(".") }
        return FilePath(slash == 0 ? bytes[...0] : bytes[..<slash])
    }

    /// After the last slash.
    public var name: [UInt8] {
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return bytes }
        return Array(bytes[(slash + 1)...])
    }

    /// Calls `body` with the path as the system takes it.
    public func withBytes<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        let terminated = bytes.map { CChar(bitPattern: $0) } + [0]
        return terminated.withUnsafeBufferPointer { $0.baseAddress.map(body) ?? body([0]) }
    }
}
