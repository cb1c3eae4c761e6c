public import Llama2Core
internal import Llama2Model
internal import Llama2Sampling
internal import Llama2Tokenizer

/// The whole loop: prompt in, text out as it comes.
public struct Generation: Sendable {
    public enum End: Int32, Sendable {
        case token = 1, maxTokens, stop, callback, context
    }

    public var end: End?
    public var promptTokens = 0
    /// Of these, what was stored already.
    public var adopted = 0
    public var tokens = 0

    public init() {}
}

extension Context {
    /// Evaluates `prompt` on sequence 0, then samples until an end. Every sampled token but the end token is
    /// evaluated too, so that a further call goes on where this one ended.
    ///
    /// adopts: an empty sequence 0 begins with what is stored of the prompt.
    /// penalizesPrompt: the sampler's penalties count the prompt's tokens as if they had been sampled, once they are evaluated.
    /// emit: gets whole UTF-8 characters; false ends the generation. progress: how far it came, also when an
    /// error is thrown. Then sequence 0, its logits and the sampler are as after the last token that was evaluated, and what
    /// was held back of the text is given out first.
    public func generate(
        _ box: SamplerBox, prompt: UnsafeBufferPointer<Int32>, adopts: Bool, penalizesPrompt: Bool = false, stops: [[UInt8]],
        maxTokens: Int,
        progress: inout Generation, emit: (UnsafeRawBufferPointer) -> Bool
    ) throws(Llama2Error) {
        let tokenizer = try model.tokenizer()
        // such a count is refused, and nothing is read
        guard prompt.count <= inference.configuration.contextLength else { return try eval(tokens: prompt) }
        // read once: the sampler gets the tokens that were evaluated, whatever becomes of the host's
        let copy = try copied(prompt[...]), prompt = copy.elements
        defer { withExtendedLifetime(copy) {} }
        try box.exclusively { (sampler) throws(Llama2Error) in
            // 1. what can be refused is refused before anything changes
            try sampler.prepare(model.weights.hyperparameters.vocabularySize)
            let decoder = try StreamingDecoder(tokenizer: tokenizer)
            try MemoryReserve.cover(decoder.longestText, each: 4, for: "text that is held back")
            var matcher = StopMatcher(stops: stops, longestPiece: decoder.longestText)
            if prompt.count > 0 {
                progress.adopted = try evalPrompt(prompt, adopts: adopts)
                progress.promptTokens = prompt.count
                if penalizesPrompt { for token in prompt { sampler.accept(token) } }
            }
            _ = try lastLogits()
            var wanted = true, stopped = false
            func give(_ text: UnsafeRawBufferPointer) { if wanted && text.count > 0 && !emit(text) { wanted = false } }

            // 2. token by token; a token counts and is accepted when it was evaluated, or ends the text
            var failure: Llama2Error?
            do throws(Llama2Error) {
                while progress.end == nil {
                    if progress.tokens >= maxTokens {
                        progress.end = .maxTokens
                        break
                    }
                    let token = try sampler.sample(try lastLogits())
                    if tokenizer.isEndOfGeneration(token) {
                        progress.end = .token
                    } else {
                        do throws(Llama2Error) {
                            let text = try decoder.append(token)
                            if !stopped { stopped = matcher.push(text, emit: give) }
                            if !inference.fits(0) {
                                progress.end = stopped ? .stop : wanted ? .context : .callback
                            } else {
                                try withUnsafePointer(to: token) { (p) throws(Llama2Error) in
                                    try eval(tokens: UnsafeBufferPointer(start: p, count: 1))
                                }
                                progress.end = stopped ? .stop : wanted ? nil : .callback
                            }
                        } catch {
                            sampler.withdraw()
                            throw error
                        }
                    }
                    sampler.accept(token)
                    progress.tokens += 1
                }
            } catch { failure = error }

            // 3. what was held back for a stop string or a character
            if !stopped {
                stopped = matcher.push(decoder.finish(), emit: give) || matcher.flush(emit: give)
                // only now is it certain that a stop string came: it has cut the text, whatever ended the tokens
                if stopped && wanted && progress.end != nil { progress.end = .stop }
            }
            if let failure { throw failure }
        }
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
