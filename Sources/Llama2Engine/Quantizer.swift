public import Llama2Core
internal import Llama2Formats
internal import Llama2Kernels
internal import Llama2Model

/// Writes a model of any format as GGUF, its matrices in other types. Converting is the same with a float type.
public struct Quantizer {
    public var fileType: FileType
    /// (pattern, type): the first pattern that a tensor's name contains decides.
    public var overrides: [(pattern: String, type: BlockType)] = []
    /// The file of an importance matrix: columns that matter more get smaller errors, in the K types.
    public var importancePath: String?
    public var threads = 1
    /// After every piece, with the part that is done; true to stop.
    public var progress: ((Double) -> Bool)?
    /// Asked after every few rows.
    public var cancel: CancelCallback?

    /// Rows are quantized and written about this many bytes at a time.
    private static let pieceBytes = 8 << 20

    public init(_ fileType: FileType) { self.fileType = fileType }

    private struct Job {
        let source: TensorInfo, target: GGUFWriter.Tensor
    }

    public func run(from path: String, to output: String) throws(Llama2Error) {
        let weights = try Weights(file: try ModelFile.open(path: path)), file = weights.file
        try MemoryReserve.cover(file.tensors.count, each: 1024, for: "\(file.tensors.count) tensors")
        try MemoryReserve.cover(file.metadata.keys.count, each: 512, for: "metadata")
        let jobs = try plan(weights)
        var importance: [String: [Float]] = [:]
        if let importancePath { importance = try ImportanceFile.read(importancePath) }
        if let stranger = importance.keys.filter({ file.tensor($0) == nil }).min() {
            throw Llama2Error(.corrupt, "\(importancePath ?? ""): \(stranger) is no tensor of \(path): the importance matrix of another model")
        }
        for job in jobs {
            guard let list = importance[job.source.name], list.count != job.source.columns else { continue }
            throw Llama2Error(
                .corrupt, "\(importancePath ?? ""): \(job.source.name) has \(list.count) columns, the model's has \(job.source.columns)")
        }
        var metadata = file.metadata
        for key in ["split.no", "split.count", "split.tensors.count"] { metadata.remove(key) }
        // GGUF has no such kind; within the trained length it is no scaling
        if weights.hyperparameters.endsAtTrainedLength { metadata.remove("llama.rope.scaling.type") }
        metadata.set("general.file_type", fileType.rawValue)
        metadata.set("general.quantization_version", 2)
        let writer = try GGUFWriter(path: output, metadata: metadata, tensors: jobs.map(\.target))
        let pool = try ThreadPool(threads: threads)
        defer { pool.shutdown() }
        let total = jobs.reduce(0.0) { $0 + Double($1.source.data.count) }
        var done = 0.0
        for job in jobs {
            try convert(job, importance[job.source.name], weights.hyperparameters, file.rotatesHalves, pool, writer) {
                (part, isCancelled) throws(Llama2Error) in
                let isUnwanted = isCancelled || part.map { progress?((done + $0 * Double(job.source.data.count)) / max(total, 1)) ?? false } ?? false
                // parent and child share the place in the file
                guard !pool.isOrphan else { throw Llama2Error(.forked, "the callback forked: \(output) is the parent's to write") }
                guard !isUnwanted else { throw Llama2Error(.cancelled, "cancelled; \(output) is as it was") }
            }
            done += Double(job.source.data.count)
        }
        try writer.finish()
    }

    /// What each tensor becomes. Vectors stay F32.
    private func plan(_ weights: Weights) throws(Llama2Error) -> [Job] {
        let h = weights.hyperparameters, tied = weights.file.tensor("output.weight") == nil
        var jobs: [Job] = []
        for tensor in weights.file.tensors {
            var type = BlockType.f32
            if tensor.shape.count > 1 {
                type = fileType.type(
                    of: tensor.name, columns: tensor.columns, layers: h.layerCount, group: h.headCount / h.headCountKV,
                    isOutput: tensor.name == "output.weight" || (tied && tensor.name == "token_embd.weight"))
                if let override = overrides.first(where: { tensor.name.contains($0.pattern) }) { type = override.type }
                guard Kernels.canQuantize(type) else {
                    throw Llama2Error(.unsupported, "tensor \(tensor.name) cannot be made \(type.name): this type is read, but not written")
                }
            }
            jobs.append(Job(source: tensor, target: try GGUFWriter.Tensor(name: tensor.name, type: type, shape: tensor.shape)))
        }
        return jobs
    }

