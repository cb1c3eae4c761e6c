/// How the numbers of a tensor are stored: ggml's types. A tensor row is a whole number of blocks; a block holds `elements`
/// weights in `bytes` bytes. What is known of a type is in its format (Formats/); this is the list of them.
public enum BlockType: Sendable, CaseIterable, BitwiseCopyable {
    case f32, f16, bf16
    case q4_0, q4_1, q5_0, q5_1, q8_0
    case q2_K, q3_K, q4_K, q5_K, q6_K
    case iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, iq1_s, iq1_m, iq4_nl, iq4_xs
    case tq1_0, tq2_0

    private var format: FormatFacts {
        switch self {
        case .f32: FormatFacts(F32.self)
        case .f16: FormatFacts(F16.self)
        case .bf16: FormatFacts(BF16.self)
        case .q4_0: FormatFacts(Q4_0.self)
        case .q4_1: FormatFacts(Q4_1.self)
        case .q5_0: FormatFacts(Q5_0.self)
        case .q5_1: FormatFacts(Q5_1.self)
        case .q8_0: FormatFacts(Q8_0.self)
        case .q2_K: FormatFacts(Q2_K.self)
        case .q3_K: FormatFacts(Q3_K.self)
        case .q4_K: FormatFacts(Q4_K.self)
        case .q5_K: FormatFacts(Q5_K.self)
        case .q6_K: FormatFacts(Q6_K.self)
        case .iq2_xxs: FormatFacts(IQ2_XXS.self)
        case .iq2_xs: FormatFacts(IQ2_XS.self)
        case .iq2_s: FormatFacts(IQ2_S.self)
        case .iq3_xxs: FormatFacts(IQ3_XXS.self)
        case .iq3_s: FormatFacts(IQ3_S.self)
        case .iq1_s: FormatFacts(IQ1_S.self)
        case .iq1_m: FormatFacts(IQ1_M.self)
        case .iq4_nl: FormatFacts(IQ4_NL.self)
        case .iq4_xs: FormatFacts(IQ4_XS.self)
        case .tq1_0: FormatFacts(TQ1_0.self)
        case .tq2_0: FormatFacts(TQ2_0.self)
        }
    }

    /// ggml's name; its text lives as long as the program.
    public var staticName: StaticString { format.name }
    public var name: String { "\(format.name)" }
    public var elements: Int { format.elements }
    public var bytes: Int { format.bytes }

    /// Floating-point storage, multiplied as such; all others are multiplied as integers.
    public var isFloat: Bool {
        // asked in every product of a pass, which the other facts of a type are not built for
        switch self {
        case .f32, .f16, .bf16: true
        case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K: false
        case .iq2_xxs, .iq2_xs, .iq2_s, .iq3_xxs, .iq3_s, .iq1_s, .iq1_m, .iq4_nl, .iq4_xs, .tq1_0, .tq2_0: false
        }
    }

    /// Bytes of a row of `count` weights; nil when it is not a whole number of blocks or overflows.
    public func rowBytes(_ count: Int) -> Int? {
        let (blocks, rest) = count.quotientAndRemainder(dividingBy: elements)
        guard count >= 0, rest == 0 else { return nil }
        let (total, overflow) = blocks.multipliedReportingOverflow(by: bytes)
        return overflow ? nil : total
    }
}

/// What a format says of itself, as a value: Embedded Swift, which Tests/arm64 is built with, has no values of a protocol's type.
private struct FormatFacts {
    let number: UInt32, name: StaticString, elements: Int, bytes: Int

    @inline(__always) init<F: NumberFormat>(_: F.Type) {
        number = F.number
        name = F.name
        elements = F.elements
        bytes = F.bytes
    }
}

/// ggml's numbers, as GGUF files have them.
extension BlockType: RawRepresentable {
    public var rawValue: UInt32 { format.number }

    public init?(rawValue: UInt32) {
        guard let type = BlockType.allCases.first(where: { $0.rawValue == rawValue }) else { return nil }
        self = type
    }
}

/// What is exclusive-ored onto signed weight bytes of lane blocks: nothing here.
var signedFlip: UInt8 { 0 }
