internal import Llama2Sampling

/// Whether a draft is asked, and for how many tokens. With a chance a of each, k guesses bring (1 - a^(k+1)) / (1 - a) tokens for the cost of
/// 1 + k c steps of the model alone (Leviathan et al., 2023, theorem 3.8), where c is what the draft takes for a token, and what one more
/// token in the model's pass does: it is asked where some k pays. Then a guess is followed by a further one where the chance that all are
/// right, by how sure each was and how often such came true, is worth what that takes.
///
/// Where no number pays a text alone it pauses, and after the third time it is off.
struct DraftPace {
    /// What guessing takes, in steps of the model alone: a token of the draft's, and further tokens in a pass of the model. What was measured on the way
    /// counts, by figures where nothing was yet. No bit of a text comes of it: another time other tokens may be guessed, and the same ones written.
    struct Costs {
        private let draft: Double, passes: PassCosts
        private let clock: PassClock

        /// A token of a draft takes more than its weights' share of the model's: in a pass of a small model more is not its weights', and each of the two reads anew
        /// what the other has put out of the cache.
        private static let overBytes = 1.4

        /// share: the draft's weights by the model's.
        init(share: Double, _ passes: PassCosts, _ clock: PassClock) {
            draft = Costs.overBytes * share
            (self.passes, self.clock) = (passes, clock)
        }

        /// Whether it is known what a step of the model alone takes.
        var areKnown: Bool { clock.step != nil }

        /// A pass with `count` guesses of one text, and the making of these; see `PassCosts`.
        func pass(_ count: Int, beside texts: Int) -> Double {
            passes.pass(count, beside: texts, draft: clock.draft ?? draft, clock: clock)
        }
    }

    /// What must be gained at least.
    private static let least = 1.05
    /// What a further guess must bring for what it takes: about what guessing gains as a whole, or it would lower that.
    private static let worth = 1.2
    /// Guesses that count as seen before, and how many of them came true: many, as the first try is one guess; seen ones fade beyond `memory`.
    private static let seen = (right: 1.8, all: 2.0), memory = 16.0
    private static let pauses = [16, 64]

    private let costs: Costs
    private var right = DraftPace.seen.right, all = DraftPace.seen.all
    /// The same by `Sureness`: as SmolLM2's own Q4_K_M and Q8_0 were right (DRAFTS.md), but for little.
    private var rightOf = SIMD4(1.2, 1.5, 1.8, 1.95), allOf = SIMD4(repeating: 2.0)
    private var pause = 0, paused = 0
    private var isOff = false

    init(_ costs: Costs) { self.costs = costs }

    /// Asked once before each guess: how many, at most `limit`. texts: that share a pass of the model; what one more token takes of
    /// such a pass is more, beside what a text alone has of it.
    mutating func length(_ limit: Int, beside texts: Int) -> Int {
        guard !isOff, limit > 0, costs.areKnown || texts > 1 else { return 0 }
        guard pause == 0 else {
            pause -= 1
            return 0
        }
        // no more than came true so far: what is not known yet is found out with few
        let chance = right / all, most = min(limit, max(1, Int(right)))
        var pays = false, tokens = 1.0, chanceOfAll = 1.0
        for count in 1...most {
            chanceOfAll *= chance
            tokens += chanceOfAll
            pays = pays || tokens > DraftPace.least * costs.pass(count, beside: texts)
        }
        guard pays else {
            if texts <= 1 { rest() }
            return 0
        }
        return most
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

    /// How often guesses of that sureness come true.
    func chance(_ sure: Sureness) -> Double { rightOf[sure.rawValue] / allOf[sure.rawValue] }

    /// Whether a guess more is worth while behind so many, which all come true with this chance.
    func goesOn(behind made: Int, _ chance: Double, beside texts: Int) -> Bool {
        let more = costs.pass(made &+ 1, beside: texts) - costs.pass(made, beside: texts)
        return chance * right / all > DraftPace.worth * more
    }

    /// So many of the guesses came true; the one behind them, if there was one, did not.
    mutating func learn(_ came: Int, of guessed: Int, _ sureness: SIMD16<Int8>) {
        guard guessed > 0 else { return }
        for index in 0..<min(came &+ 1, guessed) {
            let sure = Int(sureness[index])
            allOf[sure] += 1
            if index < came { rightOf[sure] += 1 }
            guard allOf[sure] > DraftPace.memory else { continue }
            (rightOf[sure], allOf[sure]) = (rightOf[sure] * DraftPace.memory / allOf[sure], DraftPace.memory)
        }
        right += Double(came)
        all += Double(min(came + 1, guessed))
        guard all > DraftPace.memory else { return }
        (right, all) = (right * DraftPace.memory / all, DraftPace.memory)
        paused = 0  // it has paid for long
    }
}
