internal import Llama2Core

/// What an eval has changed in the tables of sequences, so that it can be undone to the last page.
struct Journal: ~Copyable {
    struct Entry: BitwiseCopyable {
        /// Where in the tables a page was put,
        var slot: Int
        /// and the page that was there, if it was copied; else -1.
        var previous: Int32
    }

    /// (sequences): the lengths at the beginning.
    private let lengths: AlignedBuffer<Int>
    /// Every entry stands for a page that was taken, so there are at most as many.
    private let entries: AlignedBuffer<Entry>  // (pages)
    private var count = 0

    /// lengths: (sequences); entries: (pages). Made by the caller: an init that owns two buffers cannot fail between them.
    init(lengths: consuming AlignedBuffer<Int>, entries: consuming AlignedBuffer<Entry>) {
        self.lengths = lengths
        self.entries = entries
    }

    mutating func begin(_ now: UnsafePointer<Int>) {
        lengths.pointer.update(from: now, count: lengths.count)
        count = 0
    }

    mutating func note(_ slot: Int, previous: Int32) {
        entries.pointer[count] = Entry(slot: slot, previous: previous)
        count += 1
    }

    /// The latest change that was not undone yet.
    mutating func popLast() -> Entry? {
        guard count > 0 else { return nil }
        count -= 1
        return entries.pointer[count]
    }

    func lengthBefore(_ sequence: Int) -> Int { lengths.pointer[sequence] }
}
