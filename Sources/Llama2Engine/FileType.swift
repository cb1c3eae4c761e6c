internal import Llama2Core
internal import Llama2Formats

/// What a quantized file holds: one type, or one of the mixes that people know. Numbers as in GGUF's
/// `general.file_type` (llama.cpp's llama_ftype).
public enum FileType: UInt32, Sendable, CaseIterable {
    case f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q8_0 = 7, q5_0 = 8, q5_1 = 9, q2_K = 10
    case q3_K_S = 11, q3_K_M = 12, q3_K_L = 13, q4_K_S = 14, q4_K_M = 15, q5_K_S = 16, q5_K_M = 17, q6_K = 18, bf16 = 32

    /// As it is written: Q4_K_M.
    public var name: String {
        switch self {
        case .q3_K_S: "Q3_K_S"
        case .q3_K_M: "Q3_K_M"
        case .q3_K_L: "Q3_K_L"
        case .q4_K_S: "Q4_K_S"
        case .q4_K_M: "Q4_K_M"
        case .q5_K_S: "Q5_K_S"
        case .q5_K_M: "Q5_K_M"
        default: base.name
        }
    }

    /// The type of most matrices.
    var base: BlockType {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        case .q4_0: .q4_0
        case .q4_1: .q4_1
        case .q5_0: .q5_0
        case .q5_1: .q5_1
        case .q8_0: .q8_0
        case .q2_K: .q2_K
        case .q3_K_S, .q3_K_M, .q3_K_L: .q3_K
        case .q4_K_S, .q4_K_M: .q4_K
        case .q5_K_S, .q5_K_M: .q5_K
        case .q6_K: .q6_K
        }
    }

    /// The type of the matrix `name` (GGUF's) with rows of `columns`, in a model of `layers` layers whose heads share
    /// keys and values `group` to one. isOutput: it makes the logits. Rules: llama.cpp's quantizer, for Llama.
    func type(of name: ByteText, columns: Int, layers: Int, group: Int, isOutput: Bool) -> BlockType {
        if base.isFloat { return base }
        var type = base
        let layer = TensorNames.inLayer(name)?.layer ?? 0
        /// The first and last eighth of the layers, and every third between.
        let isSensitive = layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
        if isOutput {
            if self != .q8_0 { type = .q6_K }
        } else if name.hasSuffix("attn_v.weight") {
            switch self {
            case .q2_K: type = group >= 4 ? .q4_K : .q3_K
            case .q3_K_M: type = layer < 2 ? .q5_K : .q4_K
            case .q3_K_L: type = .q5_K
            case .q4_K_S: if layer < 4 { type = .q5_K }
            case .q4_K_M, .q5_K_M: if isSensitive { type = .q6_K }
            default: break
            }
            // 70B: eight heads share it, so that more bits cost little
            if layers == 80, type == .q3_K || type == .q4_K { type = .q5_K }
        } else if name.hasSuffix("ffn_down.weight") {
            switch self {
            case .q2_K: type = .q3_K
            case .q3_K_M: type = layer < layers / 16 ? .q5_K : .q4_K
            case .q3_K_L: type = .q5_K
            case .q4_K_S: if layer < layers / 8 { type = .q5_K }
            case .q4_K_M, .q5_K_M: if isSensitive { type = .q6_K }
            default: break
            }
        } else if name.hasSuffix("attn_output.weight") {
            switch self {
            case .q2_K: type = .q3_K
            case .q3_K_M: type = .q4_K
            case .q3_K_L: type = .q5_K
            default: break
            }
        }
        return FileType.fitting(type, columns: columns)
    }

    /// A type whose blocks divide the row.
    static func fitting(_ type: BlockType, columns: Int) -> BlockType {
        if columns % type.elements == 0 { return type }
        guard columns % 32 == 0 else { return .f16 }
        return switch type {
        case .q4_K: .q5_0
        case .q5_K: .q5_1
        case .q6_K: .q8_0
        case .f32, .f16, .bf16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_K, .q3_K, .iq2_xxs, .iq2_xs, .iq2_s, .iq3_xxs, .iq3_s,
            .iq1_s, .iq1_m, .iq4_nl, .iq4_xs, .tq1_0, .tq2_0:
            .q4_0
        }
    }
}
