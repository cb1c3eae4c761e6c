/// How the numbers of a tensor are stored: ggml's types, by ggml's numbers.
///
/// This table is the one place that knows names and sizes. A tensor row is a whole number of
/// blocks; a block holds `elements` weights in `bytes` bytes.
/// Source: the GGUF specification and ggml's block structures.
public enum BlockType: UInt32, Sendable, CaseIterable, BitwiseCopyable {
    case f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8
    case q2_K = 10, q3_K = 11, q4_K = 12, q5_K = 13, q6_K = 14
    case iq2_xxs = 16, iq2_xs = 17, iq3_xxs = 18, iq1_s = 19, iq4_nl = 20, iq3_s = 21, iq2_s = 22, iq4_xs = 23, iq1_m = 29
    case bf16 = 30, tq1_0 = 34, tq2_0 = 35

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
        case .iq2_xxs: ("IQ2_XXS", 256, 2 + 64)
        case .iq2_xs: ("IQ2_XS", 256, 2 + 64 + 8)
        case .iq2_s: ("IQ2_S", 256, 2 + 32 + 32 + 8 + 8)
        case .iq3_xxs: ("IQ3_XXS", 256, 2 + 64 + 32)
        case .iq3_s: ("IQ3_S", 256, 2 + 64 + 8 + 32 + 4)
        case .iq1_s: ("IQ1_S", 256, 2 + 32 + 16)
        case .iq1_m: ("IQ1_M", 256, 32 + 16 + 8)
        case .iq4_nl: ("IQ4_NL", 32, 2 + 16)
        case .iq4_xs: ("IQ4_XS", 256, 2 + 2 + 4 + 128)
        case .tq1_0: ("TQ1_0", 256, 48 + 4 + 2)
        case .tq2_0: ("TQ2_0", 256, 64 + 2)
        }
    }

    public var name: String { description_.name }
    public var elements: Int { description_.elements }
    public var bytes: Int { description_.bytes }

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
