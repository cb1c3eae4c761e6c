public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine
internal import Llama2Sampling

@c @implementation
public func llama2_sampler_options_init(_ options: UnsafeMutablePointer<llama2_sampler_options>?) { initialize(options) }

/// The header's options in the sampler's words: zero is the default, each step has a value that is off.
func samplerOptions(_ given: UnsafePointer<llama2_sampler_options>?) throws(Llama2Error) -> SamplerOptions {
    let o = try options(given, zero: llama2_sampler_options(), "llama2_sampler_options")
    try checkFlags(o.flags, UInt32(LLAMA2_SAMPLER_GREEDY), "llama2_sampler_options")
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
    try MemoryReserve.cover(o.logit_bias_count, each: 10, for: "the logit biases")
    s.logitBias = try elements(o.logit_bias, o.logit_bias_count, "logit_bias").map { ($0.token, $0.bias) }
    return s
}

@c @implementation
public func llama2_sampler_create(
    _ options: UnsafePointer<llama2_sampler_options>?, _ sampler: UnsafeMutablePointer<OpaquePointer?>?,
    _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    call(error, capacity) { () throws(Llama2Error) in
        let sampler = try required(sampler, "sampler")
        sampler.pointee = nil
        sampler.pointee = try Handles.make(try SamplerBox(try samplerOptions(options)), .sampler)
    }
}

@c @implementation
public func llama2_sampler_free(_ sampler: OpaquePointer?) { Handles.free(sampler, .sampler) }

@c @implementation
public func llama2_sampler_reset(_ sampler: OpaquePointer?) -> Int32 {
    call { () throws(Llama2Error) in
        try Handles.sampler(sampler).exclusively { (sampler) throws(Llama2Error) in sampler.reset() }
    }
}

@c @implementation
public func llama2_sampler_accept(_ sampler: OpaquePointer?, _ token: Int32) -> Int32 {
    call { () throws(Llama2Error) in
        let sampler = try Handles.sampler(sampler)
        guard token >= 0 else { throw Llama2Error(.invalidToken, "token \(token) is negative") }
        try sampler.exclusively { (sampler) throws(Llama2Error) in sampler.accept(token) }
    }
}

@c @implementation
public func llama2_sample(_ context: OpaquePointer?, _ sampler: OpaquePointer?, _ token: UnsafeMutablePointer<Int32>?) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let sampler = try Handles.sampler(sampler), token = try required(token, "token")
        token.pointee = try context.sample(sampler)
    }
}
