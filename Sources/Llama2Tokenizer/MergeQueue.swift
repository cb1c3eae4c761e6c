import Llama2Core

/// Byte-pair merging in O(n log n), shared by both kinds of tokenizer.
///
/// The text is a doubly linked list of symbols. A heap holds the possible merges of neighbours;
/// the best is taken (lowest priority number, then leftmost), its two symbols become one, and the
/// two new neighbourhoods are entered. A candidate whose symbols have changed since is skipped.
struct MergeQueue: ~Copyable {
    struct Symbol: BitwiseCopyable {
        var start: Int32  // first byte in the text
        var length: Int32  // bytes; 0 once merged into its left neighbour
        var previous: Int32  // index of the neighbour, -1 at an end
        var next: Int32
        var id: Int32  // the vocabulary's number for these bytes, -1 when it has none
    }

    struct Candidate: BitwiseCopyable {
        var key: UInt64  // priority << 32 | index of the left symbol
        var right: Int32
        var length: Int32  // of both together: differs when either has changed
        var id: Int32
    }

    private(set) var symbols: GrowingBuffer<Symbol>
    private var heap: GrowingBuffer<Candidate>

    init() throws(Llama2Error) {
        let symbols = try GrowingBuffer<Symbol>(of: "symbols of a text")
        heap = try GrowingBuffer(of: "merges of a text")
        self.symbols = symbols
    }

    mutating func clear() {
        symbols.removeAll()
        heap.removeAll()
    }

    mutating func append(start: Int, length: Int, id: Int32) throws(Llama2Error) {
        let index = Int32(truncatingIfNeeded: symbols.count)
        if index > 0 { symbols[symbols.count - 1].next = index }
        try symbols.append(
            Symbol(
                start: Int32(truncatingIfNeeded: start), length: Int32(truncatingIfNeeded: length),
                previous: index - 1, next: -1, id: id))
    }

    /// Merges until no rule applies. The first symbol stays first: walk the list from index 0.
    mutating func mergeAll<Rules: MergeRules>(_ rules: Rules) throws(Llama2Error) {
        guard symbols.count > 1 else { return }
        for i in 1..<symbols.count { try consider(Int32(i - 1), Int32(i), rules) }
        while let best = pop() {
            let left = Int(best.key & 0xFFFF_FFFF)
            let right = Int(best.right)
            guard symbols[left].length > 0, symbols[right].length > 0,
                symbols[left].length + symbols[right].length == best.length
            else { continue }
            symbols[left].length = best.length
            symbols[left].id = best.id
            symbols[right].length = 0
            let next = symbols[right].next
            symbols[left].next = next
            if next >= 0 { symbols[Int(next)].previous = Int32(left) }
            try consider(symbols[left].previous, Int32(left), rules)
            try consider(Int32(left), next, rules)
        }
    }

    private mutating func consider<Rules: MergeRules>(_ left: Int32, _ right: Int32, _ rules: Rules) throws(Llama2Error) {
        guard left >= 0, right >= 0 else { return }
        let (a, b) = (symbols[Int(left)], symbols[Int(right)])
        guard let (priority, id) = rules.merge(a, b) else { return }
        try push(
            Candidate(
                key: UInt64(priority) << 32 | UInt64(UInt32(bitPattern: left)), right: right,
                length: a.length + b.length, id: id))
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
        let count = heap.count
        guard count > 0 else { return last }
        let best = heap[0]
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < count else { break }
            if child + 1 < count, heap[child + 1].key < heap[child].key { child += 1 }
            guard heap[child].key < last.key else { break }
            heap[hole] = heap[child]
            hole = child
        }
        heap[hole] = last
        return best
    }
}

/// Which neighbours merge: the lowest priority first, and the number of the result.
protocol MergeRules {
    func merge(_ left: MergeQueue.Symbol, _ right: MergeQueue.Symbol) -> (priority: UInt32, id: Int32)?
}
