internal import Llama2Core
internal import Llama2Grammar

/// Tokens that may come next, to be evaluated together with the one that is certain. One of them counts when the sampler, asked as
/// always, draws it: the text is the same bit for bit, whatever is guessed.
///
/// Where a grammar leaves one way only, that is the guess, in the longest tokens that there are; else what came after the same
/// tokens before.
final class Guesser {
    private let guesses: AlignedBuffer<Int32>  // (GuessingPace.most)
    private var count = 0
    private var isForced = false
    private var lookup = GuessingPace(), forced = GuessingPace()
    /// Bytes of forced text that are looked at.
    private static let mostForced = 128

    init() throws(Llama2Error) { guesses = try AlignedBuffer(count: GuessingPace.most, of: "guesses") }

    /// At most `limit` guesses of what follows `tokens`; valid until the next call.
    func guess(
        _ tokens: UnsafeBufferPointer<Int32>, limit: Int, _ matcher: GrammarMatcher?
    ) -> UnsafeBufferPointer<Int32> {
        count = 0
        isForced = false
        let limit = min(limit, GuessingPace.most)
        if limit > 0, let matcher, forced.isOn() {
            count = writeForced(matcher, limit)
            isForced = count > 0
        }
        if limit > 0, count == 0, lookup.isOn() { count = PromptLookup.guess(tokens, min(lookup.length, limit), guesses.pointer) }
        return UnsafeBufferPointer(start: guesses.pointer, count: count)
    }

    private func writeForced(_ matcher: GrammarMatcher, _ limit: Int) -> Int {
        guard let text = try? matcher.forced(limit: Guesser.mostForced) else { return 0 }
        var written = 0, rest = text[...]
        while written < limit, let (token, length) = matcher.grammar.vocabulary.longestToken(rest) {
            guesses.pointer[written] = token
            written += 1
            rest = rest.dropFirst(length)
        }
        return written
    }

    /// So many of the last guesses came true.
    func learn(_ right: Int) {
        if isForced { forced.learn(right, of: count) } else { lookup.learn(right, of: count) }
    }
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
