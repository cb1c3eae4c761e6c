internal import Llama2Core
internal import Llama2Kernels

/// One pass of up to T tokens through the model, run by all threads of the pool together.
///
///     x = embedding[token]
///     for each layer:  x += o(attention(rope(q, k), v));  x += down(silu(gate) * up)
///     logits = output(rmsNorm(x))
///
/// where q, k, v, gate and up are products with rmsNorm(x). Touvron et al., 2023.
///
/// The threads run the same code and meet at barriers. Work on matrices is divided by panels of 16
/// output rows, work on tokens by token; what a thread computes from its own rows before the next
/// barrier it takes along, which is why there are eight barriers a layer and not twelve.
/// Plain pointers only: nothing here allocates or counts references.
struct ForwardPass {
    let kernels: Kernels
    let pool: Unmanaged<ThreadPool>
    let shape: Hyperparameters
    let embedding, output: Matrix
    let outputNorm: UnsafePointer<Float>
    let layers: UnsafePointer<Weights.Layer>
    let frequencies: UnsafePointer<Double>
    let cache: KVCache.Layout
    let cacheBase: UnsafeMutableRawPointer
    let halfPrecision: Bool

    // The pieces of WorkMemory; shapes are given there.
    let x, normed, q, k, v, attended, gate, up, product: UnsafeMutablePointer<Float>
    let quants: UnsafeMutablePointer<Int8>
    let scales: UnsafeMutablePointer<Float>
    let corrections: UnsafeMutablePointer<Int32>
    let rope: UnsafeMutablePointer<Float>
    let states: UnsafeMutablePointer<TokenState>
    let scratchBase: UnsafeMutablePointer<UInt8>
    let scratchStride: Int

    // Of the current pass.
    var tokens = 0
    var rows = 0
    var logits: UnsafeMutablePointer<Float>  // (rows, vocabulary)
    var cancel: Inference.Cancel?
    var cancelData: UnsafeMutableRawPointer?
    /// Written by thread 0 before a barrier and read by all after it; behind a pointer, so that nobody
    /// takes it for unchanging.
    let cancelled: UnsafeMutablePointer<Bool>

    init(
        kernels: Kernels, pool: ThreadPool, weights: Weights, layers: UnsafePointer<Weights.Layer>,
        frequencies: UnsafePointer<Double>, cache: KVCache.Layout, cacheBase: UnsafeMutablePointer<UInt8>,
        halfPrecision: Bool, work: borrowing WorkMemory, cancelled: UnsafeMutablePointer<Bool>
    ) {
        self.kernels = kernels
        self.pool = Unmanaged.passUnretained(pool)
        shape = weights.hyperparameters
        embedding = weights.embedding
        output = weights.output
        outputNorm = weights.outputNorm
        self.layers = layers
        self.frequencies = frequencies
        self.cache = cache
        self.cacheBase = UnsafeMutableRawPointer(cacheBase)
        self.halfPrecision = halfPrecision
        let l = work.layout
        x = work.floats(l.x)
        normed = work.floats(l.normed)
        q = work.floats(l.q)
        k = work.floats(l.k)
        v = work.floats(l.v)
        attended = work.floats(l.attended)
        gate = work.floats(l.gate)
        up = work.floats(l.up)
        product = work.floats(l.product)
        quants = work.piece(l.quants)
        scales = work.floats(l.scales)
        corrections = work.piece(l.corrections)
        rope = work.floats(l.rope)
        states = work.piece(l.tokens)
        scratchBase = work.piece(l.scratch)
        scratchStride = l.scratchStride
        self.cancelled = cancelled
        logits = x  // set before every pass
    }

    @inline(__always) func barrier() { pool._withUnsafeGuaranteedRef { $0.barrier() } }

