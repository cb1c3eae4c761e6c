// What is small and can be saved: STATE.md, "Samplers and decoders". Little-endian.
//
//     0   8 bytes  a name and a zero
//     8   u32      version
//     12  u32      0
//     16  u64      bytes of all
//     24  ...      words of the thing itself, zeros up to a multiple of eight bytes
//         u64      checksum (WordHash) of all before it

/// Which record it is.
public struct SavedKind: Sendable {
    let name: StaticString  // seven characters
    let what: StaticString
    static let version: UInt32 = 1
    static let head = 24

    /// what: for errors.
    public init(_ name: StaticString, _ what: StaticString) { (self.name, self.what) = (name, what) }
}

public struct RecordWriter: ~Copyable {
    private var bytes: GrowingBuffer<UInt8>
    private let content: Int

    /// content: bytes that will be put.
    public init(content: Int) throws(Llama2Error) {
        bytes = try GrowingBuffer(capacity: SavedKind.head + content + 16, of: "what is saved")  // content is what fits memory
        self.content = content
    }

    public mutating func begin(_ kind: SavedKind) throws(Llama2Error) {
        try bytes.append(kind.name)
        try put(UInt8(0))
        try put(SavedKind.version)
        try put(UInt32(0))
        try put(UInt64(((SavedKind.head + content + 7) & ~7) + 8))
    }

    public mutating func put<T: FixedWidthInteger>(_ number: T) throws(Llama2Error) {
        for i in 0..<(T.bitWidth / 8) { try bytes.append(UInt8(truncatingIfNeeded: number >> T(8 * i))) }
    }

    /// The whole record.
    public consuming func finish() throws(Llama2Error) -> GrowingBuffer<UInt8> {
        while bytes.count % 8 != 0 { try bytes.append(0) }
        var hash = WordHash()
        hash.add(bytes.rawSpan)
        try put(hash.value)
        return bytes
    }
}

/// A record whose head and checksum are right; its numbers are read one after the other.
public struct RecordReader {
    private let bytes: UnsafeRawBufferPointer
    private let kind: SavedKind
    private var at = SavedKind.head
    private var end: Int { bytes.count - 8 }

    public init(_ bytes: UnsafeRawBufferPointer, _ kind: SavedKind) throws(Llama2Error) {
        self.bytes = bytes
        self.kind = kind
        let begins = bytes.count >= 8 && bytes[7] == 0 && (0..<7).allSatisfy { bytes[$0] == kind.name.utf8Start[$0] }
        guard begins else { throw Llama2Error(.format, "this is no saved \(kind.what): it does not begin with \"\(kind.name)\"") }
        guard bytes.count >= SavedKind.head + 8 else {
            throw Llama2Error(.corrupt, "a saved \(kind.what) has at least \(SavedKind.head + 8) bytes, this has \(bytes.count)")
        }
        let version = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        guard version == SavedKind.version else {
            throw Llama2Error(.unsupported, "a saved \(kind.what) of version \(version); this library reads version \(SavedKind.version)")
        }
        let said = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        guard said == UInt64(bytes.count), bytes.count % 8 == 0 else {
            throw Llama2Error(.corrupt, "the saved \(kind.what) says that it has \(said) bytes, there are \(bytes.count)")
        }
        var hash = WordHash()
        hash.add(UnsafeRawBufferPointer(rebasing: bytes[..<end]).bytes)
        guard hash.value == UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self)),
            bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self) == 0
        else { throw Llama2Error(.corrupt, "the saved \(kind.what), bytes 0 to \(bytes.count - 1), is not what was written") }
    }

    public mutating func take<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self) throws(Llama2Error) -> T {
        let size = T.bitWidth / 8
        guard end - at >= size else { throw Llama2Error(.corrupt, "the saved \(kind.what) ends at byte \(at)") }
        defer { at += size }
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: T.self))
    }

    /// So many tokens, none of them negative.
    public mutating func takeTokens(_ count: UInt64) throws(Llama2Error) -> GrowingBuffer<Int32> {
        guard count <= UInt64((end - at) / 4) else { throw Llama2Error(.corrupt, "the saved \(kind.what) counts \(count) tokens and ends before") }
        var tokens = try GrowingBuffer<Int32>(capacity: Int(count), of: "saved tokens")
        for _ in 0..<count {
            let token: Int32 = try take()
            guard token >= 0 else { throw refused("token \(token)") }
            try tokens.append(token)
        }
        return tokens
    }

    /// Nothing but zeros may be left.
    public func finish() throws(Llama2Error) {
        guard end - at < 8, bytes[at..<end].allSatisfy({ $0 == 0 }) else { throw Llama2Error(.corrupt, "the saved \(kind.what) goes on at byte \(at)") }
    }

    /// A number that cannot be.
    public func refused(_ what: String) -> Llama2Error { Llama2Error(.corrupt, "the saved \(kind.what) has \(what), before byte \(at)") }
}
