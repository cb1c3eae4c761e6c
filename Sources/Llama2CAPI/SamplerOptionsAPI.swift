internal import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

// The header's options in the sampler's words: zero is the default, each step has a value that is off.

private let mostOfEach = 64, longestBreaker = 40, mostTextBiases = 1 << 16

/// A sampler of these options.
func samplerBox(_ given: UnsafePointer<llama2_sampler_options>?) throws(Llama2Error) -> SamplerBox {
    let o = try options(given, zero: llama2_sampler_options(), "llama2_sampler_options")
    let model = o.model == nil ? nil : try Handles.model(o.model)
    return try SamplerBox(try samplerOptions(o), try samplerTexts(o), model: model)
}

private func samplerOptions(_ o: llama2_sampler_options) throws(Llama2Error) -> SamplerOptions {
    try checkFlags(o.flags, UInt32(LLAMA2_SAMPLER_GREEDY) | UInt32(LLAMA2_SAMPLER_NO_DRY_BREAKERS), "llama2_sampler_options")
    guard o.reserved == 0 else { throw Llama2Error(.invalidArgument, "llama2_sampler_options.reserved is \(o.reserved), expected 0") }
    var s = SamplerOptions()
    s.seed = o.seed
    if o.temperature != 0 { s.temperature = o.temperature }
    if o.flags & UInt32(LLAMA2_SAMPLER_GREEDY) != 0 { s.temperature = 0 }
    if o.top_p != 0 { s.topP = o.top_p }
    if o.min_p != 0 { s.minP = o.min_p < 0 ? 0 : o.min_p }
    if o.repetition_penalty != 0 { s.repetitionPenalty = o.repetition_penalty }
    s.frequencyPenalty = o.frequency_penalty
    s.presencePenalty = o.presence_penalty
    if o.top_k != 0 { s.topK = o.top_k < 0 ? 0 : Int(o.top_k) }
    if o.penalty_last_n != 0 { s.penaltyLastN = Int(o.penalty_last_n) }
    guard (0...1 << 20).contains(o.logit_bias_count) else {
        throw Llama2Error(.invalidArgument, "\(UInt(bitPattern: o.logit_bias_count)) logit biases, expected at most \(1 << 20)")
    }
    try MemoryReserve.cover(2 * .array(o.logit_bias_count, of: (Int32, Float).self), for: "the logit biases")
    s.logitBias = try elements(o.logit_bias, o.logit_bias_count, "logit_bias").map { ($0.token, $0.bias) }

    if o.typical_p != 0 { s.typicalP = o.typical_p }
    s.topA = o.top_a
    s.topNSigma = o.top_n_sigma
    s.epsilonCutoff = o.epsilon_cutoff
    s.etaCutoff = o.eta_cutoff
    s.xtcProbability = o.xtc_probability
    if o.xtc_threshold != 0 { s.xtcThreshold = o.xtc_threshold }
    s.dynamicRange = o.dynamic_range
    if o.dynamic_exponent != 0 { s.dynamicExponent = o.dynamic_exponent }
    s.smoothingFactor = o.smoothing_factor
    if o.smoothing_curve != 0 { s.smoothingCurve = o.smoothing_curve }
    s.mirostat = Int(o.mirostat)
    if o.mirostat_tau != 0 { s.mirostatTau = o.mirostat_tau }
    if o.mirostat_eta != 0 { s.mirostatEta = o.mirostat_eta }
    s.dryMultiplier = o.dry_multiplier
    if o.dry_base != 0 { s.dryBase = o.dry_base }
    if o.dry_allowed_length != 0 { s.dryAllowedLength = max(0, Int(o.dry_allowed_length)) }
    if o.dry_last_n != 0 { s.dryLastN = Int(o.dry_last_n) }
    s.minTokens = Int(clamping: o.min_tokens)
    s.noRepeatNgram = Int(o.no_repeat_ngram)

    if o.step_count != 0 {
        try checkCount(o.step_count, "steps")
        s.steps = Array(try elements(o.steps, o.step_count, "steps"))
    }
    try checkCount(o.own_step_count, "own steps")
    for step in try elements(o.own_steps, o.own_step_count, "own_steps") {
        let callback = try required(step.callback, "the callback of an own step")
        let data = UInt(bitPattern: step.user_data)  // the host's: handed back as it came
        s.ownSteps.append(
            OwnStep { list, count in
                guard let base = UnsafeMutableRawPointer(list.baseAddress) else { return true }
                let candidates = base.bindMemory(to: llama2_candidate.self, capacity: list.count)
                return callback(candidates, &count, UnsafeMutableRawPointer(bitPattern: data)) == 0
            })
    }
    return s
}

