public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_adapter_load(
    _ model: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ adapter: UnsafeMutablePointer<OpaquePointer?>?,
    _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    call(error, capacity) { () throws(Llama2Error) in
        let adapter = try required(adapter, "adapter")
        adapter.pointee = nil
        let model = try Handles.model(model)
        _ = try model.hyperparameters  // a vocabulary alone is refused before its path is looked at
        adapter.pointee = try Handles.make(try model.adapter(path: FilePath(try required(path, "path"))), .adapter)
    }
}

@c @implementation
public func llama2_adapter_free(_ adapter: OpaquePointer?) { Handles.free(adapter, .adapter) }

@c @implementation
public func llama2_adapter_get_info(_ adapter: OpaquePointer?, _ info: UnsafeMutablePointer<llama2_adapter_info>?) -> Int32 {
    call { () throws(Llama2Error) in
        let a = try Handles.adapter(adapter)
        try fill(
            info,
            with: llama2_adapter_info(
                struct_size: 0, products: UInt32(a.productCount), rank: UInt32(a.largestRank), reserved: 0, bytes: UInt64(a.byteCount),
                fingerprint: a.fingerprint), "llama2_adapter_info")
    }
}

@c @implementation
public func llama2_sequence_set_adapters(
    _ context: OpaquePointer?, _ sequence: Int32, _ adapters: UnsafePointer<llama2_scaled_adapter>?, _ count: Int
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        try context.setAdapters(Int(sequence), try scaledAdapters(adapters, count))
    }
}

func scaledAdapters(
    _ adapters: UnsafePointer<llama2_scaled_adapter>?, _ count: Int
) throws(Llama2Error) -> [(adapter: Adapter, scale: Float)] {
    let given = try elements(adapters, count, "adapters")
    guard given.count <= Context.mostAdapters else {
        throw Llama2Error(.invalidArgument, "\(given.count) adapters; a sequence has at most \(Context.mostAdapters)")
    }
    var list: [(adapter: Adapter, scale: Float)] = []
    for (index, entry) in given.enumerated() {
        guard entry.reserved == 0 else { throw Llama2Error(.invalidArgument, "reserved of adapter \(index) is \(entry.reserved), expected 0") }
        list.append((try Handles.adapter(entry.adapter), entry.scale))
    }
    return list
}
