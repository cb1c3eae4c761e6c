internal import Llama2Core

/// An automaton with the tokens that each of its states allows, as far as they were asked for. One thread at a time.
///
///     masks    (asked for, words): bit t of a row is set when token t may come
final class GrammarCache {
    let automaton: Automaton
    private var program: Program
    /// Whoever uses a cache has the grammar, which has the vocabulary; which has those that nobody uses.
    private unowned(unsafe) let vocabulary: GrammarVocabulary
    private var masks: RowTable<UInt32>
    private var rowOf: GrowingBuffer<Int32>  // (states) -1: not asked for yet
    private let path: AlignedBuffer<Int32>  // (deepest + 1) the state behind each byte of the token in question
    /// A leaf of the state in question.
    private struct Part: BitwiseCopyable { var local, allowed, below, leaf: Int32 }
    private let leafMasks: LeafMasks
    private var parts: GrowingBuffer<Part>
    private var below: GrowingBuffer<Int32>
    private let narrowed: AlignedBuffer<UInt32>  // (words)
    private var knownEndings: Endings?
    let words: Int
    /// Bytes of masks that are kept.
    private static let mostMaskBytes = 64 << 20

    init(_ program: Program, _ vocabulary: GrammarVocabulary) throws(Llama2Error) {
        self.program = program
        self.vocabulary = vocabulary
        automaton = try Automaton(program)
        leafMasks = try LeafMasks(automaton, vocabulary)
        parts = try GrowingBuffer(capacity: 64, of: "masks of a grammar")
        below = try GrowingBuffer(capacity: 64, of: "masks of a grammar")
        words = (vocabulary.count + 31) / 32
        masks = try RowTable(width: words, capacity: 8)
        narrowed = try AlignedBuffer(count: words, of: "masks of a grammar")
        rowOf = try GrowingBuffer(capacity: 256, of: "masks of a grammar")
        path = try AlignedBuffer(count: vocabulary.deepest + 1, of: "masks of a grammar")
    }

    /// Forgets all, for another program, in the memory that is there.
    func restart(_ program: Program) throws(Llama2Error) {
        self.program = program
        leafMasks.removeAll()
        masks.removeAll()
        rowOf.removeAll()
        knownEndings = nil
        try automaton.restart(program)
    }

    /// Keeps nothing but its memory.
    func letGo() {
        program = Program()
        knownEndings = nil
        automaton.letGo()
    }

    /// Bytes that it holds.
    var bytes: Int { masks.bytes + leafMasks.bytes + automaton.bytes }

    /// How its states come to their ends.
    func endings() throws(Llama2Error) -> Endings {
        if let knownEndings, !knownEndings.isFull { return knownEndings }
        let new = try Endings(automaton, vocabulary)
        knownEndings = new
        return new
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
        // 1. the leaves, equal ones side by side
        parts.removeAll()
        for index in 1..<max(1, automaton.states[state].count) {
            let leaf = automaton.states[state][index], (kind, _, _, below) = automaton.frame(leaf)
            guard kind != Program.Frame.token else { continue }
            let (local, allowed) = try automaton.local(of: leaf)
            try parts.append(Part(local: local, allowed: allowed, below: below, leaf: leaf))
        }
        var list = UnsafeMutableBufferPointer(mutating: parts.elements)
        if list.count > 1 { list.sort { ($0.local, $0.allowed, $0.below) < ($1.local, $1.allowed, $1.below) } }
        // 2. each kind of leaf: what stays inside, then what goes on behind it
        var from = 0
        while from < parts.count {
            let first = parts[from]
            below.removeAll()
            while from < parts.count, parts[from].local == first.local, parts[from].allowed == first.allowed {
                try below.append(parts[from].below)
                from += 1
            }
            let found = try leafMasks.mask(first.local)
            try stayInside(found, first, mask)
            try goOnBehind(found, first.allowed, mask)
        }
        // 3. the end, and tokens that the grammar names
        if automaton.canEnd(state) {
            for end in vocabulary.ends { set(end, mask) }
        }
        for set in automaton.tokenSets(state) { allow(program.tokenSets[Int(set)], mask) }
    }

    private func set(_ token: Int32, _ mask: UnsafeMutablePointer<UInt32>) { mask[Int(token) / 32] |= 1 << UInt32(token & 31) }

