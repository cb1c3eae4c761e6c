internal import Llama2Core
internal import Llama2Kernels

/// One pass of up to T tokens through the model, run by all threads of the pool together.
///
///     x = embedding[token]
///     for each layer:  x += o(attention(rope(q, k), v));  x += down(silu(gate) * up)
///     logits = output(rmsNorm(x))
///
/// where q, k, v, gate and up are products with rmsNorm(x). Touvron et al., 2023. Here is how the pass is wired; `run` is
/// in Pass.swift, its parts in AttentionBlock, FeedForwardBlock and OutputHead, what they share in Steps.
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
    let magnitude: Float  // of rotated queries and keys
    let format: PageFormat
    let tableLength: Int
    let pages: UnsafeMutableRawPointer

    // The pieces of WorkMemory; shapes are given there.
    let x, normed, q, k, v, attended, gate, up, product: UnsafeMutablePointer<Float>
    let quants: UnsafeMutablePointer<Int8>
    let scales: UnsafeMutablePointer<Float>
    let corrections: UnsafeMutablePointer<Int32>
    let hiddenQuants: UnsafeMutablePointer<Int8>
    let hiddenScales: UnsafeMutablePointer<Float>
    let hiddenCorrections: UnsafeMutablePointer<Int32>
    let rope: UnsafeMutablePointer<Float>
    let scratchBase: UnsafeMutablePointer<UInt8>
    let scratchStride: Int, kernelScratch: Int
    let headWeights, pageSums: UnsafeMutablePointer<Float>

    // Of the current pass.
    var batch: Batch
    /// Where the rows that asked go: (rows, vocabulary), or what those are computed from, (rows, embedding). One of them is there.
    var logits: UnsafeMutablePointer<Float>?
    var embeddings: UnsafeMutablePointer<Float>?
    /// Where the squares of what the matrices take are summed, see `ImportanceSums`; nil as a rule.
    var squares: UnsafeMutablePointer<Float>?
    /// (batch size, lowRankWidth): A x of the adapters, see LowRank.
    var lowRank: UnsafeMutablePointer<Float>
    var lowRankWidth: Int
    /// (tokens, embedding): the residual stream before the first layer, where that is not the model's first; what the last one leaves, where it is wanted.
    var hiddenIn: UnsafePointer<Float>?
    var hiddenOut: UnsafeMutablePointer<Float>?
    /// The host's look behind layers; nil as a rule.
    var observer: Unmanaged<LayerObserver>?
    var watch: Watch
    /// Written by thread 0 before a barrier and read by all after it; behind a pointer, so that nobody
    /// takes it for unchanging.
    let cancelled: UnsafeMutablePointer<Bool>
    /// (threads): 1 + the layer of a key or value that the F16 cache has no number for, 0 as a rule. Each thread writes its own.
    let beyondHalf: UnsafeMutablePointer<Int>

    init(
        kernels: Kernels, pool: ThreadPool, batchSize: Int, weights: Weights, layers: UnsafePointer<Weights.Layer>,
        frequencies: UnsafePointer<Double>, magnitude: Float, cache: KVCache, adapters: SequenceAdapters, work: borrowing WorkMemory, watch: Watch,
        cancelled: UnsafeMutablePointer<Bool>, beyondHalf: UnsafeMutablePointer<Int>
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
        self.magnitude = magnitude
        format = cache.layout.format
        tableLength = cache.layout.tableLength
        pages = cache.store.base
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
        batch = Batch(tokens: work.piece(l.tokens), blocks: work.piece(l.blocks), runs: work.piece(l.runs))
        scratchBase = work.piece(l.scratch)
        scratchStride = l.scratchStride
        kernelScratch = l.kernelScratch
        headWeights = work.floats(l.weights)
        pageSums = work.floats(l.pageSums)
        self.watch = watch
        self.cancelled = cancelled
        self.beyondHalf = beyondHalf
        (lowRank, lowRankWidth) = (adapters.pointer, adapters.width)
    }

    /// Tokens of the current pass.
    var tokens: Int { batch.count }

    @inline(__always) func barrier() {
        if watch.isAlone { return }  // nobody would come
        pool._withUnsafeGuaranteedRef { $0.barrier() }
    }

    /// Whether a thread may begin with this piece of a product, `rows` rows of `columns` columns times the tokens.
    @inline(__always) func mayMultiply(rows: Int, columns: Int, _ thread: Int) -> Bool {
        watch.allows(rows &* columns &* tokens, thread, pool)
    }

    /// (scratchStride) bytes of a thread's own: the kernels' scratch, behind it what a step says.
    @inline(__always) func scratch(_ thread: Int) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(scratchBase + thread &* scratchStride)
    }
}
