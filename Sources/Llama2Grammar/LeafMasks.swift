internal import Llama2Core

/// What a leaf allows whatever is below it: tokens that stay inside of it, and where in the trees of tokens it is complete. One thread
/// at a time.
///
/// Tokens of a key depend on which keys may come: they are found for all keys, each with the set of tags that it can still reach, and
/// those that reach nothing that may come are left out when they are asked for.
final class LeafMasks {
    struct Mask: BitwiseCopyable {
        /// A row of `rows`, -1 for none, or `free`; and what its tokens reach.
        var row: Int32 = -1, reach: Int32 = 0
        /// For `free`: the tag of its ends, the tokens that are not in the row, and which of the vocabulary's ends are, in `kept`.
        var tag: Int32 = -1
        var firstRemoved = 0, removedCount = 0
        var firstKept = 0, keptCount = 0
        var firstFound = 0, foundCount = 0  // further tokens, by what they reach
        var firstEnd = 0, endCount = 0  // by their tags
    }
    /// A range of `FreeText.ends`.
    struct Kept: BitwiseCopyable { var from, to: Int32 }
    /// Instead of a row: that of the vocabulary's `FreeText`.
    static let free: Int32 = -2
    /// A token that ends inside of the leaf, and what it can reach (`Automaton.reach`).
    struct Found: BitwiseCopyable { var reach, token: Int32 }
    /// The leaf is complete behind that node of a tree.
    struct End: BitwiseCopyable { var tag, node: Int32, isPlain: Bool }

    let automaton: Automaton
    unowned(unsafe) let vocabulary: GrammarVocabulary  // see GrammarCache
    private var masks: GrowingBuffer<Mask>
    private var maskOf: GrowingBuffer<Int32>  // (locals) -1: not asked for yet
    private(set) var rows: RowTable<UInt32>
    private(set) var found: GrowingBuffer<Found>
    var ends: GrowingBuffer<End>
    var removed: GrowingBuffer<Int32>
    private(set) var kept: GrowingBuffer<Kept>
    let path: AlignedBuffer<Int32>  // (deepest + 1) the leaf, or its state, behind each byte of the token in question
    var isFreeState: GrowingBuffer<UInt8>, firstState: GrowingBuffer<Int32>  // see LeafMasks+States
    /// Of free text: the end that comes next.
    var nextEnd = 0
    private let words: Int
    /// Bytes of rows and lists that are kept.
    private static let mostBytes = 64 << 20
    /// So many tokens of one kind are a row rather than a list.
    private static let fewTokens = 128

    init(_ automaton: Automaton, _ vocabulary: GrammarVocabulary) throws(Llama2Error) {
        self.automaton = automaton
        self.vocabulary = vocabulary
        words = (vocabulary.count + 31) / 32
        masks = try GrowingBuffer(capacity: 16, of: "masks of a grammar")
        maskOf = try GrowingBuffer(capacity: 64, of: "masks of a grammar")
        rows = try RowTable(width: words, capacity: 4)
        found = try GrowingBuffer(capacity: 1024, of: "masks of a grammar")
        ends = try GrowingBuffer(capacity: 256, of: "masks of a grammar")
        removed = try GrowingBuffer(capacity: 64, of: "masks of a grammar")
        kept = try GrowingBuffer(capacity: 64, of: "masks of a grammar")
        isFreeState = try GrowingBuffer(capacity: 64, of: "masks of a grammar")
        firstState = try GrowingBuffer(capacity: 16, of: "masks of a grammar")
        path = try AlignedBuffer(count: vocabulary.deepest + 1, of: "masks of a grammar")
    }

    /// Valid until the next one is asked for.
    func mask(_ leaf: Int32) throws(Llama2Error) -> Mask {
        let local = try canonical(leaf)
        if Int(local) < maskOf.count, maskOf[Int(local)] >= 0 { return masks[Int(maskOf[Int(local)])] }
        let lists = found.count * MemoryLayout<Found>.stride + ends.count * MemoryLayout<End>.stride
        if rows.count * words * 4 + lists + removed.count * 4 + kept.count * MemoryLayout<Kept>.stride > LeafMasks.mostBytes { removeAll() }
        let mask = try find(local)
        while maskOf.count <= Int(local) { try maskOf.append(-1) }
        maskOf[Int(local)] = Int32(truncatingIfNeeded: masks.count)
        try masks.append(mask)
        return mask
    }

    func removeAll() {
        rows.removeAll()
        found.removeAll()
        ends.removeAll()
        removed.removeAll()
        kept.removeAll()
        masks.removeAll()
        maskOf.removeAll()
        isFreeState.removeAll()
        firstState.removeAll()
    }

    /// Bytes that it holds.
    var bytes: Int {
        let lists = found.capacity * MemoryLayout<Found>.stride + ends.capacity * MemoryLayout<End>.stride + removed.capacity * 4
        return rows.bytes + lists + masks.capacity * MemoryLayout<Mask>.stride
    }

