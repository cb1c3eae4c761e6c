public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_sampler_options_init(_ options: UnsafeMutablePointer<llama2_sampler_options>?) { initialize(options) }

@c @implementation
public func llama2_sampler_create(
    _ given: UnsafePointer<llama2_sampler_options>?, _ sampler: UnsafeMutablePointer<OpaquePointer?>?,
    _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    call(error, capacity) { () throws(Llama2Error) in
        let sampler = try required(sampler, "sampler")
        sampler.pointee = nil
        sampler.pointee = try Handles.make(try samplerBox(given), .sampler)
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

@c @implementation
public func llama2_sample_logits(
    _ sampler: OpaquePointer?, _ logits: UnsafePointer<Float>?, _ count: Int, _ token: UnsafeMutablePointer<Int32>?
) -> Int32 {
    call { (host: FloatMode) throws(Llama2Error) in
        let sampler = try Handles.sampler(sampler), token = try required(token, "token")
        let row = try elements(try required(logits, "logits"), count, "logits")
        token.pointee = try sampler.exclusively { (sampler) throws(Llama2Error) in
            sampler.setHost(host)
            return try sampler.take(row.span)
        }
    }
}

@c @implementation
public func llama2_sampler_distribution(
    _ sampler: OpaquePointer?, _ logits: UnsafePointer<Float>?, _ count: Int, _ candidates: UnsafeMutablePointer<llama2_candidate>?,
    _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { (host: FloatMode) throws(Llama2Error) in
        let sampler = try Handles.sampler(sampler), needed = try required(needed, "the pointer for the size")
        let row = try elements(try required(logits, "logits"), count, "logits")
        try sampler.exclusively { (sampler) throws(Llama2Error) in
            sampler.setHost(host)
            let list = UnsafeRawBufferPointer(try sampler.distribution(row.span)).bindMemory(to: llama2_candidate.self)
            try give(list, to: candidates, capacity, needed)
        }
    }
}

@c @implementation
public func llama2_sampler_save(
    _ sampler: OpaquePointer?, _ data: UnsafeMutableRawPointer?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        try Handles.sampler(sampler).exclusively { (sampler) throws(Llama2Error) in try give(try sampler.save(), to: data, capacity, needed) }
    }
}

@c @implementation
public func llama2_sampler_load(_ sampler: OpaquePointer?, _ data: UnsafeRawPointer?, _ size: Int) -> Int32 {
    call { () throws(Llama2Error) in
        let sampler = try Handles.sampler(sampler)
        let bytes = try elements(data?.assumingMemoryBound(to: UInt8.self), size, "data")
        try sampler.exclusively { (sampler) throws(Llama2Error) in try sampler.load(UnsafeRawBufferPointer(bytes).bytes) }
    }
}
