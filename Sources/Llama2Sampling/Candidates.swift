import Llama2Core

/// The logits of one step, and the best of them in order.
///
/// Top-k, top-p and min-p each keep a prefix of the tokens sorted by falling logit (rising id
/// among equals), so what survives a chain of them is one number, `length`, and only a prefix
/// ever needs sorting. It is sorted on demand, in a few growing portions: a model that is sure
/// of itself is done after the first, whatever the size of its vocabulary.
///
///     logits    (vocabularySize)  by id: the caller's, then with bias and penalties
///     best      (vocabularySize)  by rank; 0..<ordered are valid
struct Candidates: ~Copyable {
    struct Candidate {
        var logit: Float
        var token: Int32
    }

    let vocabularySize: Int
    private let logits: AlignedBuffer<Float>
    private let best: AlignedBuffer<Candidate>
    private let counts: AlignedBuffer<UInt32>  // (vocabularySize) all zero between calls
    private var ordered = 0
    /// How many logits are not -infinity; the others are no candidates at all.
    private var finite = 0
    /// The highest logit, and the lowest id that has it.
    private(set) var top = Candidate(logit: -.infinity, token: 0)
    /// How many candidates have survived the filters so far.
    private(set) var length = 0

    /// `vocabularySize` is at most `Int32.max`.
    init(vocabularySize: Int) throws(Llama2Error) {
        // All or none: a partly initialized noncopyable value could not be destroyed.
        let logits = try AlignedBuffer<Float>(count: vocabularySize, of: "logits of the sampler")
        let best = try AlignedBuffer<Candidate>(count: vocabularySize, of: "candidates of the sampler")
        let counts = try AlignedBuffer<UInt32>(count: vocabularySize, of: "token counts of the sampler")
        self.vocabularySize = vocabularySize
        self.logits = logits
        self.best = best
        self.counts = counts
    }

    // MARK: - Logits, by id

    /// Copies the logits, of which there are `vocabularySize`; NaN and +infinity are refused.
    mutating func load(_ source: UnsafeBufferPointer<Float>) throws(Llama2Error) {
        guard source.count == vocabularySize, let source = source.baseAddress else { return }
        let logits = logits.pointer
        for id in 0..<vocabularySize {
            let logit = source[id]
            guard logit < .infinity else {  // false for NaN as well
                throw Llama2Error(.invalidArgument, "logit \(id) is \(logit); it must be finite or -inf")
            }
            logits[id] = logit
        }
    }

    /// Forbids all tokens whose bit is not set.
    mutating func keep(only mask: UnsafeBufferPointer<UInt32>) throws(Llama2Error) {
        guard mask.count == (vocabularySize + 31) / 32 else {
            throw Llama2Error(.invalidArgument, "the grammar was made for another vocabulary than that of \(vocabularySize) tokens")
        }
        let logits = logits.pointer
        for (index, word) in mask.enumerated() where word != .max {
            for id in 32 * index..<min(32 * index + 32, vocabularySize) where word >> UInt32(id & 31) & 1 == 0 { logits[id] = -.infinity }
        }
    }

    /// `token` lies in the vocabulary, `bias` is finite or -infinity.
    mutating func add(_ bias: Float, to token: Int32) {
        let slot = logits.pointer + Int(token)
        slot.pointee = bias == -.infinity ? bias : withoutOverflow(slot.pointee) { $0 + bias }
    }

    /// Repetition, frequency and presence penalty, for every token in the history once:
    ///
    ///     l = l > 0 ? l / repetition : l * repetition
    ///     l = l - (count * frequency + presence)
    mutating func penalize(_ history: borrowing TokenHistory, _ options: borrowing SamplerOptions) {
        let repetition = options.repetitionPenalty
        let frequency = options.frequencyPenalty, presence = options.presencePenalty
        let counts = counts.pointer
        let tokens = history.tokens
        // A token that is not of this vocabulary has no logit to lower.
        for token in tokens where token >= 0 && Int(token) < vocabularySize { counts[Int(token)] &+= 1 }
        for token in tokens where token >= 0 && Int(token) < vocabularySize {
            // Clearing the count leaves the array zero, and later occurrences without effect.
            let count = counts[Int(token)]
            guard count > 0 else { continue }
            counts[Int(token)] = 0
            let slot = logits.pointer + Int(token)
            slot.pointee = withoutOverflow(slot.pointee) { $0 > 0 ? $0 / repetition : $0 * repetition }
            slot.pointee = withoutOverflow(slot.pointee) { $0 - (Float(count) * frequency + presence) }
        }
    }

