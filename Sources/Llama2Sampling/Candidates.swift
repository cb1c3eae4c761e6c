import Llama2Core

/// The logits of one step and what the steps of a sampler have left of them.
///
/// Whatever changes logits does so by id, and what must not come is -infinity: that is all there is while nothing is ranked.
/// Filters see ranks, by falling logit and rising id among equals. What they leave is a range of ranks, so that only
/// a beginning ever needs sorting. It is sorted on demand, in a few growing portions: a model that is sure of itself is done
/// after the first, whatever the size of its vocabulary. A step that changes logits behind a filter makes ids of
/// the ranks again (`edit`).
///
///     logits    (vocabularySize)  by id: the caller's, then with what the steps changed
///     best      (vocabularySize)  by rank; 0..<ordered are valid; first..<end are the candidates
///     scale     temperature, not yet multiplied into the logits
struct Candidates: ~Copyable {
    let vocabularySize: Int
    let logits: AlignedBuffer<Float>
    let best: AlignedBuffer<Candidate>
    let counts: AlignedBuffer<UInt32>  // (vocabularySize) all zero between steps
    let scores: AlignedBuffer<Float>  // (vocabularySize) another order of the same tokens
    private var ordered = 0, first = 0, end = 0
    /// How many logits are not -infinity; the others are no candidates at all.
    private var finite = 0
    private var isRanked = false
    private(set) var scale = 1.0
    /// The highest logit among the candidates, and the lowest id that has it.
    private(set) var top = Candidate(token: 0, logit: -.infinity)

    /// `vocabularySize` is at most `Int32.max`.
    init(vocabularySize: Int) throws(Llama2Error) {
        // All or none: a partly initialized noncopyable value could not be destroyed.
        let logits = try AlignedBuffer<Float>(count: vocabularySize, of: "logits of the sampler")
        let best = try AlignedBuffer<Candidate>(count: vocabularySize, of: "candidates of the sampler")
        let counts = try AlignedBuffer<UInt32>(count: vocabularySize, of: "token counts of the sampler")
        let scores = try AlignedBuffer<Float>(count: vocabularySize, of: "scores of the sampler")
        self.vocabularySize = vocabularySize
        self.logits = logits
        self.best = best
        self.counts = counts
        self.scores = scores
    }

    // MARK: - Logits, by id

    /// Copies the logits, of which there are `vocabularySize`; NaN and +infinity are refused.
    mutating func load(_ source: Span<Float>) throws(Llama2Error) {
        isRanked = false
        guard source.count == vocabularySize else { return }
        let isFinite = source.withUnsafeBufferPointer { source in
            source.baseAddress.map { copyFinite($0, to: logits.pointer, vocabularySize) } ?? true
        }
        guard isFinite else {
            for id in 0..<vocabularySize where !(source[id] < .infinity) {
                throw Llama2Error(.invalidArgument, "logit \(id) is \(source[id]); it must be finite or -inf")
            }
            throw Llama2Error(.invalidArgument, "a logit is no number")  // somebody changed them meanwhile
        }
    }

    /// Forbids all tokens whose bit is not set.
    mutating func keep(only mask: UnsafeBufferPointer<UInt32>) throws(Llama2Error) {
        guard mask.count == (vocabularySize + 31) / 32 else {
            throw Llama2Error(.invalidArgument, "the grammar was made for another vocabulary than that of \(vocabularySize) tokens")
        }
        edit()
        let logits = logits.pointer
        for (index, word) in mask.enumerated() where word != .max {
            for id in 32 * index..<min(32 * index + 32, vocabularySize) where word >> UInt32(id & 31) & 1 == 0 { logits[id] = -.infinity }
        }
    }

    /// `change` of a token's logit, kept finite; -infinity, which means never, stays what it is. Between `edit` and the next filter.
    /// A token that is not of this vocabulary has no logit to change.
    mutating func change(_ token: Int32, _ change: (Float) -> Float) {
        guard token >= 0, Int(token) < vocabularySize else { return }
        let slot = logits.pointer + Int(token)
        slot.pointee = withoutOverflow(slot.pointee, change)
    }

    mutating func forbid(_ token: Int32) {
        guard token >= 0, Int(token) < vocabularySize else { return }
        logits.pointer[Int(token)] = -.infinity
    }

