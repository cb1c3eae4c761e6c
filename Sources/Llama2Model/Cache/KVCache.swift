internal import Llama2Core
internal import Llama2Kernels

/// Keys and values of all sequences: each is a table of pages in order of position, which others may share.
///
/// A page is written only where nobody else reads: at and beyond the end of everyone who has it. Who wants to go on
/// where another already went on gets a copy first. An eval is `begin`, `append` for every token, then `commit` or
/// `undo`; between these, `table` and `slot` are for the forward pass. Sequences that are named here are in range.
final class KVCache {
    /// The sizes of a cache; computed without allocating it.
    struct Layout: BitwiseCopyable {
        let format: PageFormat
        let pageCount: Int, tableLength: Int, bytes: Int

        init(_ h: Hyperparameters, _ c: ContextConfiguration) throws(Llama2Error) {
            format = PageFormat(h, c)
            tableLength = (c.contextLength + PageFormat.positions - 1) / PageFormat.positions
            // Every sequence but one may leave a page partly empty, and no page is so but as the last of a sequence.
            pageCount = tableLength + c.maxSequences - 1
            bytes = try checkedMultiply(format.bytes, pageCount, "KV cache", .noMemory)
        }
    }

    /// A page that is cut is copied first when that saves so many known positions and no room is wanted for it.
    private static let worthKeeping = 16

    let layout: Layout
    let store: PageStore
    let maxSequences: Int
    private let contextLength: Int
    /// (maxSequences, tableLength): page numbers.
    let tables: AlignedBuffer<Int32>
    /// (maxSequences): positions in use.
    let lengths: AlignedBuffer<Int>
    /// (maxSequences): how many positions from the first on depend on their tokens alone. The others were shifted.
    let pure: AlignedBuffer<Int>
    /// (maxSequences): what the first page of each follows, see `PrefixIndex`.
    private let roots: AlignedBuffer<PrefixIndex.Node>
    /// (tableLength): the pages that a sequence had before it is shifted.
    private let pagesBefore: AlignedBuffer<Int32>
    let tokensRead: AlignedBuffer<Int32>  // (64)
    private var journal: Journal
    /// Pages that the eval under way may still take.
    private var pagesWanted = 0

    init(_ h: Hyperparameters, _ c: ContextConfiguration) throws(Llama2Error) {
        layout = try Layout(h, c)
        maxSequences = c.maxSequences
        contextLength = c.contextLength
        store = try PageStore(layout.format, count: layout.pageCount)
        if c.pinsThreads { store.keepPartsNearTheirThreads() }
        tables = try AlignedBuffer(count: c.maxSequences * layout.tableLength, of: "page tables")
        lengths = try AlignedBuffer(count: c.maxSequences, of: "sequence lengths")
        pure = try AlignedBuffer(count: c.maxSequences, of: "sequence lengths")
        roots = try AlignedBuffer(count: c.maxSequences, of: "sequences")
        pagesBefore = try AlignedBuffer(count: layout.tableLength, of: "page tables")
        tokensRead = try AlignedBuffer(count: PageFormat.positions, of: "tokens of a page")
        for i in 0..<c.maxSequences { (pure.pointer[i], roots.pointer[i]) = (.max, PrefixIndex.root) }
        journal = Journal(
            lengths: try AlignedBuffer(count: c.maxSequences, of: "journal"),
            entries: try AlignedBuffer(count: layout.pageCount, of: "journal"))
    }

    /// The page table of `sequence`.
    func table(_ sequence: Int) -> UnsafePointer<Int32> { UnsafePointer(tables.pointer + sequence * layout.tableLength) }

    func length(_ sequence: Int) -> Int { lengths.pointer[sequence] }

    /// What the first page of a sequence follows.
    func root(_ sequence: Int) -> PrefixIndex.Node { roots.pointer[sequence] }
    /// Of an empty sequence.
    func setRoot(_ sequence: Int, _ root: PrefixIndex.Node) { roots.pointer[sequence] = root }

    /// Where `sequence` ended at `begin`.
    func lengthBefore(_ sequence: Int) -> Int { journal.lengthBefore(sequence) }

    /// Positions in use by all sequences; what they share counts once.
    var used: Int { store.used }
    var free: Int { contextLength - store.used }

    /// Whether one more token of `sequence` fits.
    func fits(_ sequence: Int) -> Bool {
        let end = lengths.pointer[sequence], column = end % PageFormat.positions
        return free > (column > 0 && isContinued(table(sequence)[end / PageFormat.positions], column) ? column : 0)
    }

