public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_model_options_init(_ options: UnsafeMutablePointer<llama2_model_options>?) { initialize(options) }

func modelArguments(
    _ path: UnsafePointer<CChar>?, _ given: UnsafePointer<llama2_model_options>?
) throws(Llama2Error) -> (path: FilePath, options: LoadOptions) {
    (FilePath(try required(path, "path")), try loadOptions(given))
}

private func loadOptions(_ given: UnsafePointer<llama2_model_options>?) throws(Llama2Error) -> LoadOptions {
    let o = try options(given, zero: llama2_model_options(), "llama2_model_options")
    let copy = UInt32(LLAMA2_MODEL_COPY), interleave = UInt32(LLAMA2_MODEL_INTERLEAVE)
    try checkFlags(o.flags, copy | interleave, "llama2_model_options")
    guard o.first_layer <= 4096, o.layer_count <= 4096 else {
        throw Llama2Error(.outOfRange, "\(o.layer_count) layers from \(o.first_layer) on; a model has at most 4096")
    }
    guard o.reserved == 0 else { throw Llama2Error(.invalidArgument, "llama2_model_options.reserved is \(o.reserved), expected 0") }
    let memory: FileMemory = o.flags & interleave != 0 ? .interleavedCopy : o.flags & copy != 0 ? .copy : .view
    guard memory.isView || (o.first_layer == 0 && o.layer_count == 0) else {
        let flag = memory == .copy ? "LLAMA2_MODEL_COPY" : "LLAMA2_MODEL_INTERLEAVE"
        throw Llama2Error(.invalidArgument, "\(flag) reads a whole file; a piece of a model is mapped")
    }
    var loading = LoadOptions(memory: memory, contextLength: try trainedLength(o.context_length))
    loading.firstLayer = Int(o.first_layer)
    loading.layerCount = o.layer_count == 0 ? nil : Int(o.layer_count)
    return loading
}

/// nil for 0.
func trainedLength(_ given: UInt32) throws(Llama2Error) -> Int? {
    guard given <= 1 << 30 else { throw Llama2Error(.invalidArgument, "context_length is \(given); the limit is \(1 << 30)") }
    return given == 0 ? nil : Int(given)
}

@c @implementation
public func llama2_model_load(
    _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<llama2_model_options>?,
    _ model: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    call(error, capacity) { () throws(Llama2Error) in
        let model = try required(model, "model")
        model.pointee = nil
        let arguments = try modelArguments(path, options)
        model.pointee = try Handles.make(try Model(path: arguments.path, arguments.options), .model)
    }
}

/// A model from a file that `open` gives, told where it is to lie.
private func load(
    _ options: UnsafePointer<llama2_model_options>?, _ model: UnsafeMutablePointer<OpaquePointer?>?,
    _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ open: (FileMemory, FloatMode) throws(Llama2Error) -> MappedFile
) -> Int32 {
    call(error, capacity) { (host: FloatMode) throws(Llama2Error) in
        let model = try required(model, "model")
        model.pointee = nil
        let loading = try loadOptions(options)
        model.pointee = try Handles.make(try Model(file: try open(loading.memory, host), loading), .model)
    }
}

@c @implementation
public func llama2_model_load_memory(
    _ data: UnsafeRawPointer?, _ size: Int, _ options: UnsafePointer<llama2_model_options>?,
    _ model: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    load(options, model, error, capacity) { (memory, _) throws(Llama2Error) in
        let bytes = try elements(data?.assumingMemoryBound(to: UInt8.self), size, "data")
        return try MappedFile(bytes: UnsafeRawBufferPointer(bytes), as: memory)
    }
}

@c @implementation
public func llama2_model_load_fd(
    _ descriptor: Int32, _ options: UnsafePointer<llama2_model_options>?,
    _ model: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    load(options, model, error, capacity) { (memory, _) throws(Llama2Error) in
        try MappedFile(descriptor: descriptor, as: memory)
    }
}

