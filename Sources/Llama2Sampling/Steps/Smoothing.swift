import Llama2Core

/// Quadratic sampling (kalomaze, text-generation-webui #5403 and #5551, 2024): with d = l - max,
///
///     l = max - factor (k d^2 - s d^3),   k = (3 - curve) / 2,   s = (curve - 1) / 2
struct SmoothingStep: Step {
    private let factor, k, s: Double

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        try check("smoothing_factor", o.smoothingFactor, atLeast: 0)
        try check("smoothing_curve", o.smoothingCurve, atLeast: 1, atMost: 3)
        guard o.smoothingFactor > 0 else { return nil }
        factor = Double(o.smoothingFactor)
        (k, s) = ((3 - Double(o.smoothingCurve)) / 2, (Double(o.smoothingCurve) - 1) / 2)
    }

    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) throws(Llama2Error) {
        try candidates.rank()
        candidates.edit()
        try candidates.rank()
        let most = Double(candidates.top.logit), logits = candidates.logits.pointer
        candidates.forEach {
            let d = Double($1.logit) - most
            logits[Int($1.token)] = withoutOverflow($1.logit) { _ in Float(most - factor * (k * d * d - s * d * d * d)) }
        }
        candidates.edit()
    }
}
