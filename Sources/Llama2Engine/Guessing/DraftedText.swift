internal import Llama2Core
internal import Llama2Grammar

/// What a draft knows of one text, which it has on a sequence of its own.
///
///     held      how many of the text's tokens the sequence holds
///     made      guesses behind these; the last one is not in the sequence
///
/// How many came true it sees from the tokens that came.
final class DraftedText {
    private let guesses: AlignedBuffer<Int32>  // (GuessingPace.most)
    private var pace: DraftPace
    private(set) var held = 0, made = 0

    /// While it is asked: the text, where it stands, what holds it, and how many guesses are wanted.
    private(set) var tokens = UnsafeBufferPointer<Int32>(start: nil, count: 0)
    private(set) var sequence = 0, wanted = 0
    private var matcher: GrammarMatcher?
    private var taken = 0
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
    func begin(_ tokens: UnsafeBufferPointer<Int32>, on sequence: Int, _ matcher: GrammarMatcher?, limit: Int, beside texts: Int) -> Bool {
        var right = 0
        while right < made, held + right < tokens.count, tokens[held + right] == guesses.pointer[right] { right += 1 }
        if right == made || held + right < tokens.count { pace.learn(right, of: made) }  // else nobody knows yet
        held += min(right, max(made - 1, 0))
        made = 0
        wanted = pace.length(min(limit, GuessingPace.most), beside: texts)
        guard wanted > 0 else { return false }
        (self.tokens, self.sequence, self.matcher) = (tokens, sequence, matcher)
        return true
    }

    func holds(_ count: Int) { held = count }

    /// Guesses by these logits of its last token. Returns the guess, where a further one is wanted behind it.
    func guess(_ logits: UnsafeBufferPointer<Float>, isEnd: (Int32) -> Bool) -> Int32? {
        let mask: UnsafeBufferPointer<UInt32>?
        do throws(Llama2Error) { mask = try matcher?.mask() } catch { return nil }
        guard let token = DraftedText.best(logits, mask), !isEnd(token) else { return nil }
        guesses.pointer[made] = token
        made += 1
        guard made < wanted else { return nil }
        if let matcher {
            guard (try? matcher.accept(token)) == true else { return nil }
            taken += 1
        }
        return token
    }

    /// What holds the text stands where it stood.
    func end() {
        try? matcher?.withdraw(taken)
        (taken, matcher, hasRow, tokens) = (0, nil, false, UnsafeBufferPointer(start: nil, count: 0))
    }

    /// The first of the most probable tokens among those that may come; nil: there is none.
    private static func best(_ logits: UnsafeBufferPointer<Float>, _ mask: UnsafeBufferPointer<UInt32>?) -> Int32? {
        var best: Int?, most = -Float.infinity
        for token in 0..<logits.count where logits[token] > most {
            if let mask, token / 32 >= mask.count || mask[token / 32] >> UInt32(token % 32) & 1 == 0 { continue }
            (best, most) = (token, logits[token])
        }
        return best.map { Int32(truncatingIfNeeded: $0) }
    }
}
