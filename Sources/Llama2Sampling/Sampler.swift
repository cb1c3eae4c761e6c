public import Llama2Core

/// Chooses tokens from logits. Use from one thread at a time.
///
/// First what must not come is forbidden, then the steps of the chain do theirs in its order, then one of the candidates that they
/// left is drawn.
///
/// After the first call for a vocabulary size, or from the start when `init` is told the size,
/// sampling allocates no memory.
public final class Sampler {
    let options: SamplerOptions
    private let chain: Chain
    let chooser: Chooser
    let forbidden: Forbidden
    private let vocabularySize: Int?
    var candidates: Candidates
    var state: SamplerState
    /// Before the last `sample`.
    var before: Draws
    /// While it looks ahead.
    var foreseen: Foreseen?
    /// What every token is held to, before all other steps; nil: nothing.
    public var constraint: (any TokenConstraint)?
    /// The constraint's text must be complete within so many tokens, its end among them; nil: whenever it likes.
    public var tokensLeft: Int?
    /// Gets to know the probabilities of every token that is chosen; nil: nobody asks.
    public var report: LogProbabilities?
    /// The model whose tokens the options name by their texts.
    public var vocabularyOwner: AnyObject?
    /// Whether the constraint has taken the last token, which may still be withdrawn.
    var isHeld = false

    /// `vocabularySize`, where known, is checked against the token ids of the logit bias, and
    /// against the number of logits in every call of `sample`.
    ///
    /// Throws `.invalidArgument` or `.outOfRange` for a bad option, `.noMemory`.
    public init(_ options: SamplerOptions, vocabularySize: Int?) throws(Llama2Error) {
        if let size = vocabularySize, size < 1 || size > Int(Int32.max) {
            throw Llama2Error(.outOfRange, "vocabulary size is \(size); it must lie in 1...\(Int32.max)")
        }
        chain = try Chain(options, vocabularySize)
        chooser = try Chooser(options)
        forbidden = try Forbidden(options)
        self.options = options
        self.vocabularySize = vocabularySize
        candidates = try Candidates(vocabularySize: vocabularySize ?? 0)
        before = Sampler.begin(options)
        state = SamplerState(draws: before, history: try TokenHistory(capacity: options.historyCapacity))
    }

    private static func begin(_ options: SamplerOptions) -> Draws {
        Draws(generator: Xoshiro256StarStar(seed: options.seed), mu: 2 * Double(options.mirostatTau))
    }

    /// The next token for `logits` (vocabulary). Does not accept it. Takes one number from the
    /// generator, none if greedy, one more with XTC.
    ///
    /// A logit of -infinity is never chosen. Throws `.invalidArgument` if a logit is NaN or
    /// +infinity, if nothing can be chosen, or if the count is wrong; `.outOfRange` if the logit
    /// bias names a token beyond the logits. The sampler is then as before the call.
    public func sample(_ logits: Span<Float>) throws(Llama2Error) -> Int32 {
        try prepare(logits.count)
        before = state.draws
        do throws(Llama2Error) {
            try candidates.load(logits)
            if let report { report.begin(candidates.logits.pointer, candidates.vocabularySize, candidates.best.pointer) }
            try filter()
            let token = chooser.choose(&candidates, &state.draws)
            if let report {
                report.choose(token, logits)
                if case .draw(isGreedy: true) = chooser { candidates.keep(1) }
                report.end(token, &candidates)
            }
            return token
        } catch {
            state.draws = before
            throw error
        }
    }

    /// What `sample` would draw from: the tokens that are left and the logarithms of their probabilities, the most probable first.
    /// The sampler is as before. Valid until the next call.
    public func distribution(_ logits: Span<Float>) throws(Llama2Error) -> UnsafeBufferPointer<Candidate> {
        try prepare(logits.count)
        let draws = state.draws
        defer { state.draws = draws }
        try candidates.load(logits)
        try filter()
        chooser.filter(&candidates, state.draws)
        return candidates.logProbabilities()
    }

    /// The probabilities of a token of the prompt, for `report`.
    public func measure(_ logits: Span<Float>, _ token: Int32) throws(Llama2Error) {
        guard let report else { return }
        try prepare(logits.count)
        try candidates.load(logits)
        report.measure(logits, token, candidates.best.pointer)
    }

    /// Leaves in `candidates` what the steps leave of the logits in it.
    func filter() throws(Llama2Error) {
        if let constraint { try candidates.keep(only: try constraint.mask(within: tokensLeft)) }
        try forbidden.apply(&candidates, state)
        for step in chain.steps { try step.apply(&candidates, &state) }
        try candidates.rank()
    }

    /// Takes back the last `sample`, if its token was not accepted: the next one chooses as it did.
    public func withdraw() {
        state.draws = before
        if isHeld { try? constraint?.withdraw(1) }
        isHeld = false
    }

    /// The floating-point mode of the host's own steps.
    public func setHost(_ mode: FloatMode) { state.host = mode }

    /// Remembers a token for the penalties. One that is not of the vocabulary takes its place in
    /// the history, without effect.
    public func accept(_ token: Int32) {
        state.history.append(token)
        isHeld = false
    }

    /// The text goes on behind a token that `sample` chose, until `withdraw`. After an error all is as before `sample`.
    public func hold(_ token: Int32) throws(Llama2Error) {
        if let constraint {
            do throws(Llama2Error) {
                guard try constraint.accept(token) else { throw Llama2Error(.forbidden, "the grammar does not allow token \(token) here") }
            } catch {
                state.draws = before
                throw error
            }
            isHeld = true
        }
        state.draws.chosen &+= 1
        if let banned = forbidden.banned { state.draws.banned = banned.after(state.draws.banned, token) }
    }

    /// A new text begins: what holds a text from its beginning does so anew.
    public func beginText() {
        constraint?.reset()
        (state.draws.chosen, state.draws.banned) = (0, 0)
    }

    /// Back to the state after `init`: no history, the generator at its seed.
    public func reset() {
        state.history.removeAll()
        constraint?.reset()
        state.draws = Sampler.begin(options)
        before = state.draws
        isHeld = false
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
    /// Bit t of these words is set when token t may come and the text can still be complete within so many tokens (nil: any number), the end
    /// among them; valid until the next call.
    func mask(within tokens: Int?) throws(Llama2Error) -> UnsafeBufferPointer<UInt32>
    /// False, and nothing has changed, for a token that may not come.
    func accept(_ token: Int32) throws(Llama2Error) -> Bool
    /// Gives back the last tokens.
    func withdraw(_ count: Int) throws(Llama2Error)
    func reset()
    /// The same for what is held to the same, in every process.
    var fingerprint: UInt64 { get }
    /// What it has been told since the last reset; valid until the next call.
    var taken: UnsafeBufferPointer<Int32> { get }
    /// Another one, held to the same, that has been told nothing.
    func another() throws(Llama2Error) -> any TokenConstraint
}
