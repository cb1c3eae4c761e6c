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
    public var tokens = 0

    public init() {}
}

extension Context {
    /// Evaluates `prompt` on sequence 0, then samples until an end. Every sampled token but the end token is
    /// evaluated too, so that a further call goes on where this one ended.
    ///
    /// emit: gets whole UTF-8 characters; false ends the generation. progress: how far it came, also when an
    /// error is thrown.
    public func generate(
        _ sampler: SamplerBox, prompt: UnsafeBufferPointer<Int32>, stops: [[UInt8]], maxTokens: Int,
        progress: inout Generation, emit: (UnsafeRawBufferPointer) -> Bool
    ) throws(Llama2Error) {
        let tokenizer = try model.tokenizer()
        if prompt.count > 0 {
            try eval(tokens: prompt)
            progress.promptTokens = prompt.count
        }
        _ = try lastLogits()
        let decoder = try StreamingDecoder(tokenizer: tokenizer)
        try MemoryReserve.cover(decoder.longestText, each: 4, for: "text that is held back")
        var matcher = StopMatcher(stops: stops, longestPiece: decoder.longestText)
        var wanted = true, stopped = false
        func give(_ text: UnsafeRawBufferPointer) { if wanted && text.count > 0 && !emit(text) { wanted = false } }

        while progress.end == nil {
            if progress.tokens >= maxTokens {
                progress.end = .maxTokens
                break
            }
            let token = try sample(sampler)
            progress.tokens += 1
            if tokenizer.isEndOfGeneration(token) {
                progress.end = .token
                break
            }
            let text = try decoder.append(token)
            if !stopped { stopped = matcher.push(text, emit: give) }
            if inference.freePositions == 0 {
                progress.end = stopped ? .stop : wanted ? .context : .callback
                break
            }
            try withUnsafePointer(to: token) { (p) throws(Llama2Error) in
                try eval(tokens: UnsafeBufferPointer(start: p, count: 1))
            }
            if stopped { progress.end = .stop } else if !wanted { progress.end = .callback }
        }
        if !stopped {
            stopped = matcher.push(decoder.finish(), emit: give)
            if !stopped { matcher.flush(emit: give) }
        }
    }
}
