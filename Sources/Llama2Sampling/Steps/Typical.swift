import Llama2Core

/// Locally typical sampling (Meister et al. 2022): those tokens first whose surprise lies nearest to the entropy, until they have
/// more than this share of the probability. The best need not be among them.
struct TypicalStep: Step {
    private let share: Double

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        try check("typical_p", o.typicalP, atLeast: 0, atMost: 1)
        guard o.typicalP < 1 else { return nil }
        share = Double(o.typicalP)
    }

    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) throws(Llama2Error) {
        try candidates.rank()
        let (entropy, total) = candidates.entropy()
        let logTotal = logarithm(total)
        let scores = candidates.scores.pointer, all = candidates.count
        scores.update(repeating: -.infinity, count: candidates.vocabularySize)
        candidates.forEach {
            let surprise = logTotal - $0.exponent($1.logit)
            scores[Int($1.token)] = max(-Float(abs(surprise - entropy)), -.greatestFiniteMagnitude)
        }
        var kept = 0, sorted = 0, cumulative = 0.0
        while kept < all, !(cumulative > share * total) {
            if kept >= sorted { sorted = candidates.orderScores(kept &+ 1, all, sorted) }
            cumulative += candidates.weight(of: candidates.logits.pointer[Int(candidates.best.pointer[kept].token)])
            kept &+= 1
        }
        try candidates.keepByScore(kept)
    }
}
