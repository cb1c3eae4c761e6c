/// How the numbers of a tensor are stored: ggml's types, by ggml's numbers.
///
/// This table is the one place that knows names and sizes. A tensor row is a whole number of
/// blocks; a block holds `elements` weights in `bytes` bytes.
/// Source: the GGUF specification and ggml's block structures.
public enum BlockType: UInt32, Sendable, CaseIterable, BitwiseCopyable {
    case f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8
    case q2_K = 10, q3_K = 11, q4_K = 12, q5_K = 13, q6_K = 14
    case bf16 = 30

    /// (name, elements of a block, bytes of a block)
    private var description_: (name: String, elements: Int, bytes: Int) {
        switch self {
        case .f32: ("F32", 1, 4)
        case .f16: ("F16", 1, 2)
        case .bf16: ("BF16", 1, 2)
        case .q4_0: ("Q4_0", 32, 2 + 16)
        case .q4_1: ("Q4_1", 32, 2 + 2 + 16)
        case .q5_0: ("Q5_0", 32, 2 + 4 + 16)
        case .q5_1: ("Q5_1", 32, 2 + 2 + 4 + 16)
        case .q8_0: ("Q8_0", 32, 2 + 32)
        case .q2_K: ("Q2_K", 256, 16 + 64 + 2 + 2)
        case .q3_K: ("Q3_K", 256, 32 + 64 + 12 + 2)
        case .q4_K: ("Q4_K", 256, 2 + 2 + 12 + 128)
        case .q5_K: ("Q5_K", 256, 2 + 2 + 12 + 32 + 128)
        case .q6_K: ("Q6_K", 256, 128 + 64 + 16 + 2)
        }
    }

    public var name: String { description_.name }
    public var elements: Int { description_.elements }
    public var bytes: Int { description_.bytes }

    /// True when a kernel exists; a file with another type loads no further than its directory.
    public var isSupported: Bool {
        switch self {
        case .f32, .f16, .bf16, .q4_0, .q4_1, .q8_0, .q4_K, .q6_K: true
        case .q5_0, .q5_1, .q2_K, .q3_K, .q5_K: false
        }
    }

    /// Floating-point storage, multiplied as such; all others are multiplied as integers.
    public var isFloat: Bool { elements == 1 }

    /// Bytes of a row of `count` weights; nil when it is not a whole number of blocks or overflows.
    public func rowBytes(_ count: Int) -> Int? {
        let (blocks, rest) = count.quotientAndRemainder(dividingBy: elements)
        guard count >= 0, rest == 0 else { return nil }
        let (total, overflow) = blocks.multipliedReportingOverflow(by: bytes)
        return overflow ? nil : total
    }
}
