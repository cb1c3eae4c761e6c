import Llama2Core

/// How a token is chosen from logits. The order of the steps is fixed, whatever the order of the
/// properties: logit bias, penalties, top-k, top-p, min-p, temperature, draw.
public struct SamplerOptions: Sendable {
    /// The same seed, options and logits give the same tokens on every machine.
    public var seed: UInt64 = 0

    /// Divides the logits before the draw. 0: greedy, the highest logit, the lowest id on a tie.
    public var temperature: Float = 0.8
    /// Keeps this many of the highest logits. 0: off.
    public var topK: Int = 40
    /// Nucleus sampling (Holtzman et al. 2020): keeps the fewest most probable tokens whose
    /// probabilities sum to at least this. 1: off; 0 keeps one token.
    public var topP: Float = 0.95
    /// Keeps tokens of at least this probability relative to the most probable one. 0: off.
    public var minP: Float = 0.05

    /// For tokens that occur in the history (Keskar et al. 2019, CTRL): a positive logit is
    /// divided by this, any other multiplied. 1: off.
    public var repetitionPenalty: Float = 1
    /// Subtracted from a logit once for every occurrence of its token in the history. 0: off.
    public var frequencyPenalty: Float = 0
    /// Subtracted from a logit if its token occurs in the history at all. 0: off.
    public var presencePenalty: Float = 0
    /// How many accepted tokens the history remembers. -1: not limited, in practice
    /// `SamplerOptions.longestHistory`, to which larger values are reduced too.
    public var penaltyLastN: Int = 64

    /// Added to the logits of single tokens; `-infinity` bans one. A token that is listed more
    /// than once gets the sum.
    public var logitBias: [(token: Int32, bias: Float)] = []

    public init() {}

    /// Eight times the context length of Llama 3.1 (131072); keeps the ring's memory at 4 MB.
    public static let longestHistory = 1 << 20
}

extension SamplerOptions {
    var isPenalizing: Bool { repetitionPenalty != 1 || frequencyPenalty != 0 || presencePenalty != 0 }

    /// How many tokens a sampler with these options has to remember.
    var historyCapacity: Int {
        guard isPenalizing else { return 0 }
        return penaltyLastN < 0 ? Self.longestHistory : min(penaltyLastN, Self.longestHistory)
    }

    /// Refuses every value that no step could obey. The names are those of the C and Python
    /// interfaces, where the sentence will be read.
    func validate(vocabularySize: Int?) throws(Llama2Error) {
        if let size = vocabularySize, size < 1 || size > Int(Int32.max) {
            throw Llama2Error(.outOfRange, "vocabulary size is \(size); it must lie in 1...\(Int32.max)")
        }
        try check("temperature", temperature, atLeast: 0)
        try check("min_p", minP, atLeast: 0, atMost: 1)
        try check("top_p", topP, atLeast: 0, atMost: 1)
        guard topK >= 0 else {
            throw Llama2Error(.outOfRange, "top_k is \(topK); it must be at least 0, which turns it off")
        }
        try check("repetition_penalty", repetitionPenalty, atLeast: .leastNormalMagnitude)
        try check("frequency_penalty", frequencyPenalty)
        try check("presence_penalty", presencePenalty)
        guard penaltyLastN >= -1 else {
            throw Llama2Error(
                .outOfRange, "penalty_last_n is \(penaltyLastN); it must be at least -1, which means not limited")
        }
        for (index, entry) in logitBias.enumerated() {
            guard entry.bias < .infinity else {
                throw Llama2Error(
                    entry.bias.isNaN ? .invalidArgument : .outOfRange, "logit_bias[\(index)] is \(entry.bias); it must be finite or -inf")
            }
            try checkBias(index, fits: vocabularySize ?? Int(Int32.max))
        }
    }

    func checkBias(_ index: Int, fits vocabularySize: Int) throws(Llama2Error) {
        let token = logitBias[index].token
        guard token >= 0, Int(token) < vocabularySize else {
            throw Llama2Error(
                .outOfRange,
                "logit_bias[\(index)] is for token \(token); the vocabulary is 0..<\(vocabularySize)")
        }
    }
}

private func check(
    _ name: StaticString, _ value: Float,
    atLeast low: Float = -.greatestFiniteMagnitude, atMost high: Float = .greatestFiniteMagnitude
) throws(Llama2Error) {
    guard !value.isNaN else {
        throw Llama2Error(.invalidArgument, "\(name) is NaN; it must be a number in \(low)...\(high)")
    }
    guard value >= low, value <= high else {
        throw Llama2Error(.outOfRange, "\(name) is \(value); it must lie in \(low)...\(high)")
    }
}
