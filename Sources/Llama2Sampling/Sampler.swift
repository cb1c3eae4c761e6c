public import Llama2Core

/// Chooses tokens from logits. Allocates when it first sees a vocabulary size, and never again.
public final class Sampler {
    private let options: SamplerOptions
    private var random: RandomGenerator

    /// The last accepted tokens, a ring of penaltyLastN.
    private let history: AlignedBuffer<Int32>
    private var accepted = 0

    // Of the vocabulary size last seen.
    private var logits: AlignedBuffer<Float>  // (vocabulary), after bias and penalties
    private var counts: AlignedBuffer<Int32>  // (vocabulary), zero between calls
    private var candidates: AlignedBuffer<Candidate>  // (vocabulary)
    private var weights: AlignedBuffer<Double>  // (vocabulary)

    public init(_ options: SamplerOptions) throws(Llama2Error) {
        try options.check()
        self.options = options
        random = RandomGenerator(seed: options.seed)
        history = try AlignedBuffer(count: options.penaltyLastN, of: "sampler history")
        logits = try AlignedBuffer(count: 0, of: "logits")
        counts = try AlignedBuffer(count: 0, of: "counts")
        candidates = try AlignedBuffer(count: 0, of: "candidates")
        weights = try AlignedBuffer(count: 0, of: "weights")
    }

    /// Back to the seed, nothing accepted.
    public func reset() {
        random = RandomGenerator(seed: options.seed)
        accepted = 0
    }

    /// Counts `token` for the penalties.
    public func accept(_ token: Int32) {
        guard history.count > 0 else { return }
        history.pointer[accepted % history.count] = token
        // beyond the length of the ring only the place in it matters
        accepted = accepted &+ 1 == 2 &* history.count ? history.count : accepted &+ 1
    }

    /// A token for `values`, (vocabulary). Does not accept it. After an error the sampler is as before.
    public func sample(_ values: UnsafeBufferPointer<Float>) throws(Llama2Error) -> Int32 {
        try prepare(values)
        let n = values.count
        if options.temperature == 0 { return try greedy(n) }

        // 1. top-k, as a heap with the best on top
        let k = options.topK == 0 ? n : min(options.topK, n)
        var heap = CandidateHeap(candidates.pointer)
        if k < n { heap.keepBest(k, of: logits.pointer, n) } else { heap.takeAll(logits.pointer, n) }
        guard let best = heap.largest else { throw noneLeft() }

        // 2. top-p and min-p, from the best down
        let top = Double(best.logit)
        var limit = Double.infinity
        if options.topP < 1 { limit = Double(options.topP) * heap.sum { exponential(Double($0.logit) - top) } }
        var cumulative = 0.0, kept = 0, total = 0.0
        let temperature = Double(options.temperature)
        let first = heap.count
        while let next = heap.largest {
            let weight = exponential(Double(next.logit) - top)
            if kept > 0, cumulative >= limit || weight < Double(options.minP) { break }
            heap.removeLargest()  // it now lies just behind the heap
            cumulative += weight
            // 3. temperature
            let tempered = exponential((Double(next.logit) - top) / temperature)
            weights.pointer[kept] = tempered
            total += tempered
            kept += 1
        }
        // 4. the draw
        var left = random.unit() * total
        for i in 0..<kept {
            left -= weights.pointer[i]
            if left < 0 { return candidates.pointer[first - 1 - i].token }
        }
        return candidates.pointer[first - kept].token  // rounding left a remainder
    }

    /// The highest logit; of equal ones the lowest id.
    private func greedy(_ n: Int) throws(Llama2Error) -> Int32 {
        var best = 0
        for i in 1..<max(n, 1) where logits.pointer[i] > logits.pointer[best] { best = i }
        guard logits.pointer[best] > -.infinity else { throw noneLeft() }
        return Int32(truncatingIfNeeded: best)
    }

    private func noneLeft() -> Llama2Error {
        Llama2Error(.invalidArgument, "every token is forbidden: all logits are -infinity after bias")
    }

    /// Logits with bias and penalties.
    private func prepare(_ values: UnsafeBufferPointer<Float>) throws(Llama2Error) {
        guard values.count > 0, values.count <= Int(Int32.max) else {
            throw Llama2Error(.invalidArgument, "\(values.count) logits to sample from")
        }
        if logits.count != values.count {
            logits = try AlignedBuffer(count: values.count, of: "logits of the sampler")
            counts = try AlignedBuffer(count: values.count, of: "counts of the sampler")
            candidates = try AlignedBuffer(count: values.count, of: "candidates of the sampler")
            weights = try AlignedBuffer(count: values.count, of: "weights of the sampler")
        }
        for i in values.indices {
            let x = values[i]
            guard x < .infinity else { throw Llama2Error(.invalidArgument, "the logit of token \(i) is \(x)") }
            logits.pointer[i] = x
        }
        for (token, bias) in options.logitBias {
            guard Int(token) < values.count else {
                throw Llama2Error(.invalidToken, "a logit bias for token \(token); the vocabulary has \(values.count)")
            }
            logits.pointer[Int(token)] += bias
        }
        penalize(values.count)
    }

    private func penalize(_ n: Int) {
        let p = options.repetitionPenalty, f = options.frequencyPenalty, s = options.presencePenalty
        guard p != 1 || f != 0 || s != 0 else { return }
        let length = min(accepted, history.count)
        for i in 0..<length where Int(history.pointer[i]) < n { counts.pointer[Int(history.pointer[i])] += 1 }
        for i in 0..<length where Int(history.pointer[i]) < n {
            let token = Int(history.pointer[i]), count = counts.pointer[token]
            guard count > 0 else { continue }  // done at its first place in the history
            var x = logits.pointer[token]
            x = x <= 0 ? x * p : x / p
            logits.pointer[token] = x - Float(count) * f - s
            counts.pointer[token] = 0
        }
    }
}
