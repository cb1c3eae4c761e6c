internal import CLlama2Swift
internal import LinuxSystem
internal import Llama2Core

extension Llama2Error.Kind {
    /// The header's code.
    var status: Int32 {
        switch self {
        case .nullArgument: LLAMA2_E_NULL_ARGUMENT
        case .invalidArgument: LLAMA2_E_INVALID_ARGUMENT
        case .badHandle: LLAMA2_E_BAD_HANDLE
        case .structSize: LLAMA2_E_STRUCT_SIZE
        case .outOfRange: LLAMA2_E_OUT_OF_RANGE
        case .bufferTooSmall: LLAMA2_E_BUFFER_TOO_SMALL
        case .invalidToken: LLAMA2_E_INVALID_TOKEN
        case .notFound: LLAMA2_E_NOT_FOUND
        case .forbidden: LLAMA2_E_FORBIDDEN
        case .noMemory: LLAMA2_E_NO_MEMORY
        case .io: LLAMA2_E_IO
        case .thread: LLAMA2_E_THREAD
        case .format: LLAMA2_E_FORMAT
        case .corrupt: LLAMA2_E_CORRUPT
        case .unsupported: LLAMA2_E_UNSUPPORTED
        case .unknownTemplate: LLAMA2_E_UNKNOWN_TEMPLATE
        case .contextFull: LLAMA2_E_CONTEXT_FULL
        case .cancelled: LLAMA2_E_CANCELLED
        case .busy: LLAMA2_E_BUSY
        case .noLogits: LLAMA2_E_NO_LOGITS
        case .forked: LLAMA2_E_FORKED
        }
    }
}

@c @implementation
public func llama2_status_string(_ status: Int32) -> UnsafePointer<CChar>? {
    let name: StaticString =
        switch status {
        case LLAMA2_OK: "ok"
        case LLAMA2_E_NULL_ARGUMENT: "null argument"
        case LLAMA2_E_INVALID_ARGUMENT: "invalid argument"
        case LLAMA2_E_BAD_HANDLE: "bad handle"
        case LLAMA2_E_STRUCT_SIZE: "bad struct_size"
        case LLAMA2_E_OUT_OF_RANGE: "out of range"
        case LLAMA2_E_BUFFER_TOO_SMALL: "buffer too small"
        case LLAMA2_E_INVALID_TOKEN: "invalid token"
        case LLAMA2_E_NOT_FOUND: "not found"
        case LLAMA2_E_FORBIDDEN: "not allowed by the grammar"
        case LLAMA2_E_NO_MEMORY: "out of memory"
        case LLAMA2_E_IO: "input/output error"
        case LLAMA2_E_THREAD: "cannot start a thread"
        case LLAMA2_E_FORMAT: "unknown file format"
        case LLAMA2_E_CORRUPT: "corrupt file"
        case LLAMA2_E_UNSUPPORTED: "unsupported"
        case LLAMA2_E_UNKNOWN_TEMPLATE: "unknown chat template"
        case LLAMA2_E_CONTEXT_FULL: "context full"
        case LLAMA2_E_CANCELLED: "cancelled"
        case LLAMA2_E_BUSY: "busy"
        case LLAMA2_E_NO_LOGITS: "no logits"
        case LLAMA2_E_FORKED: "made before a fork"
        default: "unknown status"
        }
    return cString(name)
}

@c @implementation
public func llama2_version() -> UnsafePointer<CChar>? { cString("0.3.0") }

@c @implementation
public func llama2_last_error() -> UnsafePointer<CChar>? { l2s_thread_text(0).map { UnsafePointer($0) } ?? cString("") }

@c @implementation
public func llama2_last_system_error() -> Int32 { l2s_thread_error() }

/// String literals end with a NUL.
func cString(_ literal: StaticString) -> UnsafePointer<CChar> {
    UnsafeRawPointer(literal.utf8Start).assumingMemoryBound(to: CChar.self)
}
