internal import Llama2Core
internal import Llama2Kernels

/// The activations of one pass: one allocation, cut into pieces. T is the batch size.
///
/// `Layout` computes where each piece lies without allocating, so that the size is known beforehand.
struct WorkMemory: ~Copyable {
    struct Layout: BitwiseCopyable {
        private(set) var bytes = 0
        let x: Int  // (T, embedding) F32: the residual stream
        let normed: Int  // (T + 1, embedding) F32
        let q: Int  // (T, query) F32
        let k, v: Int  // (T, key) F32
        let attended: Int  // (T, query) F32
        let gate, up: Int  // (T, feedForward) F32
        let product: Int  // (T, embedding) F32: what is added to the residual stream
        let quants, scales, corrections: Int  // the int8 form of an input, see Activations
        let hiddenQuants, hiddenScales, hiddenCorrections: Int  // the same for the input of `down`
        let rope: Int  // (T, ropeDimension / 2, 2) F32
        let tokens: Int  // (T) Batch.Token
        let blocks: Int  // (T) Batch.Block
        let runs: Int  // (T) Batch.Run
        let scratch: Int  // (threads, scratchStride) bytes
        let weights: Int  // (heads of the cache, pages, group, 64) F32: of one token's attention where several threads share it
        let pageSums: Int  // (heads of the cache, pages, group, 3) F32
        let scratchStride: Int, kernelScratch: Int

        init(_ h: Hyperparameters, _ c: ContextConfiguration, _ cache: KVCache.Layout) throws(Llama2Error) {
            let t = c.batchSize
            var next = 0
            func reserve(_ count: Int, _ size: Int) throws(Llama2Error) -> Int {
                let start = next
                // a cache line between the pieces: kernels may read a vector beyond the end
                let end = try checkedAdd(start, checkedMultiply(count, size, "work memory", .noMemory), "work memory", .noMemory)
                next = try alignUp(checkedAdd(end, 64, "work memory", .noMemory), 64, "work memory", .noMemory)
                return start
            }
            x = try reserve(t * h.embeddingLength, 4)
            normed = try reserve((t + 1) * h.embeddingLength, 4)
            q = try reserve(t * h.queryLength, 4)
            k = try reserve(t * h.keyLength, 4)
            v = try reserve(t * h.keyLength, 4)
            attended = try reserve(t * h.queryLength, 4)
            gate = try reserve(t * h.feedForwardLength, 4)
            up = try reserve(t * h.feedForwardLength, 4)
            product = try reserve(t * h.embeddingLength, 4)
            let inputs = Activations.blocks(t + 1, columns: max(h.embeddingLength, h.queryLength))
            quants = try reserve(inputs, 32)
            scales = try reserve(inputs, 4)
            corrections = try reserve(inputs, 16)
            let hidden = Activations.blocks(t, columns: h.feedForwardLength)
            hiddenQuants = try reserve(hidden, 32)
            hiddenScales = try reserve(hidden, 4)
            hiddenCorrections = try reserve(hidden, 16)
            rope = try reserve(t * h.ropeDimension, 4)
            tokens = try reserve(t, MemoryLayout<Batch.Token>.stride)
            blocks = try reserve(t, MemoryLayout<Batch.Block>.stride)
            runs = try reserve(t, MemoryLayout<Batch.Run>.stride)
            // per thread: the kernels' scratch; then the padded queries and results of an attention and its page
            // pointers, or a panel of logits or of what an adapter adds
            let rows = Batch.Block.rows(h)
            let attention = 2 * rows * cache.format.headStride * 4 + 2 * cache.tableLength * 8
            kernelScratch = try alignUp(
                max(Kernels.scratchBytes, Kernels.attentionScratchBytes(rows: rows, headStride: cache.format.headStride)), 64,
                "scratch", .noMemory)
            scratchStride = try alignUp(kernelScratch + max(attention, (t + 1) * 16 * 4), 64, "scratch", .noMemory)
            scratch = try reserve(c.threads, scratchStride)
            let entries = c.threads > 1 ? try checkedMultiply(h.headCount, cache.tableLength, "work memory", .noMemory) : 0
            weights = try reserve(entries, 64 * 4)
            pageSums = try reserve(entries, 3 * 4)
            bytes = next
        }
    }

    let layout: Layout
    private let memory: AlignedBuffer<UInt8>

    init(_ layout: Layout) throws(Llama2Error) {
        self.layout = layout
        memory = try AlignedBuffer(count: layout.bytes, of: "work memory")
    }

    func floats(_ offset: Int) -> UnsafeMutablePointer<Float> { piece(offset) }

    func piece<T>(_ offset: Int, as type: T.Type = T.self) -> UnsafeMutablePointer<T> {
        UnsafeMutableRawPointer(memory.pointer + offset).assumingMemoryBound(to: T.self)
    }
}
