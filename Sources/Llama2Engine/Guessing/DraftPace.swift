internal import Llama2Kernels

/// How many tokens a draft is asked for: as many as make the text come soonest, given how often its guesses came true. With a chance a of
/// each, k guesses bring (1 - a^(k+1)) / (1 - a) tokens for the cost of 1 + k c steps of the model alone (Leviathan et al., 2023,
/// theorem 3.8), where c is what the draft takes for a token, and what one more token in the model's pass does; the first of these
/// takes more than the others.
///
/// Where no number pays a text alone it pauses, and after the third time it is off.
struct DraftPace {
    /// What guessing takes, in steps of the model alone.
    struct Costs {
        /// A token of the draft's.
        let draft: Double
        /// Of k more tokens in a pass of the model: first + k each.
        let first: Double, each: Double

        /// What a core multiplies for them, beside the weights that are read once: a matter of the instruction set. Measured (benchmarks/results): AVX-512
        /// with VNNI as here, passes of 2 to 8 tokens of DRAFTS.md, and of its 17 formats the half below 0.12 a token where eight share a pass; AVX2 0.39 to
        /// 0.51. Of weights that are floats a pass reads so much that multiplying is little beside it: 0.03, and 0.1 behind 0.2 with AVX2. Figures and no
        /// clock, so that a text is guessed at in the same way again. On arm64 nothing was measured; plain kernels multiply so long that the weights' way
        /// from memory is nothing.
        init(draft: Double, on isa: Kernels.ISA?, floats: Bool) {
            self.draft = draft
            (first, each) =
                switch isa {
                case .avx512 where floats: (0.01, 0.03)
                case .avx2 where floats, .avxVNNI where floats: (0.2, 0.1)
                case .avx512: (0.15, 0.12)
                case .avx2, .avxVNNI: (0, 0.4)
                case .neon, .dotProduct, .i8mm: (0, 0.25)
                case .reference, nil: (0, 1)
                }
        }
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
        let chance = right / all, f = costs.each, first = texts > 1 ? 0 : costs.first, texts = Double(max(texts, 1))
        let cost = costs.draft + f * texts / (1 + f * (texts - 1))
        var best = 0, gain = DraftPace.least, tokens = 1.0, chanceOfAll = 1.0
        // no more than came true so far: what is not known yet is found out with few
        for count in 1...min(limit, max(1, Int(right))) {
            chanceOfAll *= chance
            tokens += chanceOfAll
            let now = tokens / (1 + first + Double(count) * cost)
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
