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
/// The threads run the same code and meet at barriers. Work on matrices is handed out some panels of 16
/// output rows at a time to whichever thread is free, so that one that is slowed down from outside does not
/// hold up the others; work on tokens is divided by token. What can be computed from the rows just made
/// is computed at once, which is why there are eight barriers a layer and not twelve. A single token is normed by
/// every thread for itself, and its heads are rotated where they are used: five.
/// Plain pointers only: nothing here allocates or counts references.
struct ForwardPass {
    let kernels: Kernels
    let pool: Unmanaged<ThreadPool>
    let shape: Hyperparameters
    let batchSize: Int
    let embedding: Matrix
    let output: Linear
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
    let hiddenQuants: UnsafeMutablePointer<Int8>
    let hiddenScales: UnsafeMutablePointer<Float>
    let hiddenCorrections: UnsafeMutablePointer<Int32>
    let rope: UnsafeMutablePointer<Float>
    let states: UnsafeMutablePointer<TokenState>
    let blocks: UnsafeMutablePointer<TokenBlock>
    let scratchBase: UnsafeMutablePointer<UInt8>
    let scratchStride: Int, kernelScratch: Int

    // Of the current pass.
    var tokens = 0
    var blockCount = 0
    var rows = 0
    var logits: UnsafeMutablePointer<Float>  // (rows, vocabulary)
    /// Where the squares of what the matrices take are summed, see `ImportanceSums`; nil as a rule.
    var squares: UnsafeMutablePointer<Float>?
    var cancel: Inference.Cancel?
    var cancelData: UnsafeMutableRawPointer?
    var hostMode = FloatMode.current  // set before every pass
    /// Written by thread 0 before a barrier and read by all after it; behind a pointer, so that nobody
    /// takes it for unchanging.
    let cancelled: UnsafeMutablePointer<Bool>