    /// Makes ids of the ranks: what the filters took out is forbidden, and the temperature is in the logits.
    mutating func edit() {
        guard isRanked else { return }
        let logits = logits.pointer
        if end < finite {
            order(end)
            logits.update(repeating: -.infinity, count: vocabularySize)
            let best = best.pointer
            for rank in first..<end { logits[Int(best[rank].token)] = scaled(best[rank].logit) }
        } else if scale != 1 {
            for id in 0..<vocabularySize { logits[id] = scaled(logits[id]) }
        }
        isRanked = false
    }

    private func scaled(_ logit: Float) -> Float { scale == 1 ? logit : withoutOverflow(logit) { Float(Double($0) * scale) } }

    // MARK: - Ranks

    /// Ends the changes to the logits: finds `top`, and takes all finite ones as candidates.
    mutating func rank() throws(Llama2Error) {
        guard !isRanked else { return }
        let (most, finite) = highest(logits.pointer, vocabularySize)
        guard finite > 0 else {
            throw Llama2Error(
                .invalidArgument, "all \(vocabularySize) logits from index 0 on are -inf; no token can be chosen")
        }
        top = Candidate(token: firstEqual(most, logits.pointer, vocabularySize), logit: most)
        self.finite = finite
        (first, end, ordered, scale, isRanked) = (0, finite, 0, 1, true)
    }

    /// How many candidates there are, at least 1. After `rank`, as all of the following.
    var count: Int { end &- first }

    /// Keeps the first `count` (at least 1).
    mutating func keep(_ count: Int) {
        if count < end &- first { end = first &+ max(1, count) }
    }

    /// Takes out the first `count`, less than all.
    mutating func dropFirst(_ count: Int) throws(Llama2Error) {
        guard count > 0, count < self.count else { return }
        order(first &+ count &+ 1)
        if end == finite {
            // ids again, of the same scale: then everything that is not taken out is still a candidate
            let scale = scale
            for rank in 0..<count { logits.pointer[Int(best.pointer[rank].token)] = -.infinity }
            isRanked = false
            try rank()
            self.scale = scale
        } else {
            first &+= count
            top = best.pointer[first]
        }
    }

    /// Keeps those, however they lie, that have a score of more than -infinity in the first `count` of the order of `scores`.
    mutating func keepByScore(_ count: Int) throws(Llama2Error) {
        let scale = scale
        let logits = logits.pointer, best = best.pointer, scores = scores.pointer
        // `best` is in the order of scores
        for rank in 0..<count { scores[Int(best[rank].token)] = .infinity }
        for id in 0..<vocabularySize where scores[id] != .infinity { logits[id] = -.infinity }
        isRanked = false
        try rank()
        self.scale = scale
    }

    /// Multiplies the logits by 1 / temperature, which is greater than 0.
    mutating func divide(by temperature: Double) {
        scale = min(max(scale / temperature, 1e-300), 1e300)
    }

    subscript(rank: Int) -> Candidate {
        mutating get {
            if first &+ rank >= ordered { order(first &+ rank &+ 1) }
            return best.pointer[first &+ rank]
        }
    }

    /// The unnormalized probability e^((l - max) * scale): 1 for the best token.
    mutating func weight(_ rank: Int) -> Double { weight(of: self[rank].logit) }

    func weight(of logit: Float) -> Double { exponential(exponent(logit)) }

    /// (l - max) * scale: not more than 0.
    func exponent(_ logit: Float) -> Double { (Double(logit) - Double(top.logit)) * scale }

    /// The sum of the weights of all candidates: in the order of ranks or, as long as nothing was
    /// filtered, of ids, which needs no sorting.
    mutating func totalWeight() -> Double {
        var total = 0.0
        forEach { total += $0.weight(of: $1.logit) }
        return total
    }

    /// The entropy of the candidates in nats, and their total weight: H = ln Z - sum(w x) / Z with w = e^x.
    mutating func entropy() -> (entropy: Double, total: Double) {
        var total = 0.0, moment = 0.0
        forEach {
            let x = $0.exponent($1.logit), w = exponential(x)
            total += w
            if w > 0 { moment += w * x }
        }
        return (logarithm(total) - moment / total, total)
    }

