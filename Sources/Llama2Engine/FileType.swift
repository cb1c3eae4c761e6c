public import Llama2Core
internal import Llama2Formats

/// What a quantized file holds: one type, or one of the mixes that people know.
public struct FileType: Sendable {
    /// GGUF's `general.file_type` (llama.cpp's llama_ftype).
    let number: UInt32
    /// As it is written: Q4_K_M.
    public let name: String
    /// The type of most matrices.
    private let base: BlockType
    private let mix: Mix?

    private enum Mix: UInt32, CaseIterable {
        case q2_K = 10, q3_K_S = 11, q3_K_M = 12, q3_K_L = 13, q4_K_S = 14, q4_K_M = 15, q5_K_S = 16, q5_K_M = 17
    }

    /// nil: no file is made of this type alone.
    public init?(_ type: BlockType) {
        guard let number = type.fileType else { return nil }
        self.number = number
        name = type.name
        base = type
        mix = nil
    }

    private init(_ mix: Mix) {
        number = mix.rawValue
        self.mix = mix
        (base, name) =
            switch mix {
            case .q2_K: (.q2_K, "Q2_K")
            case .q3_K_S: (.q3_K, "Q3_K_S")
            case .q3_K_M: (.q3_K, "Q3_K_M")
            case .q3_K_L: (.q3_K, "Q3_K_L")
            case .q4_K_S: (.q4_K, "Q4_K_S")
            case .q4_K_M: (.q4_K, "Q4_K_M")
            case .q5_K_S: (.q5_K, "Q5_K_S")
            case .q5_K_M: (.q5_K, "Q5_K_M")
            }
    }

    /// By their numbers.
    public static var all: [FileType] {
        (BlockType.allCases.compactMap { FileType($0) } + Mix.allCases.map { FileType($0) }).sorted { $0.number < $1.number }
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
            if type != .q8_0 { type = .q6_K }
        } else if name.hasSuffix("attn_v.weight") {
            switch mix {
            case .q2_K: type = group >= 4 ? .q4_K : .q3_K
            case .q3_K_M: type = layer < 2 ? .q5_K : .q4_K
            case .q3_K_L: type = .q5_K
            case .q4_K_S: if layer < 4 { type = .q5_K }
            case .q4_K_M, .q5_K_M: if isSensitive { type = .q6_K }
            case .q3_K_S, .q5_K_S, nil: break
            }
            // 70B: eight heads share it, so that more bits cost little
            if layers == 80, type == .q3_K || type == .q4_K { type = .q5_K }
        } else if name.hasSuffix("ffn_down.weight") {
            switch mix {
            case .q2_K: type = .q3_K
            case .q3_K_M: type = layer < layers / 16 ? .q5_K : .q4_K
            case .q3_K_L: type = .q5_K
            case .q4_K_S: if layer < layers / 8 { type = .q5_K }
            case .q4_K_M, .q5_K_M: if isSensitive { type = .q6_K }
            case .q3_K_S, .q5_K_S, nil: break
            }
        } else if name.hasSuffix("attn_output.weight") {
            switch mix {
            case .q2_K: type = .q3_K
            case .q3_K_M: type = .q4_K
            case .q3_K_L: type = .q5_K
            case .q3_K_S, .q4_K_S, .q4_K_M, .q5_K_S, .q5_K_M, nil: break
            }
        }
        return FileType.fitting(type, columns: columns)
    }

    /// A type whose blocks divide the row.
    static func fitting(_ type: BlockType, columns: Int) -> BlockType {
        if columns % type.elements == 0 { return type }
        return columns % 32 == 0 ? type.standIn : .f16
    }
}
