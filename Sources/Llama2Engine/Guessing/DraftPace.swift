/// How many tokens a draft is asked for: as many as make the text come soonest, given how often its guesses came true. With a chance a of
/// each, k guesses bring (1 - a^(k+1)) / (1 - a) tokens for the cost of 1 + k c steps of the model alone (Leviathan et al., 2023,
/// theorem 3.8), where c is what the draft takes for a token, and what one more token in the model's pass does; the first of these
/// takes more than the others.
///
/// Where no number pays a text alone it pauses, and after the third time it is off.
struct DraftPace {
    /// What guessing takes, in steps of the model alone: a token of the draft's, and further tokens in a pass of the model.
    struct Costs {
        let draft: Double
        let passes: PassCosts

        /// A token of a draft takes more than its weights' share of the model's: in a pass of a small model more is not its weights', and where all guesses came
        /// true it has one more to catch up with. 2.7 to 3.1 ms of 5.3 were measured with 0.33 of the bytes (SmolLM2's F16 beside its Q2_K).
        static let overBytes = 1.4
    }

    /// What must be gained at least.
    private static let least = 1.05
    /// Guesses that count as seen before, and how many of them came true: many, as the first try is one guess; seen ones fade beyond `memory`.
    private static let seen = (right: 1.8, all: 2.0), memory = 16.0
    private static let pauses = [16, 64]

    private let costs: Costs
    private var right = DraftPace.seen.right, all = DraftPace.seen.all
    private var pause = 0, paused = 0
    private var isOff = false

    init(_ costs: Costs) { self.costs = costs }

    /// Asked once before each guess: how many, at most `limit`. texts: that share a pass of the model; what one more token takes of
    /// such a pass is more, beside what a text alone has of it.
    mutating func length(_ limit: Int, beside texts: Int) -> Int {
        guard !isOff, limit > 0 else { return 0 }
        guard pause == 0 else {
            pause -= 1
            return 0
        }
        let chance = right / all
        var best = 0, gain = DraftPace.least, tokens = 1.0, chanceOfAll = 1.0
        // no more than came true so far: what is not known yet is found out with few
        for count in 1...min(limit, max(1, Int(right))) {
            chanceOfAll *= chance
            tokens += chanceOfAll
            let now = tokens / costs.passes.pass(count, beside: texts, draft: costs.draft)
            if now > gain { (best, gain) = (count, now) }
        }
        if best == 0, texts <= 1 { rest() }
        return best
    }

    private mutating func rest() {
        guard paused < DraftPace.pauses.count else {
            isOff = true
            return
        }
        pause = DraftPace.pauses[paused]
        paused += 1
        (right, all) = DraftPace.seen
    }

    /// So many of the guesses came true; the one behind them, if there was one, did not.
    mutating func learn(_ came: Int, of guessed: Int) {
        guard guessed > 0 else { return }
        right += Double(came)
        all += Double(min(came + 1, guessed))
        guard all > DraftPace.memory else { return }
        (right, all) = (right * DraftPace.memory / all, DraftPace.memory)
        paused = 0  // it has paid for long
    }
}
