public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_scheduler_options_init(_ options: UnsafeMutablePointer<llama2_scheduler_options>?) { initialize(options) }

@c @implementation
public func llama2_request_options_init(_ options: UnsafeMutablePointer<llama2_request_options>?) { initialize(options) }

private func limit(_ value: UInt32, _ most: UInt32, _ name: StaticString) throws(Llama2Error) -> Int {
    guard value <= most else { throw Llama2Error(.invalidArgument, "llama2_scheduler_options.\(name) is \(value), expected at most \(most)") }
    return Int(value)
}

@c @implementation
public func llama2_scheduler_create(
    _ context: OpaquePointer?, _ given: UnsafePointer<llama2_scheduler_options>?, _ scheduler: UnsafeMutablePointer<OpaquePointer?>?,
    _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    call(error, capacity) { () throws(Llama2Error) in
        let scheduler = try required(scheduler, "scheduler")
        scheduler.pointee = nil
        let context = try Handles.context(context)
        let o = try options(given, zero: llama2_scheduler_options(), "llama2_scheduler_options")
        try checkFlags(o.flags, 0, "llama2_scheduler_options")
        var chosen = Scheduler.Options()
        chosen.promptTokensPerStep = try limit(o.prompt_tokens_per_step, 4096, "prompt_tokens_per_step")
        let most = try limit(o.max_requests, 65536, "max_requests")
        if most > 0 { chosen.maxRequests = most }
        let draft: Context? = if let draft = o.draft { try Handles.context(draft) } else { nil }
        scheduler.pointee = try Handles.make(try Scheduler(context, chosen, draft: draft), .scheduler)
    }
}

@c @implementation
public func llama2_scheduler_free(_ scheduler: OpaquePointer?) { Handles.free(scheduler, .scheduler) }

@c @implementation
public func llama2_scheduler_submit(
    _ scheduler: OpaquePointer?, _ given: UnsafePointer<llama2_request_options>?, _ request: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let scheduler = try Handles.scheduler(scheduler), request = try required(request, "request")
        let o = try options(try required(given, "options"), zero: llama2_request_options(), "llama2_request_options")
        let penalizesPrompt = UInt32(LLAMA2_REQUEST_PENALIZE_PROMPT), noGuess = UInt32(LLAMA2_REQUEST_NO_GUESS)
        let logProbs = UInt32(LLAMA2_REQUEST_LOGPROBS), echo = UInt32(LLAMA2_REQUEST_ECHO)
        let complete = UInt32(LLAMA2_REQUEST_COMPLETE)
        try checkFlags(o.flags, penalizesPrompt | noGuess | logProbs | echo | complete, "llama2_request_options")
        guard o.reserved == 0, o.reserved_2 == 0 else {
            throw Llama2Error(.invalidArgument, "llama2_request_options.reserved is \(o.reserved), reserved_2 \(o.reserved_2), expected 0")
        }
        guard o.callback != nil || o.flags & (logProbs | echo) == 0 else {
            throw Llama2Error(.invalidArgument, "LLAMA2_REQUEST_LOGPROBS and LLAMA2_REQUEST_ECHO need a callback")
        }
        guard o.sampler == nil || o.sampler_options == nil else {
            throw Llama2Error(.invalidArgument, "a request has a sampler and sampler_options; one of them must be NULL")
        }
        let tokens = try elements(o.tokens, o.token_count, "tokens")
        var chosen = Request.Options()
        chosen.stops = try stopStrings(o.stops, o.stop_count)
        chosen.maxTokens = o.max_tokens == 0 ? Int.max : Int(clamping: o.max_tokens)
        chosen.priority = o.priority
        chosen.adapters = try scaledAdapters(o.adapters, o.adapter_count)
        chosen.penalizesPrompt = o.flags & penalizesPrompt != 0
        chosen.guesses = o.flags & noGuess == 0
        chosen.completes = o.flags & complete != 0
        chosen.logProbabilities = try logProbabilities(o.flags & logProbs != 0, best: o.best, "LLAMA2_REQUEST_LOGPROBS")
        chosen.echo = o.flags & echo != 0
        if o.deadline_milliseconds != 0 {
            // later than the clock goes is never
            let (time, overflow) = Int(clamping: o.deadline_milliseconds).multipliedReportingOverflow(by: 1_000_000)
            chosen.time = overflow ? nil : time
        }
        let grammar: Grammar? = if let grammar = o.grammar { try Handles.grammar(grammar) } else { nil }
        let sampler: SamplerBox =
            if let sampler = o.sampler { try Handles.sampler(sampler) } else { try samplerBox(o.sampler_options) }
        let callback = o.callback, userData = o.user_data
        // not the scheduler, which has the request
        let context = scheduler.context
        request.pointee = try scheduler.submit(tokens, sampler, grammar: grammar, chosen) { event in
            guard let callback else { return true }
            return tell(event, context, callback, userData)
        }
    }
}

