import Llama2Core

/// Byte-pair merging in O(n log n), shared by all kinds of tokenizer.
///
/// The text is a doubly linked list of symbols. A heap holds the possible merges of neighbours;
/// the best is taken (lowest priority number, then leftmost), its two symbols become one, and the
/// two new neighbourhoods are entered. A candidate whose symbols have changed since is skipped.
///
/// 16 bytes a symbol and at most 20 a symbol in the heap: a heap that is full throws out the candidates that are
/// no longer possible, of which there is always a fifth. A long text comes in windows: of each the symbols count that
/// nothing behind the window can change, and the next one begins where they end.
struct MergeQueue: ~Copyable {
    /// Symbols of a window, to begin with.
    static let window = 1 << 16
    /// So many symbols at a window's end may depend on what follows; more, and a larger window is tried.
    private static let mostUncertain = 1024

    struct Symbol: BitwiseCopyable {
        var start: Int32  // first byte in the text
        var previous: Int32  // index of the neighbour, -1 at an end
        var next: Int32
        var id: Int32  // the vocabulary's number for these bytes, -1: it has none, -2: never merged
    }

    private static let gone: Int32 = .min  // as id: merged into its left neighbour

    struct Candidate: BitwiseCopyable {
        var key: UInt64  // priority << 32 | index of the left symbol
        var length: Int32  // of both together: differs when either has changed
        var id: Int32
    }

    private(set) var symbols: GrowingBuffer<Symbol>
    private var heap: GrowingBuffer<Candidate>
    private var end: Int32 = 0  // of the text

    init() throws(Llama2Error) {
        let symbols = try GrowingBuffer<Symbol>(of: "symbols of a text")
        heap = try GrowingBuffer(of: "merges of a text")
        self.symbols = symbols
    }

    /// For a text of `count` symbols at most, which the memory is made for.
    mutating func clear(expecting count: Int = 0) throws(Llama2Error) {
        symbols.removeAll()
        heap.removeAll()
        try symbols.reserve(count)
    }

    mutating func append(start: Int, length: Int, id: Int32) throws(Llama2Error) {
        let index = Int32(truncatingIfNeeded: symbols.count)
        if index > 0 { symbols[symbols.count - 1].next = index }
        try symbols.append(Symbol(start: Int32(truncatingIfNeeded: start), previous: index - 1, next: -1, id: id))
        end = Int32(truncatingIfNeeded: start + length)
    }

    /// Where the symbol's bytes end. Of a symbol that was merged into another: undefined.
    func end(_ symbol: Symbol) -> Int32 { symbol.next >= 0 ? symbols[Int(symbol.next)].start : end }

    /// Merges until no rule applies. The first symbol stays first: walk the list from index 0.
    ///
    /// isWhole: nothing follows. Otherwise the last symbol may merge with what follows at any time, and so may, one after the
    /// other, its neighbours: a symbol is left out as soon as a token that begins with it and reaches over all of the next
    /// one could merge earlier than what is best within. What is left never merges over its end, so that merges to the left
    /// and to the right of there do not depend on each other.
    /// - Returns: where the symbols end that are left; where the first begins when nothing is certain.
    mutating func mergeAll<Rules: MergeRules>(_ rules: inout Rules, isWhole: Bool = true) throws(Llama2Error) -> Int {
        guard let first = symbols.elements.first else { return Int(end) }
        try heap.reserve(symbols.count + symbols.count / 4 + 4)
        for i in 1..<max(symbols.count, 1) { try consider(Int32(i - 1), Int32(i), &rules) }
        var edge = Edge(last: Int32(symbols.count - 1), tail: end)
        if !isWhole { leave(&edge, rules) }
        while true {
            while heap.count > 0, !isPossible(heap[0]) { _ = pop() }
            if edge.bound < (heap.count > 0 ? heap[0].key >> 32 : .max) {
                guard edge.count < MergeQueue.mostUncertain else { return Int(first.start) }
                leave(&edge, rules)
                continue
            }
            guard let best = pop() else { break }
            let left = Int(best.key & 0xFFFF_FFFF), right = Int(symbols[left].next)
            symbols[left].id = best.id
            symbols[right].id = MergeQueue.gone
            let next = symbols[right].next
            symbols[left].next = next
            if next >= 0 { symbols[Int(next)].previous = Int32(left) }
            try consider(symbols[left].previous, Int32(left), &rules)
            try consider(Int32(left), next, &rules)
            if next < 0, !isWhole {
                edge.last = Int32(left)
                edge.bound = limit(edge, rules)
            }
        }
        return edge.last < 0 ? Int(first.start) : Int(end)
    }

