internal import KernelOperands
internal import Llama2Core

extension Kernels {
    /// Bytes of 64-byte aligned scratch that `multiply` needs with any instruction set, one a thread.
    public static var scratchBytes: Int { alignedUp(available.map { of($0).table.product_scratch_bytes }.max() ?? 0) }

    private static func alignedUp(_ n: Int) -> Int { (n + 63) & ~63 }

    /// The same for `attention`.
    public static func attentionScratchBytes(rows: Int, headStride: Int) -> Int { AttentionScratch(rows: rows, headStride: headStride).bytes }

    /// out[t][row] = sum_k w[row][k] x[t][k] for the rows of `panels` (16 each). out: (tokens, outStride).
    /// next: what this thread will read next, nil for the panel that follows; only fetched ahead.
    public func multiply(
        _ w: Matrix, panels: Range<Int>, _ a: Activations, tokens: Int, out: UnsafeMutablePointer<Float>,
        outStride: Int, next: UnsafeRawPointer? = nil, scratch: UnsafeMutableRawPointer
    ) {
        let first = panels.lowerBound, end = panels.upperBound, ahead = next ?? w.panel(end)
        if w.type.isFloat {
            let o = FloatProductOperands(
                data: w.data, next: ahead, columns: w.columns, first_row: first &* 16,
                end_row: Swift.min(end &* 16, w.rows), x: a.f32, tokens: tokens, out: out, out_stride: outStride,
                scratch: scratch, type: w.type.rawValue)
            withUnsafePointer(to: o) { if !table.multiply_floats($0) { _ = self.next.multiply_floats($0) } }
            return
        }
        let o = ProductOperands(
            data: w.data, next: ahead, row_bytes: w.rowBytes, rows: w.rows, columns: w.columns, first_panel: first,
            end_panel: end, q: a.q, s: a.scale, c: a.corrections, tokens: tokens, width: a.width, out: out,
            out_stride: outStride, scratch: scratch, type: w.type.rawValue)
        withUnsafePointer(to: o) {
            if !table.multiply($0) && !self.next.multiply($0) { _ = Kernels.reference.table.multiply($0) }
        }
    }

    /// Columns `first ..< first + count` of token t of `a.f32`, (tokens, columns), to int8; both multiples of 32.
    public func quantize(_ a: Activations, columns: Int, token t: Int, first: Int, count: Int) {
        let w = a.width, o = ((t / w) &* (columns / 32) &+ first / 32) &* w &+ t % w
        let operands = QuantizeOperands(
            x: a.f32 + (t &* columns &+ first), count: count, width: w, q: a.q + 32 &* o, s: a.scale + o,
            c: a.corrections + 4 &* o)
        withUnsafePointer(to: operands) { table.quantize($0) }
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
    ) { table.rms_norm(x, weight, count, epsilon, out) }

    public func swiGLU(
        _ gate: UnsafePointer<Float>, _ up: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<Float>
    ) { table.swiglu(gate, up, count, out) }

    public func add(_ x: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int) { table.add(x, y, count) }

    public func rope(
        _ x: UnsafeMutablePointer<Float>, heads: Int, headStride: Int, pairs: Int, _ cosSin: UnsafePointer<Float>
    ) { table.rotate_pairs(x, heads, headStride, pairs, cosSin) }

    /// See `attention` in Body.
    public func attention(
        _ q: UnsafePointer<Float>, rows: Int, group: Int, headStride: Int, scale: Float,
        kPages: UnsafePointer<UnsafeRawPointer>, vPages: UnsafePointer<UnsafeRawPointer>, length: Int,
        keyType: CacheType, valueType: CacheType, out: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer
    ) {
        let o = AttentionOperands(
            q: q, rows: rows, group: group, head_stride: headStride, scale: scale, k_pages: kPages, v_pages: vPages,
            length: length, k_type: keyType.rawValue, v_type: valueType.rawValue, out: out, scratch: scratch)
        withUnsafePointer(to: o) { table.attention($0) }
    }

    /// x (count) to every `stride`-th element of `out`. False: F16 has no number for one of them, see `storeCache`.
    public func storeKV(
        _ x: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutableRawPointer, stride: Int, halfPrecision: Bool
    ) -> Bool { table.store_cache(x, count, out, stride, halfPrecision) }
}