private func tell(
    _ event: Request.Event, _ context: Context, _ callback: llama2_event_callback, _ userData: UnsafeMutableRawPointer?
) -> Bool {
    let text = context.errorText
    text[0] = 0
    if let failure = event.failure { copy(failure.message, to: text, Context.errorCapacity) }
    let piece = event.piece.bindMemory(to: CChar.self)
    return withUnsafePointer(to: event.report.map(tokenReport) ?? llama2_token_report()) { report in
        var value = llama2_event(
            struct_size: UInt32(MemoryLayout<llama2_event>.size), reason: event.end?.rawValue ?? 0, request: event.request,
            piece: piece.baseAddress ?? UnsafePointer(text), length: piece.count, token: event.token ?? -1,
            status: event.failure?.kind.status ?? 0, error: UnsafePointer(text), prompt_tokens: UInt64(event.promptTokens),
            adopted: UInt64(event.adopted), tokens: UInt64(event.tokens), report: event.report == nil ? nil : report)
        return context.hostMode.callback { callback(&value, userData) == 0 }
    }
}

@c @implementation
public func llama2_scheduler_cancel(_ scheduler: OpaquePointer?, _ request: UInt64) -> Int32 {
    call { () throws(Llama2Error) in try Handles.scheduler(scheduler).cancel(request) }
}

@c @implementation
public func llama2_scheduler_step(_ scheduler: OpaquePointer?, _ remaining: UnsafeMutablePointer<Int>?) -> Int32 {
    call { (host: FloatMode) throws(Llama2Error) in
        let scheduler = try Handles.scheduler(scheduler), remaining = try required(remaining, "remaining")
        remaining.pointee = try scheduler.step(host)
    }
}

@c @implementation
public func llama2_scheduler_get_stats(_ scheduler: OpaquePointer?, _ stats: UnsafeMutablePointer<llama2_scheduler_stats>?) -> Int32 {
    call { () throws(Llama2Error) in
        let s = try Handles.scheduler(scheduler).statistics
        try fill(
            stats,
            with: llama2_scheduler_stats(
                struct_size: 0, reserved: 0, waiting: UInt64(s.waiting), running: UInt64(s.running), prompt_tokens: UInt64(s.promptTokens),
                adopted_tokens: UInt64(s.adoptedTokens), tokens: UInt64(s.tokens), evaluated_tokens: UInt64(s.evaluatedTokens),
                steps: UInt64(s.steps), preemptions: UInt64(s.preemptions), pages: UInt64(s.pages), pages_used: UInt64(s.pagesUsed),
                pages_shared: UInt64(s.pagesShared), pages_cached: UInt64(s.pagesCached), positions: UInt64(s.positions),
                guessed_tokens: UInt64(s.guessed), guessed_right: UInt64(s.guessedRight)),
            "llama2_scheduler_stats")
    }
}
