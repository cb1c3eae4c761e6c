public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

/// nil for all sequences.
private func sequence(_ number: Int32) -> Int? { number == LLAMA2_ALL_SEQUENCES ? nil : Int(number) }

@c @implementation
public func llama2_state_size(_ context: OpaquePointer?, _ number: Int32, _ size: UnsafeMutablePointer<UInt64>?) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let size = try required(size, "size")
        size.pointee = UInt64(try context.stateSize(sequence(number)))
    }
}

@c @implementation
public func llama2_state_save(_ context: OpaquePointer?, _ number: Int32, _ path: UnsafePointer<CChar>?) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        try context.save(sequence(number), path: FilePath(try required(path, "path")))
    }
}

@c @implementation
public func llama2_state_save_memory(
    _ context: OpaquePointer?, _ number: Int32, _ data: UnsafeMutableRawPointer?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let needed = try required(needed, "needed"), size = try context.stateSize(sequence(number))
        needed.pointee = size
        // a capacity beyond 2^63 arrives as a negative number
        guard capacity < 0 || size <= capacity else {
            throw Llama2Error(.bufferTooSmall, "the state has \(size) bytes, the buffer \(capacity)")
        }
        let data = try required(data, "data")
        var at = 0
        try context.save(sequence(number)) { (bytes) throws(Llama2Error) in
            guard bytes.byteCount <= size - at else { return }
            bytes.withUnsafeBytes { if let base = $0.baseAddress { (data + at).copyMemory(from: base, byteCount: $0.count) } }
            at += bytes.byteCount
        }
    }
}

@c @implementation
public func llama2_state_save_io(
    _ context: OpaquePointer?, _ number: Int32, _ write: llama2_write_callback?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let write = try required(write, "write")
        try context.save(sequence(number)) { (bytes) throws(Llama2Error) in
            let code = bytes.withUnsafeBytes { bytes in context.hostMode.callback { write(bytes.baseAddress, bytes.count, userData) } }
            try context.checkProcess()
            guard code == 0 else { throw Llama2Error(.io, "the host's write returned \(code)") }
        }
    }
}

@c @implementation
public func llama2_state_load(_ context: OpaquePointer?, _ number: Int32, _ path: UnsafePointer<CChar>?) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        try context.load(sequence(number), path: FilePath(try required(path, "path")))
    }
}

@c @implementation
public func llama2_state_load_memory(_ context: OpaquePointer?, _ number: Int32, _ data: UnsafeRawPointer?, _ size: Int) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let bytes = try elements(data?.assumingMemoryBound(to: UInt8.self), size, "data")
        try context.load(sequence(number), try MappedFile(bytes: UnsafeRawBufferPointer(bytes)))
    }
}

@c @implementation
public func llama2_state_load_io(_ context: OpaquePointer?, _ number: Int32, _ io: UnsafePointer<llama2_io>?) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let host = context.hostMode
        let file = try hostFile(io, host)
        try context.checkProcess()
        try context.load(sequence(number), file)
    }
}
