import Llama2Core

// The filters that keep a beginning of the ranks: all see probabilities of what the steps before them have left.

/// Keeps this many of the highest logits.
struct TopKStep: Step {
    private let count: Int

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        guard o.topK >= 0 else {
            throw Llama2Error(.outOfRange, "top_k is \(o.topK); it must be at least 0, which turns it off")
        }
        guard o.topK > 0 else { return nil }
        count = o.topK
    }

    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) throws(Llama2Error) {
        try candidates.rank()
        candidates.keep(count)
    }
}

/// Nucleus sampling (Holtzman et al. 2020): the fewest most probable tokens that have at least this share of the probability.
struct TopPStep: Step {
    private let share: Double

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        try check("top_p", o.topP, atLeast: 0, atMost: 1)
        guard o.topP < 1 else { return nil }
        share = Double(o.topP)
    }

    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) throws(Llama2Error) {
        try candidates.rank()
        let target = share * candidates.totalWeight()
        var cumulative = 0.0
        for rank in 0..<candidates.count {
            cumulative += candidates.weight(rank)
            if cumulative >= target { return candidates.keep(rank &+ 1) }
        }
    }
}

/// A filter that keeps the tokens of at least some weight; the best has 1 and stays.
protocol WeightFilter: Step {
    /// Of what the steps before have left.
    func least(_ candidates: inout Candidates) -> Double
}

extension WeightFilter {
    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) throws(Llama2Error) {
        try candidates.rank()
        let least = least(&candidates)
        for rank in 0..<candidates.count where candidates.weight(rank) < least { return candidates.keep(rank) }
    }
}

/// An option from 0, which is off (nil), to 1.
private func part(_ name: StaticString, _ value: Float) throws(Llama2Error) -> Double? {
    try check(name, value, atLeast: 0, atMost: 1)
    return value > 0 ? Double(value) : nil
}

/// Min-p (Nguyen et al. 2024): tokens of at least this probability relative to the best.
struct MinPStep: WeightFilter {
    private let share: Double

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        guard let share = try part("min_p", o.minP) else { return nil }
        self.share = share
    }

    func least(_ candidates: inout Candidates) -> Double { share }
}

/// Top-a (BlinkDL, RWKV-LM, 2022): tokens of at least a times the square of the best one's probability.
struct TopAStep: WeightFilter {
    private let a: Double

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        guard let a = try part("top_a", o.topA) else { return nil }
        self.a = a
    }

    /// p >= a * best^2 with p = w / Z and best = 1 / Z.
    func least(_ candidates: inout Candidates) -> Double { a / candidates.totalWeight() }
}

/// Epsilon sampling (Hewitt et al. 2022): tokens of at least this probability.
struct EpsilonStep: WeightFilter {
    private let epsilon: Double

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        guard let epsilon = try part("epsilon_cutoff", o.epsilonCutoff) else { return nil }
        self.epsilon = epsilon
    }

    func least(_ candidates: inout Candidates) -> Double { epsilon * candidates.totalWeight() }
}

/// Eta sampling (Hewitt et al. 2022): tokens of at least min(epsilon, sqrt(epsilon) e^-H), H the entropy of the candidates.
struct EtaStep: WeightFilter {
    private let epsilon: Double

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        guard let epsilon = try part("eta_cutoff", o.etaCutoff) else { return nil }
        self.epsilon = epsilon
    }

    func least(_ candidates: inout Candidates) -> Double {
        let (entropy, total) = candidates.entropy()
        return min(epsilon, epsilon.squareRoot() * exponential(-max(entropy, 0))) * total
    }
}

/// Top-n-sigma (Tang et al. 2024): logits that lie at most n standard deviations of all of them below the highest.
struct TopNSigmaStep: Step {
    private let n: Double

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        try check("top_n_sigma", o.topNSigma)
        guard o.topNSigma > 0 else { return nil }
        n = Double(o.topNSigma)
    }

    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) throws(Llama2Error) {
        try candidates.rank()
        let count = Double(candidates.count)
        guard count > 1 else { return }
        // A temperature multiplies all of them and changes nothing.
        var sum = 0.0, squares = 0.0
        candidates.forEach { sum += Double($1.logit) }
        let mean = sum / count
        candidates.forEach { squares += (Double($1.logit) - mean) * (Double($1.logit) - mean) }
        let least = Double(candidates.top.logit) - n * (squares / count).squareRoot()
        for rank in 0..<candidates.count where Double(candidates[rank].logit) < least { return candidates.keep(rank) }
    }
}
