import Llama2Core

/// One step of a sampler. It sees the candidates that the steps before it left, and changes their logits (`edit`, then by id) or
/// takes some of them out (`rank`, then by rank).
///
/// How to add one: its file in `Steps`, its options in `SamplerOptions`, its name and its line in `StepKind`.
protocol Step: Sendable {
    /// After an error, whatever was done to the candidates and the state is thrown away.
    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) throws(Llama2Error)
}

/// What a sampler remembers beside its options.
struct SamplerState: ~Copyable {
    var draws: Draws
    var history: TokenHistory
    /// The floating-point mode of the host, for its own steps.
    var host = FloatMode.current
}

/// What choosing a token changes: copied before, put back when the token is withdrawn.
struct Draws: Sendable {
    var generator: Xoshiro256StarStar
    /// Mirostat's: twice the surprise that is aimed at, in the beginning.
    var mu: Double
    /// Tokens that were chosen since the text began.
    var chosen = 0
    /// Where the text stands among the banned ones.
    var banned: Int32 = 0
}

/// The steps that stand in the list of steps, by the header's numbers.
public enum StepKind: UInt32, Sendable, CaseIterable {
    case bias = 1, penalties, dry, topNSigma, topK, typical, topP, minP, topA, epsilon, eta, xtc, temperature, smoothing

    /// Steps that a list gives as `own` + index are the host's.
    public static let own: UInt32 = 1 << 16
    public static let mostSteps = 64

    /// llama.cpp's order, with those between that it does not have.
    static let usual: [StepKind] = [
        .bias, .penalties, .dry, .topNSigma, .topK, .typical, .topP, .topA, .minP, .epsilon, .eta, .xtc, .temperature, .smoothing,
    ]

    var name: StaticString {
        switch self {
        case .bias: "BIAS"
        case .penalties: "PENALTIES"
        case .dry: "DRY"
        case .topNSigma: "TOP_N_SIGMA"
        case .topK: "TOP_K"
        case .typical: "TYPICAL"
        case .topP: "TOP_P"
        case .minP: "MIN_P"
        case .topA: "TOP_A"
        case .epsilon: "EPSILON"
        case .eta: "ETA"
        case .xtc: "XTC"
        case .temperature: "TEMPERATURE"
        case .smoothing: "SMOOTHING"
        }
    }

    /// nil where the options switch it off. Throws for a value that it cannot obey.
    func step(_ o: borrowing SamplerOptions, _ vocabularySize: Int?) throws(Llama2Error) -> (any Step)? {
        switch self {
        case .bias: try BiasStep(o, vocabularySize)
        case .penalties: try PenaltiesStep(o)
        case .dry: try DRYStep(o)
        case .topNSigma: try TopNSigmaStep(o)
        case .topK: try TopKStep(o)
        case .typical: try TypicalStep(o)
        case .topP: try TopPStep(o)
        case .minP: try MinPStep(o)
        case .topA: try TopAStep(o)
        case .epsilon: try EpsilonStep(o)
        case .eta: try EtaStep(o)
        case .xtc: try XTCStep(o)
        case .temperature: try TemperatureStep(o)
        case .smoothing: try SmoothingStep(o)
        }
    }

    /// Whether the options ask for it beyond what is usual, so that a list without it would pass it over.
    func isAskedFor(_ o: borrowing SamplerOptions, _ step: (any Step)?) -> Bool {
        let usual = SamplerOptions.usual
        return switch self {
        case .topK: step != nil && o.topK != usual.topK
        case .topP: step != nil && o.topP != usual.topP
        case .minP: step != nil && o.minP != usual.minP
        case .temperature: o.temperature != usual.temperature || o.dynamicRange != 0
        case .bias, .penalties, .dry, .topNSigma, .typical, .topA, .epsilon, .eta, .xtc, .smoothing: step != nil
        }
    }

    /// Whether it takes out the least probable ones and never the best, so that it changes nothing when only that one is kept.
    var keepsTheBest: Bool {
        switch self {
        case .topNSigma, .topK, .topP, .minP, .topA, .epsilon, .eta: true
        case .bias, .penalties, .dry, .typical, .xtc, .temperature, .smoothing: false
        }
    }
}

/// The steps that options ask for, in their order.
struct Chain: Sendable {
    private(set) var steps: [any Step] = []

    init(_ o: borrowing SamplerOptions, _ vocabularySize: Int?) throws(Llama2Error) {
        let own = o.ownSteps
        // 1. All values are looked at, also those of steps that the list leaves out.
        var made: [(any Step)?] = [nil]  // by number, from 1
        for kind in StepKind.allCases { made.append(try kind.step(o, vocabularySize)) }
        var list = o.steps ?? []
        guard list.count <= StepKind.mostSteps else {
            throw Llama2Error(.invalidArgument, "the list has \(list.count) steps, expected at most \(StepKind.mostSteps)")
        }
        // 2. The list, or the usual order.
        if o.steps == nil {
            let usual = SamplerOptions.usual
            for kind in StepKind.usual {
                // mirostat takes the place of what is on by itself
                if o.mirostat != 0, kind == .topK && o.topK == usual.topK || kind == .topP && o.topP == usual.topP || kind == .minP && o.minP == usual.minP {
                    continue
                }
                list.append(kind.rawValue)
            }
        }
        var kinds: [StepKind?] = [], isListed = [Bool](repeating: false, count: own.count)
        for number in list {
            if let kind = StepKind(rawValue: number) {
                kinds.append(kind)
                guard let step = made[Int(number)] else {
                    kinds.removeLast()
                    continue
                }
                steps.append(step)
            } else if number >= StepKind.own, Int(number - StepKind.own) < own.count {
                kinds.append(nil)
                steps.append(own[Int(number - StepKind.own)])
                isListed[Int(number - StepKind.own)] = true
            } else {
                throw Llama2Error(.invalidArgument, "there is no step \(number)")
            }
        }
        // 3. Nothing is passed over.
        for kind in StepKind.allCases where o.steps != nil && !list.contains(kind.rawValue) && kind.isAskedFor(o, made[Int(kind.rawValue)]) {
            throw Llama2Error(.invalidArgument, "the options ask for a step that the list of steps does not have: \(kind.name)")
        }
        if let missing = isListed.firstIndex(of: false) {
            throw Llama2Error(.invalidArgument, "own step \(missing) has no place in the list of steps")
        }
        // 4. Before a temperature of zero, what would only take out others than the best is left out.
        if o.temperature == 0, o.dynamicRange == 0 {
            while let place = kinds.firstIndex(of: .temperature), place > 0, let before = kinds[place - 1], before.keepsTheBest {
                kinds.remove(at: place - 1)
                steps.remove(at: place - 1)
            }
        }
    }
}
