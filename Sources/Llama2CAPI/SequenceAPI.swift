internal import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_sequence_length(_ context: OpaquePointer?, _ sequence: Int32, _ length: UnsafeMutablePointer<Int>?) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let length = try required(length, "length")
        length.pointee = try context.length(Int(sequence))
    }
}

@c @implementation
public func llama2_sequence_remove(_ context: OpaquePointer?, _ sequence: Int32, _ length: Int) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        try context.truncate(Int(sequence), to: length < 0 ? Int.max : length)
    }
}

@c @implementation
public func llama2_sequence_copy(_ context: OpaquePointer?, _ source: Int32, _ target: Int32, _ length: Int) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        try context.copy(Int(source), to: Int(target), length: length < 0 ? Int.max : length)
    }
}

@c @implementation
public func llama2_sequence_adopt(
    _ context: OpaquePointer?, _ sequence: Int32, _ tokens: UnsafePointer<Int32>?, _ count: Int,
    _ found: UnsafeMutablePointer<Int>?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let tokens = try elements(tokens, count, "tokens"), found = try required(found, "found")
        found.pointee = try context.adopt(Int(sequence), tokens)
    }
}

@c @implementation
public func llama2_sequence_shift(_ context: OpaquePointer?, _ sequence: Int32, _ keep: Int, _ drop: Int) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        try context.shift(Int(sequence), keep: keep, drop: drop)
    }
}
