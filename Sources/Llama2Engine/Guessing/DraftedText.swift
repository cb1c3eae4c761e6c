internal import Llama2Core
internal import Llama2Sampling

/// What a draft knows of one text, which it has on a sequence of its own.
///
///     held      how many of the text's tokens the sequence holds
///     made      guesses behind these; the last one is not in the sequence
///
/// How many came true it sees from the tokens that came.
final class DraftedText {
    private let guesses: AlignedBuffer<Int32>  // (GuessingPace.most)
    private var pace: DraftPace
    /// How sure each guess was, and the chance that all of them come true.
    private var sureness = SIMD16<Int8>(), chance = 1.0
    private(set) var held = 0, made = 0

    /// While it is asked: the text, where it stands, what holds it, and how many guesses are wanted, where so many texts share a pass.
    private(set) var tokens = UnsafeBufferPointer<Int32>(start: nil, count: 0)
    private(set) var sequence = 0, wanted = 0, texts = 1
    private var foresight: Foresight?
    /// Of its tokens, how many the eval under way has; whether it has the row of logits behind the last one.
    var next = 0, hasRow = false

    init(_ costs: DraftPace.Costs) throws(Llama2Error) {
        guesses = try AlignedBuffer(count: GuessingPace.most, of: "guesses")
        pace = DraftPace(costs)
    }

    /// Valid until it is asked again.
    var list: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(start: guesses.pointer, count: made) }

    /// Its sequence was emptied.
    func forget() { (held, made) = (0, 0) }

    /// Whether guesses of what follows `tokens` are worth while: at most `limit`, where so many texts share a pass of the model.
    func begin(_ tokens: UnsafeBufferPointer<Int32>, on sequence: Int, _ completion: Completion, limit: Int, beside texts: Int) -> Bool {
        var right = 0
        while right < made, held + right < tokens.count, tokens[held + right] == guesses.pointer[right] { right += 1 }
        if right == made || held + right < tokens.count { pace.learn(right, of: made, sureness) }  // else nobody knows yet
        held += min(right, max(made - 1, 0))
        made = 0
        wanted = pace.length(min(limit, GuessingPace.most), beside: texts)
        guard wanted > 0 else { return false }
        (self.tokens, self.sequence, self.texts, chance) = (tokens, sequence, texts, 1)
        foresight = completion.foresight()
        return true
    }

    func holds(_ count: Int) { held = count }

    /// Guesses by these logits of its last token. Returns the guess, where a further one is wanted behind it.
    func guess(_ logits: UnsafeBufferPointer<Float>, isEnd: (Int32) -> Bool) -> Int32? {
        guard let (token, sure) = foresight?.next(logits), !isEnd(token) else { return nil }
        guesses.pointer[made] = token
        sureness[made] = Int8(truncatingIfNeeded: sure.rawValue)
        made += 1
        chance *= pace.chance(sure)
        return made < wanted && pace.goesOn(behind: made, chance, beside: texts) && foresight?.follow(token) == true ? token : nil
    }

    /// Its sampler and what holds it stand where they stood.
    func end() {
        foresight?.end()
        (foresight, hasRow, tokens) = (nil, false, UnsafeBufferPointer(start: nil, count: 0))
    }
}