    /// A leaf for which the same holds: where a text of any characters is far from its least length, one is as another.
    private func canonical(_ local: Int32) throws(Llama2Error) -> Int32 {
        let list = automaton.locals[local], kind = list[0], a = list[1]
        guard kind == Program.Frame.string, let room = room(local) else { return local }
        let form = automaton.program.strings[Int(a)]
        var s = automaton.string(list[2])
        guard form.least - s.count > far, room >= Int(far) else { return local }
        s.count = form.least - far - 1
        return try automaton.numberedLocal(kind, a, try automaton.number(s))
    }

    /// More characters than a token has.
    private var far: Int32 { Int32(truncatingIfNeeded: vocabulary.deepest) }

    /// Whether any token that stays inside, or ends the text, may come.
    private func isFreeText(_ local: Int32) -> Bool {
        guard let room = room(local) else { return automaton.localTakesAnyText(local) }
        let list = automaton.locals[local]
        return room >= Int(far) && automaton.string(list[2]).count >= automaton.program.strings[Int(list[1])].least
    }

    // MARK: Finding

    private func find(_ local: Int32) throws(Llama2Error) -> Mask {
        var mask = Mask()
        let firstFound = found.count, firstEnd = ends.count
        // 1. what is the same for all
        if isFreeText(local) {
            let list = automaton.locals[local], dfa = automaton.program.automata[Int(automaton.program.strings[Int(list[1])].dfa)]
            mask.row = LeafMasks.free
            mask.reach = automaton.reach(local)
            mask.tag = dfa.tags[Int(automaton.string(list[2]).dfa)]
            (mask.firstKept, mask.keptCount) = (kept.count, 1)
            try kept.append(Kept(from: 0, to: Int32(truncatingIfNeeded: vocabulary.freeText.ends.count)))
            return mask
        }
        // 2. plain tokens, where they are a question of their length alone; else as the trees have them
        if let room = room(local) {
            try addRow(vocabulary.plain[min(room, GrammarVocabulary.mostPlain + 1)], &mask)
            mask.reach = automaton.reach(local)
            for (token, characters) in vocabulary.longPlain where characters > room { clear(token, mask.row) }
            try walk(vocabulary.special, isPlain: false, local, mask, isFree: false)
        } else if let free = try mostlyFree(local) {
            (mask.row, mask.reach, mask.tag) = (LeafMasks.free, free.reach, free.tag)
            (mask.firstRemoved, mask.firstKept) = (removed.count, kept.count)
            try walk(vocabulary.plainTree, isPlain: true, local, mask, isFree: true)
            try walk(vocabulary.special, isPlain: false, local, mask, isFree: true)
            (mask.removedCount, mask.keptCount) = (removed.count - mask.firstRemoved, kept.count - mask.firstKept)
        } else {
            try walk(vocabulary.plainTree, isPlain: true, local, mask, isFree: false)
            try walk(vocabulary.special, isPlain: false, local, mask, isFree: false)
        }
        // 3. in order; the most of one kind become a row
        var list = UnsafeMutableBufferPointer(mutating: UnsafeBufferPointer(rebasing: found.elements[firstFound...]))
        if list.contains(where: { $0.reach != list[0].reach }) { list.sort { ($0.reach, $0.token) < ($1.reach, $1.token) } }
        if mask.row == -1, let most = longestRun(list), most.count > LeafMasks.fewTokens, list[most.lowerBound].reach >= 0 {
            mask.reach = list[most.lowerBound].reach
            mask.row = Int32(truncatingIfNeeded: rows.count)
            try rows.append(repeating: 0)
            for i in most { set(list[i].token, mask.row) }
            for i in most.upperBound..<list.count { list[i - most.count] = list[i] }
            found.truncate(to: found.count - most.count)
        }
        var complete = UnsafeMutableBufferPointer(mutating: UnsafeBufferPointer(rebasing: ends.elements[firstEnd...]))
        if complete.contains(where: { $0.tag != complete[0].tag }) {
            complete.sort { ($0.tag, $0.isPlain ? 1 : 0, $0.node) < ($1.tag, $1.isPlain ? 1 : 0, $1.node) }
        }
        (mask.firstFound, mask.foundCount) = (firstFound, found.count - firstFound)
        (mask.firstEnd, mask.endCount) = (firstEnd, ends.count - firstEnd)
        return mask
    }

    private func addRow(_ bits: [UInt32], _ mask: inout Mask) throws(Llama2Error) {
        mask.row = Int32(truncatingIfNeeded: rows.count)
        try rows.append(repeating: 0)
        let row = rows[Int(mask.row)]
        for i in 0..<words { row[i] = bits[i] }
    }

    private func set(_ token: Int32, _ row: Int32) { rows[Int(row)][Int(token) / 32] |= 1 << UInt32(token & 31) }
    private func clear(_ token: Int32, _ row: Int32) { rows[Int(row)][Int(token) / 32] &= ~(1 << UInt32(token & 31)) }

