internal import Llama2Core

/// A step of the host's: sees the candidates and may change them.
public struct OwnStep: Step {
    /// candidates, how many are left; false ends the sample.
    public typealias Body = @Sendable (UnsafeMutableBufferPointer<Candidate>, inout Int) -> Bool
    private let body: Body

    public init(_ body: @escaping Body) { self.body = body }

    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) throws(Llama2Error) {
        try candidates.rank()
        let list = candidates.list(sorted: false)
        var count = list.count
        guard state.host.callback({ body(list, &count) }) else { throw Llama2Error(.cancelled, "a step of the host's ended the sample") }
        try candidates.take(list, count)
    }
}
