public import Llama2Core
internal import Llama2Model
public import Llama2Sampling
internal import Llama2Tokenizer

/// How far a generation came.
public struct Generation: Sendable {
    public var end: Completion.End?
    public var promptTokens = 0
    /// Of these, what was stored already.
    public var adopted = 0
    /// Positions that shifts dropped.
    public var dropped = 0
    public var tokens = 0
    /// Guessed, and of these drawn too.
    public var guessed = 0, guessedRight = 0

    public init() {}
}

extension Context {
    /// Evaluates `prompt` on sequence 0, then samples until an end: the whole loop. Every sampled token but the end token is
    /// evaluated too, so that a further call goes on where this one ended.
    ///
    /// adopts: an empty sequence 0 begins with what is stored of the prompt. shiftKeep: where the context is full, sequence 0
    /// is shifted and keeps so many first positions; nil: that ends the text.
    /// tell: is told about every token when it counts, with the probabilities of `logProbabilities`, if there is one; echo: about the prompt's too,
    /// which is then evaluated as a whole. After an error there sequence 0 is as before and without logits.
    /// guesses: tokens that may come are evaluated together with the one that is certain, see `Guesser`: the text is the same.
    /// draft: says what may come where the guesser does not; its sequence 0 is written over.
    /// completes: what the sampler is held to is complete when `maxTokens` are chosen, or the context is full.
    /// penalizesPrompt: the sampler's penalties count the prompt's tokens as if they had been sampled, once they are evaluated.
    /// emit: gets whole UTF-8 characters; false ends the generation. progress: how far it came, also when an
    /// error is thrown. Then sequence 0, its logits and the sampler are as after the last token that was evaluated, and what
    /// was held back of the text is given out first.
    public func generate(
        _ box: SamplerBox, prompt: UnsafeBufferPointer<Int32>, adopts: Bool, guesses: Bool, draft: Context? = nil, shiftKeep: Int?,
        penalizesPrompt: Bool, stops: [[UInt8]], maxTokens: Int, completes: Bool = false,
        logProbabilities: LogProbabilities? = nil, echo: Bool = false, progress: inout Generation, tell: Completion.Tell? = nil, emit: Completion.Emit
    ) throws(Llama2Error) {
        let tokenizer = try model.tokenizer()
        let guesses = guesses && !inference.isObserved  // whoever looks at layers sees the text's tokens alone
        // such a count is refused, and nothing is read
        guard prompt.count <= inference.configuration.contextLength else { return try eval(tokens: prompt) }
        // read once: the sampler gets the tokens that were evaluated, whatever becomes of the host's
        let copy = try copied(prompt[...]), prompt = copy.elements
        defer { withExtendedLifetime(copy) {} }
        try box.exclusively { (sampler) throws(Llama2Error) in
            // 1. what can be refused is refused before anything changes
            try checkGrammar(sampler)
            if completes { try sampler.checkCompletes() }
            let draft = try draft.map { (context) throws(Llama2Error) in try Draft(context, beside: self) }
            defer { draft?.end() }
            sampler.setHost(inference.hostMode)
            sampler.report = logProbabilities
            defer { sampler.report = nil }
            let completion = try Completion(
                tokenizer, sampler, vocabularySize: model.vocabularySize, stops: stops, maxTokens: maxTokens, tell: tell,
                guesses: guesses ? try PassCosts(self) : nil)
            var trail = try TokenTrail(guesses ? inference.configuration.contextLength : 0)
            if prompt.count > 0 {
                if prompt.count > inference.freePositions {
                    progress.dropped += makeRoom(shiftKeep, prompt.count - inference.freePositions)
                }
                if echo {
                    try evalAndTell(prompt, sampler, completion)
                } else {
                    progress.adopted = try evalPrompt(prompt, adopts: adopts)
                }
                progress.promptTokens = prompt.count
                sampler.beginText()
                if penalizesPrompt { for token in prompt { sampler.accept(token) } }
            }
            _ = try lastLogits()

            if completes { completion.completesWithin = shiftKeep == nil ? inference.freePositions + 1 : .max }

            // 2. token by token, or several where they can be guessed
            if guesses {
                inference.readTokens(0) { trail.append($0) }
                draft?.begin(inference)
            }
            var drawn: Int32?  // behind guesses that came true, not evaluated yet
            var failure: Llama2Error?
            do throws(Llama2Error) {
                while completion.end == nil {
                    let token: Int32
                    if let next = drawn { token = next } else if let next = try completion.next(try lastLogits().span, emit) { token = next } else { break }
                    drawn = nil
                    if !inference.fits(0) {
                        let dropped = makeRoom(shiftKeep, 1)
                        progress.dropped += dropped
                        if guesses, dropped > 0 { draft?.begin(inference) }
                    }
                    guard inference.fits(0) else {
                        completion.noRoom()
                        break
                    }
                    trail.append(token)
                    draft?.append(token)
                    var ahead = completion.guess(trail.elements, limit: inference.freePositions - 1, beside: 1, hasDraft: draft != nil)
                    let count: Int
                    do throws(Llama2Error) {
                        if ahead.count == 0, guesses, let draft {
                            ahead = try draft.guess(completion.mayGuess(inference.freePositions - 1), completion)
                        }
                        count = try eval(token, guesses: ahead)
                    } catch {
                        completion.withdraw()
                        throw error
                    }
                    completion.evaluated()
                    if count > 0 { drawn = try follow(ahead, completion, &trail, draft, emit) }
                }
            } catch { failure = error }

            // 3. what was held back for a stop string or a character
            completion.finish(emit)
            progress.tokens = completion.tokens
            (progress.guessed, progress.guessedRight) = (completion.guessed, completion.guessedRight)
            progress.end = completion.end
            if let failure { throw failure }
        }
    }

