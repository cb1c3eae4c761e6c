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
    private let pool: ThreadPool
    let cache: KVCache
    private let work: WorkMemory
    private let layers: AlignedBuffer<Weights.Layer>
    private let frequencies: AlignedBuffer<Double>
    /// What the eval under way appends, (contextLength): room for the caller, so that an eval allocates nothing.
    public let entries: AlignedBuffer<BatchEntry>
    private let pass: UnsafeMutablePointer<ForwardPass>
    private let cancelled: AlignedBuffer<Bool>

    /// Logits of the last successful eval, (rows, vocabulary); `back` is what the next one writes.
    private var front: AlignedBuffer<Float>
    private var back: AlignedBuffer<Float>
    public private(set) var logitsRows = 0

    /// Asked between layers, on the calling thread; non-zero cancels.
    public typealias Cancel = @convention(c) (UnsafeMutableRawPointer?) -> Int32
    public var cancel: Cancel?
    public var cancelData: UnsafeMutableRawPointer?
    /// The floating-point mode of the host, for its callbacks.
    public var hostMode = FloatMode.current
    /// Gains the squares of what the matrices take, when it is there.
    public var importance: ImportanceSums?

    /// What `init` would allocate, without doing so.
    public static func memory(_ h: Hyperparameters, _ c: ContextConfiguration) throws(Llama2Error) -> Memory {
        try c.check(h)
        let cache = try KVCache.Layout(h, c)
        let work = try WorkMemory.Layout(h, c, cache)
        return Memory(cache: cache.bytes, work: work.bytes + entriesBytes(c), logits: 2 * 4 * h.vocabularySize)
    }

    private static func entriesBytes(_ c: ContextConfiguration) -> Int { c.contextLength * MemoryLayout<BatchEntry>.stride }

    public init(weights: Weights, configuration c: ContextConfiguration) throws(Llama2Error) {
        let h = weights.hyperparameters
        try c.check(h)
        let kernels = try Kernels.table(c.isa)
        self.weights = weights
        configuration = c
        isa = kernels.isa.rawValue
        cache = try KVCache(h, c)
        work = try WorkMemory(try WorkMemory.Layout(h, c, cache.layout))
        front = try AlignedBuffer(count: h.vocabularySize, of: "logits")
        back = try AlignedBuffer(count: h.vocabularySize, of: "logits")
        layers = try AlignedBuffer(count: weights.layers.count, of: "layers")
        for (i, layer) in weights.layers.enumerated() { layers.pointer[i] = layer }
        frequencies = try AlignedBuffer(count: weights.ropeFrequencies.count, of: "frequencies")
        for (i, f) in weights.ropeFrequencies.enumerated() { frequencies.pointer[i] = f }
        entries = try AlignedBuffer(count: c.contextLength, of: "batch entries")
        pool = try ThreadPool(threads: c.threads)
        cancelled = try AlignedBuffer(count: 1, of: "the flag of a cancel")
        pass = .allocate(capacity: 1)
        pass.initialize(
            to: ForwardPass(
                kernels: kernels, pool: pool, batchSize: c.batchSize, weights: weights, layers: layers.pointer,
                frequencies: frequencies.pointer, cache: cache.layout, cacheBase: cache.base,
                halfPrecision: c.halfPrecisionCache, work: work,
                cancelled: cancelled.pointer))
    }

    deinit {
        pool.shutdown()
        pass.deinitialize(count: 1)
        pass.deallocate()
    }

    public var memoryBytes: Int { cache.layout.bytes + work.layout.bytes + Inference.entriesBytes(configuration) + 4 * (front.count + back.count) }

    public func length(_ sequence: Int) throws(Llama2Error) -> Int {
        try checkSequence(sequence)
        return cache.length(sequence)
    }

    /// Positions that are left for all sequences together.
    public var freePositions: Int { configuration.contextLength - cache.used }

    /// Shortens `sequence` to `length` positions and forgets the logits.
    public func truncate(_ sequence: Int, to length: Int) throws(Llama2Error) {
        try checkSequence(sequence)
        guard length >= 0, length <= cache.length(sequence) else {
            throw Llama2Error(
                .outOfRange, "sequence \(sequence) has \(cache.length(sequence)) positions; it cannot be cut to \(length)")
        }
        cache.truncate(sequence, to: length)
        logitsRows = 0
    }

    public func reset() {
        for sequence in 0..<configuration.maxSequences { cache.truncate(sequence, to: 0) }
        logitsRows = 0
    }

    /// Row `row` of the logits, (vocabulary); valid until the next successful eval.
    public func logits(_ row: Int) -> UnsafeBufferPointer<Float>? {
        guard row >= 0, row < logitsRows else { return nil }
        let count = weights.hyperparameters.vocabularySize
        return UnsafeBufferPointer(start: front.pointer + row * count, count: count)
    }

    /// Nothing that was made before a fork is of use in the child: its threads are not there.
    public func checkProcess() throws(Llama2Error) {
        guard !pool.isOrphan else {
            throw Llama2Error(.forked, "this context was made before a fork, by the parent; make a new one")
        }
    }

    private func checkSequence(_ sequence: Int) throws(Llama2Error) {
        guard sequence >= 0, sequence < configuration.maxSequences else {
            throw Llama2Error(.outOfRange, "sequence \(sequence); this context has 0 to \(configuration.maxSequences - 1)")
        }
    }

    /// Appends each entry's token to its sequence. All or nothing: after an error the sequences and the
    /// logits are as before.
    public func eval(_ entries: UnsafeBufferPointer<BatchEntry>) throws(Llama2Error) {
        try checkProcess()
        // 1. check everything, so that nothing can fail half-way but a cancel
        let rows = try check(entries)
        let vocabulary = weights.hyperparameters.vocabularySize
        let needed = try checkedMultiply(rows, vocabulary, "logits")
        if needed > back.count { back = try AlignedBuffer(count: needed, of: "logits of \(rows) tokens") }

        // 2. the passes
        cache.remember()
        var first = 0, row = 0
        while first < entries.count {
            let count = min(configuration.batchSize, entries.count - first)
            let rowsOfPass = place(entries, first, count)
            pass.pointee.tokens = count
            pass.pointee.blockCount = cutIntoBlocks(entries, first, count)
            pass.pointee.rows = rowsOfPass
            pass.pointee.logits = back.pointer + row * vocabulary
            cancelled.pointer.pointee = false
            pass.pointee.cancel = cancel
            pass.pointee.cancelData = cancelData
            pass.pointee.hostMode = hostMode
            pass.pointee.squares = importance?.pointer
            pool.run(pass) { pass, thread, threads in
                pass.assumingMemoryBound(to: ForwardPass.self).pointee.run(thread, threads)
            }
            try checkProcess()
            if cancelled.pointer.pointee {
                cache.goBack()
                throw Llama2Error(.cancelled, "cancelled by the callback; the \(entries.count) tokens of this eval were not added")
            }
            importance?.tokens += count
            row += rowsOfPass
            first += count
        }

        // 3. the new logits become the logits
        swap(&front, &back)
        logitsRows = rows
    }

    /// The number of rows of logits that are wanted.
    private func check(_ entries: UnsafeBufferPointer<BatchEntry>) throws(Llama2Error) -> Int {
        guard entries.count > 0 else { throw Llama2Error(.invalidArgument, "no tokens to evaluate") }
        // before the entries are read: a count that is far too large must not be followed
        guard entries.count <= freePositions else {
            throw Llama2Error(
                .contextFull,
                "\(entries.count) more tokens do not fit: \(cache.used) of \(configuration.contextLength) positions are in use")
        }
        let vocabulary = weights.hyperparameters.vocabularySize
        var rows = 0
        for (index, entry) in entries.enumerated() {
            guard entry.token >= 0, Int(entry.token) < vocabulary else {
                throw Llama2Error(
                    .invalidToken, "token \(entry.token) at index \(index) is not in the vocabulary of \(vocabulary)")
            }
            guard entry.sequence >= 0, Int(entry.sequence) < configuration.maxSequences else {
                throw Llama2Error(
                    .outOfRange,
                    "sequence \(entry.sequence) at index \(index); this context has 0 to \(configuration.maxSequences - 1)")
            }
            if entry.wantsLogits { rows += 1 }
        }
        return rows
    }

    /// Gives entries `first ..< first + count` their positions; returns how many want logits.
    private func place(_ entries: UnsafeBufferPointer<BatchEntry>, _ first: Int, _ count: Int) -> Int {
        let states = pass.pointee.states
        var rows = 0
        for t in 0..<count {
            let entry = entries[first + t], sequence = Int(entry.sequence)
            states[t] = TokenState(
                token: Int(entry.token), position: cache.append(sequence), pages: cache.table(sequence),
                row: entry.wantsLogits ? rows : -1)
            if entry.wantsLogits { rows += 1 }
        }
        return rows
    }

    /// Runs of one sequence, cut to the blocks of attention; returns how many.
    private func cutIntoBlocks(_ entries: UnsafeBufferPointer<BatchEntry>, _ first: Int, _ count: Int) -> Int {
        let blocks = pass.pointee.blocks, most = TokenBlock.tokens(weights.hyperparameters)
        var number = 0
        for t in 0..<count {
            if t > 0, entries[first + t].sequence == entries[first + t - 1].sequence, blocks[number - 1].count < most {
                blocks[number - 1].count += 1
            } else {
                blocks[number] = TokenBlock(first: t, count: 1)
                number += 1
            }
        }
        return number
    }
}
