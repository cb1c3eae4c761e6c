public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_context_options_init(_ options: UnsafeMutablePointer<llama2_context_options>?) { initialize(options) }

/// 0 stands for `usual`.
private func cacheType(_ name: StaticString, _ number: UInt32, _ usual: CacheType) throws(Llama2Error) -> CacheType {
    if number == 0 { return usual }
    guard let found = CacheType.allCases.first(where: { headerNumber($0) == number }) else {
        throw Llama2Error(.invalidArgument, "llama2_context_options.\(name) is \(number), expected 0 to 4")
    }
    return found
}

private func headerNumber(_ type: CacheType) -> UInt32 {
    switch type {
    case .f32: LLAMA2_KV_F32
    case .f16: LLAMA2_KV_F16
    case .q8_0: LLAMA2_KV_Q8_0
    case .q4_0: LLAMA2_KV_Q4_0
    }
}

/// RoPE scaling in place of the file's.
private func ropeOptions(_ o: llama2_context_options) throws(Llama2Error) -> RoPEOptions {
    func refuse(_ name: StaticString, _ value: String, _ expected: String) -> Llama2Error {
        Llama2Error(.invalidArgument, "llama2_context_options.\(name) is \(value), expected \(expected)")
    }
    /// 0 stands for `usual`.
    func number(_ name: StaticString, _ value: Float, _ range: ClosedRange<Double>, usual: Double, isOwn: Bool) throws(Llama2Error) -> Double {
        if value == 0 { return usual }
        guard isOwn else { throw refuse(name, "\(value)", "0 with this rope_scaling (\(o.rope_scaling))") }
        guard range.contains(Double(value)) else { throw refuse(name, "\(value)", "0 or \(range.lowerBound) to \(range.upperBound)") }
        return Double(value)
    }
    let kind = o.rope_scaling, isScaled = kind != 0 && kind != LLAMA2_ROPE_NONE
    let isLlama3 = kind == LLAMA2_ROPE_LLAMA3, isByTurns = kind == LLAMA2_ROPE_YARN || isLlama3
    guard kind <= LLAMA2_ROPE_LLAMA3 else { throw refuse("rope_scaling", "\(o.rope_scaling)", "0 to \(LLAMA2_ROPE_LLAMA3)") }
    guard o.rope_trained_length == 0 || isByTurns && o.rope_trained_length <= 1 << 30 else {
        throw refuse("rope_trained_length", "\(o.rope_trained_length)", "0, or with YaRN and llama3 up to \(1 << 30)")
    }
    guard !isScaled || o.rope_factor != 0 else { throw refuse("rope_factor", "0", "0.001 to 1000000 with this rope_scaling (\(kind))") }
    let factor = try number("rope_factor", o.rope_factor, 1e-3...1e6, usual: 1, isOwn: isScaled)
    var options = RoPEOptions(), scaling = RoPEScaling()
    if o.rope_base != 0 { options.base = try number("rope_base", o.rope_base, 1...1e12, usual: 0, isOwn: true) }
    scaling.attention = try number("rope_attention", o.rope_attention, 1e-3...1e3, usual: 1, isOwn: kind != 0)
    scaling.betaFast = try number("rope_beta_fast", o.rope_beta_fast, 1e-3...1e6, usual: isLlama3 ? 4 : 32, isOwn: isByTurns)
    scaling.betaSlow = try number("rope_beta_slow", o.rope_beta_slow, 1e-3...1e6, usual: 1, isOwn: isByTurns)
    guard !isLlama3 || scaling.betaFast > scaling.betaSlow else {
        throw refuse("rope_beta_fast", "\(scaling.betaFast)", "more than rope_beta_slow, \(scaling.betaSlow), with llama3")
    }
    scaling.trainedLength = Int(o.rope_trained_length)
    switch kind {
    case LLAMA2_ROPE_LINEAR: (scaling.kind, scaling.factor) = (.linear, factor)
    case LLAMA2_ROPE_NTK: scaling.alpha = factor
    case LLAMA2_ROPE_YARN: (scaling.kind, scaling.factor) = (.yarn, factor)
    case LLAMA2_ROPE_LLAMA3: (scaling.kind, scaling.factor) = (.llama3, factor)
    default: break
    }
    if kind != 0 { options.scaling = scaling }
    return options
}

