internal import Llama2Core
internal import Llama2Grammar

/// Tokens that may come next, to be evaluated together with the one that is certain. One of them counts when the sampler, asked as
/// always, draws it: the text is the same bit for bit, whatever is guessed.
///
/// Where a grammar leaves one way only, that is the guess, in the longest tokens that there are; else what came after the same
/// tokens before.
final class Guesser {
    private let guesses: AlignedBuffer<Int32>  // (GuessingPace.most)
    private var isForced = false, count = 0
    private var forced = GuessingPace(), lookup: LookupPace
    /// What was looked up last, of which `guesses` has all: behind so many tokens of the text, of which so many are the same; 0: nothing was.
    private var place = 0, common = 0
    /// Bytes of forced text that are looked at.
    private static let mostForced = 128

    init(_ costs: PassCosts) throws(Llama2Error) {
        guesses = try AlignedBuffer(count: GuessingPace.most, of: "guesses")
        lookup = LookupPace(costs)
    }

    /// At most `limit` guesses of what follows `tokens`, which so many texts share a pass with; valid until the next call. hasDraft: a draft is
    /// asked where there are none.
    func guess(
        _ tokens: UnsafeBufferPointer<Int32>, limit: Int, _ matcher: GrammarMatcher?, beside texts: Int, hasDraft: Bool
    ) -> UnsafeBufferPointer<Int32> {
        learn(tokens)
        (count, isForced) = (0, false)
        let limit = min(limit, GuessingPace.most)
        if limit > 0, let matcher, forced.isOn() {
            count = writeForced(matcher, limit)
            isForced = count > 0
        }
        if limit > 0, count == 0 {
            (place, common) = (tokens.count, PromptLookup.guess(tokens, guesses.pointer))
            if common > 0 { count = lookup.length(limit, behind: common, beside: texts, hasDraft: hasDraft) }
        }
        return UnsafeBufferPointer(start: guesses.pointer, count: count)
    }

    /// What came since tells of what was looked up.
    private func learn(_ tokens: UnsafeBufferPointer<Int32>) {
        let seen = min(tokens.count - place, GuessingPace.most)
        guard common > 0, seen > 0 else { return }
        var came = 0
        while came < seen, tokens[place + came] == guesses.pointer[came] { came += 1 }
        lookup.learn(came, of: seen, behind: common)
        common = 0
    }

    private func writeForced(_ matcher: GrammarMatcher, _ limit: Int) -> Int {
        guard let text = try? matcher.forced(limit: Guesser.mostForced) else { return 0 }
        common = 0  // what was looked up is written over
        var written = 0, rest = text[...]
        while written < limit, let (token, length) = matcher.grammar.vocabulary.longestToken(rest) {
            guesses.pointer[written] = token
            written += 1
            rest = rest.dropFirst(length)
        }
        return written
    }

    /// So many of the last guesses came true.
    func learn(_ right: Int) { if isForced { forced.learn(right, of: count) } }
}

/// The tokens of a sequence, as far back as guesses are looked for.
struct TokenTrail: ~Copyable {
    private static let most = 16384
    private var tokens: GrowingBuffer<Int32>

    init(_ known: Int) throws(Llama2Error) { tokens = try GrowingBuffer(capacity: min(known, TokenTrail.most), of: "tokens to guess from") }

    var elements: UnsafeBufferPointer<Int32> { tokens.elements }

    mutating func append(_ token: Int32) {
        if tokens.count >= TokenTrail.most {
            // the older half goes
            let half = TokenTrail.most / 2
            for i in 0..<half { tokens[i] = tokens[tokens.count - half + i] }
            tokens.truncate(to: half)
        }
        try? tokens.append(token)  // without memory there is less to guess from
    }

    mutating func append(_ list: UnsafeBufferPointer<Int32>) { for token in list.suffix(TokenTrail.most) { append(token) } }
}