    /// Ends the changes to the logits: finds `top`, and takes all finite ones as candidates.
    mutating func rank() throws(Llama2Error) {
        let logits = logits.pointer
        var top = Candidate(logit: -.infinity, token: 0)
        var finite = 0
        for id in 0..<vocabularySize {
            let logit = logits[id]
            if logit > -.infinity { finite &+= 1 }
            if logit > top.logit { top = Candidate(logit: logit, token: Int32(truncatingIfNeeded: id)) }
        }
        guard finite > 0 else {
            throw Llama2Error(
                .invalidArgument, "all \(vocabularySize) logits from index 0 on are -inf; no token can be chosen")
        }
        self.top = top
        self.finite = finite
        length = finite
        ordered = 0
    }

    // MARK: - Filters, by rank

    /// Keeps the first `count` (at least 1).
    mutating func keep(_ count: Int) {
        length = min(length, max(1, count))
    }

    /// The unnormalized probability e^((l - max) * inverseTemperature): 1 for the best token.
    mutating func weight(_ rank: Int, _ inverseTemperature: Double = 1) -> Double {
        if rank >= ordered { order(rank &+ 1) }
        return weight(of: best.pointer[rank].logit, inverseTemperature)
    }

    mutating func token(_ rank: Int) -> Int32 {
        if rank >= ordered { order(rank &+ 1) }
        return best.pointer[rank].token
    }

    /// The sum of the weights of all candidates: in the order of ranks or, as long as nothing was
    /// filtered, of ids, which needs no sorting.
    mutating func totalWeight(_ inverseTemperature: Double = 1) -> Double {
        var total = 0.0
        if length == finite {
            let logits = logits.pointer
            for id in 0..<vocabularySize { total += weight(of: logits[id], inverseTemperature) }
        } else {
            for rank in 0..<length { total += weight(rank, inverseTemperature) }
        }
        return total
    }

    private func weight(of logit: Float, _ inverseTemperature: Double) -> Double {
        exponential((Double(logit) - Double(top.logit)) * inverseTemperature)
    }

    // MARK: - Order

    /// Sorts at least `needed` (at most `length`) of the candidates; 8 times as many as before,
    /// so that even a full sort by portions costs little more than one sort.
    private mutating func order(_ needed: Int) {
        let size = min(length, max(needed, 256, ordered &* 8))
        let best = best.pointer, logits = logits.pointer

        // 1. A heap of the first `size` candidates, the worst at the root.
        var filled = 0, id = 0
        while filled < size {
            if logits[id] > -.infinity {
                best[filled] = Candidate(logit: logits[id], token: Int32(truncatingIfNeeded: id))
                filled &+= 1
            }
            id &+= 1
        }
        var root = size / 2
        while root > 0 {
            root &-= 1
            siftDown(best, root, size)
        }
        // 2. Each of the others that beats the worst replaces it. Ids rise, so none does on a tie.
        while id < vocabularySize {
            if logits[id] > best[0].logit {
                best[0] = Candidate(logit: logits[id], token: Int32(truncatingIfNeeded: id))
                siftDown(best, 0, size)
            }
            id &+= 1
        }
        // 3. Heapsort: the worst of the rest goes to the end of the rest.
        var end = size
        while end > 1 {
            end &-= 1
            (best[0], best[end]) = (best[end], best[0])
            siftDown(best, 0, end)
        }
        ordered = size
    }
}

/// Restores the heap order (no parent ranks before a child) below `root` in `heap[0..<size]`.
private func siftDown(_ heap: UnsafeMutablePointer<Candidates.Candidate>, _ root: Int, _ size: Int) {
    let moving = heap[root]
    var hole = root
    while true {
        // Indices stay below 2 * Int32.max: no overflow.
        var child = hole &* 2 &+ 1
        guard child < size else { break }
        if child &+ 1 < size, ranksBefore(heap[child], heap[child &+ 1]) { child &+= 1 }
        guard ranksBefore(moving, heap[child]) else { break }
        heap[hole] = heap[child]
        hole = child
    }
    heap[hole] = moving
}

/// A total order, so that every sort has one result.
@inline(__always)
private func ranksBefore(_ a: Candidates.Candidate, _ b: Candidates.Candidate) -> Bool {
    a.logit > b.logit || (a.logit == b.logit && a.token < b.token)
}

/// `change` of a finite logit, kept finite; -infinity, which means never, stays what it is.
@inline(__always)
private func withoutOverflow(_ logit: Float, _ change: (Float) -> Float) -> Float {
    guard logit > -.infinity else { return logit }
    return min(max(change(logit), -.greatestFiniteMagnitude), .greatestFiniteMagnitude)
}
