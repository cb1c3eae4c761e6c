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

/// A host's row of logits, for the time of `body`. A span ends the process where its floats are not aligned, which a host's need not be: such a
/// row is copied.
private func withRow<Result>(
    _ logits: UnsafePointer<Float>?, _ count: Int, _ body: (Span<Float>) throws(Llama2Error) -> Result
) throws(Llama2Error) -> Result {
    let row = try elements(try required(logits, "logits"), count, "logits")
    guard let start = row.baseAddress, UInt(bitPattern: start) % UInt(MemoryLayout<Float>.alignment) != 0 else { return try body(row.span) }
    let copy = try AlignedBuffer<Float>(count: count, of: "a row of logits")
    UnsafeMutableRawPointer(copy.pointer).copyMemory(from: start, byteCount: count &* MemoryLayout<Float>.stride)  // there is memory for so many
    return try body(UnsafeBufferPointer(start: copy.pointer, count: count).span)
}

@c @implementation
public func llama2_sample_logits(
    _ sampler: OpaquePointer?, _ logits: UnsafePointer<Float>?, _ count: Int, _ token: UnsafeMutablePointer<Int32>?
) -> Int32 {
    call { (host: FloatMode) throws(Llama2Error) in
        let sampler = try Handles.sampler(sampler), token = try required(token, "token")
        token.pointee = try withRow(logits, count) { (row) throws(Llama2Error) in
            try sampler.exclusively { (sampler) throws(Llama2Error) in
                sampler.setHost(host)
                return try sampler.take(row)
            }
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
        try withRow(logits, count) { (row) throws(Llama2Error) in
            try sampler.exclusively { (sampler) throws(Llama2Error) in
                sampler.setHost(host)
                let list = UnsafeRawBufferPointer(try sampler.distribution(row)).bindMemory(to: llama2_candidate.self)
                try give(list, to: candidates, capacity, needed)
            }
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