    /// Where what is certain ends.
    private struct Edge {
        var last: Int32  // index of the last symbol that is certain, -1: none is
        var tail: Int32  // where the symbol behind it ends at least
        var tailMerges = true
        var bound = UInt64.max  // the lowest priority by which the last one could merge with what is behind it
        var count = 0  // of those left out
    }

    /// The last symbol is not certain any more.
    private mutating func leave<Rules: MergeRules>(_ edge: inout Edge, _ rules: Rules) {
        let symbol = symbols[Int(edge.last)]
        (edge.tail, edge.tailMerges) = (end(symbol), symbol.id != -2)
        end = symbol.start
        symbols[Int(edge.last)].id = MergeQueue.gone
        edge.last = symbol.previous
        if edge.last >= 0 { symbols[Int(edge.last)].next = -1 }
        edge.bound = limit(edge, rules)
        edge.count += 1
    }

    private func limit<Rules: MergeRules>(_ edge: Edge, _ rules: Rules) -> UInt64 {
        guard edge.tailMerges, edge.last >= 0, symbols[Int(edge.last)].id != -2 else { return .max }
        return rules.earliest(from: symbols[Int(edge.last)].start, over: edge.tail).map { UInt64($0) } ?? .max
    }

    private func isPossible(_ candidate: Candidate) -> Bool {
        let left = symbols[Int(candidate.key & 0xFFFF_FFFF)]
        guard left.id != MergeQueue.gone, left.next >= 0 else { return false }
        return end(symbols[Int(left.next)]) - left.start == candidate.length
    }

    private mutating func consider<Rules: MergeRules>(_ left: Int32, _ right: Int32, _ rules: inout Rules) throws(Llama2Error) {
        guard left >= 0, right >= 0 else { return }
        let (a, b) = (symbols[Int(left)], symbols[Int(right)])
        guard a.id != -2, b.id != -2 else { return }
        let middle = b.start, end = end(b)
        guard let (priority, id) = rules.merge(a, b, from: a.start, middle, to: end) else { return }
        if heap.count >= symbols.count + symbols.count / 4 { throwOut() }
        try push(Candidate(key: UInt64(priority) << 32 | UInt64(UInt32(bitPattern: left)), length: end - a.start, id: id))
    }

    /// Keeps the candidates that are still possible: at most one for each pair of neighbours.
    private mutating func throwOut() {
        var kept = 0
        for i in 0..<heap.count where isPossible(heap[i]) {
            heap[kept] = heap[i]
            kept += 1
        }
        heap.truncate(to: kept)
        for i in stride(from: kept / 2, through: 0, by: -1) where i < kept { sink(heap[i], at: i) }
    }

    private mutating func push(_ candidate: Candidate) throws(Llama2Error) {
        var hole = heap.count
        try heap.append(candidate)
        while hole > 0 {
            let parent = (hole - 1) / 2
            guard candidate.key < heap[parent].key else { break }
            heap[hole] = heap[parent]
            hole = parent
        }
        heap[hole] = candidate
    }

    private mutating func pop() -> Candidate? {
        guard let last = heap.popLast() else { return nil }
        guard heap.count > 0 else { return last }
        let best = heap[0]
        sink(last, at: 0)
        return best
    }

    private func sink(_ candidate: Candidate, at start: Int) {
        let count = heap.count
        var hole = start
        while true {
            var child = 2 * hole + 1
            guard child < count else { break }
            if child + 1 < count, heap[child + 1].key < heap[child].key { child += 1 }
            guard heap[child].key < candidate.key else { break }
            heap[hole] = heap[child]
            hole = child
        }
        heap[hole] = candidate
    }
}

/// Which neighbours merge: the lowest priority first, and the number of the result. Their bytes are those from `start` to
/// `middle` and from there to `end`.
protocol MergeRules {
    mutating func merge(
        _ left: MergeQueue.Symbol, _ right: MergeQueue.Symbol, from start: Int32, _ middle: Int32, to end: Int32
    ) -> (priority: UInt32, id: Int32)?

    /// The lowest priority of a merge whose bytes begin at `start` and reach to `end` or further; nil: there is none.
    func earliest(from start: Int32, over end: Int32) -> UInt32?
}
