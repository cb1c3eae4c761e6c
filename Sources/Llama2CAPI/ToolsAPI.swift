public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_quantize_options_init(_ options: UnsafeMutablePointer<llama2_quantize_options>?) { initialize(options) }

@c @implementation
public func llama2_quantize(
    _ path: UnsafePointer<CChar>?, _ output: UnsafePointer<CChar>?, _ options: UnsafePointer<llama2_quantize_options>?,
    _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    quantize(path, output, options, FileType.all, usual: "Q4_K_M", error, capacity)
}

@c @implementation
public func llama2_convert(
    _ path: UnsafePointer<CChar>?, _ output: UnsafePointer<CChar>?, _ options: UnsafePointer<llama2_quantize_options>?,
    _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    quantize(path, output, options, [BlockType.f32, .f16, .bf16, .q8_0].compactMap { FileType($0) }, usual: "F16", error, capacity)
}

private func quantize(
    _ path: UnsafePointer<CChar>?, _ output: UnsafePointer<CChar>?, _ given: UnsafePointer<llama2_quantize_options>?,
    _ known: [FileType], usual: String, _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    call(error, capacity) { (host: FloatMode) throws(Llama2Error) in
        let path = FilePath(try required(path, "path")), output = FilePath(try required(output, "output"))
        let o = try options(given, zero: llama2_quantize_options(), "llama2_quantize_options")
        try checkFlags(o.flags, UInt32(LLAMA2_QUANTIZE_KEEP_WIDER), "llama2_quantize_options")
        guard o.reserved_2 == 0 else { throw Llama2Error(.invalidArgument, "llama2_quantize_options.reserved_2 is \(o.reserved_2), expected 0") }
        guard o.reserved == 0 else { throw Llama2Error(.invalidArgument, "llama2_quantize_options.reserved is \(o.reserved), expected 0") }
        guard o.threads <= 1024 else { throw Llama2Error(.invalidArgument, "\(o.threads) threads, expected at most 1024") }
        guard (0...1024).contains(o.override_count) else {
            throw Llama2Error(.invalidArgument, "\(UInt(bitPattern: o.override_count)) overrides, expected at most 1024")
        }
        let name = o.type.map { ByteText(FilePath($0).bytes) } ?? ByteText(usual)
        guard let type = known.first(where: { ByteText($0.name) == name }) else {
            throw Llama2Error(
                .invalidArgument, "type \"\(ByteText(name.bytes.prefix(100)))\", expected one of \(known.map(\.name).joined(separator: ", "))")
        }
        var quantizer = Quantizer(type)
        quantizer.keepsWider = o.flags & UInt32(LLAMA2_QUANTIZE_KEEP_WIDER) != 0
        quantizer.contextLength = try trainedLength(o.context_length)
        quantizer.threads = o.threads == 0 ? ThreadPool.allowedCPUs : Int(o.threads)
        for override in try elements(o.overrides, o.override_count, "overrides") {
            let name = ByteText(FilePath(try required(override.type, "the type of an override")).bytes)
            guard let type = BlockType.allCases.first(where: { ByteText($0.name) == name }) else {
                throw Llama2Error(.invalidArgument, "the type of an override is \"\(ByteText(name.bytes.prefix(100)))\", which is none")
            }
            guard let pattern = String(validatingCString: try required(override.pattern, "the pattern of an override")) else {
                throw Llama2Error(.invalidArgument, "the pattern of override \(quantizer.overrides.count) is not UTF-8")
            }
            quantizer.overrides.append((ByteText(pattern), type))
        }
        guard o.reserved_3 == 0 else { throw Llama2Error(.invalidArgument, "llama2_quantize_options.reserved_3 is \(o.reserved_3), expected 0") }
        guard o.adapter_scale.isFinite else { throw Llama2Error(.invalidArgument, "llama2_quantize_options.adapter_scale is \(o.adapter_scale)") }
        guard o.adapter != nil || o.adapter_scale == 0 else {
            throw Llama2Error(.invalidArgument, "llama2_quantize_options.adapter_scale is \(o.adapter_scale), expected 0 without an adapter")
        }
        quantizer.adapter = o.adapter.map { (FilePath($0), o.adapter_scale == 0 ? 1 : o.adapter_scale) }
        quantizer.importancePath = o.importance.map { FilePath($0) }
        if let progress = o.progress {
            let userData = o.user_data
            quantizer.progress = { part in host.callback { progress(part, userData) != 0 } }
        }
        if let cancel = o.cancel { quantizer.cancel = CancelCallback(cancel, o.cancel_data, host) }
        try quantizer.run(from: path, to: output)
    }
}

@c @implementation
public func llama2_importance(
    _ context: OpaquePointer?, _ tokens: UnsafePointer<Int32>?, _ count: Int, _ window: Int,
    _ output: UnsafePointer<CChar>?, _ progress: llama2_progress_callback?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let output = FilePath(try required(output, "output"))
        let length = window == 0 ? context.configuration.contextLength : window
        try context.importance(try elements(tokens, count, "tokens"), window: length, to: output) { part in
            guard let progress else { return false }
            return context.hostMode.callback { progress(part, userData) != 0 }
        }
    }
}

private func result(_ p: Perplexity) -> llama2_perplexity_result {
    llama2_perplexity_result(
        struct_size: UInt32(MemoryLayout<llama2_perplexity_result>.size), windows: UInt32(clamping: p.windows),
        perplexity: p.value, mean: p.mean, standard_error: p.standardError, tokens: UInt64(p.tokens))
}

@c @implementation
public func llama2_perplexity(
    _ context: OpaquePointer?, _ tokens: UnsafePointer<Int32>?, _ count: Int, _ window: Int,
    _ callback: llama2_perplexity_callback?, _ userData: UnsafeMutableRawPointer?,
    _ out: UnsafeMutablePointer<llama2_perplexity_result>?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        try checkFill(out, "llama2_perplexity_result")
        let length = window == 0 ? context.configuration.contextLength : window
        let found = try context.perplexity(try elements(tokens, count, "tokens"), window: length) { soFar, windows in
            guard let callback else { return true }
            var r = result(soFar)
            return context.hostMode.callback { callback(&r, windows, userData) == 0 }
        }
        try fill(out, with: result(found), "llama2_perplexity_result")
    }
}

@c @implementation
public func llama2_score(
    _ context: OpaquePointer?, _ prompt: UnsafePointer<Int32>?, _ promptCount: Int, _ continuation: UnsafePointer<Int32>?,
    _ continuationCount: Int, _ logProbabilities: UnsafeMutablePointer<Float>?, _ isBest: UnsafeMutablePointer<UInt8>?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let prompt = try elements(prompt, promptCount, "prompt")
        let continuation = try elements(continuation, continuationCount, "continuation")
        let out = try required(logProbabilities, "log_probabilities")
        try context.score(prompt: prompt, continuation: continuation) { index, value, best in
            out[index] = Float(value)
            if let isBest { isBest[index] = best ? 1 : 0 }
        }
    }
}
