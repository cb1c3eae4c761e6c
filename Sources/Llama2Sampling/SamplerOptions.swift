internal import Llama2Core

/// What a sampler does to the logits, in llama.cpp's order and with its defaults: bias, penalties,
/// top-k, top-p, min-p, temperature, draw.
public struct SamplerOptions: Sendable {
    public var seed: UInt64 = 0
    /// 0: greedy, the highest logit; no random number is used.
    public var temperature: Float = 0.8
    /// 0: off.
    public var topK = 40
    /// Holtzman et al., The Curious Case of Neural Text Degeneration, 2019. 1: off.
    public var topP: Float = 0.95
    /// Least probability in proportion to the best one's. Nguyen et al., 2024. 0: off.
    public var minP: Float = 0.05
    /// Keskar et al., CTRL, 2019. 1: off.
    public var repetitionPenalty: Float = 1
    /// Taken from the logit for each occurrence, and once. 0: off.
    public var frequencyPenalty: Float = 0, presencePenalty: Float = 0
    /// Accepted tokens that the penalties look at.
    public var penaltyLastN = 64
    /// Added to logits; -infinity forbids a token.
    public var logitBias: [(token: Int32, bias: Float)] = []

    public init() {}

    func check() throws(Llama2Error) {
        func limit(_ value: Float, _ range: ClosedRange<Float>, _ name: String) throws(Llama2Error) {
            // a comparison with NaN is false
            guard range.contains(value) else {
                throw Llama2Error(.invalidArgument, "\(name) is \(value), expected \(range.lowerBound) to \(range.upperBound)")
            }
        }
        try limit(temperature, 0...1e6, "temperature")
        try limit(topP, 0...1, "top_p")
        try limit(minP, 0...1, "min_p")
        guard repetitionPenalty > 0 else {
            throw Llama2Error(.invalidArgument, "repetition_penalty is \(repetitionPenalty), expected more than 0")
        }
        try limit(repetitionPenalty, 0...1e6, "repetition_penalty")
        try limit(frequencyPenalty, -1e6...1e6, "frequency_penalty")
        try limit(presencePenalty, -1e6...1e6, "presence_penalty")
        guard topK >= 0 else { throw Llama2Error(.invalidArgument, "top_k is \(topK), expected 0 or more") }
        guard (0...1 << 20).contains(penaltyLastN) else {
            throw Llama2Error(.invalidArgument, "penalty_last_n is \(penaltyLastN), expected 0 to \(1 << 20)")
        }
        for (token, bias) in logitBias {
            guard token >= 0 else { throw Llama2Error(.invalidToken, "a logit bias for token \(token)") }
            guard !bias.isNaN, bias < .infinity else {
                throw Llama2Error(.invalidArgument, "the logit bias of token \(token) is \(bias), expected a finite number or -infinity")
            }
        }
    }
}
