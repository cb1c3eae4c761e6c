public import Llama2Core
internal import Llama2Formats
internal import Llama2Kernels
internal import Llama2Model

/// Writes a model of any format as GGUF, its matrices in other types. Converting is the same with a float type.
public struct Quantizer {
    public var fileType: FileType
    /// (pattern, type): the first pattern that a tensor's name contains decides.
    public var overrides: [(pattern: ByteText, type: BlockType)] = []
    /// The file of an importance matrix: columns that matter more get smaller errors, in the K types.
    public var importancePath: FilePath?
    public var threads = 1
    /// Positions that the model was trained on, see `LoadOptions`.
    public var contextLength: Int?
    /// An adapter that becomes part of the weights, and what it counts.
    public var adapter: (path: FilePath, scale: Float)?
    /// A matrix with a weight that would be infinite in its type gets a wider one, and is not refused.
    public var keepsWider = false
    /// After every piece, with the part that is done; true to stop.
    public var progress: ((Double) -> Bool)?
    /// Asked after every few rows.
    public var cancel: CancelCallback?

    /// Rows are quantized and written about this many bytes at a time.
    private static let pieceBytes = 8 << 20

    public init(_ fileType: FileType) { self.fileType = fileType }

    public func run(from path: FilePath, to output: FilePath) throws(Llama2Error) {
        let weights = try Weights(file: try ModelFile.open(path: path, LoadOptions(contextLength: contextLength))), file = weights.file
        try MemoryReserve.cover(tensors: file.tensors.count, for: "\(file.tensors.count) tensors")
        try MemoryReserve.cover(keys: file.metadata.keys.count, for: "metadata")
        var jobs = try plan(weights)
        let merge = try adapter.map { (adapter) throws(Llama2Error) in try Merge(adapter.path, adapter.scale, weights) }
        var importance: [ByteText: [Float]] = [:]
        if let importancePath { importance = try ImportanceFile.read(importancePath) }
        if let stranger = importance.keys.filter({ file.tensor($0) == nil }).min() {
            throw Llama2Error(.corrupt, "\(importancePath?.description ?? ""): \(stranger) is no tensor of \(path): the importance matrix of another model")
        }
        for job in jobs {
            guard let list = importance[job.source.name], list.count != job.source.columns else { continue }
            throw Llama2Error(
                .corrupt, "\(importancePath?.description ?? ""): \(job.source.name) has \(list.count) columns, the model's has \(job.source.columns)")
        }
        guard importancePath == nil || jobs.contains(where: { $0.target.type.weighsColumns && !$0.isAtAnEnd }) else {
            throw Llama2Error(.invalidArgument, "an importance matrix is for K types, and no matrix of a layer becomes one in \(fileType.name)")
        }
        var metadata = file.metadata
        // what is written is one file, with the tensors where the writer's own alignment puts them
        for key in [.splitIndex, .splitCount, .splitTensors, .alignment] as [MetadataKey] { metadata.remove(key) }
        // GGUF has no such kind; within the trained length it is no scaling
        if weights.hyperparameters.ropeScaling.endsAtTrainedLength {
            for key in [.ropeScalingType, .ropeOriginalContextLength] as [MetadataKey] { metadata.remove(key) }
        }
        metadata.set(.fileType, fileType.number)
        metadata.set(.quantizationVersion, 2)
        let pool = try ThreadPool(threads: threads)
        defer { pool.shutdown() }
        if keepsWider { try widen(&jobs, merge, pool) }
        let writer = try GGUFWriter(path: output, metadata: metadata, tensors: jobs.map(\.target))
        let total = jobs.reduce(0.0) { $0 + Double($1.source.data.count) }
        func goOn(_ isUnwanted: Bool) throws(Llama2Error) {
            // parent and child share the place in the file
            guard !pool.isOrphan else { throw Llama2Error(.forked, "the callback forked: \(output) is the parent's to write") }
            guard !isUnwanted else { throw Llama2Error(.cancelled, "cancelled; \(output) is as it was") }
        }
        var done = 0.0
        for job in jobs {
            try convert(job, importance[job.source.name], merge?.of(job.source.name), weights.hyperparameters, file.rotatesHalves, pool, writer) {
                (part, isCancelled) throws(Llama2Error) in
                try goOn(isCancelled || part.map { progress?((done + $0 * Double(job.source.data.count)) / max(total, 1)) ?? false } ?? false)
            }
            done += Double(job.source.data.count)
        }
        try writer.finish { () throws(Llama2Error) in try goOn(cancel?.isCancelled ?? false) }
    }

