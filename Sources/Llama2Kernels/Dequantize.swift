public import Llama2Core

extension Kernels {
    /// One row of `count` weights as floats: what the format's definition says, in its own order
    /// of operations. count is a whole number of blocks; scratch: `dequantizeScratchBytes`, on a cache line.
    public func dequantize(
        _ type: BlockType, _ row: UnsafeRawPointer, _ count: Int, _ out: UnsafeMutablePointer<Float>,
        scratch: UnsafeMutableRawPointer
    ) {
        if visitPlain(type.rawValue, FloatRow(row: row, count: count, out: out)) == nil { dequantizeBlocks(type, row, count, out, scratch) }
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

private struct FloatRow: PlainVisitor {
    let row: UnsafeRawPointer, count: Int, out: UnsafeMutablePointer<Float>

    @inline(__always) func visit<F: PlainFormat>(_: F.Type) {
        for i in 0..<count { out[i] = F.load(row + F.bytes &* i) }
    }
}