    private func stayInside(_ found: LeafMasks.Mask, _ part: Part, _ mask: UnsafeMutablePointer<UInt32>) throws(Llama2Error) {
        if found.row != -1, automaton.isReached(found.reach, part.allowed) {
            var row = found.row == LeafMasks.free ? vocabulary.freeText.row.pointer : leafMasks.rows[Int(found.row)]
            if found.removedCount > 0 {
                narrowed.pointer.update(from: row, count: words)
                row = narrowed.pointer
                for i in found.firstRemoved..<found.firstRemoved + found.removedCount {
                    let token = leafMasks.removed[i]
                    row[Int(token) / 32] &= ~(1 << UInt32(token & 31))
                }
            }
            for i in 0..<words { mask[i] |= row[i] }
        }
        let list = UnsafeBufferPointer(rebasing: leafMasks.found.elements[found.firstFound..<found.firstFound + found.foundCount])
        var reach: Int32 = .min, isReached = false
        for one in list {
            if one.reach != reach {
                reach = one.reach
                isReached = reach < 0 || automaton.isReached(reach, part.allowed)
            }
            guard isReached else { continue }
            if reach >= 0 || part.allowed < 0 { set(one.token, mask) } else if try staysInside(one.token, part.leaf) { set(one.token, mask) }
        }
    }

    /// Whether `leaf` takes all of a token and more.
    private func staysInside(_ token: Int32, _ leaf: Int32) throws(Llama2Error) -> Bool {
        let (_, a, b, _) = automaton.frame(leaf), stepper = automaton.stepper(a, b)
        var s = automaton.string(b)
        for byte in vocabulary.text(of: token) {
            guard case .inside(let next) = stepper.next(s, byte) else { return false }
            s = next
        }
        return true
    }

    private func goOnBehind(_ found: LeafMasks.Mask, _ allowed: Int32, _ mask: UnsafeMutablePointer<UInt32>) throws(Llama2Error) {
        if found.row == LeafMasks.free, automaton.mayEnd(found.tag, allowed) {
            let state = try automaton.behind(below.elements, found.tag)
            if state >= 0 { try goOnBehindFreeText(found, mask, state) }
        }
        var tag: Int32 = -1, state = Automaton.dead
        for i in found.firstEnd..<found.firstEnd + found.endCount {
            let end = leafMasks.ends[i]
            if end.tag != tag {
                tag = end.tag
                state = automaton.mayEnd(tag, allowed) ? try automaton.behind(below.elements, tag) : Automaton.dead
            }
            guard state >= 0 else { continue }
            let tree = end.isPlain ? vocabulary.plainTree : vocabulary.special, node = Int(end.node)
            setAll(tree, node, mask)
            if Int(tree.after[node]) > node + 1 { try walk(tree, below: node, mask, state, isPlain: end.isPlain) }
        }
    }

    private func goOnBehindFreeText(_ found: LeafMasks.Mask, _ mask: UnsafeMutablePointer<UInt32>, _ state: Int32) throws(Llama2Error) {
        let freeText = vocabulary.freeText, tree = vocabulary.special, count = freeText.ends.count
        for k in found.firstKept..<found.firstKept + found.keptCount {
            let kept = leafMasks.kept[k], isAll = Int(kept.to - kept.from) == count
            if isAll {
                let row = freeText.endRow.pointer
                for i in 0..<words { mask[i] |= row[i] }
            }
            for i in Int(kept.from)..<Int(kept.to) {
                let node = Int(freeText.ends.pointer[i])
                if !isAll { setAll(tree, node, mask) }
                if Int(tree.after.pointer[node]) > node &+ 1 { try walk(tree, below: node, mask, state, isPlain: false) }
            }
        }
    }

    /// The tokens of a node.
    @inline(__always)
    private func setAll(_ tree: VocabularyTree, _ node: Int, _ mask: UnsafeMutablePointer<UInt32>) {
        var token = tree.first.pointer[node]
        while token >= 0 {
            set(token, mask)
            token = vocabulary.sameBytes.pointer[Int(token)]
        }
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

    /// Sets the bits of the tokens below a node of `tree` that lead somewhere from `state`, which is the one behind that node.
    private func walk(
        _ tree: VocabularyTree, below top: Int, _ mask: UnsafeMutablePointer<UInt32>, _ state: Int32, isPlain: Bool
    ) throws(Llama2Error) {
        let path = path.pointer, end = Int(tree.after.pointer[top])
        path[Int(tree.depth.pointer[top])] = state
        var rows = automaton.rowsSoFar, node = top + 1
        while node < end {
            let depth = Int(tree.depth.pointer[node]), from = path[depth &- 1], byte = tree.byte.pointer[node]
            var to = rows[Int(from) &* Automaton.width &+ Int(byte)]
            if to == Automaton.unknown {
                to = try automaton.explore(from, byte)
                rows = automaton.rowsSoFar
            }
            guard to >= 0 else {
                node = Int(tree.after.pointer[node])
                continue
            }
            if isPlain, automaton.takesAnyText(to) {
                for token in tree.tokens(below: node) { set(token, mask) }
                node = Int(tree.after.pointer[node])
                continue
            }
            path[depth] = to
            setAll(tree, node, mask)
            node &+= 1
        }
    }
}
