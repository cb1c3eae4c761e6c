public import Llama2Core

/// GGUF's names of the tensors of a Llama. What a file holds is used, known to change nothing, or refused by name.
public enum TensorNames {
    static let whole: Set<ByteText> = [
        "token_embd.weight", "output_norm.weight", "output.weight", "rope_freqs.weight", "rope_factors_long.weight",
        "rope_factors_short.weight",
    ]
    /// After `blk.N.`
    static let inLayer: Set<ByteText> = [
        "attn_norm.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight", "ffn_norm.weight",
        "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight", "attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias",
        "ffn_gate.bias", "ffn_up.bias", "ffn_down.bias",
    ]
    /// What old converters wrote beside the weights and every reader computes: inverse frequencies of RoPE.
    static let harmlessInLayer: Set<ByteText> = ["attn_rot_embd.weight", "attn_rot_embd"]

    /// (layer, the rest) of `blk.N.rest`.
    public static func inLayer(_ name: ByteText) -> (layer: Int, rest: ByteText)? {
        guard name.hasPrefix("blk."), let dot = name.bytes.dropFirst(4).firstIndex(of: UInt8(ascii: ".")),
            let layer = ByteText(name.bytes[4..<dot]).index
        else { return nil }
        return (layer, ByteText(name.bytes[(dot + 1)...]))
    }

    /// Whether a model of `layers` layers takes it.
    public static func isUsed(_ name: ByteText, layers: Int) -> Bool {
        guard let (layer, rest) = inLayer(name) else { return whole.contains(name) }
        return layer < layers && inLayer.contains(rest)
    }

    public static func isHarmless(_ name: ByteText) -> Bool { inLayer(name).map { harmlessInLayer.contains($0.rest) } ?? false }
}

/// ggml's types that this version does not compute with, for sentences. Source: ggml.h.
func nameOfOtherType(_ number: UInt32) -> String? {
    switch number {
    case 9: "Q8_1"
    case 15: "Q8_K"
    case 24: "I8"
    case 25: "I16"
    case 26: "I32"
    case 27: "I64"
    case 28: "F64"
    case 39: "MXFP4"
    case 40: "NVFP4"
    case 41: "Q1_0"
    case 42: "Q2_0"
    default: nil
    }
}
