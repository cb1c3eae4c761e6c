internal import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_embeddings(
    _ context: OpaquePointer?, _ tokens: UnsafePointer<Int32>?, _ lengths: UnsafePointer<Int>?, _ count: Int, _ pooling: UInt32,
    _ flags: UInt32, _ values: UnsafeMutablePointer<Float>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let lengths = try elements(lengths, count, "lengths"), needed = try required(needed, "needed")
        guard let kind = Pooling(rawValue: pooling) else {
            throw Llama2Error(.invalidArgument, "llama2_embeddings: pooling is \(pooling), expected 0 to 3")
        }
        try checkFlags(flags, UInt32(LLAMA2_EMBEDDINGS_NORMALIZE), "llama2_embeddings")
        let texts = try TextsToEmbed(lengths, for: context) { (total) throws(Llama2Error) in try elements(tokens, total, "tokens") }
        let size = try context.embeddingsSize(texts, kind)
        let capacity = capacity < 0 ? Int.max : capacity
        guard capacity == 0 || values != nil else { throw Llama2Error(.nullArgument, "the buffer is NULL, but its capacity is \(capacity)") }
        needed.pointee = size
        guard let values, size <= capacity else {
            throw Llama2Error(.bufferTooSmall, "the embeddings are \(size) numbers, the buffer has room for \(capacity)")
        }
        try context.embed(texts, kind, normalized: flags != 0, to: values)
    }
}
