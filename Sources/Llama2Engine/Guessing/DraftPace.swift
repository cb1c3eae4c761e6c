/// How many tokens a draft is asked for: as many as make the text come soonest, given how often its guesses came true. With a chance a of
/// each, k guesses bring (1 - a^(k+1)) / (1 - a) tokens for the cost of 1 + k c steps of the model alone (Leviathan et al., 2023,
/// theorem 3.8), where c is what the draft takes for a token, and what one more token in the model's pass does.
///
/// Where no number pays a text alone it pauses, and after the third time it is off.
struct DraftPace {
    /// Of a pass with one more token, in passes with one: what a core multiplies, beside the weights that are read once.
    private static let furtherToken = 0.25
    /// What must be gained at least.
    private static let least = 1.05
    /// Guesses that count as seen before, and how many of them came true; seen ones fade beyond `memory`.
    private static let seen = (right: 1.5, all: 2.0), memory = 16.0
    private static let pauses = [16, 64]

    /// Of a draft's token, in steps of the model.
    private let cost: Double
    private var right = DraftPace.seen.right, all = DraftPace.seen.all
    private var pause = 0, paused = 0
    private var isOff = false

    /// cost: of a token of the draft's, in steps of the model.
    init(cost: Double) { self.cost = cost }

    /// Asked once before each guess: how many, at most `limit`. texts: that share a pass of the model; what one more token takes of
    /// such a pass is more, beside what a text alone has of it.
    mutating func length(_ limit: Int, beside texts: Int) -> Int {
        guard !isOff, limit > 0 else { return 0 }
        guard pause == 0 else {
            pause -= 1
            return 0
        }
        let chance = right / all, f = DraftPace.furtherToken, texts = Double(max(texts, 1))
        let cost = cost + f * texts / (1 + f * (texts - 1))
        var best = 0, gain = DraftPace.least, tokens = 1.0, chanceOfAll = 1.0
        for count in 1...limit {
            chanceOfAll *= chance
            tokens += chanceOfAll
            let now = tokens / (1 + Double(count) * cost)
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
