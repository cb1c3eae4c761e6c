internal import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

/// A streaming decoder behind a handle: a step is taken only when its text fits the caller's buffer.
final class Decoder {
    private let decoder: StreamingDecoder
    private let gate = Gate()

    init(_ decoder: StreamingDecoder) { self.decoder = decoder }

    func exclusively(_ body: (StreamingDecoder) throws(Llama2Error) -> Void) throws(Llama2Error) {
        try gate.enter("decoder")
        defer { gate.leave() }
        try body(decoder)
    }

    func step(
        _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?,
        _ body: (StreamingDecoder) throws(Llama2Error) -> UnsafeRawBufferPointer
    ) throws(Llama2Error) {
        try gate.enter("decoder")
        defer { gate.leave() }
        let before = decoder.state
        do throws(Llama2Error) {
            try give(try body(decoder).bindMemory(to: CChar.self), to: buffer, capacity, length)
        } catch {
            decoder.state = before
            throw error
        }
    }
}

@c @implementation
public func llama2_decoder_create(
    _ model: OpaquePointer?, _ flags: UInt32, _ decoder: UnsafeMutablePointer<OpaquePointer?>?,
    _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    call(error, capacity) { () throws(Llama2Error) in
        let decoder = try required(decoder, "decoder")
        decoder.pointee = nil
        let tokenizer = try Handles.model(model).tokenizer()
        let special = UInt32(LLAMA2_DECODER_SPECIAL), start = UInt32(LLAMA2_DECODER_TEXT_START)
        try checkFlags(flags, special | start, "llama2_decoder_create")
        let new = try StreamingDecoder(tokenizer: tokenizer, atTextStart: flags & start != 0, special: flags & special != 0)
        decoder.pointee = try Handles.make(Decoder(new), .decoder)
    }
}

@c @implementation
public func llama2_decoder_append(
    _ decoder: OpaquePointer?, _ token: Int32, _ text: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        try Handles.decoder(decoder).step(text, capacity, length) { (decoder) throws(Llama2Error) in try decoder.append(token) }
    }
}

@c @implementation
public func llama2_decoder_finish(
    _ decoder: OpaquePointer?, _ text: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        try Handles.decoder(decoder).step(text, capacity, length) { (decoder) throws(Llama2Error) in decoder.finish() }
    }
}

@c @implementation
public func llama2_decoder_free(_ decoder: OpaquePointer?) { Handles.free(decoder, .decoder) }

@c @implementation
public func llama2_decoder_save(
    _ decoder: OpaquePointer?, _ data: UnsafeMutableRawPointer?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        try Handles.decoder(decoder).exclusively { (decoder) throws(Llama2Error) in try give(try decoder.save(), to: data, capacity, needed) }
    }
}

@c @implementation
public func llama2_decoder_load(_ decoder: OpaquePointer?, _ data: UnsafeRawPointer?, _ size: Int) -> Int32 {
    call { () throws(Llama2Error) in
        let decoder = try Handles.decoder(decoder)
        let bytes = try elements(data?.assumingMemoryBound(to: UInt8.self), size, "data")
        try decoder.exclusively { (decoder) throws(Llama2Error) in try decoder.load(UnsafeRawBufferPointer(bytes).bytes) }
    }
}
