/// How many tokens are taken from where the text stood before: as many as make it come soonest, by how often tokens from such places came true.
/// With chances p1, p2, ... k guesses bring 1 + p1 + p1 p2 + ... tokens for what a pass of k more takes.
///
/// The chance of a guess is that of a token behind so many that are the same; it is learnt from every place that was looked up, guessed or
/// not, as the token that came tells it all the same. So nothing is tried out, and a text that does not repeat itself pays nothing.
struct LookupPace {
    /// What must be gained at least; where a draft could be asked instead, which knows better than a short past.
    private static let least = 1.05, leastBesideDraft = 1.4
    /// Seen in a row of the table, at most: what was before fades.
    private static let memory = 16.0
    /// Kernels multiply for 2, 4, 8 and 16 tokens at once; numbers between take as long as the next, or longer.
    private static let counts = [1, 3, 7, GuessingPace.most]

    /// The table: behind 1, 2, from 3, 5, 9 and 15 tokens that are the same. What counts as seen before is of SmolLM2's texts (drafts.py).
    private var right = SIMD8<Double>(1.2, 1.6, 2.7, 4.2, 1.9, 1.95, 0, 0), all = SIMD8<Double>(6, 4, 6, 6, 2, 2, 1, 1)
    private let costs: PassCosts

    init(_ costs: PassCosts) { self.costs = costs }

    private static func row(_ common: Int) -> Int {
        switch common {
        case ...1: 0
        case 2: 1
        case 3, 4: 2
        case 5...8: 3
        case 9...14: 4
        default: 5
        }
    }

    /// Of at most `limit` guesses behind `common` tokens that are the same, how many are worth while, where so many texts share the pass.
    func length(_ limit: Int, behind common: Int, beside texts: Int, hasDraft: Bool) -> Int {
        guard limit > 0 else { return 0 }
        var best = 0, gain = hasDraft ? LookupPace.leastBesideDraft : LookupPace.least
        var tokens = 1.0, chanceOfAll = 1.0, count = 0
        for wanted in LookupPace.counts {
            let wanted = min(wanted, limit)
            while count < wanted {
                let row = LookupPace.row(common &+ count)
                chanceOfAll *= right[row] / all[row]
                tokens += chanceOfAll
                count &+= 1
            }
            let now = tokens / costs.pass(count, beside: texts)
            if now > gain { (best, gain) = (count, now) }
        }
        return best
    }

    /// Of `seen` tokens that came behind `common` that are the same, the first `came` were those of the place.
    mutating func learn(_ came: Int, of seen: Int, behind common: Int) {
        for index in 0..<min(came &+ 1, seen) {
            let row = LookupPace.row(common &+ index)
            all[row] += 1
            if index < came { right[row] += 1 }
            guard all[row] > LookupPace.memory else { continue }
            (right[row], all[row]) = (right[row] * LookupPace.memory / all[row], LookupPace.memory)
        }
    }
}
