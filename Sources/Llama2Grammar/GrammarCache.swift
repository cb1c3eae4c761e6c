internal import Llama2Core

/// An automaton with the tokens that each of its states allows, as far as they were asked for. One thread at a time.
///
///     masks    (asked for, words): bit t of a row is set when token t may come
final class GrammarCache {
    let automaton: Automaton
    private let program: Program
    private let vocabulary: GrammarVocabulary
    private var masks: GrowingBuffer<UInt32>
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
        masks = try GrowingBuffer(capacity: 16 * words, of: "masks of a grammar")
        narrowed = try AlignedBuffer(count: words, of: "masks of a grammar")
        rowOf = try GrowingBuffer(capacity: 256, of: "masks of a grammar")
        path = try AlignedBuffer(count: vocabulary.deepest + 1, of: "masks of a grammar")
    }

    /// The tokens that may come, in words of 32 bits: valid until the next call.
    func mask(_ state: Int32) throws(Llama2Error) -> UnsafeBufferPointer<UInt32> {
        if Int(state) < rowOf.count, rowOf[Int(state)] >= 0 { return row(rowOf[Int(state)]) }
        if masks.count * 4 > GrammarCache.mostMaskBytes {
            masks.removeAll()
            for i in 0..<rowOf.count { rowOf[i] = -1 }
        }
        let index = Int32(truncatingIfNeeded: masks.count / max(words, 1))
        for _ in 0..<words { try masks.append(0) }
        try fill(UnsafeMutablePointer(mutating: row(index).baseAddress), state)
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

    private func row(_ index: Int32) -> UnsafeBufferPointer<UInt32> {
        UnsafeBufferPointer(rebasing: masks.elements[Int(index) * words..<(Int(index) + 1) * words])
    }

    private func fill(_ mask: UnsafeMutablePointer<UInt32>?, _ state: Int32) throws(Llama2Error) {
        guard let mask else { return }
        let room = automaton.plainRoom(state)
        if room == Int.max || room > 0 && room <= GrammarVocabulary.mostPlain {
            let plain = vocabulary.plain[min(room, GrammarVocabulary.mostPlain + 1)]
            for i in 0..<words { mask[i] = plain[i] }
            try walk(vocabulary.special, mask, state)
        } else {
            try walk(vocabulary.all, mask, state)
        }
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

    /// Sets the bits of the tokens of `tree` that lead somewhere from `state`.
    private func walk(_ tree: GrammarVocabulary.Tree, _ mask: UnsafeMutablePointer<UInt32>, _ state: Int32) throws(Llama2Error) {
        let path = path.pointer, count = tree.count
        path[0] = state
        guard var rows = automaton.rowsSoFar else { return }
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
                                var to = rows[Int(from) &* 256 &+ Int(bytes[node])]
                                if to < Automaton.dead {
                                    do throws(Llama2Error) { to = try automaton.explore(from, bytes[node]) } catch {
                                        failure = error
                                        return
                                    }
                                    guard let now = automaton.rowsSoFar else { return }
                                    rows = now
                                }
                                guard to >= 0 else {
                                    node = Int(after[node])
                                    continue
                                }
                                path[depth] = to
                                var token = first[node]
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
}