    // MARK: An eval

    /// Before `count` tokens are appended.
    func begin(_ count: Int) {
        journal.begin(lengths.pointer)
        store.keepReleased()
        pagesWanted = count / PageFormat.positions + 3 * min(count, maxSequences)
    }

    /// Makes room for one more position. False when there is none; then everything is to be undone.
    func append(_ sequence: Int, _ token: Int32) -> Bool {
        guard free > 0 else { return false }
        // a sequence has at most `used` positions, so the table reaches
        let end = lengths.pointer[sequence], column = end % PageFormat.positions
        let slot = sequence * layout.tableLength + end / PageFormat.positions
        if column == 0 {
            guard let page = store.take() else { return false }
            tables.pointer[slot] = page
            journal.note(slot, previous: -1)
        } else if isContinued(tables.pointer[slot], column) || isWorthKeeping(tables.pointer[slot], column) {
            guard copyPage(slot, column) else { return false }
        }
        let page = tables.pointer[slot]
        store.index.cut(page, to: column)
        store.index.tokens(page)[column] = token
        store.setFilled(page, column + 1)
        lengths.pointer[sequence] = end + 1
        return true
    }

    /// Whether another owner has positions of a page behind the first `column`: then it is copied before it is written.
    private func isContinued(_ page: Int32, _ column: Int) -> Bool { store.filled(page) > column }

    private func isWorthKeeping(_ page: Int32, _ column: Int) -> Bool {
        store.index.held(page) >= column + KVCache.worthKeeping && store.spare > pagesWanted && free > column
    }

    /// The page at `slot`, of which `column` positions are this sequence's, becomes its own.
    private func copyPage(_ slot: Int, _ column: Int) -> Bool {
        guard free > column, let page = store.take() else { return false }
        let previous = tables.pointer[slot], bytes = layout.format.bytes
        layout.format.copy(store.base + Int(previous) * bytes, to: store.base + Int(page) * bytes, positions: column)
        store.index.tokens(page).update(from: store.index.tokens(previous), count: column)
        tables.pointer[slot] = page
        journal.note(slot, previous: previous)
        release(previous, slot % layout.tableLength)
        store.setFilled(page, column)
        return true
    }

    /// The eval is done: its pages become known. Where the same tokens stand in another page already, that is used instead.
    func commit() {
        store.letReleasedGo()
        for sequence in 0..<maxSequences where lengths.pointer[sequence] > journal.lengthBefore(sequence) {
            let table = tables.pointer + sequence * layout.tableLength, end = lengths.pointer[sequence]
            var index = journal.lengthBefore(sequence) / PageFormat.positions
            while index * PageFormat.positions < min(end, pure.pointer[sequence]) {
                let page = table[index], parent = index == 0 ? root(sequence) : store.index.node(table[index - 1])
                let held = min(PageFormat.positions, min(end, pure.pointer[sequence]) - index * PageFormat.positions)
                let known = store.index.register(page, after: parent, held: held)
                if known != page {
                    store.retain(known)
                    store.setFilled(known, PageFormat.positions)
                    table[index] = known
                    release(page, index)
                }
                index += 1
            }
        }
    }

    /// Everything is as it was at `begin`: lengths, tables, pages, and the order in which free ones are taken.
    func undo() {
        store.letReleasedGo()
        for sequence in 0..<maxSequences { lengths.pointer[sequence] = journal.lengthBefore(sequence) }
        while let entry = journal.popLast() {
            // taken in this eval: nobody else has it and nothing is known of it
            _ = store.release(tables.pointer[entry.slot])
            if entry.previous >= 0 {
                tables.pointer[entry.slot] = entry.previous
                store.retain(entry.previous)
            }
        }
        for sequence in 0..<maxSequences { refillTail(sequence) }
    }

    // MARK: Sequences

    /// Shortens a sequence to `length`, at most what it has, and gives its pages back in the reverse of
    /// the order in which they were taken.
    func truncate(_ sequence: Int, to length: Int) {
        let p = PageFormat.positions, keep = (length + p - 1) / p
        var index = (lengths.pointer[sequence] + p - 1) / p
        lengths.pointer[sequence] = length
        if length <= pure.pointer[sequence] { pure.pointer[sequence] = .max }
        while index > keep {
            index -= 1
            release(tables.pointer[sequence * layout.tableLength + index], index)
        }
        refillTail(sequence)
    }

