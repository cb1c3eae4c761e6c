internal import Glibc
public import Llama2Core
internal import Llama2Grammar
public import Llama2Sampling
internal import Llama2Tokenizer

/// A text in the making. It is fed rows of logits and says which token comes next, what text that gives and when it ends;
/// whoever feeds it evaluates the tokens. `Context.generate` is a loop around one of these, a scheduler would be one around many.
///
///     next(logits)    the token to evaluate, or nil: the end
///     evaluated()     it was: it counts, the sampler accepts it
///     noRoom()        it cannot be: it counts all the same, and is the last
///     withdraw()      its evaluation failed: the next one will be chosen as it was
///     finish()        gives out what was held back for a stop string or a character
public final class Completion {
    public enum End: Int32, Sendable {
        case token = 1, maxTokens, stop, callback, context
        // of requests to a scheduler only
        case cancelled, deadline, error
    }

    public typealias Emit = (UnsafeRawBufferPointer) -> Bool

    /// What is told about a token once it counts. Pointers are valid during the call.
    public struct Report {
        public var token: Int32, isOfPrompt: Bool
        /// What it writes, whole characters or not.
        public var text: UnsafeRawBufferPointer
        public var end: End?
        /// Since the report before, or the beginning.
        public var nanoseconds: Int
        /// nil: nobody asked.
        public var probabilities: LogProbabilities?
    }
    /// false ends the text.
    public typealias Tell = (Report) -> Bool

    private let tokenizer: Tokenizer, sampler: Sampler, decoder: StreamingDecoder
    private var stopMatcher: StopMatcher
    private let guesser: Guesser?
    /// Guessed, and of these drawn too.
    private(set) var guessed = 0, guessedRight = 0
    private let maxTokens: Int
    /// So many tokens at most, when what the sampler is held to must be complete with the last; nil: it need not be.
    var completesWithin: Int?
    /// Who is told about every token.
    private let tell: Tell?
    private var lastReport = monotonicNanoseconds()
    private var token: Int32 = 0
    private var isWanted = true, isStopped = false
    /// `token` was chosen, and neither counts nor was withdrawn.
    private var isPending = false
    /// Chosen, the end token included.
    public private(set) var tokens = 0
    public private(set) var end: End?
    /// The end token that was chosen; nil when there was none.
    private(set) var endToken: Int32?

    init(
        _ tokenizer: Tokenizer, _ sampler: Sampler, vocabularySize: Int, stops: [[UInt8]], maxTokens: Int, completesWithin: Int? = nil,
        tell: Tell? = nil, guesses: PassCosts? = nil
    ) throws(Llama2Error) {
        self.completesWithin = completesWithin
        self.tell = tell
        self.tokenizer = tokenizer
        self.sampler = sampler
        self.maxTokens = maxTokens
        try sampler.prepare(vocabularySize)
        decoder = try StreamingDecoder(tokenizer: tokenizer)
        guesser = try guesses.map { (costs) throws(Llama2Error) in try Guesser(costs) }
        try MemoryReserve.cover(2 * .text(decoder.longestText), for: "text that is held back")
        stopMatcher = StopMatcher(stops: stops, longestPiece: decoder.longestText)
    }

    /// Chooses from `logits` (vocabulary) and gives out the text that is certain. nil at the end. After an error it is as before.
    public func next(_ logits: Span<Float>, _ emit: Emit) throws(Llama2Error) -> Int32? {
        guard tokens < maxTokens else {
            end = .maxTokens
            return nil
        }
        guard !sampler.endsHere else {
            end = .token
            return nil
        }
        sampler.tokensLeft = completesWithin.map { min($0, maxTokens) - tokens }
        defer { sampler.tokensLeft = nil }
        token = try sampler.sample(logits)
        try sampler.hold(token)
        if tokenizer.isEndOfGeneration(token) {
            endToken = token
            accept(.token)
            return nil
        }
        do throws(Llama2Error) {
            push(try decoder.append(token), emit)
        } catch {
            sampler.withdraw()
            throw error
        }
        isPending = true
        return token
    }

    /// At most `limit` guesses of what follows `known`; valid until the next call. See `Guesser`.
    func guess(_ known: UnsafeBufferPointer<Int32>, limit: Int, beside texts: Int, hasDraft: Bool) -> UnsafeBufferPointer<Int32> {
        guesser?.guess(known, limit: mayGuess(limit), matcher, beside: texts, hasDraft: hasDraft) ?? UnsafeBufferPointer(start: nil, count: 0)
    }

    /// Of `limit` tokens, how many may still be guessed.
    func mayGuess(_ limit: Int) -> Int { tokens < maxTokens ? max(0, min(limit, maxTokens - tokens - 1)) : 0 }

    /// What would be chosen behind the last token by a draft's logits. To be ended before anything else is asked.
    func foresight() -> Foresight {
        let known = isPending ? tokens &+ 1 : tokens
        return Foresight(
            sampler, matcher, behind: isPending ? token : nil, tokensLeft: completesWithin.map { min($0, maxTokens) &- known })
    }

    /// What holds the text.
    var matcher: GrammarMatcher? { sampler.constraint as? GrammarMatcher }

    /// So many of the last guesses came true.
    func learn(_ right: Int, of count: Int) {
        guard count > 0 else { return }
        guesser?.learn(right)
        guessed += count
        guessedRight += right
    }

    public func evaluated() { accept(isStopped ? .stop : isWanted ? nil : .callback) }

    func noRoom() { accept(isStopped ? .stop : isWanted ? .context : .callback) }

    /// The end, when no more tokens are wanted.
    func endAtLimit() { if tokens >= maxTokens { end = .maxTokens } }

    /// The floating-point mode of the host's own steps.
    func setHost(_ mode: FloatMode) { sampler.setHost(mode) }

    public func withdraw() {
        isPending = false
        sampler.withdraw()
    }

    public func finish(_ emit: Emit) {
        guard !isStopped else { return }
        push(decoder.finish(), emit)
        if !isStopped { isStopped = stopMatcher.flush { give($0, emit) } }
        // only now is it certain that a stop string came: it has cut the text, whatever ended the tokens
        if isStopped && isWanted && end != nil { end = .stop }
    }

    private func accept(_ end: End?) {
        isPending = false
        sampler.accept(token)
        tokens += 1
        self.end = end ?? (tokens >= maxTokens ? .maxTokens : nil)
        if !report(token, isOfPrompt: false, sampler.report), self.end == nil { self.end = .callback }
    }

    /// A token of the prompt was evaluated; `sampler.report` has what is known of it. After false no token is wanted.
    public func evaluated(ofPrompt token: Int32) {
        if !report(token, isOfPrompt: true, sampler.report) { end = .callback }
    }

    private func report(_ token: Int32, isOfPrompt: Bool, _ probabilities: LogProbabilities?) -> Bool {
        guard let tell else { return true }
        let now = monotonicNanoseconds()
        defer { lastReport = now }
        let text = (try? tokenizer.piece(token, special: true)) ?? UnsafeRawBufferPointer(start: nil, count: 0)
        return tell(
            Report(
                token: token, isOfPrompt: isOfPrompt, text: text, end: isOfPrompt ? nil : end, nanoseconds: now &- lastReport,
                probabilities: probabilities))
    }

    private func push(_ text: UnsafeRawBufferPointer, _ emit: Emit) {
        if !isStopped { isStopped = stopMatcher.push(text.bytes) { give($0, emit) } }
    }

    private func give(_ text: UnsafeRawBufferPointer, _ emit: Emit) {
        if isWanted && text.count > 0 && !emit(text) { isWanted = false }
    }
}
