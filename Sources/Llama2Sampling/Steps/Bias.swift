import Llama2Core

/// Adds to the logits of single tokens, or forbids them; a token that is listed more than once gets the sum.
struct BiasStep: Step {
    private let list: [(token: Int32, bias: Float)]

    init?(_ o: borrowing SamplerOptions, _ vocabularySize: Int?) throws(Llama2Error) {
        for (index, entry) in o.logitBias.enumerated() {
            guard entry.bias < .infinity else {
                throw Llama2Error(
                    entry.bias.isNaN ? .invalidArgument : .outOfRange, "logit_bias[\(index)] is \(entry.bias); it must be finite or -inf")
            }
            try o.checkBias(index, fits: vocabularySize ?? Int(Int32.max))
        }
        guard !o.logitBias.isEmpty else { return nil }
        list = o.logitBias
    }

    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) {
        candidates.edit()
        for (token, bias) in list {
            if bias == -.infinity { candidates.forbid(token) } else { candidates.change(token) { $0 + bias } }
        }
    }
}
