import Llama2Core

/// Divides the logits by the temperature; zero keeps the best alone. With a range, the temperature is dynamic (Menhguin et al.
/// 2023): between temperature - range (not below 0) and temperature + range by the entropy of the candidates,
///
///     t = low + (high - low) (H / ln n)^exponent
struct TemperatureStep: Step {
    private let temperature, range, exponent: Double

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        try check("temperature", o.temperature, atLeast: 0)
        try check("dynamic_range", o.dynamicRange, atLeast: 0)
        try check("dynamic_exponent", o.dynamicExponent, atLeast: 0)
        (temperature, range, exponent) = (Double(o.temperature), Double(o.dynamicRange), Double(o.dynamicExponent))
    }

    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) throws(Llama2Error) {
        try candidates.rank()
        var t = temperature
        if range > 0 {
            guard candidates.count > 1 else { return }
            let low = max(0, temperature - range), high = temperature + range
            let part = min(max(candidates.entropy().entropy / logarithm(Double(candidates.count)), 0), 1)
            t = low + (high - low) * (exponent == 0 ? 1 : part == 0 ? 0 : power(part, exponent))
        }
        if t > 0 { candidates.divide(by: t) } else { candidates.keep(1) }
    }
}
