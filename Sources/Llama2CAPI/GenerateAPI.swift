public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_generate_options_init(_ options: UnsafeMutablePointer<llama2_generate_options>?) { initialize(options) }

func stopStrings(_ given: UnsafePointer<llama2_text>?, _ count: Int) throws(Llama2Error) -> [[UInt8]] {
    guard count >= 0, count <= 64 else {
        throw Llama2Error(.invalidArgument, "\(UInt(bitPattern: count)) stop strings, expected at most 64")
    }
    var stops: [[UInt8]] = []
    for stop in try elements(given, count, "stops") {
        let bytes = try text(stop.data, stop.length, "a stop string")
        guard bytes.count <= 4096 else { throw Llama2Error(.invalidArgument, "a stop string of \(bytes.count) bytes, expected at most 4096") }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw Llama2Error(.invalidArgument, "stop string \(stops.count) is not UTF-8")
        }
        stops.append(Array(bytes))
    }
    return stops
}

@c @implementation
public func llama2_generate(
    _ context: OpaquePointer?, _ sampler: OpaquePointer?, _ given: UnsafePointer<llama2_generate_options>?,
    _ callback: llama2_piece_callback?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let sampler = try Handles.sampler(sampler)
        let o = try options(given, zero: llama2_generate_options(), "llama2_generate_options")
        let penalizesPrompt = UInt32(LLAMA2_GENERATE_PENALIZE_PROMPT), noAdopt = UInt32(LLAMA2_GENERATE_NO_ADOPT)
        let noGuess = UInt32(LLAMA2_GENERATE_NO_GUESS), complete = UInt32(LLAMA2_GENERATE_COMPLETE)
        let shift = UInt32(LLAMA2_GENERATE_SHIFT), logProbs = UInt32(LLAMA2_GENERATE_LOGPROBS), echo = UInt32(LLAMA2_GENERATE_ECHO)
        try checkFlags(o.flags, penalizesPrompt | noAdopt | shift | logProbs | echo | noGuess | complete, "llama2_generate_options")
        guard o.reserved == 0 else { throw Llama2Error(.invalidArgument, "llama2_generate_options.reserved is \(o.reserved), expected 0") }
        guard o.token_callback != nil || o.flags & (logProbs | echo) == 0 else {
            throw Llama2Error(.invalidArgument, "LLAMA2_GENERATE_LOGPROBS and LLAMA2_GENERATE_ECHO need a token_callback")
        }
        guard o.draft == nil || o.flags & noGuess == 0 else {
            throw Llama2Error(.invalidArgument, "a draft with LLAMA2_GENERATE_NO_GUESS: there is nothing that it could guess")
        }
        let draft: Context? = if let draft = o.draft { try Handles.context(draft) } else { nil }
        let probabilities = try logProbabilities(o.flags & logProbs != 0, best: o.best, "LLAMA2_GENERATE_LOGPROBS")
        let stops = try stopStrings(o.stops, o.stop_count), prompt = try elements(o.prompt, o.prompt_count, "prompt")
        var progress = Generation()
        if let result = o.result { try report(progress, to: result) }
        defer { if let result = o.result { try? report(progress, to: result) } }
        try context.generate(
            sampler, prompt: prompt, adopts: o.flags & noAdopt == 0, guesses: o.flags & noGuess == 0, draft: draft,
            shiftKeep: o.flags & shift == 0 ? nil : o.shift_keep == 0 ? Context.keptByShift : Int(clamping: o.shift_keep),
            penalizesPrompt: o.flags & penalizesPrompt != 0, stops: stops,
            maxTokens: o.max_tokens == 0 ? Int.max : Int(clamping: o.max_tokens), completes: o.flags & complete != 0,
            logProbabilities: probabilities, echo: o.flags & echo != 0, progress: &progress,
            tell: tokenReports(o, context)
        ) { piece in
            guard let callback else { return true }
            return context.hostMode.callback {
                callback(piece.bindMemory(to: CChar.self).baseAddress, piece.count, userData) == 0
            }
        }
    }
}

/// Hands reports to the host's callback, if it has one.
private func tokenReports(_ o: llama2_generate_options, _ context: Context) -> Completion.Tell? {
    guard let callback = o.token_callback else { return nil }
    let data = o.token_data
    return { report in
        withUnsafePointer(to: tokenReport(report)) { raw in context.hostMode.callback { callback(raw, data) == 0 } }
    }
}

/// flag: whether they are asked for; name: the flag's.
func logProbabilities(_ flag: Bool, best: UInt32, _ name: StaticString) throws(Llama2Error) -> LogProbabilities? {
    guard best == 0 || flag else { throw Llama2Error(.invalidArgument, "the \(best) best tokens without \(name)") }
    return flag ? try LogProbabilities(best: Int(best)) : nil
}

/// Points to what the report points to.
func tokenReport(_ report: Completion.Report) -> llama2_token_report {
    func list(_ rows: UnsafeBufferPointer<Candidate>?) -> UnsafeBufferPointer<llama2_candidate> {
        UnsafeRawBufferPointer(rows ?? UnsafeBufferPointer(start: nil, count: 0)).bindMemory(to: llama2_candidate.self)
    }
    let best = list(report.probabilities?.bestBefore), after = list(report.probabilities?.bestAfter)
    var raw = llama2_token_report()
    raw.token = report.token
    raw.reason = report.end?.rawValue ?? 0
    raw.is_of_prompt = report.isOfPrompt ? 1 : 0
    raw.log_probability = report.probabilities?.before ?? .nan
    raw.log_probability_after = report.probabilities?.after ?? .nan
    (raw.text, raw.text_length) = (report.text.bindMemory(to: CChar.self).baseAddress, report.text.count)
    (raw.best, raw.best_count) = (best.baseAddress, best.count)
    (raw.best_after, raw.best_after_count) = (after.baseAddress, after.count)
    raw.nanoseconds = UInt64(max(report.nanoseconds, 0))
    return raw
}

private func report(_ progress: Generation, to result: UnsafeMutablePointer<llama2_generate_result>) throws(Llama2Error) {
    try fill(
        result,
        with: llama2_generate_result(
            struct_size: 0, reason: progress.end?.rawValue ?? 0, prompt_tokens: UInt64(progress.promptTokens),
            tokens: UInt64(progress.tokens), adopted: UInt64(progress.adopted),
            dropped: UInt64(progress.dropped), guessed: UInt64(progress.guessed), guessed_right: UInt64(progress.guessedRight)), "llama2_generate_result")
}
