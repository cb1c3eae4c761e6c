public import Llama2Core
internal import Llama2Model

/// A text that a search has found; its tokens lie in the caller's memory.
public struct FoundText: Sendable {
    /// Where its tokens begin, and how many there are.
    public var first = 0, count = 0
    public var score = 0.0
    public var end = Completion.End.maxTokens

    public init() {}
}

// What searches have in common: texts side by side on sequences that were empty, and are empty again.
extension Context {
    /// The first `count` sequences without positions.
    func emptySequences(_ count: Int) throws(Llama2Error) -> [Int] {
        let all = inference.configuration.maxSequences
        var found: [Int] = []
        for sequence in 0..<all where found.count < count { if try inference.length(sequence) == 0 { found.append(sequence) } }
        guard found.count == count else {
            throw Llama2Error(.invalidArgument, "\(count) empty sequences are needed, and \(found.count) of the context's \(all) are")
        }
        return found
    }

    /// A prompt and how much may follow it, looked at before anything changes.
    public func checkSearch(_ prompt: UnsafeBufferPointer<Int32>, maxTokens: Int) throws(Llama2Error) {
        let limit = inference.configuration.contextLength
        guard prompt.count > 0 else { throw Llama2Error(.invalidArgument, "the prompt is empty; begin with BOS") }
        guard maxTokens >= 1, maxTokens <= limit else {
            throw Llama2Error(.outOfRange, "max_tokens is \(UInt(bitPattern: maxTokens)), expected 1 to the context's \(limit) positions")
        }
        guard prompt.count <= limit else { throw inference.full(prompt.count) }
        try inference.checkLogitsAreMade()
    }

    /// Evaluates `prompt` on `sequence`, which is empty, but for what is stored of it; logits of its last token.
    func begin(_ prompt: UnsafeBufferPointer<Int32>, on sequence: Int) throws(Llama2Error) {
        let found = try inference.adopt(sequence, prompt), rest = prompt.count - found
        try eval(count: rest) {
            BatchEntry(token: prompt[found + $0], sequence: Int32(truncatingIfNeeded: sequence), wantsLogits: $0 == rest - 1)
        }
    }

    func empty(_ sequences: [Int]) { for sequence in sequences { try? inference.truncate(sequence, to: 0) } }
}

/// What turns a row of logits into logarithms of probabilities: log p = (logit - most) - logTotal, in double.
struct LogSoftmax {
    private let most: Double, logTotal: Double

    /// nil when nothing can come. Throws for NaN and +infinity.
    init?(_ logits: UnsafeBufferPointer<Float>) throws(Llama2Error) {
        var most = -Float.infinity
        for (id, logit) in logits.enumerated() {
            guard logit < .infinity else { throw Llama2Error(.invalidArgument, "logit \(id) is \(logit); it must be finite or -inf") }
            if logit > most { most = logit }
        }
        guard most > -.infinity else { return nil }
        var total = 0.0
        for logit in logits { total += exponential(Double(logit) - Double(most)) }
        (self.most, logTotal) = (Double(most), logarithm(total))
    }

    func of(_ logit: Float) -> Double { Double(logit) - most - logTotal }
}
