public import Llama2Core
public import Llama2Model

// What a host does with the sequences of a context, inside `exclusively`.
extension Context {
    public func length(_ sequence: Int) throws(Llama2Error) -> Int { try inference.length(sequence) }

    /// Shortens `sequence` to `length` positions and forgets the logits.
    public func truncate(_ sequence: Int, to length: Int) throws(Llama2Error) { try inference.truncate(sequence, to: length) }

    /// `target` becomes the first `length` positions of `source`.
    public func copy(_ source: Int, to target: Int, length: Int) throws(Llama2Error) { try inference.copy(source, to: target, length: length) }

    /// Starts `sequence` with the longest beginning of `tokens` that is stored. Returns its length.
    public func adopt(_ sequence: Int, _ tokens: UnsafeBufferPointer<Int32>) throws(Llama2Error) -> Int { try inference.adopt(sequence, tokens) }

    /// Drops positions keep ..< keep + drop; those behind move up.
    public func shift(_ sequence: Int, keep: Int, drop: Int) throws(Llama2Error) { try inference.shift(sequence, keep: keep, drop: drop) }

    /// Positions that a shift keeps at the front unless told otherwise.
    public static var keptByShift: Int { Inference.keptByShift }

    public static var mostAdapters: Int { Inference.mostAdapters }

    public func setAdapters(_ sequence: Int, _ list: [(adapter: Adapter, scale: Float)]) throws(Llama2Error) { try inference.setAdapters(sequence, list) }

    /// Who looks at layers; nil: nobody.
    public func setObserver(_ observer: LayerObserver?) throws(Llama2Error) { try inference.setObserver(observer) }
}
