/// How the numbers of a tensor are stored: ggml's types. A tensor row is a whole number of blocks; a block holds `elements`
/// weights in `bytes` bytes. What is known of a type is in its format (Formats/); this is the list of them.
public enum BlockType: Sendable, CaseIterable, BitwiseCopyable {
    case f32, f16, bf16
    case q4_0, q4_1, q5_0, q5_1, q8_0
    case q2_K, q3_K, q4_K, q5_K, q6_K
    case iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, iq1_s, iq1_m, iq4_nl, iq4_xs
    case tq1_0, tq2_0

    /// The one switch over types: what is asked of a type is asked of its format.
    @inline(__always) private func visit<V: NumberVisitor>(_ visitor: V) -> V.Result {
        switch self {
        case .f32: visitor.visit(any: F32.self)
        case .f16: visitor.visit(any: F16.self)
        case .bf16: visitor.visit(any: BF16.self)
        case .q4_0: visitor.visit(any: Q4_0.self)
        case .q4_1: visitor.visit(any: Q4_1.self)
        case .q5_0: visitor.visit(any: Q5_0.self)
        case .q5_1: visitor.visit(any: Q5_1.self)
        case .q8_0: visitor.visit(any: Q8_0.self)
        case .q2_K: visitor.visit(any: Q2_K.self)
        case .q3_K: visitor.visit(any: Q3_K.self)
        case .q4_K: visitor.visit(any: Q4_K.self)
        case .q5_K: visitor.visit(any: Q5_K.self)
        case .q6_K: visitor.visit(any: Q6_K.self)
        case .iq2_xxs: visitor.visit(any: IQ2_XXS.self)
        case .iq2_xs: visitor.visit(any: IQ2_XS.self)
        case .iq2_s: visitor.visit(any: IQ2_S.self)
        case .iq3_xxs: visitor.visit(any: IQ3_XXS.self)
        case .iq3_s: visitor.visit(any: IQ3_S.self)
        case .iq1_s: visitor.visit(any: IQ1_S.self)
        case .iq1_m: visitor.visit(any: IQ1_M.self)
        case .iq4_nl: visitor.visit(any: IQ4_NL.self)
        case .iq4_xs: visitor.visit(any: IQ4_XS.self)
        case .tq1_0: visitor.visit(any: TQ1_0.self)
        case .tq2_0: visitor.visit(any: TQ2_0.self)
        }
    }

    /// ggml's name; its text lives as long as the program.
    public var staticName: StaticString { visit(NameOf()) }
    public var name: String { "\(staticName)" }
    public var elements: Int { visit(ElementsOf()) }
    public var bytes: Int { visit(BytesOf()) }
    /// Floating-point storage, multiplied as such; all others are multiplied as integers.
    public var isFloat: Bool { visit(IsFloat()) }
    /// Whether quantizing to this type follows the importance of columns.
    public var weighsColumns: Bool { visit(WeighsColumns()) }
    /// GGUF's number of a file whose matrices have this type; nil: no such file is made, or only mixes.
    public var fileType: UInt32? { visit(FileTypeOf()) }
    /// The type that a mix takes where rows are no whole number of this one's blocks.
    public var standIn: BlockType { BlockType(rawValue: visit(StandInOf())) ?? self }

    /// Bytes of a row of `count` weights; nil when it is not a whole number of blocks or overflows.
    public func rowBytes(_ count: Int) -> Int? {
        let (blocks, rest) = count.quotientAndRemainder(dividingBy: elements)
        guard count >= 0, rest == 0 else { return nil }
        let (total, overflow) = blocks.multipliedReportingOverflow(by: bytes)
        return overflow ? nil : total
    }
}

// A visitor a fact, so that asking for one builds no other: some are asked in every product of a pass.

private struct NumberOf: NumberVisitor {
    @inline(__always) func visit<F: NumberFormat>(any _: F.Type) -> UInt32 { F.number }
}

private struct NameOf: NumberVisitor {
    @inline(__always) func visit<F: NumberFormat>(any _: F.Type) -> StaticString { F.name }
}

private struct ElementsOf: NumberVisitor {
    @inline(__always) func visit<F: NumberFormat>(any _: F.Type) -> Int { F.elements }
}

private struct BytesOf: NumberVisitor {
    @inline(__always) func visit<F: NumberFormat>(any _: F.Type) -> Int { F.bytes }
}

private struct IsFloat: NumberVisitor {
    @inline(__always) func visit<F: NumberFormat>(any _: F.Type) -> Bool { F.isFloat }
}

private struct WeighsColumns: NumberVisitor {
    @inline(__always) func visit<F: NumberFormat>(any _: F.Type) -> Bool { F.weighsColumns }
}

private struct FileTypeOf: NumberVisitor {
    @inline(__always) func visit<F: NumberFormat>(any _: F.Type) -> UInt32? { F.fileType }
}

private struct StandInOf: NumberVisitor {
    @inline(__always) func visit<F: NumberFormat>(any _: F.Type) -> UInt32 { F.standIn }
}

/// ggml's numbers, as GGUF files have them.
extension BlockType: RawRepresentable {
    public var rawValue: UInt32 { visit(NumberOf()) }

    public init?(rawValue: UInt32) {
        guard let type = BlockType.allCases.first(where: { $0.rawValue == rawValue }) else { return nil }
        self = type
    }
}

/// What is exclusive-ored onto signed weight bytes of lane blocks: nothing here.
var signedFlip: UInt8 { 0 }
