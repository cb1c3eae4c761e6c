/// FNV-1a over 64-bit words (Fowler, Noll, Vo), the last one padded with zeros. Every step is a bijection of the hash, so
/// that a change in one word always changes it.
public struct WordHash: BitwiseCopyable {
    public private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    public init() {}

    public mutating func add(_ word: UInt64) { value = (value ^ word) &* 0x100_0000_01b3 }

    public mutating func add(_ bytes: RawSpan) {
        let count = bytes.byteCount
        var i = 0
        while i + 8 <= count {
            add(UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: i, as: UInt64.self)))
            i += 8
        }
        guard i < count else { return }
        var last: UInt64 = 0
        for j in i..<count { last |= UInt64(bytes.unsafeLoad(fromByteOffset: j, as: UInt8.self)) << UInt64(8 * (j - i)) }
        add(last)
    }
}