    private func convert(
        _ job: Job, _ importance: [Float]?, _ addition: Merge.Addition?, _ h: Hyperparameters, _ rotatesHalves: Bool, _ pool: ThreadPool, _ writer: GGUFWriter,
        _ report: (_ part: Double?, _ isCancelled: Bool) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        let source = job.source, target = job.target
        guard let data = source.data.baseAddress else { throw Llama2Error(.corrupt, "tensor \(source.name) is empty") }
        let reorders = rotatesHalves && (source.name.hasSuffix("attn_q.weight") || source.name.hasSuffix("attn_k.weight"))
        if rotatesHalves && (source.name.hasSuffix("attn_q.bias") || source.name.hasSuffix("attn_k.bias")) {
            try writePairs(source, h.headDimension / 2, writer)
            return try report(1, false)
        }
        if source.type == target.type && !reorders && addition == nil {
            var first = 0
            while first < source.data.count {
                let count = min(Quantizer.pieceBytes, source.data.count - first)
                try WrittenValues.check(source, from: first, count: count)
                try writer.write(UnsafeRawBufferPointer(rebasing: source.data[first..<(first + count)]).bytes)
                first += count
                try report(Double(first) / Double(source.data.count), cancel?.isCancelled ?? false)
            }
            return try writer.pad()
        }
        let rows = source.rows, columns = source.columns, rowBytes = target.size / rows
        let rowsAtOnce = max(1, min(rows, Quantizer.pieceBytes / max(rowBytes, columns)))
        let out = try AlignedBuffer<UInt8>(count: try checkedMultiply(rowsAtOnce, rowBytes, "rows of \(source.name)"), of: "quantized rows")
        let scratchBytes = max(Kernels.quantizeScratchBytes, Kernels.dequantizeScratchBytes)
        let floats = try AlignedBuffer<Float>(
            count: try checkedMultiply(pool.threads, 2 * columns + scratchBytes / 4, "rows of \(source.name)"), of: "rows")
        // an owned copy: plain memory is all that the threads see
        let weights = try AlignedBuffer<Float>(count: importance?.count ?? 0, of: "importance")
        if let importance {
            let scale = WrittenValues.scale(importance)
            for i in 0..<columns { weights.pointer[i] = importance[i] * scale }
        }
        let lost = try AlignedBuffer<LostValue>(count: pool.threads, of: "flags")
        for thread in 0..<pool.threads { lost.pointer[thread] = LostValue() }
        let flag = try AlignedBuffer<Int32>(count: 1, of: "the flag of a cancel"), cancelled = SharedFlag(flag.pointer)
        defer { withExtendedLifetime(flag) {} }
        var work = RowWork(
            kernels: try Kernels.table(nil), source: source.type, target: target.type, data: data,
            sourceRowBytes: source.type.rowBytes(columns) ?? 0, columns: columns, out: UnsafeMutableRawPointer(out.pointer),
            rowBytes: rowBytes, half: reorders ? h.headDimension / 2 : 0, floats: floats.pointer,
            floatStride: 2 * columns + scratchBytes / 4, pool: Unmanaged.passUnretained(pool), lost: lost.pointer,
            importance: importance == nil ? nil : UnsafePointer(weights.pointer), cancel: cancel, cancelled: cancelled)
        work.addition = addition
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
            if let problem = firstLost(lost.pointer, pool.threads) { throw problem.error(source.name, target.type) }
            try writer.write(UnsafeRawBufferPointer(start: out.pointer, count: work.count * rowBytes).bytes)
            first += work.count
            try report(Double(first) / Double(rows), false)
        }
        try writer.pad()
    }
}

extension Quantizer {
    private func firstLost(_ list: UnsafePointer<LostValue>, _ threads: Int) -> LostValue? {
        (0..<threads).map { list[$0] }.filter { $0.kind != .none }.min { $0.row < $1.row }
    }

    /// A bias of q or k in GGUF's order: element 2 i + part of a head is Hugging Face's part * half + i.
    private func writePairs(_ source: TensorInfo, _ half: Int, _ writer: GGUFWriter) throws(Llama2Error) {
        try WrittenValues.check(source, from: 0, count: source.data.count)
        let count = source.columns
        guard source.type == .f32, half > 0, count % (2 * half) == 0, let base = source.data.baseAddress else {
            throw Llama2Error(.corrupt, "tensor \(source.name) has \(count) values, not a whole number of heads of \(2 * half)")
        }
        let turned = try AlignedBuffer<Float>(count: count, of: "a bias")
        for i in 0..<count {
            turned.pointer[i] = base.loadUnaligned(fromByteOffset: 4 * HeadRows.inHalves(i, half: half), as: Float.self)
        }
        try writer.write(UnsafeRawBufferPointer(start: turned.pointer, count: 4 * count).bytes)
        try writer.pad()
    }

