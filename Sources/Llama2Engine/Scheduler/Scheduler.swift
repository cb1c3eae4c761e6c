public import Llama2Core
internal import Llama2Model
internal import Llama2Sampling
internal import Synchronization

/// Many requests on one context, some tokens of each in every step.
///
///     submit, cancel    any thread, at any time: they leave something in the inbox
///     step              one thread at a time: takes what came, makes room, evaluates one batch, tells what came of it
///
/// Continuous batching (Yu et al., "Orca", 2022) with prompts in pieces beside those that decode (Agrawal et al., "Sarathi-Serve",
/// 2024). Logits are a pure function of the tokens of a sequence, so who shares a batch, a page or a moment with whom changes no
/// bit of any text. Who comes when is in Scheduler+Plan.swift.
public final class Scheduler {
    public struct Options: Sendable {
        /// Tokens of prompts in a step in which others decode; 0: twice as many as decode, at least `leastPrompt`, more where most wait for their first token.
        public var promptTokensPerStep = 0
        /// Waiting and running ones.
        public var maxRequests = 1024

        public init() {}
    }

    static let leastPrompt = 16
    /// Tokens of a step that decode and are guessed, at most: more would make the pass longer for all.
    static let guessing = GuessingPace.most + 1
    /// Rows of logits of prompts that are told.
    static let echoing = 64

    /// Part of a step: the next `count` tokens of a request.
    struct Piece: BitwiseCopyable {
        /// Of `live`.
        var index: Int
        /// Of `entries`.
        var first: Int
        var count: Int
        /// Of them, how many have the logits of a token of the prompt that is to be told.
        var echoes = 0
        /// How many guesses of what follows stand behind them.
        var guesses = 0
        /// Whether logits of its last token are wanted.
        var isLast: Bool
    }

    public let context: Context
    let options: Options
    let counters = SchedulerCounters()
    /// What guesses take.
    let passes: PassCosts
    private let gate = Gate()
    let inbox = Inbox()
    let nextID = Atomic<UInt64>(1)
    /// Submitted and not at their end.
    let active = Atomic<Int>(0)

    /// Those that have not ended: the most important first, of these the oldest.
    var live: [Request] = []
    /// Sequences that nobody has.
    var freeSequences: GrowingBuffer<Int32>
    let entries: AlignedBuffer<BatchEntry>
    var pieces: GrowingBuffer<Piece>
    var entryCount = 0

    /// The context is this scheduler's until it goes: its sequences are emptied, what they held can be adopted. So is the draft.
    public init(_ context: Context, _ options: Options, draft: Context? = nil) throws(Llama2Error) {
        _ = try context.model.tokenizer()
        let configuration = context.inference.configuration
        self.context = context
        self.options = options
        passes = try PassCosts(context)
        freeSequences = try GrowingBuffer(capacity: configuration.maxSequences, of: "sequences")
        for sequence in (0..<Int32(truncatingIfNeeded: configuration.maxSequences)).reversed() { try freeSequences.append(sequence) }
        pieces = try GrowingBuffer(capacity: configuration.maxSequences, of: "pieces of a step")
        entries = try AlignedBuffer(
            count: configuration.batchSize + configuration.maxSequences + Scheduler.leastPrompt + Scheduler.guessing, of: "tokens of a step")
        try MemoryReserve.cover(.array(options.maxRequests, of: Request.self), for: "the list of requests")
        live.reserveCapacity(options.maxRequests)
        drafter = try draft.map { (draft) throws(Llama2Error) in
            try Drafter(draft, beside: context, sequences: configuration.maxSequences)
        }
        do throws(Llama2Error) { try context.occupy() } catch {
            drafter?.end()
            throw error
        }
        isOccupying = true
        empty()
    }

    private var isOccupying = false
    let drafter: Drafter?

    private func empty() {
        context.inference.reset()
        for sequence in 0..<context.inference.configuration.maxSequences {
            try? context.inference.setAdapters(sequence, [])  // needs nothing
            drafter?.forget(sequence)
        }
    }

    /// Requests that have not ended are told nothing.
    deinit {
        guard isOccupying else { return }
        empty()
        drafter?.end()
        context.vacate()
    }

    // MARK: The thread that steps

    /// One batch. Returns how many requests have not ended. After an error no request is lost: the next step goes on where this
    /// one would have.
    public func step(_ host: FloatMode) throws(Llama2Error) -> Int {
        try context.inference.checkProcess()
        try gate.enter("scheduler")
        defer { gate.leave() }
        context.inference.hostMode = host
        receive()
        endTheLate()
        clean()
        defer {
            clean()
            publish()
        }
        admit()
        try plan()
        try evaluate()
        try context.inference.checkProcess()  // a callback may have forked
        return active.load(ordering: .relaxed) - ended
    }

