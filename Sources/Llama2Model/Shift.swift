public import Llama2Core
internal import Llama2Kernels

/// Moves the keys and values of a sequence towards its front, in every layer and head: the work of `Inference.shift`.
///
/// A key in the cache is R(p) k, R(p) the rotation of its position p (Su et al., RoFormer, 2021); rotations add up, so that
/// R(-drop) R(p) k is the key of position p - drop. Slot j is read at j + drop, in ascending order, so that pages
/// may be those that are read.
struct ShiftJob: BitwiseCopyable {
    let pass: UnsafePointer<ForwardPass>  // whose kernels, pages and scratch are used
    let old, new: UnsafePointer<Int32>  // page tables
    let keep: Int, drop: Int, end: Int
    let angles: UnsafePointer<Float>  // (pairs, 2)
    let pairs: Int

    func run(_ thread: Int, _ threads: Int) {
        let format = pass.pointee.format, p = PageFormat.positions
        let rows = pass.pointee.scratch(thread).assumingMemoryBound(to: Float.self)
        var job = thread
        while job < format.layers &* format.heads {
            var slot = keep
            while slot < end &- drop {
                // as far as neither page ends
                let from = slot &+ drop, count = min(end &- from, min(p &- slot % p, p &- from % p))
                format.move(
                    pass.pointee.kernels, page(old, from / p), from % p, to: page(new, slot / p), slot % p, count: count,
                    layer: job / format.heads, head: job % format.heads, angles: angles, pairs: pairs, rows: rows)
                slot &+= count
            }
            job &+= threads
        }
    }

    private func page(_ table: UnsafePointer<Int32>, _ index: Int) -> UnsafeMutableRawPointer {
        pass.pointee.pages + Int(table[index]) &* pass.pointee.format.bytes
    }
}

extension Inference {
    /// Positions that a shift keeps at the front unless told otherwise: attention leans on them whatever they say (Xiao et
    /// al., Efficient Streaming Language Models with Attention Sinks, 2023).
    public static let keptByShift = 4

    /// Drops positions keep ..< keep + drop of `sequence`; those behind move up and their keys are turned back by `drop`. Forgets
    /// the logits. All or nothing.
    public func shift(_ sequence: Int, keep: Int, drop: Int) throws(Llama2Error) {
        try checkSequence(sequence)
        let end = cache.length(sequence)
        guard keep >= 0, drop >= 0, keep <= end, drop <= end - keep else {
            throw Llama2Error(
                .outOfRange, "sequence \(sequence) has \(end) positions; \(UInt(bitPattern: keep)) cannot be kept and \(UInt(bitPattern: drop)) dropped")
        }
        guard drop > 0 else { return }
        // nothing moves
        guard keep + drop < end else { return try truncate(sequence, to: keep) }
        guard cache.beginShift(sequence, keep: keep, drop: drop) else {
            throw Llama2Error(
                .contextFull,
                "what sequence \(sequence) shares with others has to become its own to be shifted, and there is no room: \(cache.used) of \(configuration.contextLength) positions are in use"
            )
        }
        let angles = pass.pointee.rope, pairs = weights.hyperparameters.ropeDimension / 2
        // without the magnitude: keys are stretched already
        Kernels.ropeTable(position: -drop, pairs: pairs, frequencies: pass.pointee.frequencies, angles)
        var job = ShiftJob(
            pass: UnsafePointer(pass), old: cache.shiftedPages, new: cache.table(sequence), keep: keep, drop: drop, end: end,
            angles: angles, pairs: pairs)
        withUnsafeMutablePointer(to: &job) { job in
            pool.run(job) { job, thread, threads in
                job.assumingMemoryBound(to: ShiftJob.self).pointee.run(thread, threads)
            }
        }
        cache.finishShift(sequence, keep: keep, drop: drop)
        logitsRows = 0
    }

    /// Makes room in `sequence` by a shift that drops half of what it does not have to keep, or `wanted` positions if that is
    /// more. Returns how many, 0 when that is not possible.
    public func makeRoom(_ sequence: Int, keep: Int, wanted: Int) -> Int {
        let rest = cache.length(sequence) - keep
        guard rest > 0, wanted <= rest else { return 0 }
        let drop = max(1, wanted, rest / 2)
        do throws(Llama2Error) { try shift(sequence, keep: keep, drop: drop) } catch { return 0 }
        return drop
    }
}
