internal import Glibc
public import Llama2Core
internal import Llama2Model
internal import Llama2Sampling

/// How well a model predicts a text.
public struct Perplexity: Sendable {
    /// Of the negative logarithms of the probabilities, in nats.
    public private(set) var mean = 0.0, standardError = 0.0
    public private(set) var tokens = 0, windows = 0
    private var sum = 0.0, squares = 0.0

    public init() {}

    public var value: Double { mean.isNaN ? .nan : exp(mean) }

    mutating func add(_ negativeLog: Double) {
        tokens += 1
        sum += negativeLog
        squares += negativeLog * negativeLog
        mean = (sum / Double(tokens)).oneNaN
        let variance = squares / Double(tokens) - mean * mean
        // rounding may leave a little less than nothing; what is no number stays none
        standardError = tokens > 1 ? ((variance < 0 ? 0 : variance) / Double(tokens - 1)).squareRoot().oneNaN : 0
    }

    mutating func endWindow() { windows += 1 }
}

extension Context {
    /// Rows of logits that are computed at once: with a vocabulary of 32,000 they take 8 MB.
    private static let rowsAtOnce = 64

    /// Perplexity of `tokens` in windows of `length` that do not overlap, as llama.cpp's `perplexity` tool has it: in each
    /// window only the second half is counted, which has at least half a window before it. The first token of a
    /// window is replaced by BOS where the model expects one. Uses the whole context, which is empty afterwards.
    ///
    /// `tokens` are read once, before anything is checked: what `report` or another thread does to them later is nothing to us.
    public func perplexity(
        _ tokens: UnsafeBufferPointer<Int32>, window length: Int, _ report: (Perplexity, Int) -> Bool
    ) throws(Llama2Error) -> Perplexity {
        let limit = inference.configuration.contextLength
        // no range from 4 to the limit: on a context of less than 4 positions it would end before it begins
        guard length >= 4, length <= limit else {
            throw Llama2Error(
                .outOfRange,
                limit < 4
                    ? "a window of \(length) tokens; perplexity needs at least 4, and this context has \(limit)"
                    : "a window of \(length) tokens, expected 4 to the context's \(limit)")
        }
        let windows = tokens.count / length
        guard windows > 0 else {
            throw Llama2Error(.invalidArgument, "\(tokens.count) tokens do not fill one window of \(length)")
        }
        let copy = try copied(tokens.prefix(windows * length)), tokens = copy.elements
        defer { withExtendedLifetime(copy) {} }
        try check(tokens)
        let tokenizer = try? model.tokenizer(), bos = tokenizer.flatMap { $0.addsBOS ? $0.bos : nil }
        var result = Perplexity()
        defer { reset() }
        for index in 0..<windows {
            let window = UnsafeBufferPointer(rebasing: tokens[(index * length)..<((index + 1) * length)])
            reset()
            try evaluate(window, first: bos, wanted: (length / 2)..<(length - 1)) { position, logits in
                result.add(-logProbability(of: window[position + 1], logits).value)
            }
            result.endWindow()
            guard report(result, windows) else { throw Llama2Error(.cancelled, "cancelled after \(index + 1) of \(windows) windows") }
        }
        return result
    }

