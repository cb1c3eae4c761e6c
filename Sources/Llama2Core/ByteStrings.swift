/// A list of byte strings that stay where they lie, each behind its length:
///
///     length | bytes | length | bytes | ...        lengths of 8 bytes (4 in the first version of GGUF), little-endian
///
/// Of every sixteenth string the place is kept, so that a list takes half a byte a string beyond what it is made of.
/// The bytes are kept alive by whoever made the list.
public struct ByteStrings: RandomAccessCollection, @unchecked Sendable {
    private static let step = 16
    private let bytes: UnsafeRawBufferPointer
    private let lengthSize: Int
    private var places: [Int] = []
    public private(set) var count = 0
    private var end = 0

    /// No strings yet, in `bytes`, and room for the places of `count`. what: for the error.
    public init(_ bytes: UnsafeRawBufferPointer, lengthSize: Int = 8, count: Int, of what: @autoclosure () -> String) throws(Llama2Error) {
        try MemoryReserve.cover(.list(count / ByteStrings.step + 1, of: Int.self), for: what())
        self.bytes = bytes
        self.lengthSize = lengthSize
    }

    private init() {
        bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        lengthSize = 8
    }

    public static let none = ByteStrings()

    /// The next string is of that length; the caller has checked that it lies within the bytes.
    public mutating func append(length: Int) {
        if count % ByteStrings.step == 0 { places.append(end) }
        count += 1
        end += lengthSize + length
    }

    /// Bytes of all strings, eight for the length of each included.
    public var byteCount: Int { end + count * (8 - lengthSize) }

    public var startIndex: Int { 0 }
    public var endIndex: Int { count }

    /// index in 0 ..< count.
    public subscript(index: Int) -> UnsafeRawBufferPointer {
        var place = places[index / ByteStrings.step]
        for _ in 0..<index % ByteStrings.step { place += lengthSize + length(place) }
        let start = place + lengthSize, length = length(place)
        return UnsafeRawBufferPointer(rebasing: bytes[Swift.min(start, bytes.count)..<Swift.min(start + length, bytes.count)])
    }

    /// All strings in order: quicker than by index, of which each steps from the nearest place that is kept.
    public func walk() -> Walk { Walk(list: self) }

    public struct Walk: Sequence, IteratorProtocol {
        fileprivate let list: ByteStrings
        private var index = 0, place = 0

        fileprivate init(list: ByteStrings) { self.list = list }

        public mutating func next() -> UnsafeRawBufferPointer? {
            guard index < list.count else { return nil }
            let start = place + list.lengthSize, length = list.length(place)
            index += 1
            place = start + length
            return UnsafeRawBufferPointer(rebasing: list.bytes[Swift.min(start, list.bytes.count)..<Swift.min(start + length, list.bytes.count)])
        }
    }

    /// Never beyond the bytes, even if a mapped file was changed behind our back.
    private func length(_ place: Int) -> Int {
        guard place <= bytes.count - lengthSize else { return 0 }
        let length =
            lengthSize == 8
            ? UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
            : UInt64(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
        return Int(Swift.min(length, UInt64(bytes.count - lengthSize - place)))
    }
}
