public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_model_tensor_count(_ model: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?) -> Int32 {
    call { () throws(Llama2Error) in
        let model = try Handles.model(model)
        try required(count, "count").pointee = model.tensors.count
    }
}

@c @implementation
public func llama2_model_tensor(
    _ model: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<llama2_tensor_info>?,
    _ name: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let tensors = try Handles.model(model).tensors
        guard tensors.indices.contains(index) else {
            throw Llama2Error(.outOfRange, "tensor \(UInt(bitPattern: index)); this model has \(tensors.count)")
        }
        let t = tensors[index]
        try fill(
            info,
            with: llama2_tensor_info(
                struct_size: 0, type: t.type.rawValue, columns: UInt64(t.columns), rows: UInt64(t.rows),
                bytes: UInt64(t.data.count)), "llama2_tensor_info")
        try give(t.name.bytes, to: name, capacity, needed)
    }
}

/// Literals, whose text lives as long as the library.
@c @implementation
public func llama2_type_name(_ type: UInt32) -> UnsafePointer<CChar>? {
    guard let type = BlockType(rawValue: type) else { return cString("unknown type") }
    return UnsafeRawPointer(type.staticName.utf8Start).assumingMemoryBound(to: CChar.self)
}
