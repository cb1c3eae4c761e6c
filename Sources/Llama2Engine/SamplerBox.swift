public import Llama2Core
public import Llama2Sampling

/// A sampler and the guard against two threads in it.
public final class SamplerBox {
    private let sampler: Sampler
    private let gate = Gate()

    /// texts: of `model`, nil where there are none.
    public init(_ options: SamplerOptions, _ texts: SamplerTexts = SamplerTexts(), model: Model? = nil) throws(Llama2Error) {
        var options = options
        try texts.resolve(&options, model)
        sampler = try Sampler(options, vocabularySize: nil)
        sampler.vocabularyOwner = model
    }

    /// The sampler, for nobody else until `giveBack`.
    func take() throws(Llama2Error) -> Sampler {
        try gate.enter("sampler")
        return sampler
    }

    func giveBack() {
        sampler.report = nil
        gate.leave()
    }

    public func exclusively<T>(_ body: (Sampler) throws(Llama2Error) -> T) throws(Llama2Error) -> T {
        try gate.enter("sampler")
        defer { gate.leave() }
        return try body(sampler)
    }
}

extension Sampler {
    /// Chooses a token from a row of logits and accepts it.
    public func take(_ logits: Span<Float>) throws(Llama2Error) -> Int32 {
        let token = try sample(logits)
        try hold(token)
        accept(token)
        return token
    }
}