    /// `target` becomes the first `length` positions of `source`, which has as many and is another.
    func copy(_ source: Int, to target: Int, length: Int) {
        let pages = (length + PageFormat.positions - 1) / PageFormat.positions
        for index in 0..<pages { store.retain(table(source)[index]) }
        truncate(target, to: 0)
        (tables.pointer + target * layout.tableLength).update(from: table(source), count: pages)
        lengths.pointer[target] = length
        roots.pointer[target] = roots.pointer[source]
        if length > pure.pointer[source] { pure.pointer[target] = pure.pointer[source] }
    }

    // MARK: Shift

    /// Before positions keep + drop ... of `sequence` move up to keep: its pages from there on become its own. False when there
    /// is no room for that; then nothing has changed. What the pages hold is for `ShiftJob` to move; `finishShift` ends it.
    func beginShift(_ sequence: Int, keep: Int, drop: Int) -> Bool {
        let p = PageFormat.positions, end = lengths.pointer[sequence], new = end - drop
        let table = tables.pointer + sequence * layout.tableLength, own = (keep / p)..<max(keep / p, (new + p - 1) / p)
        let shared = own.reduce((pages: 0, positions: 0)) { sum, index in
            store.owners(table[index]) > 1 ? (sum.pages + 1, sum.positions + min(p, new - index * p)) : sum
        }
        guard shared.pages <= store.spare, shared.positions <= free else { return false }
        pagesBefore.pointer.update(from: table, count: (end + p - 1) / p)
        for index in own {
            let known = max(0, keep - index * p)
            if store.owners(table[index]) > 1, let page = store.take() {
                let bytes = layout.format.bytes
                layout.format.copy(store.base + Int(table[index]) * bytes, to: store.base + Int(page) * bytes, positions: known)
                store.index.tokens(page).update(from: store.index.tokens(table[index]), count: known)
                table[index] = page
                store.setFilled(page, min(p, new - index * p))
            } else {
                store.index.cut(table[index], to: known)
            }
        }
        return true
    }

    var shiftedPages: UnsafePointer<Int32> { UnsafePointer(pagesBefore.pointer) }

    func finishShift(_ sequence: Int, keep: Int, drop: Int) {
        let table = tables.pointer + sequence * layout.tableLength, new = lengths.pointer[sequence] - drop
        for index in 0..<((new + PageFormat.positions - 1) / PageFormat.positions) where table[index] != pagesBefore.pointer[index] {
            release(pagesBefore.pointer[index], index)
        }
        pure.pointer[sequence] = min(pure.pointer[sequence], keep)
        truncate(sequence, to: new)
    }

    /// Gives `sequence`, which is empty, the longest beginning of `tokens` (limit) that is stored anywhere and fits; returns its length.
    func adopt(_ sequence: Int, _ tokens: UnsafePointer<Int32>, limit: Int) -> Int {
        let table = tables.pointer + sequence * layout.tableLength, p = PageFormat.positions
        var parent = root(sequence), index = 0
        func take(_ page: Int32, _ positions: Int) -> Bool {
            let filled = max(store.filled(page), positions)
            guard filled - store.filled(page) <= free else { return false }
            store.retain(page)
            store.setFilled(page, filled)
            table[index] = page
            return true
        }
        while (index + 1) * p <= limit, let page = store.index.find(after: parent, tokens + index * p), take(page, p) {
            parent = store.index.node(page)
            index += 1
        }
        var found = index * p
        if found < limit {
            let part = store.index.findPart(after: parent, tokens + found, most: min(p, limit - found))
            if part.count > 0, take(part.page, part.count) { found += part.count }
        }
        lengths.pointer[sequence] = found
        return found
    }

    /// `page`, number `index` of a sequence that does not have it any more, loses an owner.
    private func release(_ page: Int32, _ index: Int) {
        if store.release(page) { refill(page, index) }
    }

    private func refillTail(_ sequence: Int) {
        let index = lengths.pointer[sequence] / PageFormat.positions
        if lengths.pointer[sequence] % PageFormat.positions > 0 { refill(table(sequence)[index], index) }
    }

    /// How far its owners fill a page: it has the same number in all of them.
    private func refill(_ page: Int32, _ index: Int) {
        var most = 0
        for sequence in 0..<maxSequences {
            let here = lengths.pointer[sequence] - index * PageFormat.positions
            if here > most && table(sequence)[index] == page { most = here }
        }
        store.setFilled(page, min(most, PageFormat.positions))
    }
}
