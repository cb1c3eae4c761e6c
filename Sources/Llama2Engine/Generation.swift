public import Llama2Core
internal import Llama2Model
internal import Llama2Sampling
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

    public init() {}
}

extension Context {
    /// Evaluates `prompt` on sequence 0, then samples until an end: the whole loop. Every sampled token but the end token is
    /// evaluated too, so that a further call goes on where this one ended.
    ///
    /// adopts: an empty sequence 0 begins with what is stored of the prompt. shiftKeep: where the context is full, sequence 0
    /// is shifted and keeps so many first positions; nil: that ends the text.
    /// penalizesPrompt: the sampler's penalties count the prompt's tokens as if they had been sampled, once they are evaluated.
    /// emit: gets whole UTF-8 characters; false ends the generation. progress: how far it came, also when an
    /// error is thrown. Then sequence 0, its logits and the sampler are as after the last token that was evaluated, and what
    /// was held back of the text is given out first.
    public func generate(
        _ box: SamplerBox, prompt: UnsafeBufferPointer<Int32>, adopts: Bool, shiftKeep: Int?, penalizesPrompt: Bool,
        stops: [[UInt8]], maxTokens: Int, progress: inout Generation, emit: Completion.Emit
    ) throws(Llama2Error) {
        let tokenizer = try model.tokenizer()
        // such a count is refused, and nothing is read
        guard prompt.count <= inference.configuration.contextLength else { return try eval(tokens: prompt) }
        // read once: the sampler gets the tokens that were evaluated, whatever becomes of the host's
        let copy = try copied(prompt[...]), prompt = copy.elements
        defer { withExtendedLifetime(copy) {} }
        try box.exclusively { (sampler) throws(Llama2Error) in
            // 1. what can be refused is refused before anything changes
            try checkGrammar(sampler)
            let completion = try Completion(
                tokenizer, sampler, vocabularySize: model.vocabularySize, stops: stops, maxTokens: maxTokens)
            if prompt.count > 0 {
                if prompt.count > inference.freePositions {
                    progress.dropped += makeRoom(shiftKeep, prompt.count - inference.freePositions)
                }
                progress.adopted = try evalPrompt(prompt, adopts: adopts)
                progress.promptTokens = prompt.count
                sampler.constraint?.reset()  // a prompt begins a new text
                if penalizesPrompt { for token in prompt { sampler.accept(token) } }
            }
            _ = try lastLogits()

            // 2. token by token
            var failure: Llama2Error?
            do throws(Llama2Error) {
                while completion.end == nil, let token = try completion.next(try lastLogits(), emit) {
                    if !inference.fits(0) { progress.dropped += makeRoom(shiftKeep, 1) }
                    guard inference.fits(0) else {
                        completion.noRoom()
                        break
                    }
                    do throws(Llama2Error) {
                        try withUnsafePointer(to: token) { (p) throws(Llama2Error) in
                            try eval(tokens: UnsafeBufferPointer(start: p, count: 1))
                        }
                    } catch {
                        completion.withdraw()
                        throw error
                    }
                    completion.evaluated()
                }
            } catch { failure = error }

            // 3. what was held back for a stop string or a character
            completion.finish(emit)
            progress.tokens = completion.tokens
            progress.end = completion.end
            if let failure { throw failure }
        }
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
