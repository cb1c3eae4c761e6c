import Llama2Core

/// Chooses tokens from logits. Use from one thread at a time.
///
/// The steps and their order are those of llama.cpp's default chain: logit bias, penalties,
/// top-k, top-p, min-p, temperature, draw. Top-p and min-p see probabilities at temperature 1,
/// of the tokens that the step before has left.
///
/// After the first call for a vocabulary size, or from the start when `init` is told the size,
/// sampling allocates no memory.
public final class Sampler {
    private let options: SamplerOptions
    private let vocabularySize: Int?
    private var candidates: Candidates
    private var history: TokenHistory
    private var generator: Xoshiro256StarStar
    /// The generator before the last `sample`.
    private var generatorBefore: Xoshiro256StarStar
    /// What every token is held to, before all other steps; nil: nothing.
    public var constraint: (any TokenConstraint)?
    /// Whether the constraint has taken the last token, which may still be withdrawn.
    private var isHeld = false

    /// `vocabularySize`, where known, is checked against the token ids of the logit bias, and
    /// against the number of logits in every call of `sample`.
    ///
    /// Throws `.invalidArgument` or `.outOfRange` for a bad option, `.noMemory`.
    public init(_ options: SamplerOptions, vocabularySize: Int?) throws(Llama2Error) {
        try options.validate(vocabularySize: vocabularySize)
        self.options = options
        self.vocabularySize = vocabularySize
        candidates = try Candidates(vocabularySize: vocabularySize ?? 0)
        history = try TokenHistory(capacity: options.historyCapacity)
        generator = Xoshiro256StarStar(seed: options.seed)
        generatorBefore = generator
    }

    /// The next token for `logits` (vocabulary). Does not accept it. Takes one number from the
    /// generator, none if greedy.
    ///
    /// A logit of -infinity is never chosen. Throws `.invalidArgument` if a logit is NaN or
    /// +infinity, if nothing can be chosen, or if the count is wrong; `.outOfRange` if the logit
    /// bias names a token beyond the logits. The generator is then as before the call.
    public func sample(_ logits: UnsafeBufferPointer<Float>) throws(Llama2Error) -> Int32 {
        try prepare(logits.count)
        generatorBefore = generator

        // 1. Logits.
        try candidates.load(logits)
        if let constraint { try candidates.keep(only: try constraint.mask()) }
        for entry in options.logitBias { candidates.add(entry.bias, to: entry.token) }
        if history.filled > 0 { candidates.penalize(history, options) }
        try candidates.rank()
        if options.temperature == 0 { return candidates.top.token }

        // 2. Filters.
        if options.topK > 0 { candidates.keep(options.topK) }
        if options.topP < 1 { candidates.keepNucleus(Double(options.topP)) }
        if options.minP > 0 { candidates.keepProbable(Double(options.minP)) }

        // 3. Draw.
        return candidates.draw(generator.nextUnit(), inverseTemperature: 1 / Double(options.temperature))
    }

    /// Takes back the last `sample`, if its token was not accepted: the next one chooses as it did.
    public func withdraw() {
        generator = generatorBefore
        if isHeld { try? constraint?.withdraw(1) }
        isHeld = false
    }

    /// Remembers a token for the penalties. One that is not of the vocabulary takes its place in
    /// the history, without effect.
    public func accept(_ token: Int32) {
        history.append(token)
        isHeld = false
    }

    /// The constraint goes on behind a token that `sample` chose, until `withdraw`. After an error all is as before `sample`.
    public func hold(_ token: Int32) throws(Llama2Error) {
        guard let constraint else { return }
        do throws(Llama2Error) {
            guard try constraint.accept(token) else { throw Llama2Error(.forbidden, "the grammar does not allow token \(token) here") }
        } catch {
            generator = generatorBefore
            throw error
        }
        isHeld = true
    }

    /// Back to the state after `init`: no history, the generator at its seed.
    public func reset() {
        history.removeAll()
        constraint?.reset()
        generator = Xoshiro256StarStar(seed: options.seed)
        generatorBefore = generator
    }

    /// Makes room for `count` logits, or refuses that number. `sample` does so itself.
    public func prepare(_ count: Int) throws(Llama2Error) {
        guard count > 0, count <= Int(Int32.max) else {
            throw Llama2Error(.invalidArgument, "\(count) logits; there must be 1...\(Int32.max)")
        }
        if let vocabularySize, count != vocabularySize {
            throw Llama2Error(.invalidArgument, "\(count) logits for a vocabulary of \(vocabularySize)")
        }
        guard count != candidates.vocabularySize else { return }
        for index in options.logitBias.indices { try options.checkBias(index, fits: count) }
        candidates = try Candidates(vocabularySize: count)
    }
}

/// Says which tokens may come next, and is told which one came.
public protocol TokenConstraint: AnyObject {
    /// Bit t of these words is set when token t may come; valid until the next call.
    func mask() throws(Llama2Error) -> UnsafeBufferPointer<UInt32>
    /// False, and nothing has changed, for a token that may not come.
    func accept(_ token: Int32) throws(Llama2Error) -> Bool
    /// Gives back the last tokens.
    func withdraw(_ count: Int) throws(Llama2Error)
    func reset()
}

extension Candidates {
    /// Top-p: the shortest prefix that has at least `share` of the weight.
    mutating func keepNucleus(_ share: Double) {
        let target = share * totalWeight()
        var cumulative = 0.0
        for rank in 0..<length {
            cumulative += weight(rank)
            if cumulative >= target { return keep(rank &+ 1) }
        }
    }

    /// Min-p: the prefix with at least `share` of the weight of the best, which is 1.
    mutating func keepProbable(_ share: Double) {
        for rank in 0..<length where weight(rank) < share { return keep(rank) }
    }

    /// The token at which the cumulated weight passes `unit` (in [0, 1)) times the total.
    mutating func draw(_ unit: Double, inverseTemperature: Double) -> Int32 {
        let target = unit * totalWeight(inverseTemperature)
        var cumulative = 0.0
        // The total may have been summed in another order and be greater by its rounding: then
        // the last token that has any weight is the one.
        var last = 0
        for rank in 0..<length {
            let weight = weight(rank, inverseTemperature)
            if weight == 0 { break }
            cumulative += weight
            last = rank
            if cumulative > target { break }
        }
        return token(last)
    }
}
