/// How keys, or values, lie in a page of the cache. The numbers are ggml's; the layouts in Body/QuantizedAttention.swift.
public enum CacheType: UInt32, Sendable, BitwiseCopyable, CaseIterable {
    case f32 = 0, f16 = 1
    /// Blocks of 32 components of a position: a scale in F16 and integers of 4 bits, -8 to 7, or of 8, -127 to 127.
    case q4_0 = 2, q8_0 = 8

    public var name: String {
        switch self {
        case .f32: "F32"
        case .f16: "F16"
        case .q4_0: "Q4_0"
        case .q8_0: "Q8_0"
        }
    }

    public var isQuantized: Bool {
        switch self {
        case .f32, .f16: false
        case .q4_0, .q8_0: true
        }
    }

    /// Bits of a component; a block of the quantized ones has 16 more.
    public var bits: Int {
        switch self {
        case .f32: 32
        case .f16: 16
        case .q4_0: 4
        case .q8_0: 8
        }
    }

    /// Bytes of the keys, or the values, of one head in a page of 64 positions. headStride: a multiple of 64 for the quantized.
    public func partBytes(headStride: Int) -> Int { headStride * 8 * bits + (isQuantized ? headStride / 32 * 128 : 0) }
}