/// What `io` reads, whole.
func hostFile(_ io: UnsafePointer<llama2_io>?, _ host: FloatMode, as memory: FileMemory = .copy) throws(Llama2Error) -> MappedFile {
    let io = try options(try required(io, "io"), zero: llama2_io(), "llama2_io")
    guard io.reserved == 0 else { throw Llama2Error(.invalidArgument, "llama2_io.reserved is \(io.reserved), expected 0") }
    let read = try required(io.read, "llama2_io.read")
    guard let size = Int(exactly: io.size) else { throw Llama2Error(.invalidArgument, "llama2_io.size is \(io.size)") }
    return try MappedFile(size: size, as: memory) { offset, buffer, length in
        host.callback { read(UInt64(offset), buffer, length, io.user_data) }
    }
}

@c @implementation
public func llama2_model_load_io(
    _ io: UnsafePointer<llama2_io>?, _ given: UnsafePointer<llama2_model_options>?,
    _ model: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    load(given, model, error, capacity) { (memory, host) throws(Llama2Error) in
        try hostFile(io, host, as: memory)
    }
}

@c @implementation
public func llama2_model_free(_ model: OpaquePointer?) { Handles.free(model, .model) }

@c @implementation
public func llama2_model_hyperparameters(
    _ model: OpaquePointer?, _ values: UnsafeMutablePointer<llama2_hyperparameters>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let model = try Handles.model(model)
        // a file of a vocabulary alone has no shape
        let h = model.shape
        let known = llama2_hyperparameters(
            struct_size: 0, vocabulary_size: UInt32(model.vocabularySize), embedding_length: UInt32(h?.embeddingLength ?? 0),
            block_count: UInt32(h?.layerCount ?? 0), feed_forward_length: UInt32(h?.feedForwardLength ?? 0),
            head_count: UInt32(h?.headCount ?? 0), head_count_kv: UInt32(h?.headCountKV ?? 0),
            head_dimension: UInt32(h?.headDimension ?? 0), rope_dimension: UInt32(h?.ropeDimension ?? 0),
            context_length: UInt32(h?.contextLength ?? 0), rms_epsilon: h?.rmsEpsilon ?? 0, rope_scale: Float(h?.ropeScaling.divisor ?? 0),
            rope_base: h?.ropeBase ?? 0, parameter_count: UInt64(model.parameterCount),
            file_bytes: UInt64(model.byteCount), first_layer: UInt32(h?.firstLayer ?? 0), all_layers: UInt32(h?.allLayers ?? 0))
        try fill(values, with: known, "llama2_hyperparameters")
    }
}

@c @implementation
public func llama2_model_description(
    _ model: OpaquePointer?, _ text: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        try give(Array(try Handles.model(model).description.utf8), to: text, capacity, needed)
    }
}

@c @implementation
public func llama2_model_metadata_count(_ model: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?) -> Int32 {
    call { () throws(Llama2Error) in
        let model = try Handles.model(model)
        try required(count, "count").pointee = model.metadata.keys.count
    }
}

@c @implementation
public func llama2_model_metadata_key(
    _ model: OpaquePointer?, _ index: Int, _ text: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let keys = try Handles.model(model).metadata.keys
        guard keys.indices.contains(index) else {
            throw Llama2Error(.outOfRange, "metadata entry \(UInt(bitPattern: index)); this file has \(keys.count)")
        }
        try give(keys[index].bytes, to: text, capacity, needed)
    }
}

@c @implementation
public func llama2_model_metadata(
    _ model: OpaquePointer?, _ key: UnsafePointer<CChar>?, _ keyLength: Int, _ out: UnsafeMutablePointer<CChar>?,
    _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let metadata = try Handles.model(model).metadata
        let key = try ByteText(covered: try text(key, keyLength, "key"), "the key")
        // repaired, which makes three bytes of one; joined, where it is a list; and given out
        try MemoryReserve.cover(5 * .text(metadata.byteCount(key)), for: "the value")
        guard let value = metadata.text(key) else { throw Llama2Error(.notFound, "the file has no metadata \"\(key)\"") }
        try give(Array(value.utf8), to: out, capacity, needed)
    }
}