    private func convert(
        _ job: Job, _ importance: [Float]?, _ h: Hyperparameters, _ rotatesHalves: Bool, _ pool: ThreadPool, _ writer: GGUFWriter,
        _ report: (_ part: Double?, _ isCancelled: Bool) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        let source = job.source, target = job.target
        guard let data = source.data.baseAddress else { throw Llama2Error(.corrupt, "tensor \(source.name) is empty") }
        let reorders = rotatesHalves && (source.name.hasSuffix("attn_q.weight") || source.name.hasSuffix("attn_k.weight"))
        if source.type == target.type && !reorders {
            var first = 0
            while first < source.data.count {
                let count = min(Quantizer.pieceBytes, source.data.count - first)
                try writer.write(UnsafeRawBufferPointer(rebasing: source.data[first..<(first + count)]))
                first += count
                try report(Double(first) / Double(source.data.count), cancel?.isCancelled ?? false)
            }
            return try writer.pad()
        }
        let rows = source.rows, columns = source.columns, rowBytes = target.size / rows
        let rowsAtOnce = max(1, min(rows, Quantizer.pieceBytes / max(rowBytes, columns)))
        let out = try AlignedBuffer<UInt8>(count: try checkedMultiply(rowsAtOnce, rowBytes, "rows of \(source.name)"), of: "quantized rows")
        let scratchBytes = max(8192, Kernels.dequantizeScratchBytes)
        let floats = try AlignedBuffer<Float>(
            count: try checkedMultiply(pool.threads, columns + scratchBytes / 4, "rows of \(source.name)"), of: "rows")
        // an owned copy: plain memory is all that the threads see
        let weights = try AlignedBuffer<Float>(count: importance?.count ?? 0, of: "importance")
        if let importance { for i in 0..<columns { weights.pointer[i] = importance[i] } }
        let notFinite = try AlignedBuffer<UInt8>(count: 64 * pool.threads, of: "flags")
        let flag = try AlignedBuffer<Int32>(count: 1, of: "the flag of a cancel"), cancelled = SharedFlag(flag.pointer)
        defer { withExtendedLifetime(flag) {} }
        var work = RowWork(
            kernels: try Kernels.table(nil), source: source.type, target: target.type, data: data,
            sourceRowBytes: source.type.rowBytes(columns) ?? 0, columns: columns, out: UnsafeMutableRawPointer(out.pointer),
            rowBytes: rowBytes, half: reorders ? h.headDimension / 2 : 0, floats: floats.pointer,
            floatStride: columns + scratchBytes / 4, pool: Unmanaged.passUnretained(pool), notFinite: notFinite.pointer,
            importance: importance == nil ? nil : UnsafePointer(weights.pointer), cancel: cancel, cancelled: cancelled)
        var first = 0
        while first < rows {
            work.first = first
            work.count = min(rowsAtOnce, rows - first)
            withUnsafeMutablePointer(to: &work) { work in
                pool.run(work) { context, thread, threads in
                    context.assumingMemoryBound(to: RowWork.self).pointee.run(thread, threads)
                }
            }
            try report(nil, cancelled.isSet)
            guard (0..<pool.threads).allSatisfy({ notFinite.pointer[64 * $0] == 0 }) else {
                throw Llama2Error(.corrupt, "tensor \(source.name) holds a value that is not finite, in rows \(first) to \(first + work.count - 1)")
            }
            try writer.write(UnsafeRawBufferPointer(start: out.pointer, count: work.count * rowBytes))
            first += work.count
            try report(Double(first) / Double(rows), false)
        }
        try writer.pad()
    }
}

/// Some rows of one tensor, taken one at a time by all threads.
private struct RowWork {
    let kernels: Kernels
    let source: BlockType, target: BlockType
    let data: UnsafeRawPointer, sourceRowBytes: Int, columns: Int
    let out: UnsafeMutableRawPointer, rowBytes: Int
    /// Half of a head's rows when Hugging Face's order is to become GGUF's; else 0.
    let half: Int
    let floats: UnsafeMutablePointer<Float>, floatStride: Int
    let pool: Unmanaged<ThreadPool>
    var first = 0, count = 0
    /// (threads, 64), the first of each not 0 when that thread met an infinity or NaN.
    let notFinite: UnsafeMutablePointer<UInt8>
    let importance: UnsafePointer<Float>?  // (columns)
    let cancel: CancelCallback?
    /// Set by thread 0, which is the host's, when that wants no more.
    let cancelled: SharedFlag

    func run(_ thread: Int, _ threads: Int) {
        let x = floats + thread &* floatStride
        // weights between two questions: a few milliseconds at most
        var unasked = 0
        var row = threads == 1 ? 0 : ticket()
        while row < count {
            if thread == 0, let cancel {
                unasked &+= columns
                if unasked >= 1 << 16 {
                    unasked = 0
                    if cancel.isCancelled { cancelled.set() }
                }
            }
            if cancelled.isSet { return }
            if !convert(row, x) { notFinite[64 &* thread] = 1 }
            row = threads == 1 ? row &+ 1 : ticket()
        }
    }

    private func ticket() -> Int { pool._withUnsafeGuaranteedRef { $0.ticket() } }

    /// False when the row holds something that integers cannot stand for.
    private func convert(_ index: Int, _ x: UnsafeMutablePointer<Float>) -> Bool {
        var row = first &+ index
        if half > 0 {
            // row 2 i + part of a head comes from row part * half + i
            let inHead = row % (2 &* half)
            row = row &- inHead &+ (inHead & 1) &* half &+ inHead / 2
        }
        kernels.dequantize(source, data + row &* sourceRowBytes, columns, x, scratch: x + columns)
        if !target.isFloat {
            for i in 0..<columns where !x[i].isFinite { return false }
        }
        kernels.quantize(
            target, x, importance: importance, count: columns, out + index &* rowBytes, scratch: x + columns)
        return true
    }
}
