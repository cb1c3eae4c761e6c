public import Llama2Core
internal import Llama2Kernels

/// Sequences of one model: their KV cache, the forward pass over new tokens, the logits.
/// For one thread at a time; its own threads work inside `eval` only.
public final class Inference {
    /// Bytes that an `Inference` allocates.
    public struct Memory: Sendable {
        public var cache = 0, work = 0, logits = 0
    }

    public let weights: Weights
    public let configuration: ContextConfiguration
    public let isa: Int32
    let pool: ThreadPool
    let cache: KVCache
    let adapters: SequenceAdapters
    var observer: LayerObserver?
    /// Whether a callback of the host's is told about layers.
    public var isObserved: Bool { observer != nil }
    private let work: WorkMemory
    private let layers: AlignedBuffer<Weights.Layer>
    private let frequencies: AlignedBuffer<Double>
    let rope: RoPE
    /// What the eval under way appends, (contextLength): an eval allocates nothing.
    private let entries: AlignedBuffer<BatchEntry>
    /// (maxSequences): where each sequence has come to in the eval under way.
    private let ends: AlignedBuffer<Int>
    let pass: UnsafeMutablePointer<ForwardPass>
    private let cancelled: AlignedBuffer<Bool>
    private let watchFlags: AlignedBuffer<Int32>, watchCounters: AlignedBuffer<Watch.Counters>
    /// (threads): see `ForwardPass`.
    private let beyondHalf: AlignedBuffer<Int>

    /// Logits of the last successful eval, (rows, vocabulary); `back` is what the next one writes.
    private var front: AlignedBuffer<Float>
    private var back: AlignedBuffer<Float>
    public internal(set) var logitsRows = 0

    /// Asked on the calling thread, between layers and some hundred times a second within; non-zero cancels.
    public var cancel: CancelCallback.Function?
    public var cancelData: UnsafeMutableRawPointer?
    /// The floating-point mode of the host, for its callbacks.
    public var hostMode = FloatMode.current
    /// Gains the squares of what the matrices take, when it is there.
    public var importance: ImportanceSums?

    /// What `init` would allocate, without doing so.
    public static func memory(_ weights: Weights, _ c: ContextConfiguration) throws(Llama2Error) -> Memory {
        let h = weights.hyperparameters
        try c.check()
        _ = try weights.rope(c)
        let cache = try KVCache.Layout(h, c)
        let work = try WorkMemory.Layout(h, c, cache)
        return Memory(cache: cache.bytes, work: work.bytes + entriesBytes(c), logits: c.embeddingsOnly ? 0 : 2 * 4 * h.vocabularySize)
    }

    private static func entriesBytes(_ c: ContextConfiguration) -> Int { c.contextLength * MemoryLayout<BatchEntry>.stride }

    public init(weights: Weights, configuration c: ContextConfiguration) throws(Llama2Error) {
        let h = weights.hyperparameters
        try c.check()
        rope = try weights.rope(c)
        let kernels = try Kernels.table(c.isa)
        self.weights = weights
        configuration = c
        isa = kernels.isa.rawValue
        cache = try KVCache(h, c)
        adapters = try SequenceAdapters(sequences: c.maxSequences, batchSize: c.batchSize)
        work = try WorkMemory(try WorkMemory.Layout(h, c, cache.layout))
        front = try AlignedBuffer(count: c.embeddingsOnly ? 0 : h.vocabularySize, of: "logits")
        back = try AlignedBuffer(count: c.embeddingsOnly ? 0 : h.vocabularySize, of: "logits")
        layers = try AlignedBuffer(count: weights.layers.count, of: "layers")
        for (i, layer) in weights.layers.enumerated() { layers.pointer[i] = layer }
        frequencies = try AlignedBuffer(count: rope.frequencies.count, of: "frequencies")
        for (i, f) in rope.frequencies.enumerated() { frequencies.pointer[i] = f }
        entries = try AlignedBuffer(count: c.contextLength, of: "batch entries")
        ends = try AlignedBuffer(count: c.maxSequences, of: "ends of sequences")
        pool = try ThreadPool(threads: c.threads, pinned: c.pinsThreads)
        cancelled = try AlignedBuffer(count: 1, of: "the flag of a cancel")
        watchFlags = try AlignedBuffer(count: 2, of: "the flags of a pass")
        watchCounters = try AlignedBuffer(count: 1, of: "the watch of a pass")
        beyondHalf = try AlignedBuffer(count: c.threads, of: "flags of the threads")
        pass = .allocate(capacity: 1)
        pass.initialize(
            to: ForwardPass(
                kernels: kernels, pool: pool, batchSize: c.batchSize, weights: weights, layers: layers.pointer,
                frequencies: frequencies.pointer, magnitude: Float(rope.magnitude), cache: cache, adapters: adapters, work: work,
                watch: Watch(flags: watchFlags.pointer, watchCounters.pointer),
                cancelled: cancelled.pointer, beyondHalf: beyondHalf.pointer))
    }

