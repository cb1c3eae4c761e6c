public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine
internal import Llama2Formats

@c @implementation
public func llama2_model_tensor_count(_ model: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?) -> Int32 {
    call { () throws(Llama2Error) in
        let model = try Handles.model(model)
        try required(count, "count").pointee = model.file.tensors.count
    }
}

@c @implementation
public func llama2_model_tensor(
    _ model: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<llama2_tensor_info>?,
    _ name: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let tensors = try Handles.model(model).file.tensors
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

/// Literals, so that the text lives as long as the library.
@c @implementation
public func llama2_type_name(_ type: UInt32) -> UnsafePointer<CChar>? {
    switch BlockType(rawValue: type) {
    case .f32: cString("F32")
    case .f16: cString("F16")
    case .q4_0: cString("Q4_0")
    case .q4_1: cString("Q4_1")
    case .q5_0: cString("Q5_0")
    case .q5_1: cString("Q5_1")
    case .q8_0: cString("Q8_0")
    case .q2_K: cString("Q2_K")
    case .q3_K: cString("Q3_K")
    case .q4_K: cString("Q4_K")
    case .q5_K: cString("Q5_K")
    case .q6_K: cString("Q6_K")
    case .iq2_xxs: cString("IQ2_XXS")
    case .iq2_xs: cString("IQ2_XS")
    case .iq3_xxs: cString("IQ3_XXS")
    case .iq1_s: cString("IQ1_S")
    case .iq4_nl: cString("IQ4_NL")
    case .iq3_s: cString("IQ3_S")
    case .iq2_s: cString("IQ2_S")
    case .iq4_xs: cString("IQ4_XS")
    case .iq1_m: cString("IQ1_M")
    case .bf16: cString("BF16")
    case .tq1_0: cString("TQ1_0")
    case .tq2_0: cString("TQ2_0")
    case nil: cString("unknown type")
    }
}