    /// Every candidate, by id as long as nothing was filtered, else by rank.
    @inline(__always)
    mutating func forEach(_ body: (borrowing Candidates, Candidate) -> Void) {
        if end == finite {
            let logits = logits.pointer
            for id in 0..<vocabularySize where logits[id] > -.infinity {
                body(self, Candidate(token: Int32(truncatingIfNeeded: id), logit: logits[id]))
            }
        } else {
            order(end)
            let best = best.pointer
            for rank in first..<end { body(self, best[rank]) }
        }
    }

    /// The candidates with the temperature in their logits: by rank, or in the order of ids where nothing was filtered and
    /// `sorted` is not asked for. Whoever changes them says so by `take`.
    mutating func list(sorted: Bool) -> UnsafeMutableBufferPointer<Candidate> {
        let best = best.pointer
        if end == finite, !sorted {
            var count = 0
            forEach {
                best[count] = $1
                count &+= 1
            }
            ordered = 0
        } else {
            order(end)
        }
        if scale != 1 {
            for rank in first..<end { best[rank].logit = scaled(best[rank].logit) }
            if end == finite {
                for id in 0..<vocabularySize { logits.pointer[id] = scaled(logits.pointer[id]) }
            }
            (top.logit, scale) = (scaled(top.logit), 1)
        }
        return UnsafeMutableBufferPointer(start: best + first, count: count)
    }

    /// All candidates in order, with the logarithms of their probabilities in the place of logits. The last that is done with them.
    mutating func logProbabilities() -> UnsafeBufferPointer<Candidate> {
        let total = logarithm(totalWeight())
        order(end)
        for rank in first..<end { best.pointer[rank].logit = Float(exponent(best.pointer[rank].logit) - total) }
        return UnsafeBufferPointer(start: best.pointer + first, count: count)
    }

    /// Takes the first `count` of what `list` gave as all candidates there are. Refuses what is none.
    mutating func take(_ list: UnsafeMutableBufferPointer<Candidate>, _ count: Int) throws(Llama2Error) {
        guard count >= 0, count <= list.count else {
            throw Llama2Error(.outOfRange, "a step of the host's left \(count) candidates of \(list.count)")
        }
        isRanked = false
        let logits = logits.pointer, counts = counts.pointer
        logits.update(repeating: -.infinity, count: vocabularySize)
        var problem: Llama2Error?
        var taken = 0
        for candidate in list[..<count] {
            guard candidate.token >= 0, Int(candidate.token) < vocabularySize else {
                problem = Llama2Error(.invalidToken, "a step of the host's left token \(candidate.token), which is not in the vocabulary of \(vocabularySize)")
                break
            }
            guard candidate.logit < .infinity else {
                problem = Llama2Error(
                    .invalidArgument, "a step of the host's gave token \(candidate.token) the logit \(candidate.logit); it must be finite or -inf")
                break
            }
            guard counts[Int(candidate.token)] == 0 else {
                problem = Llama2Error(.invalidArgument, "a step of the host's left token \(candidate.token) twice")
                break
            }
            counts[Int(candidate.token)] = 1
            taken &+= 1
            logits[Int(candidate.token)] = candidate.logit
        }
        for candidate in list[..<taken] { counts[Int(candidate.token)] = 0 }
        if let problem { throw problem }
    }

    // MARK: - Order

    /// Sorts at least `needed` (at most `end`) of the candidates.
    private mutating func order(_ needed: Int) {
        guard needed > ordered else { return }
        ordered = sortBest(logits.pointer, vocabularySize, into: best.pointer, portion(needed, end))
    }

    /// The same for `scores`, of which `all` are more than -infinity; returns how many of `best` are then in that order.
    mutating func orderScores(_ needed: Int, _ all: Int, _ sorted: Int) -> Int {
        ordered = 0
        return sortBest(scores.pointer, vocabularySize, into: best.pointer, min(all, max(needed, 256, sorted &* 8)))
    }

    /// 8 times as many as before, so that even a full sort by portions costs little more than one sort.
    private func portion(_ needed: Int, _ all: Int) -> Int { min(all, max(needed, 256, ordered &* 8)) }
}

/// `change` of a finite logit, kept finite; -infinity, which means never, stays what it is.
@inline(__always)
func withoutOverflow(_ logit: Float, _ change: (Float) -> Float) -> Float {
    guard logit > -.infinity else { return logit }
    return min(max(change(logit), -.greatestFiniteMagnitude), .greatestFiniteMagnitude)
}
