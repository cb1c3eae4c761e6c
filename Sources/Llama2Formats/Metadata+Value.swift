internal import Llama2Core

// What a key can say.
extension Metadata {
    enum Value: @unchecked Sendable {
        case unsigned(UInt64), signed(Int64), float(Double), bool(Bool)
        case string(UnsafeRawBufferPointer)
        case strings(ByteStrings)
        case array(ElementType, count: Int, UnsafeRawBufferPointer)
    }

    /// Types of values, by GGUF's numbers.
    enum ElementType: UInt32 {
        case uint8 = 0, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

        /// Bytes of a number; nil for strings and arrays.
        var size: Int? {
            switch self {
            case .uint8, .int8, .bool: 1
            case .uint16, .int16: 2
            case .uint32, .int32, .float32: 4
            case .uint64, .int64, .float64: 8
            case .string, .array: nil
            }
        }

        /// The number at `p`, which holds at least `size` bytes.
        func load(_ p: UnsafeRawPointer) -> Value {
            switch self {
            case .uint8: .unsigned(UInt64(p.loadUnaligned(as: UInt8.self)))
            case .uint16: .unsigned(UInt64(p.loadUnaligned(as: UInt16.self)))
            case .uint32: .unsigned(UInt64(p.loadUnaligned(as: UInt32.self)))
            case .uint64: .unsigned(p.loadUnaligned(as: UInt64.self))
            case .int8: .signed(Int64(p.loadUnaligned(as: Int8.self)))
            case .int16: .signed(Int64(p.loadUnaligned(as: Int16.self)))
            case .int32: .signed(Int64(p.loadUnaligned(as: Int32.self)))
            case .int64: .signed(p.loadUnaligned(as: Int64.self))
            case .float32: .float(Double(p.loadUnaligned(as: Float.self)))
            case .float64: .float(p.loadUnaligned(as: Double.self))
            case .bool, .string, .array: .bool(p.loadUnaligned(as: UInt8.self) != 0)
            }
        }
    }
}
