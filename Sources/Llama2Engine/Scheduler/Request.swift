public import Llama2Core
public import Llama2Model
public import Llama2Sampling
internal import Llama2Tokenizer

/// A text that a scheduler makes, beside others.
///
///     tokens      prompt | chosen
///     evaluated   how many of them its sequence holds; the others, at least one, are pending
///
/// That is all there is to know of its place: a request whose sequence was taken away begins again at 0 with the same tokens, and
/// its text goes on as if nothing had been.
public final class Request {
    /// What its host is told.
    public struct Event {
        public var request: UInt64
        /// Whole characters; valid during the call.
        public var piece: UnsafeRawBufferPointer
        /// nil: none was chosen.
        public var token: Int32?
        /// nil: it goes on.
        public var end: Completion.End?
        /// Of `.error`.
        public var failure: Llama2Error?
        public var promptTokens: Int, adopted: Int, tokens: Int
        /// Of the token that was chosen, or of one of the prompt; nil: the event is about none.
        public var report: Completion.Report?
    }

    /// False ends the request.
    public typealias Callback = (Event) -> Bool

    public struct Options {
        public var stops: [[UInt8]] = []
        public var maxTokens = Int.max
        /// The more the sooner.
        public var priority: Int32 = 0
        /// Nanoseconds from now on; nil: as long as it takes.
        public var time: Int?
        /// The sampler's penalties count the prompt's tokens too.
        public var penalizesPrompt = false
        /// Evaluates tokens that may come together with the one that is certain, see `Guesser`: the text is the same.
        public var guesses = true
        /// What the sampler is held to is complete when `maxTokens` are chosen.
        public var completes = false
        /// Told of every token.
        public var logProbabilities: LogProbabilities?
        /// The prompt's tokens are told too; it is then evaluated as a whole.
        public var echo = false
        /// With what each counts.
        public var adapters: [(adapter: Adapter, scale: Float)] = []

        public init() {}
    }

    let id: UInt64
    let priority: Int32
    /// By the monotonic clock.
    let deadline: Int?
    let promptCount: Int
    let adapters: [(adapter: Adapter, scale: Float)]
    var tokens: GrowingBuffer<Int32>
    var evaluated = 0
    /// nil: it waits.
    var sequence: Int32?
    /// It lets another request go first whose beginning it shares, to adopt what that computes.
    var isHeld = false
    var hasBegun = false
    /// Of the prompt, what was found and not evaluated.
    var adopted = 0
    /// It has been told of its end.
    private(set) var isOver = false

    /// Of the prompt, what the host was told; all of it where it does not ask.
    private(set) var echoed: Int

    /// What the completion tells about a token, until an event takes it along.
    private final class Told {
        var report: Completion.Report?
    }

    /// What the scheduler's draft knows of it; nil: it is not asked.
    let drafted: DraftedText?

    private let box: SamplerBox
    private let sampler: Sampler
    private let told = Told()
    private let completion: Completion
    private let callback: Callback
    /// What the last token gave.
    private var piece: GrowingBuffer<UInt8>
    private let contextLength: Int

    /// Takes the sampler, until the end. tokens: checked by the scheduler.
    init(
        _ id: UInt64, _ model: Model, contextLength: Int, tokens prompt: UnsafeBufferPointer<Int32>, _ box: SamplerBox, _ options: Options,
        passes: PassCosts, draft costs: DraftPace.Costs?, _ callback: @escaping Callback, check: (Sampler) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        self.id = id
        priority = options.priority
        deadline = options.time.map { monotonicNanoseconds().addingReportingOverflow($0) }.flatMap { $0.overflow ? nil : $0.partialValue }
        promptCount = prompt.count
        echoed = options.echo ? 0 : prompt.count
        adapters = options.adapters
        self.contextLength = contextLength
        self.callback = callback
        self.box = box
        // what it may come to; then a step allocates nothing
        let most = options.maxTokens < contextLength - prompt.count ? prompt.count + options.maxTokens : contextLength
        tokens = try GrowingBuffer(capacity: most + 1, of: "tokens of a request")
        try tokens.append(contentsOf: prompt)
        piece = try GrowingBuffer(capacity: 256, of: "text of a request")
        drafted = if options.guesses, let costs { try DraftedText(costs) } else { nil }
        sampler = try box.take()
        do throws(Llama2Error) {
            try check(sampler)
            if options.completes { try sampler.checkCompletes() }
            completion = try Completion(
                try model.tokenizer(), sampler, vocabularySize: model.vocabularySize, stops: options.stops, maxTokens: options.maxTokens,
                completesWithin: options.completes ? contextLength - prompt.count + 1 : nil,
                tell: { [told] report in
                    told.report = report
                    return true
                }, guesses: options.guesses ? passes : nil)
        } catch {
            box.giveBack()
            throw error
        }
        sampler.report = options.logProbabilities
        sampler.beginText()
        if options.penalizesPrompt { for token in prompt { sampler.accept(token) } }
    }