/// The options with every default in its place.
private func configuration(
    _ given: UnsafePointer<llama2_context_options>?, _ h: Hyperparameters
) throws(Llama2Error) -> ContextConfiguration {
    let o = try options(given, zero: llama2_context_options(), "llama2_context_options")
    let f32 = UInt32(LLAMA2_CONTEXT_KV_F32)
    let embeddings = UInt32(LLAMA2_CONTEXT_EMBEDDINGS)
    let pinned = UInt32(LLAMA2_CONTEXT_PIN_THREADS)
    try checkFlags(o.flags, f32 | embeddings | pinned | UInt32(LLAMA2_CONTEXT_DETERMINISTIC), "llama2_context_options")
    guard o.reserved == 0 else { throw Llama2Error(.invalidArgument, "llama2_context_options.reserved is \(o.reserved), expected 0") }
    var c = ContextConfiguration(contextLength: o.context_length == 0 ? min(h.contextLength, 4096) : Int(o.context_length))
    if o.max_sequences != 0 { c.maxSequences = Int(o.max_sequences) }
    if let path = o.energy_path { c.energyPath = FilePath(path) }
    if o.batch_size != 0 { c.batchSize = Int(o.batch_size) }
    c.threads = o.threads == 0 ? min(ThreadPool.allowedCPUs, 1024) : Int(o.threads)
    c.keyType = try cacheType("type_k", o.type_k, o.flags & f32 == 0 ? .f16 : .f32)
    c.valueType = try cacheType("type_v", o.type_v, o.flags & f32 == 0 ? .f16 : .f32)
    c.embeddingsOnly = o.flags & embeddings != 0
    c.pinsThreads = o.flags & pinned != 0
    c.rope = try ropeOptions(o)
    if o.kernels != 0 {
        guard let isa = KernelISA(rawValue: Int32(bitPattern: o.kernels)) else {
            throw Llama2Error(.invalidArgument, "llama2_context_options.kernels is \(o.kernels), expected 0 to \(KernelISA.allCases.count)")
        }
        c.isa = isa
    }
    return c
}

@c @implementation
public func llama2_preflight(
    _ path: UnsafePointer<CChar>?, _ modelOptions: UnsafePointer<llama2_model_options>?,
    _ contextOptions: UnsafePointer<llama2_context_options>?, _ memory: UnsafeMutablePointer<llama2_memory>?,
    _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    call(error, capacity) { () throws(Llama2Error) in
        let arguments = try modelArguments(path, modelOptions)
        var loading = arguments.options
        if loading.memory == .interleavedCopy { try FileMemory.checkInterleaving() }
        loading.memory = .view
        let model = try Model(path: arguments.path, loading)
        let m = try Context.memory(of: model, try configuration(contextOptions, try model.hyperparameters))
        try fill(
            memory,
            with: llama2_memory(
                struct_size: 0, reserved: 0, model_bytes: UInt64(m.model), kv_bytes: UInt64(m.cache),
                work_bytes: UInt64(m.work), logits_bytes: UInt64(m.logits)), "llama2_memory")
    }
}

@c @implementation
public func llama2_context_create(
    _ model: OpaquePointer?, _ options: UnsafePointer<llama2_context_options>?,
    _ context: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    call(error, capacity) { () throws(Llama2Error) in
        let context = try required(context, "context")
        context.pointee = nil
        let model = try Handles.model(model)
        let c = try configuration(options, try model.hyperparameters)
        context.pointee = try Handles.make(try Context(model: model, configuration: c), .context)
    }
}

@c @implementation
public func llama2_context_free(_ context: OpaquePointer?) { Handles.free(context, .context) }

@c @implementation
public func llama2_context_get_info(_ context: OpaquePointer?, _ info: UnsafeMutablePointer<llama2_context_info>?) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let i = context.info, c = i.configuration
        try fill(
            info,
            with: llama2_context_info(
                struct_size: 0, context_length: UInt32(c.contextLength), max_sequences: UInt32(c.maxSequences),
                batch_size: UInt32(c.batchSize), threads: UInt32(c.threads), kernels: UInt32(bitPattern: i.isa),
                flags: (c.keyType == .f32 && c.valueType == .f32 ? UInt32(LLAMA2_CONTEXT_KV_F32) : 0)
                    | (c.embeddingsOnly ? UInt32(LLAMA2_CONTEXT_EMBEDDINGS) : 0) | (c.pinsThreads ? UInt32(LLAMA2_CONTEXT_PIN_THREADS) : 0),
                reserved: 0,
                memory_bytes: UInt64(i.memoryBytes), pages: UInt64(i.pages), pages_used: UInt64(i.pagesUsed),
                pages_shared: UInt64(i.pagesShared), pages_cached: UInt64(i.pagesCached), positions: UInt64(i.positions), type_k: headerNumber(c.keyType),
                type_v: headerNumber(c.valueType)), "llama2_context_info"
        )
    }
}

