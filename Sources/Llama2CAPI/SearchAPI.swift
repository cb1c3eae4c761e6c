public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

/// Whether `capacity` tokens are enough for `count` texts of `maxTokens`; a product beyond 63 bits is never enough.
private func checkRoom(_ count: Int, _ maxTokens: Int, _ capacity: Int) throws(Llama2Error) {
    let (needed, overflow) = count.multipliedReportingOverflow(by: maxTokens)
    guard !overflow, needed <= (capacity < 0 ? Int.max : capacity) else {
        throw Llama2Error(.bufferTooSmall, "\(count) texts of at most \(maxTokens) tokens; there is room for \(UInt(bitPattern: capacity)) tokens")
    }
}

private func write(_ text: FoundText, _ index: Int, to target: UnsafeMutablePointer<llama2_found>) {
    target.pointee = llama2_found(
        first: UInt64(text.first), count: UInt64(text.count), score: text.score, reason: text.end.rawValue, index: UInt32(truncatingIfNeeded: index))
}

private func searchOptions(_ given: UnsafePointer<llama2_search_options>?) throws(Llama2Error) -> llama2_search_options {
    let o = try options(given, zero: llama2_search_options(), "llama2_search_options")
    guard o.reserved == 0 else { throw Llama2Error(.invalidArgument, "llama2_search_options.reserved is \(o.reserved), expected 0") }
    return o
}

@c @implementation
public func llama2_beam_search(
    _ context: OpaquePointer?, _ given: UnsafePointer<llama2_search_options>?, _ found: UnsafeMutablePointer<llama2_found>?, _ count: Int,
    _ tokens: UnsafeMutablePointer<Int32>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let o = try searchOptions(given), needed = try required(needed, "needed"), prompt = try elements(o.prompt, o.prompt_count, "prompt")
        let found = try required(found, "found"), tokens = try required(tokens, "tokens")
        let full = UInt32(LLAMA2_SEARCH_STOP_FULL), exact = UInt32(LLAMA2_SEARCH_STOP_EXACT)
        try checkFlags(o.flags, full | exact, "llama2_search_options")
        guard o.flags != full | exact else {
            throw Llama2Error(.invalidArgument, "LLAMA2_SEARCH_STOP_FULL and LLAMA2_SEARCH_STOP_EXACT exclude each other")
        }
        var search = BeamOptions()
        search.maxTokens = Int(clamping: o.max_tokens)
        if o.width > 0 { search.width = Int(o.width) }
        search.lengthPenalty = o.length_penalty
        search.stop = o.flags == full ? .whenFull : o.flags == exact ? .whenNoneIsPossible : .whenNoneIsLikely
        guard (1...search.width).contains(count) else {
            throw Llama2Error(.invalidArgument, "found_count is \(UInt(bitPattern: count)), expected 1 to the width, \(search.width)")
        }
        try context.checkSearch(prompt, maxTokens: search.maxTokens)
        try checkRoom(count, search.maxTokens, capacity)
        let texts = try context.beamSearch(prompt, search, wanted: count, tokens)
        for (place, text) in texts.enumerated() { write(text, 0, to: found + place) }
        needed.pointee = texts.count
    }
}

@c @implementation
public func llama2_best_of(
    _ context: OpaquePointer?, _ given: UnsafePointer<llama2_search_options>?, _ samplers: UnsafePointer<OpaquePointer?>?, _ count: Int,
    _ found: UnsafeMutablePointer<llama2_found>?, _ tokens: UnsafeMutablePointer<Int32>?, _ capacity: Int
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let o = try searchOptions(given), prompt = try elements(o.prompt, o.prompt_count, "prompt")
        let found = try required(found, "found"), tokens = try required(tokens, "tokens")
        try checkFlags(o.flags, 0, "llama2_search_options of llama2_best_of")
        guard o.width == 0, o.length_penalty == 0 else {
            throw Llama2Error(.invalidArgument, "llama2_best_of has no beams: width is \(o.width) and length_penalty \(o.length_penalty), expected 0")
        }
        guard (1...Context.mostSideBySide).contains(count) else {
            throw Llama2Error(.invalidArgument, "\(UInt(bitPattern: count)) samplers, expected 1 to \(Context.mostSideBySide)")
        }
        var boxes: [SamplerBox] = []
        for handle in try elements(try required(samplers, "samplers"), count, "samplers") { boxes.append(try Handles.sampler(handle)) }
        let maxTokens = Int(clamping: o.max_tokens)
        try context.checkSearch(prompt, maxTokens: maxTokens)
        try checkRoom(count, maxTokens, capacity)
        let texts = try context.bestOf(prompt, boxes, maxTokens: maxTokens, tokens)
        for (place, text) in texts.enumerated() { write(text.text, text.sampler, to: found + place) }
    }
}

@c @implementation
public func llama2_guide_logits(
    _ wanted: UnsafePointer<Float>?, _ unwanted: UnsafePointer<Float>?, _ count: Int, _ scale: Float, _ mixed: UnsafeMutablePointer<Float>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let mixed = try required(mixed, "mixed")
        let first = try elements(try required(wanted, "wanted"), count, "wanted")
        let second = try elements(try required(unwanted, "unwanted"), count, "unwanted")
        try guide(first, second, scale: scale, mixed)
    }
}
