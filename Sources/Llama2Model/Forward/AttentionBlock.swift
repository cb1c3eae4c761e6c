internal import Llama2Core
internal import Llama2Kernels

extension ForwardPass {
    /// x += o(attention(rope(q, k), v)). Vaswani et al., 2017; grouped queries: Ainslie et al., GQA, 2023.
    func attentionBlock(_ layer: Weights.Layer, _ index: Int, _ thread: Int, _ threads: Int) {
        // 1. the normed input, in the form that the matrices take
        let input = normalize(layer.attentionNorm, for: layer.q, layer.k, layer.v, thread, threads)
        collect(normed, shape.embeddingLength, index, 0, thread)
        // 2. q, k, v
        let place = index &* Adapter.productsOfLayer
        beginProducts(place..<(place &+ 3), input.f32, thread, threads)
        let fromK = layer.q.panels, fromV = fromK &+ layer.k.panels, panels = fromV &+ layer.v.panels
        var pieces = Pieces(panels, work: 16 &* layer.q.columns &* tokens, threads, pool)
        while let (share, following) = pieces.next() {
            guard mayMultiply(rows: 16 &* share.count, columns: layer.q.columns, thread) else { break }
            let next =
                following < fromK
                ? layer.q.panel(following)
                : following < fromV
                    ? layer.k.panel(following &- fromK)
                    : following < panels ? layer.v.panel(following &- fromV) : layer.attentionOutput.data
            multiply(layer.q, place, share, from: 0, input, q, shape.queryLength, next, thread)
            multiply(layer.k, place &+ 1, share, from: fromK, input, k, shape.keyLength, next, thread)
            multiply(layer.v, place &+ 2, share, from: fromV, input, v, shape.keyLength, next, thread)
        }
        barrier()
        // 3. rotation; keys and values to the cache
        storeKeysAndValues(index, thread, threads)
        // the jobs of a single token are the same heads in both steps
        if tokens > 1 || !jobsAreEven(threads) { barrier() }
        // 4. attention, by token and head of the cache, or of a single token by pages and lanes
        let isQuantized = !layer.attentionOutput.type.isFloat, isDivided = dividesAttention(threads)
        if isDivided {
            attendDivided(index, quantized: isQuantized, thread, threads)
        } else {
            attend(index, quantized: isQuantized, thread, threads)
        }
        barrier()
        // 5. the output projection, added to this thread's rows of x
        if isQuantized && !(isDivided ? dividedQuantizes : attentionQuantizes(threads)) {
            quantizeTokens(attended, shape.queryLength, thread, threads)
            barrier()
        }
        collect(attended, shape.queryLength, index, 1, thread)
        addProduct(layer.attentionOutput, place &+ 3, activations(attended, tokens), before: layer.gate, thread, threads)
        barrier()
    }

    var group: Int { shape.headCount / shape.headCountKV }

    func jobsAreEven(_ threads: Int) -> Bool { batch.blockCount &* shape.headCountKV % threads == 0 }

    /// Whether a job's output is whole blocks of 32, so that attention can quantize it itself.
    private func attentionQuantizes(_ threads: Int) -> Bool {
        (jobsAreEven(threads) ? group : 1) &* shape.headDimension % 32 == 0
    }

    @inline(__always) func page(_ token: Batch.Token, _ index: Int) -> UnsafeMutableRawPointer {
        pages + Int(token.pages[index]) &* format.bytes
    }

    private func storeKeysAndValues(_ layer: Int, _ thread: Int, _ threads: Int) {
        let d = shape.headDimension, pairs = shape.ropeDimension / 2, heads = shape.headCountKV
        var job = thread
        while job < tokens &* heads, watch.allows(8 &* (group &+ 2) &* d, thread, pool) {
            let t = job / heads, head = job % heads, token = batch.tokens[t]
            let angles = rope + t &* shape.ropeDimension
            let queries = q + (t &* shape.queryLength &+ head &* group &* d)  // (group, d)
            let key = k + (t &* shape.keyLength &+ head &* d), value = v + (t &* shape.keyLength &+ head &* d)
            if shape.rotatesHalves {
                for h in 0..<group { interleave(queries + h &* d, thread) }
                interleave(key, thread)
            }
            kernels.table.rotatePairs(queries, group, d, pairs, angles)
            kernels.table.rotatePairs(key, 1, d, pairs, angles)
            format.turnKeys(queries, group)
            format.turnKeys(key, 1)
            format.turnValues(value)
            let fits = format.store(
                kernels, key: key, value: value, column: token.slot % PageFormat.positions,
                page: page(token, token.slot / PageFormat.positions), layer: layer, head: head)
            if !fits && beyondHalf[thread] == 0 { beyondHalf[thread] = layer &+ 1 }
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
        let d = shape.headDimension, stride = format.headStride
        let split = jobsAreEven(threads) ? 1 : group
        let heads = shape.headCountKV &* split, size = group / split  // of query rows a token
        let fused = quantized && attentionQuantizes(threads)
        // scratch: the kernel's, queries, results, page pointers
        let base = scratch(thread), rows = Batch.Block.rows(shape)
        let query = (base + kernelScratch).assumingMemoryBound(to: Float.self), result = query + rows &* stride
        let keys = UnsafeMutableRawPointer(result + rows &* stride).assumingMemoryBound(to: UnsafeRawPointer.self)
        let values = keys + tableLength
        var job = thread
        while job < batch.blockCount &* heads {
            let block = batch.blocks[job / heads], head = job % heads, token = batch.tokens[block.first]
            let last = batch.tokens[block.first &+ block.count &- 1].slot
            guard watch.allows(2 &* block.count &* size &* (last &+ 1) &* d, thread, pool) else { break }
            for index in 0...(last / PageFormat.positions) {
                keys[index] = UnsafeRawPointer(format.keys(page(token, index), layer, head / split))
                values[index] = UnsafeRawPointer(format.values(page(token, index), layer, head / split))
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
            format.attend(
                kernels, query, rows: block.count &* size, group: size, length: token.slot &+ 1, keys: keys, values: values,
                out: result, scratch: base)
            for t in 0..<block.count {
                for h in 0..<size {
                    format.turnValues(result + (t &* size &+ h) &* stride)
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