    /// Rows of logits at once, as in `score`.
    private static let echoedAtOnce = 64

    /// Evaluates the prompt in pieces that their logits fit, and tells what is known of each token: of the first one nothing.
    private func evalAndTell(
        _ prompt: UnsafeBufferPointer<Int32>, _ sampler: Sampler, _ completion: Completion
    ) throws(Llama2Error) {
        let before = try inference.length(0)
        guard prompt.count <= inference.freePositions else { throw inference.full(prompt.count) }
        try check(prompt)
        do throws(Llama2Error) {
            sampler.report?.forget()
            completion.evaluated(ofPrompt: prompt[0])
            var start = 0
            while start < prompt.count {
                let count = min(Context.echoedAtOnce, prompt.count - start)
                try eval(count: count) { BatchEntry(token: prompt[start + $0], wantsLogits: true) }
                for row in 0..<count where start + row + 1 < prompt.count && completion.end == nil {
                    guard let logits = inference.logits(row) else { continue }
                    try sampler.measure(logits.span, prompt[start + row + 1])
                    completion.evaluated(ofPrompt: prompt[start + row + 1])
                }
                start += count
            }
        } catch {
            try inference.truncate(0, to: before)
            throw error
        }
    }

    /// Behind guesses that were evaluated: as many as the sampler draws too count, the others are withdrawn. Returns what it drew in place of
    /// a guess, or behind all of them.
    private func follow(
        _ guesses: UnsafeBufferPointer<Int32>, _ completion: Completion, _ trail: inout TokenTrail, _ draft: Draft?, _ emit: Completion.Emit
    ) throws(Llama2Error) -> Int32? {
        let length = try inference.length(0) - guesses.count
        var right = 0
        defer {
            inference.settle(0, to: length + right, row: right)
            completion.learn(right, of: guesses.count)
            countDecoded(right)
        }
        while completion.end == nil, let logits = inference.logits(right), let next = try completion.next(logits.span, emit) {
            guard right < guesses.count, next == guesses[right] else { return next }
            completion.evaluated()
            trail.append(next)
            draft?.append(next)
            right += 1
        }
        return nil
    }

    private func makeRoom(_ shiftKeep: Int?, _ wanted: Int) -> Int {
        shiftKeep.map { inference.makeRoom(0, keep: $0, wanted: wanted) } ?? 0
    }

    /// All or nothing, the adopted beginning included; returns its length.
    private func evalPrompt(_ prompt: UnsafeBufferPointer<Int32>, adopts: Bool) throws(Llama2Error) -> Int {
        guard adopts, try inference.length(0) == 0 else {
            try eval(tokens: prompt)
            return 0
        }
        let found = try inference.adopt(0, prompt)
        do throws(Llama2Error) {
            try eval(tokens: UnsafeBufferPointer(rebasing: prompt[found...]))
        } catch {
            inference.disown(0)
            throw error.kind == .contextFull ? inference.full(prompt.count) : error
        }
        return found
    }
}
