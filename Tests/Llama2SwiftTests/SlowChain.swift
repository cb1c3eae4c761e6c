import Glibc
import Llama2Sampling

/// The documented chain with arrays, full sorts and the library's `exp`.
struct SlowChain {
    let options: SamplerOptions
    var history: [Int32] = []
    var random: Xoshiro256StarStar

    init(_ options: SamplerOptions) {
        self.options = options
        random = Xoshiro256StarStar(seed: options.seed)
    }

    mutating func sample(_ source: [Float]) -> Int32 {
        var logits = source
        for (token, bias) in options.logitBias { logits[Int(token)] += bias }
        let recent = options.penaltyLastN < 0 ? history[...] : history.suffix(options.penaltyLastN)
        for token in Set(recent) {
            let count = Float(recent.filter { $0 == token }.count)
            var logit = logits[Int(token)]
            logit = logit > 0 ? logit / options.repetitionPenalty : logit * options.repetitionPenalty
            logits[Int(token)] = logit - (count * options.frequencyPenalty + options.presencePenalty)
        }

        var kept = byRank(logits).filter { logits[Int($0)] > -.infinity }
        if options.temperature == 0 { return kept[0] }
        if options.topK > 0 { kept = Array(kept.prefix(options.topK)) }
        if options.topP < 1 {
            var cumulative = 0.0
            var count = 0
            for probability in softmax(kept.map { Double(logits[Int($0)]) }) {
                cumulative += probability
                count += 1
                if cumulative >= Double(options.topP) { break }
            }
            kept = Array(kept.prefix(count))
        }
        let best = Double(logits[Int(kept[0])])
        kept = kept.filter { exp(Double(logits[Int($0)]) - best) >= Double(options.minP) }

        let unit = random.nextUnit()
        var cumulative = 0.0
        for (token, probability) in zip(kept, softmax(kept.map { Double(logits[Int($0)]) / Double(options.temperature) })) {
            cumulative += probability
            if cumulative > unit { return token }
        }
        return kept[kept.count - 1]
    }
}

func byRank(_ logits: [Float]) -> [Int32] {
    logits.indices.sorted { logits[$0] > logits[$1] || (logits[$0] == logits[$1] && $0 < $1) }.map { Int32($0) }
}

func softmax(_ logits: [Double]) -> [Double] {
    let best = logits.max() ?? 0
    let weights = logits.map { exp($0 - best) }
    let total = weights.reduce(0, +)
    return weights.map { $0 / total }
}

/// Normally distributed, as Box and Muller do.
func randomLogits(_ count: Int, seed: UInt64, scale: Double = 2) -> [Float] {
    var random = Xoshiro256StarStar(seed: seed)
    return (0..<count).map { _ in
        Float(scale * sqrt(-2 * log(1 - random.nextUnit())) * cos(2 * .pi * random.nextUnit()))
    }
}

func options(_ change: (inout SamplerOptions) -> Void) -> SamplerOptions {
    var options = SamplerOptions()
    change(&options)
    return options
}

extension Sampler {
    func sample(_ logits: [Float]) throws -> Int32 {
        try sample(logits.span)
    }
}
