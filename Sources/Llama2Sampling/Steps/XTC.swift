import Llama2Core

/// XTC, "exclude top choices" (p-e-w, text-generation-webui #6335, 2024): with this probability, of all tokens that are at least as
/// probable as the threshold only the least probable one stays. Takes a number from the generator.
struct XTCStep: Step {
    private let probability, threshold: Double

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        try check("xtc_probability", o.xtcProbability, atLeast: 0, atMost: 1)
        try check("xtc_threshold", o.xtcThreshold, atLeast: 0, atMost: 1)
        // above a half there is never more than one
        guard o.xtcProbability > 0, o.xtcThreshold <= 0.5 else { return nil }
        (probability, threshold) = (Double(o.xtcProbability), Double(o.xtcThreshold))
    }

    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) throws(Llama2Error) {
        try candidates.rank()
        guard candidates.count >= 2, state.draws.generator.nextUnit() < probability else { return }
        let least = threshold * candidates.totalWeight()
        var above = 0
        while above < candidates.count, candidates.weight(above) >= least { above &+= 1 }
        try candidates.dropFirst(above &- 1)
    }
}
