/// A token that may come, as the host's steps see it too: `llama2_candidate`.
public struct Candidate: BitwiseCopyable, Sendable {
    public var token: Int32
    public var logit: Float

    public init(token: Int32, logit: Float) {
        self.token = token
        self.logit = logit
    }
}
