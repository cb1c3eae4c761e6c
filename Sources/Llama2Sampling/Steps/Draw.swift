import Llama2Core

/// What chooses one of the candidates, at the end.
enum Chooser: Sendable {
    /// By their probabilities; without a number from the generator where the temperature is zero.
    case draw(isGreedy: Bool)
    case mirostat(Mirostat)

    init(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        let mirostat = try Mirostat(o)
        self = mirostat.map { .mirostat($0) } ?? .draw(isGreedy: o.temperature == 0 && o.dynamicRange == 0)
    }

    /// After `rank`.
    func choose(_ candidates: inout Candidates, _ draws: inout Draws) -> Int32 {
        switch self {
        case .draw(let isGreedy): return isGreedy ? candidates.top.token : candidates[candidates.draw(draws.generator.nextUnit())].token
        case .mirostat(let mirostat): return mirostat.choose(&candidates, &draws)
        }
    }

    /// As `choose`, and how sure it is.
    func foresee(_ candidates: inout Candidates, _ draws: inout Draws) -> (token: Int32, sureness: Sureness) {
        switch self {
        case .draw(isGreedy: true): return (candidates.top.token, Sureness(lead: candidates.lead))
        case .draw(isGreedy: false):
            let unit = draws.generator.nextUnit(), rank = candidates.draw(unit)
            return (candidates[rank].token, Sureness(distance: candidates.distance(unit, from: rank)))
        case .mirostat: return (choose(&candidates, &draws), .some)
        }
    }

    /// What it takes out before it draws.
    func filter(_ candidates: inout Candidates, _ draws: borrowing Draws) {
        switch self {
        case .draw(let isGreedy): if isGreedy { candidates.keep(1) }
        case .mirostat(let mirostat): mirostat.filter(&candidates, draws)
        }
    }
}

extension Candidates {
    /// The rank at which the cumulated weight passes `unit` (in [0, 1)) times the total.
    mutating func draw(_ unit: Double) -> Int {
        let target = unit * totalWeight()
        var cumulative = 0.0
        // The total may have been summed in another order and be greater by its rounding: then
        // the last token that has any weight is the one.
        var last = 0
        for rank in 0..<count {
            let weight = weight(rank)
            if weight == 0 { break }
            cumulative += weight
            last = rank
            if cumulative > target { break }
        }
        return last
    }

    /// How far `unit`, which gives `rank`, is from what gives another one; 1 where nothing else comes.
    mutating func distance(_ unit: Double, from rank: Int) -> Double {
        let total = totalWeight()
        var before = 0.0
        for better in 0..<rank { before += weight(better) }
        let below = rank > 0 ? unit - before / total : 1
        let above = rank &+ 1 < count ? (before + weight(rank)) / total - unit : 1
        return min(below, above)
    }

    /// How much higher the best logit is than that of any other token that may come.
    var lead: Float {
        let best = Int(top.token), logits = logits.pointer
        return top.logit - max(highest(logits, best).0, highest(logits + best + 1, vocabularySize &- best &- 1).0)
    }
}
