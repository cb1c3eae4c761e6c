internal import Llama2Core

/// Keys and values of all sequences, in pages of 64 positions.
///
/// A page holds its positions for every layer and head: (layer, K or V, head, page), F16 or F32; a page of keys is
/// (headStride, 64), one of values (64, headStride), as attention reads them; headStride is the head dimension
/// rounded up to 16, the padding always zero. A sequence
/// has a table of pages, in order of position, so its positions need not lie in one piece.
final class KVCache {
    static let pagePositions = 64

    /// The sizes of a cache; computed without allocating it.
    struct Layout: BitwiseCopyable {
        let headStride: Int, headBytes: Int, pageBytes: Int, pageCount: Int, tableLength: Int
        let headsKV: Int, elementBytes: Int

        init(_ h: Hyperparameters, _ c: ContextConfiguration) throws(Llama2Error) {
            headStride = (h.headDimension + 15) & ~15
            headsKV = h.headCountKV
            elementBytes = c.halfPrecisionCache ? 2 : 4
            headBytes = pagePositions * headStride * elementBytes
            // at most 4096 * 2 * 2^16 * 2^6 * 2^16 * 2^2 bytes a page
            pageBytes = h.layerCount * 2 * h.headCountKV * headBytes
            tableLength = (c.contextLength + pagePositions - 1) / pagePositions
            // Every sequence but one may leave a page partly empty.
            pageCount = tableLength + c.maxSequences - 1
            bytes = try checkedMultiply(pageBytes, pageCount, "KV cache")
        }

        let bytes: Int
    }

    let layout: Layout
    let maxSequences: Int
    /// (pageCount, pageBytes)
    private let memory: AlignedBuffer<UInt8>
    /// (maxSequences, tableLength): page numbers.
    private let tables: AlignedBuffer<Int32>
    /// (maxSequences): positions in use.
    private let lengths: AlignedBuffer<Int>
    /// A stack of unused pages, (pageCount), and its height.
    private let free: AlignedBuffer<Int32>
    private var freeCount: Int
    /// What `remember` saw: (maxSequences) lengths, and the height of the stack.
    private let lengthsBefore: AlignedBuffer<Int>
    private var freeCountBefore: Int

    init(_ h: Hyperparameters, _ c: ContextConfiguration) throws(Llama2Error) {
        let layout = try Layout(h, c)
        self.layout = layout
        maxSequences = c.maxSequences
        memory = try AlignedBuffer(count: layout.bytes, of: "KV cache")
        tables = try AlignedBuffer(count: c.maxSequences * layout.tableLength, of: "page tables")
        lengths = try AlignedBuffer(count: c.maxSequences, of: "sequence lengths")
        free = try AlignedBuffer(count: layout.pageCount, of: "free pages")
        lengthsBefore = try AlignedBuffer(count: c.maxSequences, of: "sequence lengths")
        freeCount = layout.pageCount
        freeCountBefore = layout.pageCount
        // The lowest page on top, so that memory is touched from the front.
        for i in 0..<layout.pageCount { free.pointer[i] = Int32(layout.pageCount - 1 - i) }
    }

    var base: UnsafeMutablePointer<UInt8> { memory.pointer }

    /// The page table of `sequence`, which is in range.
    func table(_ sequence: Int) -> UnsafePointer<Int32> {
        UnsafePointer(tables.pointer + sequence * layout.tableLength)
    }

    func length(_ sequence: Int) -> Int { lengths.pointer[sequence] }

    /// The pages that no sequence has, the next one to be taken last.
    var unusedPages: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(start: free.pointer, count: freeCount) }

    /// Positions in use by all sequences.
    var used: Int {
        var sum = 0
        for i in 0..<maxSequences { sum += lengths.pointer[i] }
        return sum
    }

    /// Makes room for one more position and returns it. The caller has checked that `used` stays within
    /// the context length, so a page is there.
    func append(_ sequence: Int) -> Int {
        let position = lengths.pointer[sequence]
        if position % KVCache.pagePositions == 0 {
            freeCount -= 1
            tables.pointer[sequence * layout.tableLength + position / KVCache.pagePositions] = free.pointer[freeCount]
        }
        lengths.pointer[sequence] = position + 1
        return position
    }

    /// Remembers the lengths and the unused pages, for `goBack`.
    func remember() {
        lengthsBefore.pointer.update(from: lengths.pointer, count: maxSequences)
        freeCountBefore = freeCount
    }

    /// Undoes every `append` since `remember`, when nothing else happened in between: exactly, because `append` only takes
    /// pages off the stack and leaves the stack's memory as it is.
    func goBack() {
        lengths.pointer.update(from: lengthsBefore.pointer, count: maxSequences)
        freeCount = freeCountBefore
    }

    /// Shortens a sequence to `length`, at most what it has, and gives its pages back in the reverse of
    /// the order in which they were taken.
    func truncate(_ sequence: Int, to length: Int) {
        let p = KVCache.pagePositions
        let keep = (length + p - 1) / p
        var page = (lengths.pointer[sequence] + p - 1) / p
        while page > keep {
            page -= 1
            free.pointer[freeCount] = tables.pointer[sequence * layout.tableLength + page]
            freeCount += 1
        }
        lengths.pointer[sequence] = length
    }
}