    init(
        kernels: Kernels, pool: ThreadPool, batchSize: Int, weights: Weights, layers: UnsafePointer<Weights.Layer>,
        frequencies: UnsafePointer<Double>, cache: KVCache.Layout, cacheBase: UnsafeMutablePointer<UInt8>,
        halfPrecision: Bool, work: borrowing WorkMemory, cancelled: UnsafeMutablePointer<Bool>
    ) {
        self.kernels = kernels
        self.pool = Unmanaged.passUnretained(pool)
        shape = weights.hyperparameters
        self.batchSize = batchSize
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
        hiddenQuants = work.piece(l.hiddenQuants)
        hiddenScales = work.floats(l.hiddenScales)
        hiddenCorrections = work.piece(l.hiddenCorrections)
        rope = work.floats(l.rope)
        states = work.piece(l.tokens)
        blocks = work.piece(l.blocks)
        scratchBase = work.piece(l.scratch)
        scratchStride = l.scratchStride
        kernelScratch = l.kernelScratch
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
            if thread == 0, let cancel {
                if hostMode.callback({ cancel(cancelData) }) != 0 { cancelled.pointee = true }
                // a child of the callback's that comes back is alone: nobody would meet it at the barrier
                if pool._withUnsafeGuaranteedRef({ $0.isOrphan }) { return }
            }
            barrier()
            if cancelled.pointee { return }
            attentionBlock(layers[index], index, thread, threads)
            let following = index &+ 1 < shape.layerCount ? layers[index &+ 1].q : output
            feedForwardBlock(layers[index], index, following, thread, threads)
        }
        barrier()
        if rows > 0 { outputLogits(thread, threads) }
    }

    /// x = the token's row of the embedding; the rotation of its position.
    private func embedTokens(_ thread: Int, _ threads: Int) {
        var t = thread
        while t < tokens {
            let state = states[t], e = shape.embeddingLength
            kernels.dequantize(
                embedding.type, embedding.data + state.token &* embedding.rowBytes, e, x + t &* e, scratch: scratch(thread))
            Kernels.ropeTable(
                position: state.position, pairs: shape.ropeDimension / 2, frequencies: frequencies,
                rope + t &* shape.ropeDimension)
            t &+= threads
        }
    }

    /// x += o(attention(...)).
    private func attentionBlock(_ layer: Weights.Layer, _ index: Int, _ thread: Int, _ threads: Int) {
        // 1. the normed input, in the form that the matrices take
        let input = normalize(layer.attentionNorm, for: layer.q, layer.k, layer.v, thread, threads)
        collect(normed, shape.embeddingLength, index, 0, thread)
        // 2. q, k, v
        let panels = layer.q.panels &+ layer.k.panels &+ layer.v.panels
        let fromK = layer.q.panels, fromV = fromK &+ layer.k.panels
        shared(panels, threads) { share, following in
            let next =
                following < fromK ? layer.q.panel(following)
                : following < fromV ? layer.k.panel(following &- fromK)
                : following < panels ? layer.v.panel(following &- fromV) : layer.attentionOutput.data
            multiply(layer.q, share, from: 0, input, q, shape.queryLength, next, thread)
            multiply(layer.k, share, from: fromK, input, k, shape.keyLength, next, thread)
            multiply(layer.v, share, from: fromV, input, v, shape.keyLength, next, thread)
        }
        barrier()
        // 3. rotation; keys and values to the cache
        storeKeysAndValues(index, thread, threads)
        // the jobs of a single token are the same heads in both steps
        if tokens > 1 || !jobsAreEven(threads) { barrier() }
        // 4. attention, by token and head of the cache
        attend(index, quantized: !layer.attentionOutput.type.isFloat, thread, threads)
        barrier()
        // 5. the output projection, added to this thread's rows of x
        if !layer.attentionOutput.type.isFloat && !attentionQuantizes(threads) {
            quantizeTokens(attended, shape.queryLength, thread, threads)
            barrier()
        }
        collect(attended, shape.queryLength, index, 1, thread)
        addProduct(layer.attentionOutput, activations(attended, tokens), before: layer.gate, thread, threads)
        barrier()
    }

    /// x += down(silu(gate) * up). following: the matrix after these.
    private func feedForwardBlock(
        _ layer: Weights.Layer, _ index: Int, _ following: Linear, _ thread: Int, _ threads: Int
    ) {
        let input = normalize(layer.feedForwardNorm, for: layer.gate, layer.up, layer.up, thread, threads)
        collect(normed, shape.embeddingLength, index, 2, thread)
        let f = shape.feedForwardLength
        let hidden = Activations(
            f32: gate, q: hiddenQuants, scale: hiddenScales, corrections: hiddenCorrections, tokens: tokens)
        // Pairs of panels: whole blocks of 32 of the next input.
        let allPairs = (f &+ 31) / 32
        shared(allPairs, threads) { pairs, nextPair in
            let share = (2 &* pairs.lowerBound)..<(2 &* pairs.upperBound)
            let next = nextPair < allPairs ? layer.gate.panel(2 &* nextPair) : layer.down.data
            multiply(layer.gate, share, from: 0, input, gate, f, layer.up.panel(share.lowerBound), thread)
            multiply(layer.up, share, from: 0, input, up, f, next, thread)
            let first = 32 &* pairs.lowerBound, count = min(32 &* pairs.upperBound, f) &- first
            for t in 0..<tokens {
                let g = gate + (t &* f &+ first)
                kernels.swiGLU(g, up + (t &* f &+ first), count, g)
                if !layer.down.type.isFloat { kernels.quantize(hidden, columns: f, token: t, first: first, count: count) }
            }
        }
        barrier()
        collect(gate, f, index, 3, thread)
        addProduct(layer.down, hidden, before: following, thread, threads)
    }

    /// The rows that asked: their norm and the output matrix, some rows at a time.
    ///
    /// A quantized output matrix gets its input as two rows of int8, the second holding what rounding took from the
    /// first: together 15 bits. What is lost here goes straight into the logits (on SmolLM2 a quarter of the
    /// divergence from F32), the weights are read once for both rows, and there are few rows.
    private func outputLogits(_ thread: Int, _ threads: Int) {
        let e = shape.embeddingLength, parts = output.type.isFloat ? 1 : 2
        let panel = (scratch(thread) + kernelScratch).assumingMemoryBound(to: Float.self)  // (rows * parts, 16)
        let rowsAtOnce = (batchSize &+ 1) / 2
        var first = 0
        while first < rows {
            // constants: a variable that the closure below took would be boxed on the heap
            let count = min(rowsAtOnce, rows &- first), input = activations(normed, parts &* count), firstRow = first
            for t in 0..<tokens {
                let row = states[t].row &- first
                guard row >= 0, row < count, row % threads == thread else { continue }
                let target = normed + parts &* row &* e
                kernels.rmsNorm(x + t &* e, outputNorm, e, shape.rmsEpsilon, target)
                if parts == 2 {
                    kernels.quantize(input, columns: e, token: 2 &* row, first: 0, count: e)
                    kernels.subtractQuantized(input, columns: e, token: 2 &* row, from: target, target + e)
                    kernels.quantize(input, columns: e, token: 2 &* row &+ 1, first: 0, count: e)
                }
            }
            barrier()
            shared(output.panels, threads) { share, following in
                for p in share {
                    output.multiply(
                        kernels, panels: p..<(p &+ 1), input, tokens: parts &* count, out: panel - 16 &* p, outStride: 16,
                        next: output.panel(p &+ 1 < share.upperBound ? p &+ 1 : following), scratch: scratch(thread))
                    let width = min(16, shape.vocabularySize &- 16 &* p)
                    for row in 0..<count {
                        let target = logits + ((firstRow &+ row) &* shape.vocabularySize &+ 16 &* p)
                        target.update(from: panel + 16 &* parts &* row, count: width)
                        if parts == 2 { kernels.add(target, panel + 16 &* (2 &* row &+ 1), width) }
                    }
                }
            }
            barrier()
            first &+= count
        }
    }

    // MARK: Steps

    /// Hands out 0..<count, a piece at a time; at most once between two barriers. body gets the piece, and where the
    /// next one of this thread begins (beyond count when there is none), so that it can be fetched ahead.
    @inline(__always) private func shared(_ count: Int, _ threads: Int, _ body: (Range<Int>, Int) -> Void) {
        if threads == 1 { return body(0..<count, count) }
        let piece = max(1, count / (12 &* threads))
        @inline(__always) func take() -> Int { pool._withUnsafeGuaranteedRef { $0.ticket() } &* piece }
        var first = take()
        while first < count {
            let following = take()
            body(first..<min(first &+ piece, count), following)
            first = following
        }
    }

    /// The input of a multiplication for `count` tokens.
    private func activations(_ input: UnsafeMutablePointer<Float>, _ count: Int) -> Activations {
        Activations(f32: input, q: quants, scale: scales, corrections: corrections, tokens: count)
    }

    /// The normed input in the form that the matrices take, ready for this thread. Tokens are divided among the threads,
    /// which then meet; but of a single one every thread makes a copy of its own, in the room of another token.
    private func normalize(
        _ weight: UnsafePointer<Float>, for a: Linear, _ b: Linear, _ c: Linear, _ thread: Int, _ threads: Int
    ) -> Activations {
        let e = shape.embeddingLength, quantized = !(a.type.isFloat && b.type.isFloat && c.type.isFloat)
        if tokens == 1 && threads <= batchSize {
            let o = thread &* Activations.blocks(1, columns: e)
            let own = Activations(
                f32: normed + thread &* e, q: quants + 32 &* o, scale: scales + o, corrections: corrections + 4 &* o, tokens: 1)
            kernels.rmsNorm(x, weight, e, shape.rmsEpsilon, normed + thread &* e)
            if quantized { kernels.quantize(own, columns: e, token: 0, first: 0, count: e) }
            return own
        }
        let input = activations(normed, tokens)
        var t = thread
        while t < tokens {
            kernels.rmsNorm(x + t &* e, weight, e, shape.rmsEpsilon, normed + t &* e)
            if quantized { kernels.quantize(input, columns: e, token: t, first: 0, count: e) }
            t &+= threads
        }
        barrier()
        return input
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
        _ m: Linear, _ share: Range<Int>, from: Int, _ input: Activations, _ out: UnsafeMutablePointer<Float>,
        _ stride: Int, _ next: UnsafeRawPointer, _ thread: Int
    ) {
        let first = max(share.lowerBound &- from, 0), end = min(share.upperBound &- from, m.panels)
        guard first < end else { return }
        m.multiply(
            kernels, panels: first..<end, input, tokens: tokens, out: out, outStride: stride, next: next,
            scratch: scratch(thread))
    }

    /// Adds the squares of an input (tokens, width) to its sums; by thread 0, while the others go on.
    private func collect(_ input: UnsafeMutablePointer<Float>, _ width: Int, _ layer: Int, _ kind: Int, _ thread: Int) {
        guard let squares, thread == 0 else { return }
        let sums = squares + ImportanceSums.offset(shape, layer, kind)
        for t in 0..<tokens {
            for i in 0..<width { sums[i] += input[t &* width &+ i] * input[t &* width &+ i] }
        }
    }

    private func addProduct(_ m: Linear, _ input: Activations, before other: Linear, _ thread: Int, _ threads: Int) {
        let e = shape.embeddingLength
        shared(m.panels, threads) { share, following in
            let next = following < m.panels ? m.panel(following) : other.data
            multiply(m, share, from: 0, input, product, e, next, thread)
            let first = 16 &* share.lowerBound, count = min(16 &* share.upperBound, e) &- first
            for t in 0..<tokens { kernels.add(x + (t &* e &+ first), product + (t &* e &+ first), count) }
        }
    }

    // MARK: Attention

    private var group: Int { shape.headCount / shape.headCountKV }

    private func jobsAreEven(_ threads: Int) -> Bool { blockCount &* shape.headCountKV % threads == 0 }

    /// Whether a job's output is whole blocks of 32, so that attention can quantize it itself.
    private func attentionQuantizes(_ threads: Int) -> Bool {
        (jobsAreEven(threads) ? group : 1) &* shape.headDimension % 32 == 0
    }

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
            if shape.rotatesHalves {
                for h in 0..<group { interleave(q + (t &* shape.queryLength &+ (head &* group &+ h) &* d), thread) }
                interleave(k + (t &* shape.keyLength &+ head &* d), thread)
            }
            kernels.rope(q + (t &* shape.queryLength &+ head &* group &* d), heads: group, headStride: d, pairs: pairs, angles)
            let key = k + (t &* shape.keyLength &+ head &* d), value = v + (t &* shape.keyLength &+ head &* d)
            kernels.rope(key, heads: 1, headStride: d, pairs: pairs, angles)
            let page = state.pages[state.position / KVCache.pagePositions]
            // keys (headStride, 64), values (64, headStride)
            let p = KVCache.pagePositions, column = state.position % p &* cache.elementBytes
            kernels.storeKV(key, d, cached(page, layer, 0, head) + column, stride: p, halfPrecision: halfPrecision)
            kernels.storeKV(
                value, d, cached(page, layer, 1, head) + column &* cache.headStride, stride: 1,
                halfPrecision: halfPrecision)
            job &+= threads
        }
    }

    /// Components i and i + d/2 of a head side by side. Each is the same dot product as in a file of the other
    /// order, so that everything after this is the same to the bit.
    private func interleave(_ head: UnsafeMutablePointer<Float>, _ thread: Int) {
        let half = shape.headDimension / 2, copy = scratch(thread).assumingMemoryBound(to: Float.self)
        copy.update(from: head, count: shape.headDimension)
        for i in 0..<half {
            head[2 &* i] = copy[i]
            head[2 &* i &+ 1] = copy[half &+ i]
        }
    }

    /// Jobs are (block of tokens, head of the cache); when they do not divide evenly, each head of the group is one.
    private func attend(_ layer: Int, quantized: Bool, _ thread: Int, _ threads: Int) {
        let d = shape.headDimension, stride = cache.headStride, scale = 1 / Float(d).squareRoot()
        let split = jobsAreEven(threads) ? 1 : group
        let heads = shape.headCountKV &* split, size = group / split  // of query rows a token
        let fused = quantized && attentionQuantizes(threads)
        // scratch: the kernel's, queries, results, page pointers
        let base = scratch(thread), rows = TokenBlock.rows(shape)
        let query = (base + kernelScratch).assumingMemoryBound(to: Float.self), result = query + rows &* stride
        let keys = UnsafeMutableRawPointer(result + rows &* stride).assumingMemoryBound(to: UnsafeRawPointer.self)
        let values = keys + cache.tableLength
        var job = thread
        while job < blockCount &* heads {
            let block = blocks[job / heads], head = job % heads, state = states[block.first]
            let last = states[block.first &+ block.count &- 1].position
            for page in 0...(last / KVCache.pagePositions) {
                keys[page] = UnsafeRawPointer(cached(state.pages[page], layer, 0, head / split))
                values[page] = UnsafeRawPointer(cached(state.pages[page], layer, 1, head / split))
            }
            // Padded to whole vectors with zeros, each time: logits were here before, and zero keys do not make zero of a NaN.
            let offset = block.first &* shape.queryLength &+ head &* size &* d
            for t in 0..<block.count {
                for h in 0..<size {
                    let row = query + (t &* size &+ h) &* stride
                    row.update(from: q + (offset &+ t &* shape.queryLength &+ h &* d), count: d)
                    (row + d).update(repeating: 0, count: stride &- d)
                }
            }
            kernels.attention(
                query, rows: block.count &* size, group: size, headStride: stride, scale: scale, kPages: keys,
                vPages: values, length: state.position &+ 1, halfPrecision: halfPrecision, out: result, scratch: base)
            for t in 0..<block.count {
                for h in 0..<size {
                    (attended + (offset &+ t &* shape.queryLength &+ h &* d))
                        .update(from: result + (t &* size &+ h) &* stride, count: d)
                }
                if fused {
                    kernels.quantize(
                        activations(attended, tokens), columns: shape.queryLength, token: block.first &+ t,
                        first: head &* size &* d, count: size &* d)
                }
            }
            job &+= threads
        }
    }
}
