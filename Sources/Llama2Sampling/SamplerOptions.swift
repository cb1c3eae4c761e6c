import Llama2Core

/// How a token is chosen from logits: what the steps are told. Their order is that of `steps`, whatever the order of the properties.
/// Defaults are llama.cpp's; what a step is for, and its paper, is in its file.
public struct SamplerOptions: Sendable {
    static let usual = SamplerOptions()

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

    /// Locally typical sampling's share. 1: off.
    public var typicalP: Float = 1
    /// 0: off, as for the next four.
    public var topA: Float = 0
    public var topNSigma: Float = 0
    public var epsilonCutoff: Float = 0
    public var etaCutoff: Float = 0

    /// How often XTC takes out. 0: off.
    public var xtcProbability: Float = 0
    /// Above a half it is off.
    public var xtcThreshold: Float = 0.1

    /// How far the temperature goes up and down. 0: it does not.
    public var dynamicRange: Float = 0
    public var dynamicExponent: Float = 1
    /// 0: off.
    public var smoothingFactor: Float = 0
    public var smoothingCurve: Float = 1

    /// 0: off; 1, 2: the version, which then draws.
    public var mirostat = 0
    public var mirostatTau: Float = 5
    public var mirostatEta: Float = 0.1

    /// 0: off.
    public var dryMultiplier: Float = 0
    public var dryBase: Float = 1.75
    /// Repetitions of less than this do no harm.
    public var dryAllowedLength = 2
    /// As `penaltyLastN`.
    public var dryLastN = 64
    /// By their first token: what must follow it, nothing if it is one by itself.
    public var dryBreakers: [Int32: [[Int32]]] = [:]

    /// No sequence of so many tokens of the history comes again. 0: off.
    public var noRepeatNgram = 0
    /// None of `ends` comes before so many tokens of the text.
    public var minTokens = 0
    public var ends: [Int32] = []

    public var banned: BannedTexts?

    public var ownSteps: [OwnStep] = []
    /// The steps by number (`StepKind`, `StepKind.own` + index), nil: the usual ones. What is not in the list is not done.
    public var steps: [UInt32]?

    public init() {}

    /// Eight times the context length of Llama 3.1 (131072); keeps the ring's memory at 4 MB.
    static let longestHistory = 1 << 20
}

extension SamplerOptions {
    /// For a sampler that is saved: a hash over all options but the seed, texts as the tokens that they became; of own steps it knows how many there are.
    var fingerprint: UInt64 {
        var hash = WordHash()
        for number in [
            temperature, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, typicalP, topA, topNSigma, epsilonCutoff, etaCutoff, xtcProbability,
            xtcThreshold, dynamicRange, dynamicExponent, smoothingFactor, smoothingCurve, mirostatTau, mirostatEta, dryMultiplier, dryBase,
        ] { hash.add(UInt64(number.bitPattern)) }
        for number in [
            topK, penaltyLastN, mirostat, dryAllowedLength, dryLastN, noRepeatNgram, minTokens, logitBias.count, ends.count, ownSteps.count, steps?.count ?? -1,
        ] { hash.add(UInt64(bitPattern: Int64(number))) }
        for (token, bias) in logitBias {
            hash.add(UInt64(UInt32(bitPattern: token)))
            hash.add(UInt64(bias.bitPattern))
        }
        for token in ends { hash.add(UInt64(UInt32(bitPattern: token))) }
        for step in steps ?? [] { hash.add(UInt64(step)) }
        hash.add(banned?.fingerprint ?? 0)
        // a dictionary and lists in it whose order says nothing: the sum of all
        var sum: UInt64 = 0
        for (token, tails) in dryBreakers {
            for tail in tails {
                var own = WordHash()
                own.add(UInt64(UInt32(bitPattern: token)))
                for next in tail { own.add(UInt64(UInt32(bitPattern: next))) }
                sum &+= own.value
            }
        }
        hash.add(sum)
        return hash.value
    }

    var isPenalizing: Bool { repetitionPenalty != 1 || frequencyPenalty != 0 || presencePenalty != 0 }

    var isDRY: Bool { dryMultiplier > 0 && dryLastN != 0 }

    /// How many tokens a sampler with these options has to remember.
    var historyCapacity: Int {
        max(
            isPenalizing ? Self.historyLength(penaltyLastN) : 0, isDRY ? Self.historyLength(dryLastN) : 0,
            noRepeatNgram > 0 ? Self.longestHistory : 0)
    }

    /// -1 is all there is room for.
    static func historyLength(_ lastN: Int) -> Int { lastN < 0 ? longestHistory : min(lastN, longestHistory) }

    func checkBias(_ index: Int, fits vocabularySize: Int) throws(Llama2Error) {
        let token = logitBias[index].token
        guard token >= 0, Int(token) < vocabularySize else {
            throw Llama2Error(
                .outOfRange,
                "logit_bias[\(index)] is for token \(token); the vocabulary is 0..<\(vocabularySize)")
        }
    }
}

// The names are those of the C and Python interfaces, where the sentence will be read.

func checkLength(_ name: StaticString, _ value: Int) throws(Llama2Error) {
    guard value >= -1 else {
        throw Llama2Error(.outOfRange, "\(name) is \(value); it must be at least -1, which means not limited")
    }
}

func check(
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
