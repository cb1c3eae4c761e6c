/// What Swift's own values take of a cover, told by what they are: the one place with figures for that, so that they follow the types.
///
/// A block of a cover (LinuxSystem/memory_reserve.c) is what was asked for and 32 bytes, rounded up by a quarter at most; given back, it serves
/// blocks of its own size again and no others. So what grows by doubling takes all of its sizes together: twice the last one.
public struct SwiftMemory {
    /// Int.max when it does not fit.
    public let bytes: Int

    private init(_ bytes: Int) { self.bytes = bytes }

    /// `count` times `each`, rounded up by a quarter.
    private init(_ count: Int, _ each: Int) {
        let (product, isTooMuch) = max(count, 0).multipliedReportingOverflow(by: each)
        self.init(isTooMuch || product > Int.max / 2 ? Int.max : product + product / 4)
    }

    /// Of an array's or a dictionary's head and of the block that it lies in.
    private static let head = 80

    /// An array that is made at once, or grows into what was reserved.
    public static func array<T>(_ count: Int, of _: T.Type) -> SwiftMemory { SwiftMemory(count, MemoryLayout<T>.stride) + SwiftMemory(head) }

    /// An array that grows: its last block is of at most twice as many.
    public static func list<T>(_ count: Int, of _: T.Type) -> SwiftMemory { 4 * array(count, of: T.self) }

    /// A dictionary or a set that grows: places are a power of two, of which three quarters are used at most, and a bit each.
    public static func table<Key, Value>(_ count: Int, of _: Key.Type, _: Value.Type) -> SwiftMemory {
        SwiftMemory(count, (16 * (MemoryLayout<Key>.stride + MemoryLayout<Value>.stride) + 4) / 3) + SwiftMemory(8 * head)
    }

    /// `count` arrays of bytes, `bytes` in all, each made at once; a string is one too.
    public static func texts(_ count: Int, bytes: Int = 0) -> SwiftMemory { SwiftMemory(count, head) + SwiftMemory(bytes, 1) }

    public static func text(_ bytes: Int) -> SwiftMemory { texts(1, bytes: bytes) }

    /// Work that has a bound of its own in bytes.
    public static func bounded(_ bytes: Int) -> SwiftMemory { SwiftMemory(max(bytes, 0)) }

    public static func + (a: SwiftMemory, b: SwiftMemory) -> SwiftMemory {
        let (sum, isTooMuch) = a.bytes.addingReportingOverflow(b.bytes)
        return SwiftMemory(isTooMuch ? Int.max : sum)
    }

    public static func * (times: Int, a: SwiftMemory) -> SwiftMemory {
        let (product, isTooMuch) = a.bytes.multipliedReportingOverflow(by: times)
        return SwiftMemory(isTooMuch ? Int.max : product)
    }
}