    /// Other types for the matrices that theirs cannot hold: every weight is looked at before the first is written.
    private func widen(_ jobs: inout [Job], _ merge: Merge?, _ pool: ThreadPool) throws(Llama2Error) {
        for (index, job) in jobs.enumerated() where job.source.type != job.target.type && job.target.type != .f32 {
            let source = job.source, rows = source.rows, columns = source.columns
            guard let data = source.data.baseAddress else { throw Llama2Error(.corrupt, "tensor \(source.name) is empty") }
            let rowBytes = job.target.size / rows, scratchBytes = max(Kernels.quantizeScratchBytes, Kernels.dequantizeScratchBytes)
            let out = try AlignedBuffer<UInt8>(count: try checkedMultiply(pool.threads, rowBytes, "a row of \(source.name)"), of: "quantized rows")
            let floats = try AlignedBuffer<Float>(
                count: try checkedMultiply(pool.threads, 2 * columns + scratchBytes / 4, "rows of \(source.name)"), of: "rows")
            let lost = try AlignedBuffer<LostValue>(count: pool.threads, of: "flags")
            for thread in 0..<pool.threads { lost.pointer[thread] = LostValue() }
            let flag = try AlignedBuffer<Int32>(count: 1, of: "the flag of a cancel"), cancelled = SharedFlag(flag.pointer)
            defer { withExtendedLifetime(flag) {} }
            var work = RowWork(
                kernels: try Kernels.table(nil), source: source.type, target: job.target.type, data: data,
                sourceRowBytes: source.type.rowBytes(columns) ?? 0, columns: columns, out: UnsafeMutableRawPointer(out.pointer),
                rowBytes: rowBytes, half: 0, floats: floats.pointer, floatStride: 2 * columns + scratchBytes / 4,
                pool: Unmanaged.passUnretained(pool), lost: lost.pointer, importance: nil, cancel: cancel, cancelled: cancelled)
            work.isProbe = true
            work.addition = merge?.of(source.name)
            work.count = rows
            withUnsafeMutablePointer(to: &work) { work in
                pool.run(work) { context, thread, threads in
                    context.assumingMemoryBound(to: RowWork.self).pointee.run(thread, threads)
                }
            }
            guard !cancelled.isSet else { throw Llama2Error(.cancelled, "cancelled; nothing was written") }
            guard let problem = firstLost(lost.pointer, pool.threads) else { continue }
            guard problem.kind == .beyondType else { throw problem.error(source.name, job.target.type) }
            let type = WrittenValues.wider(than: job.target.type, source: source.type)
            jobs[index] = Job(source: source, target: try GGUFWriter.Tensor(name: source.name, type: type, shape: source.shape))
        }
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
    /// (threads): what each met first that cannot be written.
    let lost: UnsafeMutablePointer<LostValue>
    let importance: UnsafePointer<Float>?  // (columns)
    let cancel: CancelCallback?
    /// Set by thread 0, which is the host's, when that wants no more.
    let cancelled: SharedFlag
    /// Nothing is kept: `out` has a row for each thread. Only rows that may be lost are made.
    var isProbe = false
    var addition: Merge.Addition?

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
            convert(row, x, thread)
            row = threads == 1 ? row &+ 1 : ticket()
        }
    }

    private func ticket() -> Int { pool._withUnsafeGuaranteedRef { $0.ticket() } }

    private func convert(_ index: Int, _ x: UnsafeMutablePointer<Float>, _ thread: Int) {
        var row = first &+ index
        if half > 0 { row = HeadRows.inHalves(row, half: half) }
        let y = x + columns, scratch = UnsafeMutableRawPointer(y + columns)
        kernels.dequantize(source, data + row &* sourceRowBytes, columns, x, scratch: scratch)
        addition?.add(row, to: x)
        var bad = 0
        guard let largest = WrittenValues.largest(x, columns, bad: &bad) else { return report(.notFinite, row, bad, x[bad], thread) }
        if isProbe && largest <= WrittenValues.largestHalf { return }
        let written = out + (isProbe ? thread : index) &* rowBytes
        kernels.quantize(target, x, importance: importance, count: columns, written, scratch: scratch)
        guard largest > WrittenValues.largestHalf, target != .f32,
            let column = WrittenValues.firstLost(kernels, target, written, columns, y, scratch: scratch)
        else { return }
        report(.beyondType, row, column, x[column], thread)
    }

    /// The first row of a thread counts.
    private func report(_ kind: LostValue.Kind, _ row: Int, _ column: Int, _ value: Float, _ thread: Int) {
        if lost[thread].kind == .none || row < lost[thread].row { lost[thread] = LostValue(kind: kind, row: row, column: column, value: value) }
    }
}
