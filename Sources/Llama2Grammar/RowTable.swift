internal import Llama2Core

/// Rows of one width, added one by one; their memory is checked.
struct RowTable<Element: BitwiseCopyable>: ~Copyable {
    private var memory: AlignedBuffer<Element>
    private(set) var count = 0
    let width: Int

    init(width: Int, capacity: Int) throws(Llama2Error) {
        self.width = width
        memory = try RowTable.allocated(width, capacity)
    }

    private static func allocated(_ width: Int, _ rows: Int) throws(Llama2Error) -> AlignedBuffer<Element> {
        try AlignedBuffer(count: try checkedMultiply(width, rows, "rows of a grammar", .noMemory), of: "rows of a grammar")
    }

    /// The first row; valid until a row is added.
    var start: UnsafeMutablePointer<Element> { memory.pointer }

    /// Row `index`, which exists; valid until a row is added.
    subscript(index: Int) -> UnsafeMutablePointer<Element> {
        precondition(index >= 0 && index < count)
        return memory.pointer + index * width
    }

    mutating func append(repeating value: Element) throws(Llama2Error) {
        if (count + 1) * width > memory.count {  // below Int.max, as 2 * (rows in memory) was checked
            let wanted = try checkedMultiply(width, max(2 * count, 16), "rows of a grammar", .noMemory)
            try memory.grow(to: wanted, keeping: count * width, of: "rows of a grammar")
        }
        (memory.pointer + count * width).update(repeating: value, count: width)
        count += 1
    }

    mutating func removeAll() { count = 0 }

    /// Bytes that it holds.
    var bytes: Int { memory.count * MemoryLayout<Element>.stride }
}
