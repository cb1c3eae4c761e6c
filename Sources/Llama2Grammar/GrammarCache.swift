internal import Llama2Core

/// An automaton with the tokens that each of its states allows, as far as they were asked for. One thread at a time.
///
///     masks    (asked for, words): bit t of a row is set when token t may come
final class GrammarCache {
    let automaton: Automaton
    private let program: Program
    private let vocabulary: GrammarVocabulary
    private var masks: RowTable<UInt32>
    private var rowOf: GrowingBuffer<Int32>  // (states) -1: not asked for yet
    private let path: AlignedBuffer<Int32>  // (deepest + 1) the state behind each byte of the token in question
    private let narrowed: AlignedBuffer<UInt32>  // (words)
    let words: Int
    /// Bytes of masks that are kept.
    private static let mostMaskBytes = 64 << 20

    init(_ program: Program, _ vocabulary: GrammarVocabulary) throws(Llama2Error) {
        self.program = program
        self.vocabulary = vocabulary
        automaton = try Automaton(program)
        words = (vocabulary.count + 31) / 32
        masks = try RowTable(width: words, capacity: 16)
        narrowed = try AlignedBuffer(count: words, of: "masks of a grammar")
        rowOf = try GrowingBuffer(capacity: 256, of: "masks of a grammar")
        path = try AlignedBuffer(count: vocabulary.deepest + 1, of: "masks of a grammar")
    }

    /// The tokens that may come, in words of 32 bits: valid until the next call.
    func mask(_ state: Int32) throws(Llama2Error) -> UnsafeBufferPointer<UInt32> {
        if Int(state) < rowOf.count, rowOf[Int(state)] >= 0 { return row(rowOf[Int(state)]) }
        if masks.count * words * 4 > GrammarCache.mostMaskBytes {
            masks.removeAll()
            for i in 0..<rowOf.count { rowOf[i] = -1 }
        }
        let index = Int32(truncatingIfNeeded: masks.count)
        try masks.append(repeating: 0)
        try fill(masks[Int(index)], state)
        while rowOf.count <= Int(state) { try rowOf.append(-1) }
        rowOf[Int(state)] = index
        return row(index)
    }

    /// The same without the tokens that begin with white space, if that leaves any.
    func maskWithoutSpace(_ state: Int32) throws(Llama2Error) -> UnsafeBufferPointer<UInt32> {
        let mask = try mask(state)
        var isAny = false
        for i in 0..<words {
            narrowed.pointer[i] = mask[i] & ~vocabulary.spaced[i]
            if narrowed.pointer[i] != 0 { isAny = true }
        }
        return isAny ? UnsafeBufferPointer(start: narrowed.pointer, count: words) : mask
    }

    private func row(_ index: Int32) -> UnsafeBufferPointer<UInt32> { UnsafeBufferPointer(start: masks[Int(index)], count: words) }

    private func fill(_ mask: UnsafeMutablePointer<UInt32>, _ state: Int32) throws(Llama2Error) {
        let room = automaton.plainRoom(state)
        if automaton.takesAnyText(state) {
            take(vocabulary.plain[GrammarVocabulary.mostPlain + 1], mask)
        } else if room > 0 {
            take(vocabulary.plain[min(room, GrammarVocabulary.mostPlain + 1)], mask)
            for (token, characters) in vocabulary.longPlain where characters > room { mask[Int(token) / 32] &= ~(1 << UInt32(token & 31)) }
        } else {
            try walk(vocabulary.plainTree, mask, state, isPlain: true)
        }
        try walk(vocabulary.special, mask, state, isPlain: false)
        if automaton.canEnd(state) {
            for end in vocabulary.ends { mask[Int(end) / 32] |= 1 << UInt32(end % 32) }
        }
        for set in automaton.tokenSets(state) { allow(program.tokenSets[Int(set)], mask) }
    }

