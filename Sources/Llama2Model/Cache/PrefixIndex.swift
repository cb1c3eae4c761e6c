internal import Llama2Core

/// Which tokens the pages of a cache stand for, so that a beginning that was computed before is found again.
///
/// Keys and values of a position depend on the tokens up to it and on nothing else, to the bit; so a page is as good as
/// any other after the same tokens. Every full page is a node of a tree: it has a number that no other page ever had,
/// and it names the node that it follows. A search goes down from `root`, or from that of the sequence's adapters, by a hash over (node, 64 tokens) and compares
/// both in full: two prefixes are the same by induction, and a collision of hashes costs a comparison, never an answer.
final class PrefixIndex {
    typealias Node = UInt64

    /// Before the first position.
    static let root: Node = 1
    /// Follows nothing that is known: pages behind it are not kept.
    static let unknown: Node = 0

    private struct Entry: BitwiseCopyable {
        /// The node that the page follows; `unknown` when nothing is known of it.
        var parent = PrefixIndex.unknown
        /// Its own, when it is full and can be found by its hash.
        var node = PrefixIndex.unknown
        /// Positions from the first on whose tokens are known.
        var held: Int32 = 0
        var next: Int32 = -1
    }

    private let pages: Int
    private let entries: AlignedBuffer<Entry>  // (pages)
    /// (pages, 64): written as sequences grow, of use up to `held`.
    private let tokens: AlignedBuffer<Int32>
    /// The first page of each list, -1 for none; a power of two.
    private let buckets: AlignedBuffer<Int32>
    private var nextNode: Node = root + 1

    init(pages: Int) throws(Llama2Error) {
        self.pages = pages
        entries = try AlignedBuffer(count: pages, of: "index of prefixes")
        tokens = try AlignedBuffer(count: try checkedMultiply(pages, PageFormat.positions, "tokens of pages", .noMemory), of: "tokens of pages")
        var size = 16
        while size < pages { size *= 2 }
        buckets = try AlignedBuffer(count: size, of: "index of prefixes")
        for i in 0..<pages { entries.pointer[i] = Entry() }
        for i in 0..<size { buckets.pointer[i] = -1 }
    }

    /// Before the first position of sequences whose pages are no others'.
    func newRoot() -> Node {
        nextNode += 1
        return nextNode - 1
    }

    func knows(_ page: Int32) -> Bool { entries.pointer[Int(page)].parent != PrefixIndex.unknown }
    func node(_ page: Int32) -> Node { entries.pointer[Int(page)].node }
    func held(_ page: Int32) -> Int { Int(entries.pointer[Int(page)].held) }

    func tokens(_ page: Int32) -> UnsafeMutablePointer<Int32> { tokens.pointer + Int(page) * PageFormat.positions }

    /// Makes `page` known: its first `held` tokens come after `parent`. Returns the page that stands for these from now on: a
    /// full one that was there already, or `page`.
    func register(_ page: Int32, after parent: Node, held: Int) -> Int32 {
        let own = tokens(page), hash = bucket(parent, own)
        if parent != PrefixIndex.unknown && held == PageFormat.positions {
            if let twin = find(after: parent, own) { return twin }
            entries.pointer[Int(page)] = Entry(parent: parent, node: nextNode, held: Int32(held), next: buckets.pointer[hash])
            buckets.pointer[hash] = page
            nextNode += 1
        } else {
            entries.pointer[Int(page)] = Entry(parent: parent, held: parent == PrefixIndex.unknown ? 0 : Int32(held))
        }
        return page
    }

    /// The full page with these 64 tokens after `parent`.
    func find(after parent: Node, _ wanted: UnsafePointer<Int32>) -> Int32? {
        var page = buckets.pointer[bucket(parent, wanted)]
        while page >= 0 {
            if entries.pointer[Int(page)].parent == parent && common(page, wanted, PageFormat.positions) == PageFormat.positions { return page }
            page = entries.pointer[Int(page)].next
        }
        return nil
    }

    /// The page after `parent` that has the most of the first `most` of these tokens, and how many.
    func findPart(after parent: Node, _ wanted: UnsafePointer<Int32>, most: Int) -> (page: Int32, count: Int) {
        var best: (page: Int32, count: Int) = (-1, 0)
        guard parent != PrefixIndex.unknown else { return best }
        for i in 0..<pages where entries.pointer[i].parent == parent {
            let count = common(Int32(i), wanted, min(most, Int(entries.pointer[i].held)))
            if count > best.count { best = (Int32(i), count) }
        }
        return best
    }

    /// The page is about to get other tokens from position `length` on.
    func cut(_ page: Int32, to length: Int) {
        guard held(page) > length else { return }
        guard length > 0 else { return forget(page) }
        unlink(page)
        entries.pointer[Int(page)].held = Int32(length)
    }

    /// Nothing is known of the page any more.
    func forget(_ page: Int32) {
        unlink(page)
        entries.pointer[Int(page)] = Entry()
    }

    private func unlink(_ page: Int32) {
        let entry = entries.pointer[Int(page)]
        guard entry.node != PrefixIndex.unknown else { return }
        let head = buckets.pointer + bucket(entry.parent, tokens(page))
        if head.pointee == page {
            head.pointee = entry.next
        } else {
            var before = head.pointee
            while entries.pointer[Int(before)].next != page { before = entries.pointer[Int(before)].next }
            entries.pointer[Int(before)].next = entry.next
        }
        entries.pointer[Int(page)].node = PrefixIndex.unknown
        entries.pointer[Int(page)].next = -1
    }

    /// How many of the first `most` tokens are the page's.
    private func common(_ page: Int32, _ wanted: UnsafePointer<Int32>, _ most: Int) -> Int {
        let own = tokens(page)
        for i in 0..<most where own[i] != wanted[i] { return i }
        return most
    }

    /// FNV-1a over the node and 64 tokens, by words (Fowler, Noll, Vo), folded.
    private func bucket(_ parent: Node, _ tokens: UnsafePointer<Int32>) -> Int {
        var hash = (0xcbf2_9ce4_8422_2325 ^ parent) &* 0x100_0000_01b3
        for i in 0..<PageFormat.positions { hash = (hash ^ UInt64(UInt32(bitPattern: tokens[i]))) &* 0x100_0000_01b3 }
        return Int(truncatingIfNeeded: hash ^ hash >> 32) & (buckets.count - 1)
    }
}