    /// Ended, and still counted: `clean` has not come by.
    private var ended: Int { live.count { $0.isOver } }

    private func receive() {
        inbox.takeAll { item in
            switch item {
            case .request(let request):
                var index = live.count
                while index > 0, live[index - 1].priority < request.priority || live[index - 1].priority == request.priority && live[index - 1].id > request.id
                {
                    index -= 1
                }
                live.insert(request, at: index)
            case .cancel(let id):
                if let index = live.firstIndex(where: { $0.id == id }) { live[index].finish(.cancelled) }
            }
        }
    }

    private func endTheLate() {
        guard live.contains(where: { $0.deadline != nil }) else { return }
        let now = monotonicNanoseconds()
        for index in live.indices {
            if let deadline = live[index].deadline, deadline <= now { live[index].finish(.deadline) }
        }
    }

    /// Those that have ended give back what they have.
    private func clean() {
        var kept = 0
        for index in live.indices {
            if live[index].isOver {
                giveBackSequence(live[index])
                active.subtract(1, ordering: .relaxed)
            } else {
                if kept != index { live.swapAt(kept, index) }
                kept += 1
            }
        }
        live.removeLast(live.count - kept)
    }

    /// Evaluates what is planned; whoever has to give up its room for it does.
    private func evaluate() throws(Llama2Error) {
        while pieces.count > 0 {
            do throws(Llama2Error) {
                return try evaluate(0..<pieces.count)
            } catch {
                if error.kind == .contextFull, pieces.elements.contains(where: { $0.guesses > 0 }) {
                    try plan(guesses: false)
                } else if error.kind == .contextFull {
                    if !giveUpTheLeast() { live[pieces[0].index].finish(.context) }
                    try plan(guesses: false)
                } else if error.kind == .unsupported {
                    return try evaluateOneByOne()
                } else {
                    throw error
                }
            }
        }
    }

    /// One of them has keys or values that the cache has no number for: the others do not suffer.
    private func evaluateOneByOne() throws(Llama2Error) {
        for number in 0..<pieces.count {
            do throws(Llama2Error) {
                try evaluate(number..<number + 1)
            } catch {
                guard error.kind == .unsupported else { throw error }
                if pieces[number].guesses > 0 {
                    live[pieces[number].index].mayGuess = false  // the next step tells whether that was it
                    continue
                }
                live[pieces[number].index].finish(.error, error)
            }
        }
    }

    private func evaluate(_ range: Range<Int>) throws(Llama2Error) {
        let first = pieces[range.lowerBound].first, last = pieces[range.upperBound - 1]
        let count = last.first + last.count + last.guesses - first
        let start = monotonicNanoseconds()
        try context.eval(count: count) { entries.pointer[first + $0] }
        if count > 1, range.count == 1, count == 1 + last.guesses { context.clock.took(monotonicNanoseconds() - start, tokens: count) }
        counters.evaluated(count)
        // all of it is in the cache before anybody is told
        for number in range { live[pieces[number].index].evaluated += pieces[number].count }
        var row = 0
        for number in range {
            let piece = pieces[number], first = row
            live[piece.index].echo(piece.echoes) { context.inference.logits(first + $0) }
            row += piece.echoes
            guard piece.isLast else { continue }
            follow(piece, row)
            row += 1 + piece.guesses
        }
        // what did not come true
        for number in range where pieces[number].guesses > 0 {
            let request = live[pieces[number].index]
            if let sequence = request.sequence { try context.inference.truncate(Int(sequence), to: request.evaluated) }
        }
    }

    /// Chooses by the row of a request's last token, and by those of its guesses as long as they come true.
    private func follow(_ piece: Piece, _ row: Int) {
        let request = live[piece.index]
        var right = 0
        while !request.isOver, let logits = context.inference.logits(row + right) {
            let before = request.chosen
            request.choose(logits, context.inference.hostMode)
            counters.chose(request.chosen - before)
            guard !request.isOver, right < piece.guesses,
                request.tokens[request.tokens.count - 1] == entries[piece.first + piece.count + right].token
            else { break }
            request.evaluated += 1
            right += 1
        }
        request.learn(right, of: piece.guesses)
        counters.guessed(piece.guesses, right: right)
    }

    private func publish() {
        let pages = context.inference.pages
        counters.publish(
            waiting: live.count { $0.sequence == nil }, running: live.count { $0.sequence != nil }, pages: pages,
            positions: context.inference.configuration.contextLength - context.inference.freePositions)
    }
}