private func samplerTexts(_ o: llama2_sampler_options) throws(Llama2Error) -> SamplerTexts {
    var texts = SamplerTexts()
    // 1. Sequence breakers.
    try checkCount(o.dry_breaker_count, "DRY breakers")
    if o.flags & UInt32(LLAMA2_SAMPLER_NO_DRY_BREAKERS) != 0 {
        guard o.dry_breaker_count == 0 else {
            throw Llama2Error(.invalidArgument, "\(o.dry_breaker_count) DRY breakers beside LLAMA2_SAMPLER_NO_DRY_BREAKERS")
        }
        texts.dryBreakers = []
    } else if o.dry_breaker_count > 0 {
        var breakers: [[UInt8]] = []
        for breaker in try elements(o.dry_breakers, o.dry_breaker_count, "dry_breakers") {
            let bytes = try text(breaker.data, breaker.length, "a DRY breaker")
            guard (1...longestBreaker).contains(bytes.count) else {
                throw Llama2Error(.invalidArgument, "a DRY breaker of \(bytes.count) bytes, expected 1 to \(longestBreaker)")
            }
            breakers.append(Array(bytes))
        }
        texts.dryBreakers = breakers
    }
    // 2. Banned texts.
    guard (0...BannedTexts.mostTexts).contains(o.banned_text_count) else {
        throw Llama2Error(.invalidArgument, "\(UInt(bitPattern: o.banned_text_count)) banned texts, expected at most \(BannedTexts.mostTexts)")
    }
    for banned in try elements(o.banned_texts, o.banned_text_count, "banned_texts") {
        let bytes = try text(banned.data, banned.length, "a banned text")
        guard (1...BannedTexts.longestText).contains(bytes.count) else {
            throw Llama2Error(.invalidArgument, "a banned text of \(bytes.count) bytes, expected 1 to \(BannedTexts.longestText)")
        }
        texts.banned.append(Array(bytes))
    }
    // 3. Biases.
    guard (0...mostTextBiases).contains(o.text_bias_count) else {
        throw Llama2Error(.invalidArgument, "\(UInt(bitPattern: o.text_bias_count)) biases by text, expected at most \(mostTextBiases)")
    }
    for entry in try elements(o.text_bias, o.text_bias_count, "text_bias") {
        guard entry.reserved == 0 else { throw Llama2Error(.invalidArgument, "text_bias[\(texts.bias.count)].reserved is not 0") }
        let bytes = try text(entry.text, entry.length, "a text of text_bias")
        guard (1...4096).contains(bytes.count) else {
            throw Llama2Error(.invalidArgument, "text_bias[\(texts.bias.count)] has a text of \(bytes.count) bytes, expected 1 to 4096")
        }
        // the text, and its tokens while they are found
        try MemoryReserve.cover(.text(bytes.count) + .list(bytes.count, of: Int32.self), for: "a bias by text")
        texts.bias.append((Array(bytes), entry.bias))
    }
    return texts
}

private func checkCount(_ count: Int, _ what: StaticString) throws(Llama2Error) {
    guard (0...mostOfEach).contains(count) else {
        throw Llama2Error(.invalidArgument, "\(UInt(bitPattern: count)) \(what), expected at most \(mostOfEach)")
    }
}