    deinit {
        pool.shutdown()
        pass.deinitialize(count: 1)
        pass.deallocate()
    }

    public var memoryBytes: Int {
        cache.layout.bytes + work.layout.bytes + adapters.byteCount + Inference.entriesBytes(configuration) + 4 * (front.count + back.count)
    }

    /// Refuses to have logits where there are none.
    public func checkLogitsAreMade() throws(Llama2Error) {
        guard !configuration.embeddingsOnly else {
            throw Llama2Error(.unsupported, "this context was made for embeddings alone (LLAMA2_CONTEXT_EMBEDDINGS): it has no logits")
        }
    }

    /// Refuses to be evaluated by itself where it is a range of a model's layers.
    public func checkIsWhole() throws(Llama2Error) { try checkPiece(nil) }

    /// Sees to it that a state's logits (count) have room.
    func makeRoomForLogits(_ count: Int) throws(Llama2Error) {
        if count > 0 { try checkLogitsAreMade() }
        if count > back.count { back = try AlignedBuffer(count: count, of: "logits") }
    }

    /// These are the logits now: (rows, vocabulary), for which there is room.
    func setLogits(_ floats: UnsafeRawBufferPointer, _ rows: Int) {
        UnsafeMutableRawBufferPointer(start: back.pointer, count: floats.count).copyMemory(from: floats)
        swap(&front, &back)
        logitsRows = rows
    }

    /// Row `row`, which there is, becomes the only one.
    func keepRow(_ row: Int) {
        let count = weights.hyperparameters.vocabularySize
        if row > 0 { front.pointer.update(from: front.pointer + row * count, count: count) }
        logitsRows = 1
    }

    /// Row `row` of the logits, (vocabulary); valid until the next successful eval.
    public func logits(_ row: Int) -> UnsafeBufferPointer<Float>? {
        guard row >= 0, row < logitsRows else { return nil }
        let count = weights.hyperparameters.vocabularySize
        return UnsafeBufferPointer(start: front.pointer + row * count, count: count)
    }

    /// CPU time of the calling thread and of this object's own, in nanoseconds.
    public var cpuNanoseconds: Int { pool.cpuNanoseconds }

    /// Nothing that was made before a fork is of use in the child: its threads are not there.
    public func checkProcess() throws(Llama2Error) {
        guard !pool.isOrphan else {
            throw Llama2Error(.forked, "this context was made before a fork, by the parent; make a new one")
        }
    }