    deinit { if !isOver { box.giveBack() } }

    /// Whether both compute the same from the same tokens.
    func hasAdapters(of other: Request) -> Bool {
        adapters.count == other.adapters.count
            && adapters.indices.allSatisfy { adapters[$0].adapter === other.adapters[$0].adapter && adapters[$0].scale == other.adapters[$0].scale }
    }

    /// A guess was the reason for an error: there is none any more.
    var mayGuess = true

    /// At most `limit` guesses of what follows its tokens: `ahead` then, or after the drafter's next run where it has none. texts: that decode.
    func guess(_ limit: Int, _ drafter: Drafter?, beside texts: Int) {
        let limit = mayGuess ? min(limit, contextLength - tokens.count) : 0
        found = completion.guess(tokens.elements, limit: limit, beside: texts, hasDraft: drafted != nil)
        guard found.count == 0, let drafter, let drafted, let sequence else { return }
        let most = completion.mayGuess(limit)
        if drafted.begin(tokens.elements, on: Int(sequence), completion, limit: most, beside: texts) { drafter.ask(drafted) }
    }

    /// Valid until it guesses again.
    var ahead: UnsafeBufferPointer<Int32> { found.count > 0 ? found : drafted?.list ?? found }
    private var found = UnsafeBufferPointer<Int32>(start: nil, count: 0)

    func learn(_ right: Int, of count: Int) { completion.learn(right, of: count) }

    /// Tokens that its sequence does not hold yet.
    var pending: Int { tokens.count - evaluated }

    /// Tokens chosen, the end token included.
    var chosen: Int { completion.tokens }

    /// How much of what is stored of its tokens is of use: of a prompt that is told nothing whose logits are still to come.
    var adoptable: UnsafeBufferPointer<Int32> {
        isEchoing ? UnsafeBufferPointer(rebasing: tokens.elements.prefix(echoed)) : tokens.elements
    }

    /// Tokens of its prompt are still to be told.
    var isEchoing: Bool { echoed < promptCount }

    /// The positions behind which stand the logits of these tokens.
    var echoPositions: Range<Int> { max(echoed - 1, 0)..<promptCount - 1 }

    /// Tells the next `count` tokens of the prompt, each by its row of logits, and before them the first one, which has none.
    func echo(_ count: Int, _ logits: (Int) -> UnsafeBufferPointer<Float>?) {
        guard isEchoing, !isOver else { return }
        piece.removeAll()
        if echoed == 0 {
            sampler.report?.forget()
            echoNext()
        }
        for row in 0..<count {
            guard isEchoing, !isOver, let logits = logits(row) else { return }
            do throws(Llama2Error) { try sampler.measure(logits.span, tokens[echoed]) } catch { return finish(.error, error) }
            echoNext()
        }
    }

    private func echoNext() {
        completion.evaluated(ofPrompt: tokens[echoed])
        echoed += 1
        if !tell(nil, nil, nil) { finish(.callback) }
    }

    /// Chooses the next token by these logits of the last one, and tells the host, whose floating-point mode its own steps run in.
    func choose(_ logits: UnsafeBufferPointer<Float>, _ host: FloatMode) {
        piece.removeAll()
        completion.setHost(host)
        let token: Int32?
        var failure: Llama2Error?
        do throws(Llama2Error) {
            token = try completion.next(logits.span) { text in
                do throws(Llama2Error) { try piece.append(text) } catch { failure = error }
                return true
            }
            if let failure { throw failure }
            if let token { try tokens.append(token) }
        } catch {
            completion.withdraw()
            return finish(.error, error)
        }
        guard let token else { return finish(completion.end ?? .token) }
        if tokens.count > contextLength { completion.noRoom() } else { completion.evaluated() }
        let goesOn = tell(token, nil, nil)
        if completion.end == nil { completion.endAtLimit() }
        if let end = completion.end { return finish(end) }
        if !goesOn { finish(.callback) }
    }

    /// The end, told with what was held back of the text.
    func finish(_ end: Completion.End, _ failure: Llama2Error? = nil) {
        guard !isOver else { return }
        piece.removeAll()
        completion.finish { text in
            (try? piece.append(text)) != nil
        }
        isOver = true
        box.giveBack()
        // a stop string may have become certain only now
        let end = failure == nil && (end == .maxTokens || end == .context || end == .token) ? completion.end ?? end : end
        _ = tell(end == .token ? completion.endToken : nil, end, failure)
    }

    private func tell(_ token: Int32?, _ end: Completion.End?, _ failure: Llama2Error?) -> Bool {
        let report = told.report
        told.report = nil
        return callback(
            Event(
                request: id, piece: piece.bytes, token: token, end: end, failure: failure, promptTokens: promptCount,
                adopted: adopted, tokens: completion.tokens, report: report))
    }
}
