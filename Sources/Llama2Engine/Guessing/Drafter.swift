internal import Llama2Core
internal import Llama2Model
internal import Llama2Tokenizer

/// A smaller model with the same vocabulary that says what may come next in texts: what their samplers would draw by its logits, one after
/// the other (Leviathan, Kalman, Matias, "Fast Inference from Transformers via Speculative Decoding", 2023, but that a guess counts where
/// the sampler, asked as always, draws it: no bit of a text changes). All texts are asked at once, a token of each in a pass.
///
/// What it has to catch up with it evaluates when it is asked: where nobody asks it costs nothing.
final class Drafter {
    let costs: DraftPace.Costs
    private let context: Context, main: Context
    /// The texts'.
    private let tokenizer: Tokenizer
    private let entries: AlignedBuffer<BatchEntry>
    private var asked: [DraftedText] = []
    private var isOff = false
    private let cancel: CancelCallback.Function?, cancelData: UnsafeMutableRawPointer?

    /// Takes the context until `end`, with the first `sequences` of its sequences. Refuses one that cannot draft for `main`.
    init(_ context: Context, beside main: Context, sequences: Int) throws(Llama2Error) {
        guard context !== main else { throw Llama2Error(.invalidArgument, "the draft is the context itself; it needs a context of its own") }
        tokenizer = try main.model.tokenizer()
        try tokenizer.checkDraft(try context.model.tokenizer())
        guard context.model.vocabularySize == main.model.vocabularySize else {
            let sizes = (context.model.vocabularySize, main.model.vocabularySize)
            throw Llama2Error(.invalidArgument, "the draft has another vocabulary: \(sizes.0) logits, the context's model \(sizes.1)")
        }
        let c = main.inference.configuration, its = context.inference.configuration
        guard its.contextLength >= c.contextLength else {
            throw Llama2Error(
                .invalidArgument, "the draft's context has \(its.contextLength) positions, the context \(c.contextLength): it needs as many")
        }
        guard its.maxSequences >= sequences else {
            throw Llama2Error(.invalidArgument, "the draft's context has \(its.maxSequences) sequences; it needs \(sequences), as the context has")
        }
        try context.inference.checkIsWhole()
        try context.inference.checkLogitsAreMade()
        (self.context, self.main) = (context, main)
        entries = try AlignedBuffer(count: its.batchSize + sequences, of: "tokens of a draft")
        let sizes = Double(try context.model.weights.byteCount) / Double(max(try main.model.weights.byteCount, 1))
        costs = DraftPace.Costs(share: sizes, try PassCosts(main), main.clock)
        asked.reserveCapacity(sequences)
        try context.occupy("draft's context")
        (cancel, cancelData) = (context.inference.cancel, context.inference.cancelData)
        (context.inference.cancel, context.inference.cancelData) = (main.inference.cancel, main.inference.cancelData)
    }

    /// Gives the context back.
    func end() {
        (context.inference.cancel, context.inference.cancelData) = (cancel, cancelData)
        context.vacate()
    }

    /// Empties a sequence; what it held can be adopted.
    func forget(_ sequence: Int) { context.inference.disown(sequence) }

    /// A text that is asked for in the next `run`.
    func ask(_ text: DraftedText) { asked.append(text) }

    /// Has every text that was asked make its guesses. atOnce: tokens at most of what they have to catch up with, where others wait for
    /// the end of it: who is further behind makes none; nil: all of it. Throws when it was cancelled only: no guess is a reason to fail.
    func run(atOnce: Int?) throws(Llama2Error) {
        guard asked.count > 0 else { return }
        defer {
            for text in asked { text.end() }
            asked.removeAll(keepingCapacity: true)
        }
        guard !isOff else { return }
        context.inference.hostMode = main.inference.hostMode
        let start = monotonicNanoseconds()
        do throws(Llama2Error) {
            try catchUp(atOnce)
            try guess()
            if asked.count == 1 { main.clock.took(monotonicNanoseconds() - start, guesses: asked[0].made) }
        } catch {
            guard error.kind != .cancelled else { throw error }
            isOff = error.kind != .contextFull
        }
    }

    private func catchUp(_ atOnce: Int?) throws(Llama2Error) {
        let most = min(atOnce.map { $0 + asked.count } ?? Int.max, entries.count)
        for text in asked {
            try context.inference.truncate(text.sequence, to: text.held)
            if text.held == 0 { text.holds(try context.inference.adopt(text.sequence, text.tokens)) }
        }
        var isBehind = true
        while isBehind {
            var count = 0
            isBehind = false
            for text in asked {
                let take = min(text.tokens.count - text.held, most - count), end = text.held + take
                for position in text.held..<end {
                    entries.pointer[count] = BatchEntry(
                        token: text.tokens[position], sequence: Int32(truncatingIfNeeded: text.sequence),
                        wantsLogits: position == text.tokens.count - 1)
                    count += 1
                }
                text.next = take
                text.hasRow = take > 0 && end == text.tokens.count
                isBehind = isBehind || end < text.tokens.count
            }
            try context.eval(count: count) { entries.pointer[$0] }
            for text in asked { text.holds(text.held + text.next) }
            isBehind = isBehind && atOnce == nil
        }
    }

    /// A token of each, as long as more are wanted.
    private func guess() throws(Llama2Error) {
        while true {
            var row = 0, count = 0
            for text in asked where text.hasRow {
                text.hasRow = false
                guard let logits = context.inference.logits(row) else { return }
                row += 1
                guard let token = text.guess(logits, isEnd: tokenizer.isEndOfGeneration) else { continue }
                entries.pointer[count] = BatchEntry(token: token, sequence: Int32(truncatingIfNeeded: text.sequence), wantsLogits: true)
                count += 1
                text.hasRow = true
            }
            guard count > 0 else { return }
            try context.eval(count: count) { entries.pointer[$0] }
        }
    }
}
