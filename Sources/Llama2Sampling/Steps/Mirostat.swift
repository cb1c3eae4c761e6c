import Llama2Core

/// Mirostat (Basu et al. 2021): keeps the surprise of the text near tau bits a token. The state mu is raised by rate times what the last
/// token missed, and what is more surprising than mu is left out. Version 1 estimates Zipf's exponent from the 100 most probable tokens and
/// makes a number of tokens of it; version 2 compares each one's surprise.
struct Mirostat: Sendable {
    private static let estimatedFrom = 100
    private let version: Int
    private let tau, rate: Double

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        guard (0...2).contains(o.mirostat) else { throw Llama2Error(.invalidArgument, "mirostat is \(o.mirostat), expected 0, 1 or 2") }
        try check("mirostat_tau", o.mirostatTau, atLeast: 0)
        try check("mirostat_eta", o.mirostatEta, atLeast: 0)
        guard o.mirostat > 0 else { return nil }
        (version, tau, rate) = (o.mirostat, Double(o.mirostatTau), Double(o.mirostatEta))
    }

    func filter(_ candidates: inout Candidates, _ draws: borrowing Draws) {
        if version == 1 {
            candidates.keep(number(&candidates, draws.mu))
        } else {
            // -log2(w / Z) <= mu
            let total = candidates.totalWeight()
            for rank in 0..<candidates.count where log2(total) - log2(candidates.weight(rank)) > draws.mu { return candidates.keep(rank) }
        }
    }

    func choose(_ candidates: inout Candidates, _ draws: inout Draws) -> Int32 {
        filter(&candidates, draws)
        let rank = candidates.draw(draws.generator.nextUnit())
        let surprise = log2(candidates.totalWeight()) - log2(candidates.weight(rank))
        draws.mu = min(max(draws.mu - rate * (surprise - tau), -1e30), 1e30)
        return candidates[rank].token
    }

    /// k = ((e 2^mu) / (1 - n^-e))^(1 / s), s from the best tokens, e = s - 1.
    private func number(_ candidates: inout Candidates, _ mu: Double) -> Int {
        var products = 0.0, squares = 0.0
        let pairs = min(Mirostat.estimatedFrom, candidates.count) &- 1
        guard pairs > 0 else { return 1 }
        for i in 0..<pairs {
            let t = logarithm(Double(i &+ 2) / Double(i &+ 1))
            let b = (Double(candidates[i].logit) - Double(candidates[i &+ 1].logit)) * candidates.scale
            products += t * b
            squares += t * t
        }
        let s = products / squares, e = s - 1, n = Double(candidates.vocabularySize)
        // for e = 0 the limit
        let part = abs(e) < 1e-9 ? 1 / max(logarithm(n), 1e-9) : e / (1 - power(n, -e))
        let base = part * power(2, min(max(mu, -1000), 1000))
        guard base > 0, base < .infinity else { return base > 0 ? candidates.count : 1 }
        let k = s > 0 ? power(base, 1 / s) : base < 1 ? 0 : .infinity
        return k < Double(candidates.count) ? max(Int(k), 1) : candidates.count
    }

    /// The logarithm to base 2; of what is nothing, less than all others.
    private func log2(_ x: Double) -> Double { x > 0 ? logarithm(x) * 0x1.71547652b82fep0 : -.greatestFiniteMagnitude }
}
