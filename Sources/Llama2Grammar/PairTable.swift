internal import Llama2Core

/// Pairs of numbers, each kept once and known by its own number from then on: the places of two automata at once.
///
///     slots     open addressing over hashes, -1: unused; at most half are used
struct PairTable: ~Copyable {
    private var pairs: GrowingBuffer<UInt64>
    private var slots: AlignedBuffer<Int32>
    var count: Int { pairs.count }

    init() throws(Llama2Error) {
        let pairs = try GrowingBuffer<UInt64>(capacity: 64, of: "states of a grammar"), slots = try PairTable.empty(128)
        self.pairs = pairs
        self.slots = slots
    }

    private static func empty(_ size: Int) throws(Llama2Error) -> AlignedBuffer<Int32> {
        let buffer = try AlignedBuffer<Int32>(count: size, of: "states of a grammar")
        buffer.pointer.update(repeating: -1, count: size)
        return buffer
    }

    subscript(number: Int) -> (Int32, Int32) {
        let pair = pairs[number]
        return (Int32(truncatingIfNeeded: pair >> 32), Int32(truncatingIfNeeded: pair))
    }

    /// Multiplied and folded; a table for one grammar needs no secret.
    private static func slot(_ pair: UInt64, _ mask: Int) -> Int {
        let product = (pair ^ pair >> 29) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: product >> 32) & mask
    }

    /// Its number, and whether it is new.
    mutating func number(_ first: Int32, _ second: Int32) throws(Llama2Error) -> (number: Int32, isNew: Bool) {
        let pair = UInt64(UInt32(bitPattern: first)) << 32 | UInt64(UInt32(bitPattern: second)), mask = slots.count - 1
        var slot = PairTable.slot(pair, mask)
        while case let known = slots.pointer[slot], known >= 0 {
            if pairs[Int(known)] == pair { return (known, false) }
            slot = (slot + 1) & mask
        }
        guard count < Int(Int32.max) / 2 else { throw Llama2Error(.noMemory, "a grammar has too many states") }
        let number = Int32(truncatingIfNeeded: count)
        slots.pointer[slot] = number
        try pairs.append(pair)
        if 2 * count > slots.count { try grow() }
        return (number, true)
    }

    private mutating func grow() throws(Llama2Error) {
        let larger = try PairTable.empty(2 * slots.count), mask = larger.count - 1
        for number in 0..<count {
            var slot = PairTable.slot(pairs[number], mask)
            while larger.pointer[slot] >= 0 { slot = (slot + 1) & mask }
            larger.pointer[slot] = Int32(truncatingIfNeeded: number)
        }
        slots = larger
    }
}
