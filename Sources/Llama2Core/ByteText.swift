/// A text that a file or a caller said: compared, searched, sorted and hashed by its bytes.
///
/// Swift's String does that by canonical equivalence: two names that are not the same bytes can be equal ("K" and the
/// Kelvin sign), a slash with a combining mark is no slash, and marks in an unusual order cost n squared. Names and keys are
/// none of that to the formats that they come from.
public struct ByteText: Hashable, Sendable, Comparable, ExpressibleByStringInterpolation, CustomStringConvertible {
    public let bytes: [UInt8]

    public init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }
    public init(_ text: String) { bytes = Array(text.utf8) }
    /// Of what a file or a caller says, however long it is; twice that is covered, so that an error may name it.
    public init(covered text: UnsafeRawBufferPointer, _ what: @autoclosure () -> String) throws(Llama2Error) {
        try MemoryReserve.cover(4 * .text(text.count), for: what())
        bytes = Array(text)
    }
    public init(stringLiteral text: String) { bytes = Array(text.utf8) }

    /// For people: what is no UTF-8 becomes U+FFFD.
    public var description: String { String(decoding: bytes, as: UTF8.self) }
    public var utf8: [UInt8] { bytes }
    public var count: Int { bytes.count }
    public var isEmpty: Bool { bytes.isEmpty }

    public static func < (a: ByteText, b: ByteText) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
    public static func + (a: ByteText, b: ByteText) -> ByteText { ByteText(a.bytes + b.bytes) }

    public func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }

    public func hasPrefix(_ other: ByteText) -> Bool { bytes.starts(with: other.bytes) }
    public func hasSuffix(_ other: ByteText) -> Bool { bytes.count >= other.count && bytes.suffix(other.count).elementsEqual(other.bytes) }

    /// Whether `other` occurs anywhere; a text without bytes occurs everywhere. Time: the product of the lengths at worst.
    public func contains(_ other: ByteText) -> Bool {
        guard let first = other.bytes.first else { return true }
        guard bytes.count >= other.count else { return false }
        for at in 0...(bytes.count - other.count) where bytes[at] == first {
            if bytes[at..<(at + other.count)].elementsEqual(other.bytes) { return true }
        }
        return false
    }

    /// Without the last `count` bytes, or the first; nothing when there are not so many.
    public func dropLast(_ count: Int) -> ByteText { ByteText(bytes.dropLast(max(0, count))) }
    public func dropFirst(_ count: Int) -> ByteText { ByteText(bytes.dropFirst(max(0, count))) }

    /// With a to z for A to Z; other letters stay.
    public var lowercased: ByteText { ByteText(bytes.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }) }

    /// A number written in decimal digits without a sign or a leading zero, below 10^9; nil for anything else.
    public var index: Int? {
        guard (1...9).contains(bytes.count), bytes[0] != UInt8(ascii: "0") || bytes.count == 1 else { return nil }
        var value = 0
        for byte in bytes {
            guard (0x30...0x39).contains(byte) else { return nil }
            value = 10 &* value &+ Int(byte &- 0x30)  // at most nine digits
        }
        return value
    }
}
