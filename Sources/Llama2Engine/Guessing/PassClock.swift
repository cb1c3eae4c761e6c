/// How long passes of a context took lately, by how many tokens of one text were in them. What more tokens take, and what a draft takes, is a matter of
/// the machine, of its caches and of who else is in them, which sizes do not tell: beside its own Q2_K, SmolLM2's F16 on Emerald Rapids takes 0.7 of a pass for
/// a token of the draft, with a third of the bytes, as each puts the other out of the cache.
///
/// Of the last eight times the median counts: others on the machine make a pass longer now and then.
final class PassClock {
    private struct Recent {
        private var times = SIMD8<Int>(repeating: .max), next = 0

        /// Nanoseconds; nil: fewer than three are known.
        var usual: Int? {
            guard next >= 3 else { return nil }
            var rest = times
            for _ in 0..<(min(next, 8) - 1) / 2 { rest.replace(with: .max, where: rest .== rest.min()) }
            return rest.min() / 8
        }

        mutating func add(_ nanoseconds: Int) {
            times[next & 7] = max(nanoseconds, 0) &* 8 &+ next & 7  // no two are equal
            next &+= 1
        }
    }

    /// Where a pass can be shorter than this it is about as long as what is around it, and nobody waits for such a model: by figures then, whatever else the
    /// machine does.
    private static let shortest = 1_000_000

    /// Of passes with one token, and with as many more as `PassCosts` has figures for.
    private var one = Recent(), more = [Recent](repeating: Recent(), count: PassCosts.counts.scalarCount)
    private var drafted = Recent()
    /// The shortest pass with one token.
    private var least = Int.max

    /// A pass of the model.
    func took(_ nanoseconds: Int, tokens: Int) {
        guard tokens > 1 else {
            least = min(least, nanoseconds)
            return one.add(nanoseconds)
        }
        guard let step = PassCosts.step(tokens &- 1) else { return }
        more[step].add(nanoseconds)
    }

    /// A draft made so many guesses, with all that it had to catch up with.
    func took(_ nanoseconds: Int, guesses: Int) { if guesses > 0 { drafted.add(nanoseconds / guesses) } }

    /// Of a draft's guess, beside a pass with one token.
    var draft: Double? {
        guard isTelling, let step, let drafted = drafted.usual else { return nil }
        return Double(drafted) / Double(step)
    }

    /// Nanoseconds of a pass with one token; nil: not known yet.
    var step: Int? { one.usual }

    /// Whether its passes are long enough to be measured.
    private var isTelling: Bool { least >= PassClock.shortest }

    /// What a pass took that has more tokens, as `PassCosts.step` counts them, beside one with one.
    func share(_ index: Int) -> Double? {
        guard isTelling, let step, let all = more[index].usual else { return nil }
        return max(0, Double(all) / Double(step) - 1)
    }
}