    private func longestRun(_ list: UnsafeMutableBufferPointer<Found>) -> Range<Int>? {
        var best: Range<Int>?, start = 0
        for i in list.indices where i + 1 == list.count || list[i + 1].reach != list[i].reach {
            if i + 1 - start > best?.count ?? 0 { best = start..<i + 1 }
            start = i + 1
        }
        return best
    }

    /// How many characters more a text of any characters may have, Int.max for no limit; nil for all else.
    private func room(_ local: Int32) -> Int? {
        let list = automaton.locals[local]
        guard list[0] == Program.Frame.string else { return nil }
        let form = automaton.program.strings[Int(list[1])], s = automaton.string(list[2])
        guard form.isAny, s.phase == StringState.Phase.body, s.alike.isNone, s.dfa == automaton.program.automata[Int(form.dfa)].start else { return nil }
        return form.most < 0 ? Int.max : Int(form.most - s.count)
    }

    /// Adds the tokens of `tree` that end inside, and where the leaf is complete. isFree: the row is that of free text, and what is not
    /// so is taken out of it.
    private func walk(_ tree: VocabularyTree, isPlain: Bool, _ local: Int32, _ mask: Mask, isFree: Bool) throws(Llama2Error) {
        nextEnd = 0
        if let place = place(of: local) {
            path.pointer[0] = place.state
            try walkStates(tree, place, from: 0, to: tree.count, isPlain: isPlain, mask, isFree: isFree)
        } else {
            path.pointer[0] = local
            try walkLeaves(tree, from: 0, to: tree.count, isPlain: isPlain, mask, isFree: isFree, changes: true)
        }
    }

    /// changes: goes on by states where it can.
    func walkLeaves(
        _ tree: VocabularyTree, from first: Int, to count: Int, isPlain: Bool, _ mask: Mask, isFree: Bool, changes: Bool
    ) throws(Llama2Error) {
        let path = path.pointer, freeText = vocabulary.freeText
        var localRows = automaton.localRowsSoFar, node = first
        while node < count {
            let depth = Int(tree.depth.pointer[node]), from = path[depth &- 1], byte = tree.byte.pointer[node]
            var to = localRows[Int(from) &* Automaton.localWidth &+ Int(byte)]
            if to == Automaton.unknown {
                to = try automaton.exploreLocal(from, byte)
                localRows = automaton.localRowsSoFar
            }
            if to <= Automaton.completes {
                let outcome = automaton.outcomes[Int(Automaton.completes - to)]
                try ends.append(End(tag: outcome.tag, node: Int32(truncatingIfNeeded: node), isPlain: isPlain))
                to = outcome.inside
            }
            guard to >= 0 else {
                if isFree { try removed.append(contentsOf: tree.tokens(below: node)) }
                node = Int(tree.after.pointer[node])
                continue
            }
            if isPlain ? automaton.localTakesAnyText(to) : isFree && freeText.isSelf.pointer[node] != 0 && isFreeText(to) {
                let reach = automaton.reach(to)
                if isFree, reach == mask.reach {
                    if !isPlain { try keep(node, tree.after.pointer[node], mask) }
                    node = Int(tree.after.pointer[node])
                    continue
                }
                if isPlain {
                    for token in tree.tokens(below: node) { try take(token, reach, mask, isFree) }
                    node = Int(tree.after.pointer[node])
                    continue
                }
            }
            path[depth] = to
            var token = tree.first.pointer[node]
            if token >= 0 {
                let reach = automaton.reach(to)
                while token >= 0 {
                    try take(token, reach, mask, isFree)
                    token = vocabulary.sameBytes.pointer[Int(token)]
                }
            }
            if changes, let place = place(of: to) {
                path[depth] = place.state
                try walkStates(tree, place, from: node + 1, to: Int(tree.after.pointer[node]), isPlain: isPlain, mask, isFree: isFree)
                localRows = automaton.localRowsSoFar
                node = Int(tree.after.pointer[node])
                continue
            }
            node &+= 1
        }
    }

    /// Keeps the ends of free text from one node up to another.
    func keep(_ node: Int, _ after: Int32, _ mask: Mask) throws(Llama2Error) {
        var from = nextEnd
        let freeText = vocabulary.freeText, count = freeText.ends.count
        while from < count, freeText.ends.pointer[from] < node { from &+= 1 }
        var to = from
        while to < count, freeText.ends.pointer[to] < after { to &+= 1 }
        nextEnd = to
        guard to > from else { return }
        if kept.count > mask.firstKept, Int(kept[kept.count - 1].to) == from {
            kept[kept.count - 1].to = Int32(truncatingIfNeeded: to)
        } else {
            try kept.append(Kept(from: Int32(truncatingIfNeeded: from), to: Int32(truncatingIfNeeded: to)))
        }
    }

    func take(_ token: Int32, _ reach: Int32, _ mask: Mask, _ isFree: Bool) throws(Llama2Error) {
        if isFree {
            if reach == mask.reach, vocabulary.freeText.has(token) { return }
            try removed.append(token)
        } else if mask.row >= 0, reach == mask.reach {
            return set(token, mask.row)
        }
        try found.append(Found(reach: reach, token: token))
    }
}
