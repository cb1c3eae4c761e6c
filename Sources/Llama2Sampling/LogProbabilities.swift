public import Llama2Core

/// What a sampler tells about the token that it chose: its probability and the best ones, before and after its steps.
/// Logarithms are natural. Memory is taken once.
public final class LogProbabilities {
    public let best: Int
    /// Of the softmax of the logits as they came, and among what the steps left.
    public private(set) var before = Float.nan, after = Float.nan
    private let rowsBefore: AlignedBuffer<Candidate>, rowsAfter: AlignedBuffer<Candidate>  // (best)
    private var countBefore = 0, countAfter = 0
    private var most: Float = 0, logTotal = 0.0

    static let mostBest = 1024

    public init(best: Int) throws(Llama2Error) {
        guard (0...LogProbabilities.mostBest).contains(best) else {
            throw Llama2Error(.invalidArgument, "the \(best) best tokens, expected at most \(LogProbabilities.mostBest)")
        }
        self.best = best
        rowsBefore = try AlignedBuffer(count: best, of: "log-probabilities")
        rowsAfter = try AlignedBuffer(count: best, of: "log-probabilities")
    }

    /// The most probable ones, the best first, with the logarithm as `logit`.
    public var bestBefore: UnsafeBufferPointer<Candidate> { UnsafeBufferPointer(start: rowsBefore.pointer, count: countBefore) }
    public var bestAfter: UnsafeBufferPointer<Candidate> { UnsafeBufferPointer(start: rowsAfter.pointer, count: countAfter) }

    /// For a token that nobody chose: that of a prompt. logits (vocabulary), without NaN and +infinity; scratch (vocabulary).
    func measure(_ logits: Span<Float>, _ token: Int32, _ scratch: UnsafeMutablePointer<Candidate>) {
        forget()
        logits.withUnsafeBufferPointer { if let base = $0.baseAddress { begin(base, $0.count, scratch) } }
        choose(token, logits)
    }

    public func forget() {
        (before, after, countBefore, countAfter) = (.nan, .nan, 0, 0)
    }

    /// Of the logits as they come, without NaN and +infinity.
    func begin(_ logits: UnsafePointer<Float>, _ count: Int, _ scratch: UnsafeMutablePointer<Candidate>) {
        forget()
        let (most, finite) = highest(logits, count)
        guard finite > 0 else { return }
        var total = 0.0
        for id in 0..<count { total += exponential(Double(logits[id]) - Double(most)) }
        (self.most, logTotal) = (most, logarithm(total))
        countBefore = sortBest(logits, count, into: scratch, min(best, finite))
        for rank in 0..<countBefore {
            rowsBefore.pointer[rank] = Candidate(token: scratch[rank].token, logit: probability(scratch[rank].logit))
        }
    }

    func choose(_ token: Int32, _ logits: Span<Float>) {
        guard token >= 0, Int(token) < logits.count else { return }
        before = probability(logits[Int(token)])
    }

    private func probability(_ logit: Float) -> Float { Float(Double(logit) - Double(most) - logTotal) }

    /// Of what the steps have left. The token is one of them.
    func end(_ token: Int32, _ candidates: inout Candidates) {
        let total = logarithm(candidates.totalWeight())
        countAfter = min(best, candidates.count)
        for rank in 0..<countAfter {
            let candidate = candidates[rank]
            rowsAfter.pointer[rank] = Candidate(token: candidate.token, logit: Float(candidates.exponent(candidate.logit) - total))
        }
        after = Float(candidates.exponent(candidates.logits.pointer[Int(token)]) - total)
    }
}
