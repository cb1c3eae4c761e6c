public import Llama2Core

/// Classifier-free guidance (Sanchez et al., Stay on Topic with Classifier-Free Guidance, 2023): with the logarithms of probabilities p
/// that are wanted and q that are not,
///
///     mixed = scale p - (scale - 1) q
///
/// all rows (count), of logits; `mixed` may be one of the others. What cannot come by p cannot come. What cannot come by q alone is, beyond a
/// scale of 1, as likely as a Float can say.
public func guide(
    _ wanted: UnsafeBufferPointer<Float>, _ unwanted: UnsafeBufferPointer<Float>, scale: Float, _ mixed: UnsafeMutablePointer<Float>
) throws(Llama2Error) {
    guard scale.isFinite else { throw Llama2Error(.invalidArgument, "scale is \(scale), expected a finite number") }
    guard let p = try LogSoftmax(wanted), let q = try LogSoftmax(unwanted) else {
        throw Llama2Error(.invalidArgument, "all \(wanted.count) logits of a row are -inf; no token can be chosen")
    }
    let scale = Double(scale), most = Double(Float.greatestFiniteMagnitude)
    for id in wanted.indices {
        let own = wanted[id], other = unwanted[id]
        guard own > -.infinity else {
            mixed[id] = -.infinity
            continue
        }
        let against = scale == 1 ? 0 : (scale - 1) * q.of(other)
        mixed[id] = Float(min(max(scale * p.of(own) - against, -most), most))
    }
}