    private func allow(_ set: [Int32], _ mask: UnsafeMutablePointer<UInt32>) {
        guard set.first == -1 else {
            for token in set { mask[Int(token) / 32] |= 1 << UInt32(token % 32) }
            return
        }
        for token in 0..<Int32(truncatingIfNeeded: vocabulary.count) where !set.contains(token) && !vocabulary.ends.contains(token) {
            mask[Int(token) / 32] |= 1 << UInt32(token % 32)
        }
    }

    private func take(_ bits: [UInt32], _ mask: UnsafeMutablePointer<UInt32>) {
        for i in 0..<words { mask[i] = bits[i] }
    }

    /// Sets the bits of the tokens of `tree` that lead somewhere from `state`.
    ///
    /// isPlain: it is the tree of plain tokens. Where any text may come, all that is below a node may, and is not looked at:
    /// the key of an object that is none of the known ones is such a text from the first letter that tells it apart. If more
    /// tokens begin so than lead nowhere, all bits are there from the start and those are cleared instead.
    private func walk(
        _ tree: GrammarVocabulary.Tree, _ mask: UnsafeMutablePointer<UInt32>, _ state: Int32, isPlain: Bool
    ) throws(Llama2Error) {
        let clears = isPlain ? try beginsMoreThanEnds(tree, state) : false
        if clears { take(vocabulary.plain[GrammarVocabulary.mostPlain + 1], mask) }
        let path = path.pointer, count = tree.count
        path[0] = state
        var rows = automaton.rowsSoFar
        // plain pointers: this loop runs over every token
        var failure: Llama2Error?
        tree.byte.withUnsafeBufferPointer { bytes in
            tree.depth.withUnsafeBufferPointer { depths in
                tree.after.withUnsafeBufferPointer { after in
                    tree.first.withUnsafeBufferPointer { first in
                        vocabulary.sameBytes.withUnsafeBufferPointer { same in
                            var node = 0
                            while node < count {
                                let depth = Int(depths[node]), from = path[depth &- 1]
                                var to = rows[Int(from) &* Automaton.width &+ Int(bytes[node])]
                                if to < Automaton.dead {
                                    do throws(Llama2Error) { to = try automaton.explore(from, bytes[node]) } catch {
                                        failure = error
                                        return
                                    }
                                    rows = automaton.rowsSoFar
                                }
                                guard to >= 0 else {
                                    if clears { change(tree, node, mask, to: false) }
                                    node = Int(after[node])
                                    continue
                                }
                                if isPlain, automaton.takesAnyText(to) {
                                    if !clears { change(tree, node, mask, to: true) }
                                    node = Int(after[node])
                                    continue
                                }
                                path[depth] = to
                                var token = clears ? -1 : first[node]
                                while token >= 0 {
                                    mask[Int(token) / 32] |= 1 << UInt32(token & 31)
                                    token = same[Int(token)]
                                }
                                node &+= 1
                            }
                        }
                    }
                }
            }
        }
        if let failure { throw failure }
    }

    /// Whether more tokens begin with a byte behind which any text may come than with one that leads nowhere.
    private func beginsMoreThanEnds(_ tree: GrammarVocabulary.Tree, _ state: Int32) throws(Llama2Error) -> Bool {
        var free: Int32 = 0, dead: Int32 = 0, node = 0
        while node < tree.count {
            let to = try automaton.next(state, tree.byte[node]), after = Int(tree.after[node])
            let tokens = tree.rank[after] - tree.rank[node]
            if to < 0 { dead += tokens } else if automaton.takesAnyText(to) { free += tokens }
            node = after
        }
        return free > dead
    }

    /// The bits of all tokens of a node and below.
    private func change(_ tree: GrammarVocabulary.Tree, _ node: Int, _ mask: UnsafeMutablePointer<UInt32>, to value: Bool) {
        tree.tokens.withUnsafeBufferPointer { tokens in
            for i in Int(tree.rank[node])..<Int(tree.rank[Int(tree.after[node])]) {
                let token = UInt32(bitPattern: tokens[i]), bit = UInt32(1) << (token & 31)
                if value { mask[Int(token / 32)] |= bit } else { mask[Int(token / 32)] &= ~bit }
            }
        }
    }
}