    @inline(__always) func scratch(_ thread: Int) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(scratchBase + thread &* scratchStride)
    }

    func run(_ thread: Int, _ threads: Int) {
        embedTokens(thread, threads)
        for index in 0..<shape.layerCount {
            if thread == 0, let cancel, cancel(cancelData) != 0 { cancelled.pointee = true }
            barrier()
            if cancelled.pointee { return }
            attentionBlock(layers[index], index, thread, threads)
            feedForwardBlock(layers[index], thread, threads)
        }
        barrier()
        if rows > 0 { outputLogits(thread, threads) }
    }

    /// x = the token's row of the embedding; the rotation of its position.
    private func embedTokens(_ thread: Int, _ threads: Int) {
        var t = thread
        while t < tokens {
            let state = states[t], e = shape.embeddingLength
            kernels.dequantize(embedding.type, embedding.data + state.token &* embedding.rowBytes, e, x + t &* e)
            Kernels.ropeTable(
                position: state.position, pairs: shape.ropeDimension / 2, frequencies: frequencies,
                rope + t &* shape.ropeDimension)
            t &+= threads
        }
    }

    /// x += o(attention(...)). Enters and leaves with x complete for this thread's rows only.
    private func attentionBlock(_ layer: Weights.Layer, _ index: Int, _ thread: Int, _ threads: Int) {
        // 1. the normed input, in the form that the matrices take
        normalize(layer.attentionNorm, for: layer.q, layer.k, layer.v, thread, threads)
        barrier()
        // 2. q, k, v
        let input = activations(normed, tokens)
        let panels = layer.q.panels &+ layer.k.panels &+ layer.v.panels
        let share = part(of: panels, thread, threads)
        multiply(layer.q, share, from: 0, input, q, shape.queryLength, thread)
        multiply(layer.k, share, from: layer.q.panels, input, k, shape.keyLength, thread)
        multiply(layer.v, share, from: layer.q.panels &+ layer.k.panels, input, v, shape.keyLength, thread)
        barrier()
        // 3. rotation; keys and values to the cache
        storeKeysAndValues(index, thread, threads)
        barrier()
        // 4. attention, by token and head of the cache
        attend(index, quantized: !layer.attentionOutput.type.isFloat, thread, threads)
        barrier()
        // 5. the output projection, added to this thread's rows of x
        if !layer.attentionOutput.type.isFloat && !groupsAreBlocks {
            quantizeTokens(attended, shape.queryLength, thread, threads)
            barrier()
        }
        addProduct(layer.attentionOutput, activations(attended, tokens), thread, threads)
        barrier()
    }

    /// x += down(silu(gate) * up).
    private func feedForwardBlock(_ layer: Weights.Layer, _ thread: Int, _ threads: Int) {
        normalize(layer.feedForwardNorm, for: layer.gate, layer.up, layer.up, thread, threads)
        barrier()
        // Pairs of panels, so that a thread owns whole blocks of 32 of the next input.
        let f = shape.feedForwardLength, pairs = part(of: (f &+ 31) / 32, thread, threads)
        let share = (2 &* pairs.lowerBound)..<(2 &* pairs.upperBound)
        let input = activations(normed, tokens)
        multiply(layer.gate, share, from: 0, input, gate, f, thread)
        multiply(layer.up, share, from: 0, input, up, f, thread)
        let first = 32 &* pairs.lowerBound, count = min(32 &* pairs.upperBound, f) &- first
        // The quants still hold the input of gate and up, which other threads may be reading.
        for t in 0..<tokens where count > 0 {
            let g = gate + (t &* f &+ first)
            kernels.swiGLU(g, up + (t &* f &+ first), count, g)
        }
        barrier()
        if !layer.down.type.isFloat {
            if tokens >= threads {
                quantizeTokens(gate, f, thread, threads)
            } else {
                for t in 0..<tokens where count > 0 {
                    kernels.quantize(activations(gate, tokens), columns: f, token: t, first: first, count: count)
                }
            }
            barrier()
        }
        addProduct(layer.down, activations(gate, tokens), thread, threads)
    }

    /// The rows that asked: their norm, gathered, and the output matrix.
    private func outputLogits(_ thread: Int, _ threads: Int) {
        let e = shape.embeddingLength
        for t in 0..<tokens where states[t].row >= 0 && states[t].row % threads == thread {
            let row = states[t].row
            kernels.rmsNorm(x + t &* e, outputNorm, e, shape.rmsEpsilon, normed + row &* e)
            if !output.type.isFloat { kernels.quantize(activations(normed, rows), columns: e, token: row, first: 0, count: e) }
        }
        barrier()
        kernels.multiply(
            output, panels: part(of: output.panels, thread, threads), activations(normed, rows), tokens: rows, out: logits,
            outStride: shape.vocabularySize, scratch: scratch(thread))
    }

    // MARK: Steps

    /// Share `thread` of `count` units, in one piece.
    @inline(__always) private func part(of count: Int, _ thread: Int, _ threads: Int) -> Range<Int> {
        (count &* thread / threads)..<(count &* (thread &+ 1) / threads)
    }

    /// The input of a multiplication for `count` tokens.
    private func activations(_ input: UnsafeMutablePointer<Float>, _ count: Int) -> Activations {
        Activations(f32: input, q: quants, scale: scales, corrections: corrections, tokens: count)
    }

    private func normalize(
        _ weight: UnsafePointer<Float>, for a: Matrix, _ b: Matrix, _ c: Matrix, _ thread: Int, _ threads: Int
    ) {
        let e = shape.embeddingLength, quantized = !(a.type.isFloat && b.type.isFloat && c.type.isFloat)
        var t = thread
        while t < tokens {
            kernels.rmsNorm(x + t &* e, weight, e, shape.rmsEpsilon, normed + t &* e)
            if quantized { kernels.quantize(activations(normed, tokens), columns: e, token: t, first: 0, count: e) }
            t &+= threads
        }
    }

    private func quantizeTokens(_ input: UnsafeMutablePointer<Float>, _ width: Int, _ thread: Int, _ threads: Int) {
        var t = thread
        while t < tokens {
            kernels.quantize(activations(input, tokens), columns: width, token: t, first: 0, count: width)
            t &+= threads
        }
    }

    /// The panels of `m` inside `share`, when the panels of `m` begin at number `from`.
    @inline(__always) private func multiply(
        _ m: Matrix, _ share: Range<Int>, from: Int, _ input: Activations, _ out: UnsafeMutablePointer<Float>,
        _ stride: Int, _ thread: Int
    ) {
        let first = max(share.lowerBound &- from, 0), end = min(share.upperBound &- from, m.panels)
        guard first < end else { return }
        kernels.multiply(
            m, panels: first..<end, input, tokens: tokens, out: out, outStride: stride, scratch: scratch(thread))
    }

    private func addProduct(_ m: Matrix, _ input: Activations, _ thread: Int, _ threads: Int) {
        let share = part(of: m.panels, thread, threads), e = shape.embeddingLength
        multiply(m, share, from: 0, input, product, e, thread)
        let first = 16 &* share.lowerBound, count = min(16 &* share.upperBound, e) &- first
        for t in 0..<tokens where count > 0 {
            kernels.add(x + (t &* e &+ first), product + (t &* e &+ first), count)
        }
    }

    // MARK: Attention

    private var group: Int { shape.headCount / shape.headCountKV }

    /// Whether the heads of a group are whole blocks of 32, so that attention can quantize its own output.
    private var groupsAreBlocks: Bool { group &* shape.headDimension % 32 == 0 }

    @inline(__always) private func cached(_ page: Int32, _ layer: Int, _ value: Int, _ head: Int)
        -> UnsafeMutableRawPointer
    {
        let part = (layer &* 2 &+ value) &* cache.headsKV &+ head
        return cacheBase + (Int(page) &* cache.pageBytes &+ part &* cache.headBytes)
    }

    private func storeKeysAndValues(_ layer: Int, _ thread: Int, _ threads: Int) {
        let d = shape.headDimension, pairs = shape.ropeDimension / 2, heads = shape.headCountKV
        var job = thread
        while job < tokens &* heads {
            let t = job / heads, head = job % heads, state = states[t]
            let angles = rope + t &* shape.ropeDimension
            kernels.rope(q + (t &* shape.queryLength &+ head &* group &* d), heads: group, headStride: d, pairs: pairs, angles)
            let key = k + (t &* shape.keyLength &+ head &* d), value = v + (t &* shape.keyLength &+ head &* d)
            kernels.rope(key, heads: 1, headStride: d, pairs: pairs, angles)
            let page = state.pages[state.position / KVCache.pagePositions]
            let row = state.position % KVCache.pagePositions &* cache.headStride &* cache.elementBytes
            kernels.storeKV(key, d, cached(page, layer, 0, head) + row, halfPrecision: halfPrecision)
            kernels.storeKV(value, d, cached(page, layer, 1, head) + row, halfPrecision: halfPrecision)
            job &+= threads
        }
    }

    private func attend(_ layer: Int, quantized: Bool, _ thread: Int, _ threads: Int) {
        let d = shape.headDimension, heads = shape.headCountKV, stride = cache.headStride
        let scale = 1 / Float(d).squareRoot()
        let base = scratch(thread)
        let query = (base + Kernels.scratchBytes).assumingMemoryBound(to: Float.self), result = query + group &* stride
        let keys = UnsafeMutableRawPointer(result + group &* stride).assumingMemoryBound(to: UnsafeRawPointer.self)
        let values = keys + cache.tableLength
        var job = thread
        while job < tokens &* heads {
            let t = job / heads, head = job % heads, state = states[t]
            for page in 0...(state.position / KVCache.pagePositions) {
                keys[page] = UnsafeRawPointer(cached(state.pages[page], layer, 0, head))
                values[page] = UnsafeRawPointer(cached(state.pages[page], layer, 1, head))
            }
            let first = head &* group &* d, offset = t &* shape.queryLength &+ first
            // Padded to whole vectors; the padding of `query` is never written and stays zero.
            for h in 0..<group { (query + h &* stride).update(from: q + (offset &+ h &* d), count: d) }
            kernels.attention(
                query, group: group, headStride: stride, scale: scale, kPages: keys, vPages: values,
                length: state.position &+ 1, halfPrecision: halfPrecision, out: result, scratch: base)
            for h in 0..<group { (attended + (offset &+ h &* d)).update(from: result + h &* stride, count: d) }
            if quantized && groupsAreBlocks {
                kernels.quantize(
                    activations(attended, tokens), columns: shape.queryLength, token: t, first: first, count: group &* d)
            }
            job &+= threads
        }
    }
}