@c @implementation
public func llama2_context_last_error(_ context: OpaquePointer?) -> UnsafePointer<CChar>? {
    guard let context = try? Handles.context(context) else { return cString("this is no llama2_context, or one that was freed") }
    return UnsafePointer(context.errorText)
}

@c @implementation
public func llama2_context_reset(_ context: OpaquePointer?) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in context.reset() }
}

@c @implementation
public func llama2_context_set_cancel(
    _ context: OpaquePointer?, _ callback: llama2_cancel_callback?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        context.setCancel(callback, userData)
    }
}

@c @implementation
public func llama2_cancel_flag(_ userData: UnsafeMutableRawPointer?) -> Int32 {
    userData.map { SharedFlag.isSet(at: $0) ? 1 : 0 } ?? 0
}

@c @implementation
public func llama2_eval(_ context: OpaquePointer?, _ tokens: UnsafePointer<Int32>?, _ count: Int) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        try context.eval(tokens: try elements(tokens, count, "tokens"))
    }
}

@c @implementation
public func llama2_eval_batch(_ context: OpaquePointer?, _ entries: UnsafePointer<llama2_batch_entry>?, _ count: Int) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let entries = try elements(entries, count, "entries")
        try context.eval(count: entries.count) { (i) throws(Llama2Error) in
            try batchEntry(entries[i])
        }
    }
}

@c @implementation
public func llama2_eval_layers(
    _ context: OpaquePointer?, _ entries: UnsafePointer<llama2_batch_entry>?, _ count: Int, _ hiddenIn: UnsafePointer<Float>?,
    _ hiddenOut: UnsafeMutablePointer<Float>?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let entries = try elements(entries, count, "entries")
        try context.eval(count: entries.count, hidden: HiddenStates(input: hiddenIn, output: hiddenOut)) { (i) throws(Llama2Error) in
            try batchEntry(entries[i])
        }
    }
}

private func batchEntry(_ entry: llama2_batch_entry) throws(Llama2Error) -> BatchEntry {
    try checkFlags(entry.flags, UInt32(LLAMA2_BATCH_LOGITS), "llama2_batch_entry")
    return BatchEntry(token: entry.token, sequence: entry.sequence, wantsLogits: entry.flags != 0)
}

@c @implementation
public func llama2_logits_rows(_ context: OpaquePointer?, _ rows: UnsafeMutablePointer<Int>?) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        try required(rows, "rows").pointee = context.logitsRows
    }
}

@c @implementation
public func llama2_logits(
    _ context: OpaquePointer?, _ row: Int, _ logits: UnsafeMutablePointer<UnsafePointer<Float>?>?,
    _ count: UnsafeMutablePointer<Int>?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let logits = try required(logits, "logits"), count = try required(count, "count")
        let values = try context.logits(row)
        logits.pointee = values.baseAddress
        count.pointee = values.count
    }
}

@c @implementation
public func llama2_context_timings(_ context: OpaquePointer?, _ timings: UnsafeMutablePointer<llama2_timings>?) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let t = context.timings
        try fill(
            timings,
            with: llama2_timings(
                struct_size: 0, reserved: 0, prefill_tokens: UInt64(clamping: t.prefill.tokens),
                prefill_nanoseconds: UInt64(clamping: t.prefill.nanoseconds), decode_tokens: UInt64(clamping: t.decode.tokens),
                decode_nanoseconds: UInt64(clamping: t.decode.nanoseconds),
                prefill_cpu_nanoseconds: UInt64(clamping: t.prefill.cpuNanoseconds),
                decode_cpu_nanoseconds: UInt64(clamping: t.decode.cpuNanoseconds),
                prefill_microjoules: UInt64(clamping: t.prefill.microjoules), decode_microjoules: UInt64(clamping: t.decode.microjoules),
                energy_zones: UInt32(clamping: t.energyZones), reserved_2: 0), "llama2_timings")
    }
}
