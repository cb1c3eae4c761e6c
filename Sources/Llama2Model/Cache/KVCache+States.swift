internal import Llama2Core
internal import Llama2Kernels

// What states of sequences need: pages that come from outside.
extension KVCache {
    /// Pages of `length` positions.
    static func pages(_ length: Int) -> Int { (length + PageFormat.positions - 1) / PageFormat.positions }

    /// How many positions of a sequence depend on their tokens alone; nil for all.
    func pureLength(_ sequence: Int) -> Int? { pure.pointer[sequence] == .max ? nil : pure.pointer[sequence] }

    func setPure(_ sequence: Int, _ length: Int?) {
        pure.pointer[sequence] = length.map { $0 < lengths.pointer[sequence] ? $0 : .max } ?? .max
    }

    /// From position `length` on a sequence is no function of its tokens alone.
    func limitPure(_ sequence: Int, _ length: Int) { pure.pointer[sequence] = min(pure.pointer[sequence], length) }

    /// Page `index` of `sequence`, which ends before it, from outside: `filled` positions of which the sequence has `length`, with these
    /// tokens (filled, little-endian), `known` of them by tokens alone. The same page in the cache is used instead. nil: no room.
    func install(
        _ sequence: Int, _ index: Int, tokens: UnsafeRawPointer, filled: Int, length: Int, known: Int,
        _ fill: (UnsafeMutableRawPointer) -> Void
    ) -> Int32? {
        let p = PageFormat.positions, slot = sequence * layout.tableLength + index
        let parent = index == 0 ? root(sequence) : store.index.node(tables.pointer[slot - 1])
        read(tokens, filled)
        let chosen: Int32
        if known == p, let twin = twin(after: parent) {
            guard p - store.filled(twin) <= free else { return nil }
            store.retain(twin)
            chosen = twin
        } else {
            guard filled <= free, let page = store.take() else { return nil }
            fill(store.base + Int(page) * layout.format.bytes)
            store.index.tokens(page).update(from: tokensRead.pointer, count: filled)
            if known > 0 { _ = store.index.register(page, after: parent, held: known) }
            chosen = page
        }
        store.setFilled(chosen, max(store.filled(chosen), filled))
        tables.pointer[slot] = chosen
        lengths.pointer[sequence] = index * p + length
        return chosen
    }

    /// Positions that `install` would take for a page behind `parent`, which becomes the node of the page.
    func cost(tokens: UnsafeRawPointer, filled: Int, known: Int, after parent: inout PrefixIndex.Node) -> Int {
        read(tokens, filled)
        guard known == PageFormat.positions, let twin = twin(after: parent) else {
            parent = PrefixIndex.unknown
            return filled
        }
        parent = store.index.node(twin)
        return PageFormat.positions - store.filled(twin)
    }

    private func read(_ tokens: UnsafeRawPointer, _ count: Int) {
        for i in 0..<count {
            tokensRead.pointer[i] = Int32(littleEndian: tokens.loadUnaligned(fromByteOffset: 4 * i, as: Int32.self))
        }
    }

    /// The full page that has the tokens read last.
    private func twin(after parent: PrefixIndex.Node) -> Int32? {
        parent == PrefixIndex.unknown ? nil : store.index.find(after: parent, tokensRead.pointer)
    }

    /// Page `index` of `sequence`, which ends before it, is one that another has there.
    func share(_ page: Int32, _ sequence: Int, _ index: Int, _ length: Int) {
        store.retain(page)
        tables.pointer[sequence * layout.tableLength + index] = page
        lengths.pointer[sequence] = index * PageFormat.positions + length
    }
}
