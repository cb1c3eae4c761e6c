internal import Llama2Core
internal import Llama2Grammar
internal import Llama2Model
internal import Llama2Sampling
internal import Llama2Tokenizer

/// A smaller model with the same vocabulary that says what may come next: its most probable tokens, one after the other (Leviathan,
/// Kalman, Matias, "Fast Inference from Transformers via Speculative Decoding", 2023, but that a guess counts where the sampler,
/// asked as always, draws it: no bit of the text changes).
///
///     tokens    of the text, the one that is certain at the end
///     held      how many of them sequence 0 of its context holds
///     asked     guesses that were made behind these; the last one is not in the sequence
///
/// How many came true it sees from the tokens that came. What it has to catch up with it evaluates at once, when it is asked: where
/// nobody asks it costs nothing.
final class Draft {
    private let context: Context
    /// The text's.
    private let tokenizer: Tokenizer
    private let guesses: AlignedBuffer<Int32>  // (GuessingPace.most)
    private var tokens: GrowingBuffer<Int32>
    private var held = 0, asked = 0
    private var pace: DraftPace
    private var cancel: CancelCallback.Function?, cancelData: UnsafeMutableRawPointer?

    /// Takes the context until `end`. Refuses one that cannot draft for `main`.
    init(_ context: Context, beside main: Context) throws(Llama2Error) {
        guard context !== main else { throw Llama2Error(.invalidArgument, "the draft is the context itself; it needs a context of its own") }
        tokenizer = try main.model.tokenizer()
        try tokenizer.checkDraft(try context.model.tokenizer())
        guard context.model.vocabularySize == main.model.vocabularySize else {
            let sizes = (context.model.vocabularySize, main.model.vocabularySize)
            throw Llama2Error(.invalidArgument, "the draft has another vocabulary: \(sizes.0) logits, the context's model \(sizes.1)")
        }
        let length = main.inference.configuration.contextLength, its = context.inference.configuration.contextLength
        guard its >= length else {
            throw Llama2Error(.invalidArgument, "the draft's context has \(its) positions, the context \(length): it needs as many")
        }
        try context.inference.checkIsWhole()
        try context.inference.checkLogitsAreMade()
        self.context = context
        guesses = try AlignedBuffer(count: GuessingPace.most, of: "guesses")
        tokens = try GrowingBuffer(capacity: length + 1, of: "tokens to guess from")
        pace = DraftPace(cost: Double(try context.model.weights.byteCount) / Double(max(try main.model.weights.byteCount, 1)))
        try context.occupy("draft's context")
        (cancel, cancelData) = (context.inference.cancel, context.inference.cancelData)
        (context.inference.cancel, context.inference.cancelData) = (main.inference.cancel, main.inference.cancelData)
        context.inference.hostMode = main.inference.hostMode
    }

    /// Gives the context back.
    func end() {
        (context.inference.cancel, context.inference.cancelData) = (cancel, cancelData)
        context.vacate()
    }

    /// The text is what sequence 0 of `main` holds.
    func begin(_ main: Inference) {
        tokens.removeAll()
        main.readTokens(0) { list in for token in list { append(token) } }
        (held, asked) = (0, 0)
        context.inference.disown(0)
    }

    func append(_ token: Int32) {
        do throws(Llama2Error) { try tokens.append(token) } catch { pace.isOff = true }
    }

    /// At most `limit` guesses of what follows; valid until the next call. Throws when it was cancelled only.
    func guess(_ limit: Int, _ matcher: GrammarMatcher?) throws(Llama2Error) -> UnsafeBufferPointer<Int32> {
        learn()
        let length = pace.length(min(limit, GuessingPace.most))
        if length > 0 {
            do throws(Llama2Error) {
                try write(length, matcher)
            } catch {
                guard error.kind != .cancelled else { throw error }
                pace.isOff = true  // a guess is no reason to fail
            }
        }
        return UnsafeBufferPointer(start: guesses.pointer, count: asked)
    }

    /// From what came behind the last guesses.
    private func learn() {
        var right = 0
        while right < asked, held + right < tokens.count, tokens[held + right] == guesses.pointer[right] { right += 1 }
        pace.learn(right, of: asked)
        held += min(right, max(asked - 1, 0))
        asked = 0
    }

    /// 1. What it has not seen. 2. Its guesses, each but the last one evaluated for the next.
    private func write(_ wanted: Int, _ matcher: GrammarMatcher?) throws(Llama2Error) {
        try context.inference.truncate(0, to: held)
        if held == 0 { held = try context.inference.adopt(0, tokens.elements) }
        try context.eval(tokens: UnsafeBufferPointer(rebasing: tokens.elements[held...]))
        held = tokens.count
        var taken = 0
        defer { try? matcher?.withdraw(taken) }
        while let token = best(try context.lastLogits(), try matcher?.mask()), !tokenizer.isEndOfGeneration(token) {
            guesses.pointer[asked] = token
            asked += 1
            guard asked < wanted else { return }
            if let matcher {
                guard try matcher.accept(token) else { return }
                taken += 1
            }
            try context.eval(count: 1) { _ in BatchEntry(token: token, wantsLogits: true) }
        }
    }

    /// The first of the most probable tokens among those that may come; nil: there is none.
    private func best(_ logits: UnsafeBufferPointer<Float>, _ mask: UnsafeBufferPointer<UInt32>?) -> Int32? {
        var best: Int?, most = -Float.infinity
        for token in 0..<logits.count where logits[token] > most {
            if let mask, token / 32 >= mask.count || mask[token / 32] >> UInt32(token % 32) & 1 == 0 { continue }
            (best, most) = (token, logits[token])
        }
        return best.map { Int32(truncatingIfNeeded: $0) }
    }
}
