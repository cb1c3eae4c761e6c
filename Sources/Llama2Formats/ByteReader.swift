internal import Llama2Core

/// Reads little-endian numbers from bytes, front to back. Going past the end is an error that names
/// what was being read and where; the bytes are never trusted to hold what they announce.
struct ByteReader {
    let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0
    /// Counts and lengths take 64 bits; 32 in the first version of GGUF.
    var wideCounts = true

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var remaining: Int { bytes.count &- offset }
    var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[offset...]) }

    mutating func take(_ count: Int, _ what: @autoclosure () -> String) throws(Llama2Error) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else {
            throw Llama2Error(
                .corrupt,
                "\(what()): \(count) bytes at offset \(offset) go beyond the end of the file at \(bytes.count)")
        }
        let slice = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset &+ count)])
        offset &+= count
        return slice
    }

    mutating func number<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, _ what: @autoclosure () -> String)
        throws(Llama2Error) -> T
    {
        T(littleEndian: try take(MemoryLayout<T>.size, what()).loadUnaligned(as: T.self))
    }

    /// A count or length, of 64 bits or 32.
    mutating func size(_ what: @autoclosure () -> String) throws(Llama2Error) -> UInt64 {
        wideCounts ? try number(UInt64.self, what()) : UInt64(try number(UInt32.self, what()))
    }

    /// A count or length that must still fit into the file at `unit` bytes each.
    mutating func count(unit: Int, _ what: @autoclosure () -> String) throws(Llama2Error) -> Int {
        let start = offset
        let value = try size(what())
        guard value <= UInt64(remaining / unit) else {
            throw Llama2Error(
                .corrupt,
                "\(what()): \(value) announced at offset \(start), but only \(remaining) bytes follow")
        }
        return Int(value)
    }

    mutating func string(_ what: @autoclosure () -> String) throws(Llama2Error) -> UnsafeRawBufferPointer {
        let length = try count(unit: 1, what())
        return try take(length, what())
    }
}