    /// Appends the `count` tokens that `entry` tells, index by index, each to its sequence. All or nothing: after an error
    /// the sequences and the logits are as before.
    /// hidden: see `evalLayers`.
    ///
    /// embeddings: (count, embedding) at most. When it is there, the entries that ask for logits get there, in their order, what the
    /// logits would be computed from (the residual stream after its last norm), and there are no logits afterwards.
    public func eval(
        count: Int, hidden: HiddenStates? = nil, embeddings: UnsafeMutablePointer<Float>? = nil,
        _ entry: (Int) throws(Llama2Error) -> BatchEntry
    ) throws(Llama2Error) {
        try checkProcess()
        try checkPiece(hidden)
        // 1. check everything, so that nothing can fail half-way but a cancel
        let rows = try read(count, entry)
        try checkHidden(hidden, count, rows)
        let vocabulary = weights.hyperparameters.vocabularySize, e = weights.hyperparameters.embeddingLength
        if embeddings == nil && rows > 0 { try checkLogitsAreMade() }
        let needed = try checkedMultiply(rows, vocabulary, "logits", .noMemory)
        if embeddings == nil && needed > back.count { back = try AlignedBuffer(count: needed, of: "logits of \(rows) tokens") }

        // 2. room for all of them
        cache.begin(count)
        for i in 0..<count {
            let entry = entries.pointer[i]
            guard cache.append(Int(entry.sequence), entry.token) else {
                cache.undo()
                throw full(count)
            }
        }

        // 3. the passes
        for sequence in 0..<configuration.maxSequences { ends.pointer[sequence] = cache.lengthBefore(sequence) }
        var first = 0, row = 0
        while first < count {
            let end = min(first + configuration.batchSize, count)
            place(first..<end)
            pass.pointee.logits = embeddings == nil ? back.pointer + row * vocabulary : nil
            pass.pointee.embeddings = embeddings.map { $0 + row * e }
            pass.pointee.hiddenIn = hidden?.input.map { $0 + first * weights.hyperparameters.embeddingLength }
            pass.pointee.hiddenOut = hidden?.output.map { $0 + first * weights.hyperparameters.embeddingLength }
            cancelled.pointer.pointee = false
            for thread in 0..<beyondHalf.count { beyondHalf.pointer[thread] = 0 }  // a cancelled pass may have left some
            pass.pointee.watch.cancel = cancel.map { CancelCallback($0, cancelData, hostMode) }
            pass.pointee.watch.begin()
            pass.pointee.squares = importance?.pointer
            pool.run(pass) { pass, thread, threads in
                pass.assumingMemoryBound(to: ForwardPass.self).pointee.run(thread, threads)
            }
            try checkProcess()
            if cancelled.pointer.pointee {
                cache.undo()
                throw Llama2Error(.cancelled, "cancelled by a callback; the \(count) tokens of this eval were not added")
            }
            try checkCache()
            importance?.tokens += end - first
            row += pass.pointee.batch.rows
            first = end
        }

        // 4. the new logits become the logits
        limitPure(everything: hidden?.input != nil)
        cache.commit()
        if embeddings != nil {
            logitsRows = 0
        } else {
            swap(&front, &back)
            logitsRows = rows
        }
    }

    /// Infinity in place of a number would be a wrong answer: such an eval is undone.
    private func checkCache() throws(Llama2Error) {
        var layer = 0
        for thread in 0..<beyondHalf.count where beyondHalf.pointer[thread] != 0 {
            layer = layer == 0 ? beyondHalf.pointer[thread] : min(layer, beyondHalf.pointer[thread])
        }
        guard layer != 0 else { return }
        cache.undo()
        let types = [cache.layout.format.keyType, cache.layout.format.valueType],
            limits =
                types.contains { $0.isQuantized }
                ? "what a KV cache in \(StateHead.names(StateHead.types(types[0], types[1]))) has numbers for"
                : "65504, the largest number of a KV cache in F16"
        throw Llama2Error(
            .unsupported,
            "a key or value of layer \(layer - 1) is larger than \(limits); this model needs a KV cache in F32 (LLAMA2_CONTEXT_KV_F32)")
    }

    /// Reads the entries and checks them; returns how many rows of logits are wanted.
    private func read(_ count: Int, _ entry: (Int) throws(Llama2Error) -> BatchEntry) throws(Llama2Error) -> Int {
        // before the entries are read: a count that is far too large must not be followed
        guard count <= cache.free else { throw full(count) }
        guard count > 0 else { throw Llama2Error(.invalidArgument, "no tokens to evaluate") }
        for i in 0..<count { entries.pointer[i] = try entry(i) }
        let vocabulary = weights.hyperparameters.vocabularySize
        var rows = 0
        for i in 0..<count {
            let entry = entries.pointer[i]
            guard entry.token >= 0, Int(entry.token) < vocabulary else {
                throw Llama2Error(.invalidToken, "token \(entry.token) at index \(i) is not in the vocabulary of \(vocabulary)")
            }
            guard entry.sequence >= 0, Int(entry.sequence) < configuration.maxSequences else {
                throw Llama2Error(
                    .outOfRange, "sequence \(entry.sequence) at index \(i); this context has 0 to \(configuration.maxSequences - 1)")
            }
            if entry.wantsLogits { rows += 1 }
        }
        return rows
    }

    /// The batch of a pass: these entries with their places.
    private func place(_ range: Range<Int>) {
        let blockTokens = Batch.Block.tokens(weights.hyperparameters)
        pass.pointee.batch.removeAll()
        for i in range {
            let entry = entries.pointer[i], sequence = Int(entry.sequence), slot = ends.pointer[sequence]
            pass.pointee.batch.append(
                Int(entry.token), sequence: sequence, slot: slot, position: slot, pages: cache.table(sequence),
                wantsLogits: entry.wantsLogits, blockTokens: blockTokens)
            if let set = adapters.set(sequence) { pass.pointee.batch.attach(set.table) }
            ends.pointer[sequence] = slot + 1
        }
    }
}