    /// The logarithm of the probability of each token of `continuation` after `prompt`, and whether it was the most
    /// probable one. Uses the whole context, which is empty afterwards.
    public func score(
        prompt: UnsafeBufferPointer<Int32>, continuation: UnsafeBufferPointer<Int32>,
        _ give: (Int, Double, Bool) -> Void
    ) throws(Llama2Error) {
        guard prompt.count > 0 else { throw Llama2Error(.invalidArgument, "the prompt is empty; begin with BOS") }
        let limit = inference.configuration.contextLength
        // before anything is copied: both counts come from outside
        guard prompt.count <= limit, continuation.count <= limit - prompt.count else {
            throw Llama2Error(
                .contextFull, "\(prompt.count) and \(continuation.count) tokens; this context has \(limit) positions")
        }
        var all = try GrowingBuffer<Int32>(capacity: prompt.count + continuation.count, of: "tokens to score")
        try all.append(contentsOf: prompt)
        try all.append(contentsOf: continuation)
        let tokens = all.elements
        try check(UnsafeBufferPointer(rebasing: tokens[..<prompt.count]))
        try check(UnsafeBufferPointer(rebasing: tokens[prompt.count...]))
        reset()
        defer { reset() }
        try evaluate(tokens, first: nil, wanted: (prompt.count - 1)..<(tokens.count - 1)) { position, logits in
            let (value, best) = logProbability(of: tokens[position + 1], logits)
            give(position + 1 - prompt.count, value, best)
        }
        withExtendedLifetime(all) {}
    }

    /// The host's tokens, read once.
    func copied(_ tokens: Slice<UnsafeBufferPointer<Int32>>) throws(Llama2Error) -> GrowingBuffer<Int32> {
        var copy = try GrowingBuffer<Int32>(capacity: tokens.count, of: "a copy of tokens")
        try copy.append(contentsOf: UnsafeBufferPointer(rebasing: tokens))
        return copy
    }

    /// Refuses tokens that are not in the vocabulary, before anything has changed.
    func check(_ tokens: UnsafeBufferPointer<Int32>) throws(Llama2Error) {
        let vocabulary = try model.weights.hyperparameters.vocabularySize
        for (index, token) in tokens.enumerated() where token < 0 || Int(token) >= vocabulary {
            throw Llama2Error(.invalidToken, "token \(token) at index \(index) is not in the vocabulary of \(vocabulary)")
        }
    }

    /// Evaluates `tokens`, which are in the vocabulary, on sequence 0 and gives the logits of the positions in `wanted`. first: stands for tokens[0].
    private func evaluate(
        _ tokens: UnsafeBufferPointer<Int32>, first: Int32?, wanted: Range<Int>,
        _ body: (Int, UnsafeBufferPointer<Float>) -> Void
    ) throws(Llama2Error) {
        // what nobody asks about goes in at once, the rest in pieces that their logits fit
        let end = min(wanted.upperBound, tokens.count)
        var start = 0
        while start < end {
            let stop = start < wanted.lowerBound ? wanted.lowerBound : min(end, start + Context.rowsAtOnce)
            try eval(count: stop - start) {
                let i = start + $0
                return BatchEntry(token: i == 0 ? first ?? tokens[0] : tokens[i], wantsLogits: wanted.contains(i))
            }
            for position in max(start, wanted.lowerBound)..<max(stop, wanted.lowerBound) {
                if let logits = inference.logits(position - max(start, wanted.lowerBound)) { body(position, logits) }
            }
            start = stop
        }
    }

    /// logits[token] - log(sum of e^logits), in double, and whether no logit is larger (of equals the first counts).
    ///
    /// A logit of -infinity is a token that cannot come: its logarithm is -infinity. Where one is NaN or +infinity, or all are
    /// -infinity, there are no probabilities: NaN, and no token is the best.
    private func logProbability(of token: Int32, _ logits: UnsafeBufferPointer<Float>) -> (value: Double, best: Bool) {
        var most = -Float.infinity, best = -1
        for (i, x) in logits.enumerated() where !(x <= most) {
            (most, best) = (x, i)
            if !(x < .infinity) { break }
        }
        guard most.isFinite else { return (.nan, false) }
        var sum = 0.0
        for x in logits { sum += exponential(Double(x - most)) }
        let own = logits[Int(token)], below = own - most  // beyond a Float where one is near its smallest number
        return ((below.isFinite ? Double(below) : Double(own) - Double(most)) - logarithm(sum), best == Int(token))
    }
}

extension Double {
    /// NaN with one bit pattern, whichever operation made it.
    fileprivate var oneNaN: Double { isNaN ? .nan : self }
}
