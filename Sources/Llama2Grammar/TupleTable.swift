internal import Llama2Core

/// Lists of numbers, each kept once and known by its own number from then on.
///
///     values    | list 0 | list 1 | ...          offsets: where each begins, (count + 1)
///     slots     open addressing over hashes, -1: unused; at most half are used
struct TupleTable: ~Copyable {
    private var values: GrowingBuffer<Int32>
    private var offsets: GrowingBuffer<Int>
    private var slots: AlignedBuffer<Int32>
    private(set) var count = 0

    init(_ capacity: Int = 256) throws(Llama2Error) {
        let values = try GrowingBuffer<Int32>(capacity: 4 * capacity, of: "states of a grammar")
        var offsets = try GrowingBuffer<Int>(capacity: capacity + 1, of: "states of a grammar")
        let slots = try TupleTable.empty(2 * capacity)
        try offsets.append(0)
        self.values = values
        self.offsets = offsets
        self.slots = slots
    }

    /// Forgets all lists and keeps their memory.
    mutating func removeAll() {
        values.removeAll()
        offsets.truncate(to: 1)
        slots.pointer.update(repeating: -1, count: slots.count)
        count = 0
    }

    /// Bytes that it holds.
    var bytes: Int { values.capacity * 4 + offsets.capacity * 8 + slots.count * 4 }

    private static func empty(_ least: Int) throws(Llama2Error) -> AlignedBuffer<Int32> {
        var size = 64
        while size < least { size *= 2 }
        let buffer = try AlignedBuffer<Int32>(count: size, of: "states of a grammar")
        buffer.pointer.update(repeating: -1, count: size)
        return buffer
    }

    /// The list of that number: valid until the next one is added.
    subscript(index: Int32) -> UnsafeBufferPointer<Int32> {
        let start = offsets[Int(index)]
        return UnsafeBufferPointer(rebasing: values.elements[start..<offsets[Int(index) + 1]])
    }

    private static func hash(_ list: UnsafeBufferPointer<Int32>) -> UInt64 {
        // multiply and fold; a table for one grammar needs no secret
        var h = UInt64(truncatingIfNeeded: list.count) &* 0x9E37_79B9_7F4A_7C15
        for value in list {
            h = (h ^ UInt64(UInt32(bitPattern: value))) &* 0xD6E8_FEB8_6659_FD93
            h ^= h >> 32
        }
        return h
    }

    /// The number of `list`, which does not lie in this table.
    mutating func number(_ list: UnsafeBufferPointer<Int32>) throws(Llama2Error) -> Int32 {
        var slot = Int(truncatingIfNeeded: TupleTable.hash(list)) & (slots.count - 1)
        while slots.pointer[slot] >= 0 {
            let known = slots.pointer[slot]
            if self[known].elementsEqual(list) { return known }
            slot = (slot + 1) & (slots.count - 1)
        }
        guard count < Int(Int32.max) / 2 else { throw Llama2Error(.noMemory, "a grammar has too many states") }
        try values.append(contentsOf: list)
        try offsets.append(values.count)
        let number = Int32(truncatingIfNeeded: count)
        slots.pointer[slot] = number
        count += 1
        if 2 * count > slots.count { try grow() }
        return number
    }

    private mutating func grow() throws(Llama2Error) {
        let larger = try TupleTable.empty(2 * slots.count)
        for index in 0..<Int32(truncatingIfNeeded: count) {
            var slot = Int(truncatingIfNeeded: TupleTable.hash(self[index])) & (larger.count - 1)
            while larger.pointer[slot] >= 0 { slot = (slot + 1) & (larger.count - 1) }
            larger.pointer[slot] = index
        }
        slots = larger
    }

    mutating func number(_ list: [Int32]) throws(Llama2Error) -> Int32 {
        try list.withUnsafeBufferPointer { (list) throws(Llama2Error) in try number(list) }
    }

    mutating func number(_ state: StringState) throws(Llama2Error) -> Int32 {
        var state = state, result: Result<Int32, Llama2Error> = .success(0)
        withUnsafeBytes(of: &state) { bytes in
            do throws(Llama2Error) { result = .success(try number(bytes.bindMemory(to: Int32.self))) } catch { result = .failure(error) }
        }
        return try result.get()
    }

    mutating func number(_ a: Int32, _ b: Int32, _ c: Int32, _ d: Int32, _ e: Int32 = 0) throws(Llama2Error) -> Int32 {
        var list = (a, b, c, d, e), result: Result<Int32, Llama2Error> = .success(0)
        withUnsafeBytes(of: &list) { bytes in
            do throws(Llama2Error) { result = .success(try number(bytes.bindMemory(to: Int32.self))) } catch { result = .failure(error) }
        }
        return try result.get()
    }
}
