public import Llama2Core

extension Kernels {
    /// Bytes of 64-byte aligned scratch that `multiply` needs, one a thread.
    public static var scratchBytes: Int { 24576 }

    /// The same for `attention`: scores, a state for each row, a page of keys and one of values as floats.
    public static func attentionScratchBytes(rows: Int, headStride: Int) -> Int {
        4 * (128 + 2 * ((rows + 7) & ~7) + 2 * 64 * headStride)
    }

    /// out[t][row] = sum_k w[row][k] x[t][k] for the rows of `panels` (16 each). out: (tokens, outStride).
    /// next: what this thread will read next, nil for the panel that follows; only fetched ahead.
    public func multiply(
        _ w: Matrix, panels: Range<Int>, _ a: Activations, tokens: Int, out: UnsafeMutablePointer<Float>,
        outStride: Int, next: UnsafeRawPointer? = nil, scratch: UnsafeMutableRawPointer
    ) {
        let first = panels.lowerBound, end = panels.upperBound, ahead = next ?? w.panel(end)
        if w.type.isFloat {
            multiplyFloat_(
                w.type.rawValue, w.data, w.columns, first &* 16, Swift.min(end &* 16, w.rows), a.f32, tokens, out,
                outStride, ahead)
        } else {
            multiplyQuantized_(
                w.type.rawValue, w.data, w.rowBytes, w.rows, w.columns, first, end, a.q, a.scale, a.corrections, tokens,
                a.width, out, outStride, ahead, scratch)
        }
    }

    /// Columns `first ..< first + count` of token t of `a.f32`, (tokens, columns), to int8; both multiples of 32.
    public func quantize(_ a: Activations, columns: Int, token t: Int, first: Int, count: Int) {
        let w = a.width, o = ((t / w) &* (columns / 32) &+ first / 32) &* w &+ t % w
        quantize_(a.f32 + (t &* columns &+ first), count, w, a.q + 32 &* o, a.scale + o, a.corrections + 4 &* o)
    }

    /// out = x - what the int8 form of token t stands for; x, out: (columns).
    public func subtractQuantized(
        _ a: Activations, columns: Int, token t: Int, from x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>
    ) {
        let w = a.width, first = (t / w) &* (columns / 32) &* w &+ t % w
        for b in 0..<columns / 32 {
            let o = first &+ b &* w
            for i in 0..<32 { out[32 &* b &+ i] = x[32 &* b &+ i] - a.scale[o] * Float(a.q[32 &* o &+ i]) }
        }
    }

    public func rmsNorm(
        _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ count: Int, _ epsilon: Float,
        _ out: UnsafeMutablePointer<Float>
    ) { rmsNorm_(x, weight, count, epsilon, out) }

    public func swiGLU(
        _ gate: UnsafePointer<Float>, _ up: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<Float>
    ) { swiGLU_(gate, up, count, out) }

    public func add(_ x: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int) { add_(x, y, count) }

    public func rope(
        _ x: UnsafeMutablePointer<Float>, heads: Int, headStride: Int, pairs: Int, _ cosSin: UnsafePointer<Float>
    ) { rope_(x, heads, headStride, pairs, cosSin) }

    /// See `attention` in Body.
    public func attention(
        _ q: UnsafePointer<Float>, rows: Int, group: Int, headStride: Int, scale: Float,
        kPages: UnsafePointer<UnsafeRawPointer>, vPages: UnsafePointer<UnsafeRawPointer>, length: Int,
        halfPrecision: Bool, out: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer
    ) { attention_(q, rows, group, headStride, scale, kPages, vPages, length, halfPrecision, out, scratch) }

    /// x (count) to every `stride`-th element of `out`.
    public func storeKV(
        _ x: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutableRawPointer, stride: Int, halfPrecision: Bool
    ) { storeCache_(x, count, out, stride, halfPrecision) }
}
