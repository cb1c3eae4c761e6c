public import Llama2Core

extension Kernels {
    /// One row of `count` weights as floats: what the format's definition says, in its own order
    /// of operations. count is a whole number of blocks; scratch: `dequantizeScratchBytes`, on a cache line.
    public func dequantize(
        _ type: BlockType, _ row: UnsafeRawPointer, _ count: Int, _ out: UnsafeMutablePointer<Float>,
        scratch: UnsafeMutableRawPointer
    ) {
        func half(_ offset: Int) -> Float { halfToFloat(row.loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
        switch type {
        case .f32:
            for i in 0..<count { out[i] = row.loadUnaligned(fromByteOffset: 4 &* i, as: Float.self) }
        case .f16:
            for i in 0..<count { out[i] = half(2 &* i) }
        case .bf16:
            for i in 0..<count {
                let bits = row.loadUnaligned(fromByteOffset: 2 &* i, as: UInt16.self)
                out[i] = Float(bitPattern: UInt32(bits) << 16)
            }
        case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq2_xxs, .iq2_xs, .iq2_s, .iq3_xxs, .iq3_s,
            .iq1_s, .iq1_m, .iq4_nl, .iq4_xs, .tq1_0, .tq2_0:
            dequantizeBlocks(type, row, count, out, scratch)
        }
    }

    public static var dequantizeScratchBytes: Int { 8 &* laneBlockBytes }

    /// By way of a lane block with one row, where the scales of superblocks are multiplied out already.
    private func dequantizeBlocks(
        _ type: BlockType, _ row: UnsafeRawPointer, _ count: Int, _ out: UnsafeMutablePointer<Float>,
        _ lanes: UnsafeMutableRawPointer
    ) {
        guard let form = laneForm(type.rawValue) else { return }
        for first in stride(from: 0, to: count / 32, by: 8) {
            let blocks = Swift.min(8, count / 32 &- first)
            unpack(type.rawValue, row, 0, 1, first, blocks, row, lanes)
            for b in 0..<blocks {
                Kernels.dequantize(form, lanes + b &* laneBlockBytes, out + 32 &* (first &+ b))
            }
        }
    }

    /// Row 0 of a lane block: out (32).
    private static func dequantize(_ form: LaneForm, _ block: UnsafeRawPointer, _ out: UnsafeMutablePointer<Float>) {
        func scale(_ index: Int) -> Float { block.load(fromByteOffset: 512 &+ 64 &* index, as: Float.self) }
        for i in 0..<32 {
            let w = block.load(fromByteOffset: (i >> 2) &* 64 &+ (i & 3), as: UInt8.self), half = i >> 4
            let signed = Float(Int8(bitPattern: w ^ signedFlip))
            out[i] =
                switch form {
                case .symmetric4: scale(0) * Float(Int(w) &- 8)
                case .signed8: scale(0) * signed
                case .affine: scale(0) * Float(w) + scale(1)
                case .halves6: scale(half) * Float(Int(w) &- 32)
                case .halves8: scale(half) * signed
                case .affineHalves: scale(half) * Float(w) + scale(2 &+ half)
                }
        }
    }
}
