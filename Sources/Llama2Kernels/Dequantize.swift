public import Llama2Core

extension Kernels {
    /// One row of `count` weights as floats: what the format's definition says, in its own order
    /// of operations. count is a whole number of blocks.
    public func dequantize(
        _ type: BlockType, _ row: UnsafeRawPointer, _ count: Int, _ out: UnsafeMutablePointer<Float>
    ) {
        func half(_ offset: Int) -> Float { halfToFloat(row.loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
        func byte(_ offset: Int) -> UInt8 { row.load(fromByteOffset: offset, as: UInt8.self) }
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
        case .q4_0, .q4_1:
            let header = type == .q4_0 ? 2 : 4
            for b in 0..<count / 32 {
                let o = b &* (header &+ 16), d = half(o), m = type == .q4_0 ? 0 : half(o &+ 2)
                for i in 0..<16 {
                    let pair = byte(o &+ header &+ i)
                    let low = Float(Int(pair & 15) &- (type == .q4_0 ? 8 : 0))
                    let high = Float(Int(pair >> 4) &- (type == .q4_0 ? 8 : 0))
                    out[32 &* b &+ i] = type == .q4_0 ? d * low : d * low + m
                    out[32 &* b &+ i &+ 16] = type == .q4_0 ? d * high : d * high + m
                }
            }
        case .q8_0:
            for b in 0..<count / 32 {
                let d = half(34 &* b)
                for i in 0..<32 { out[32 &* b &+ i] = d * Float(Int8(bitPattern: byte(34 &* b &+ 2 &+ i))) }
            }
        case .q4_K, .q6_K:
            dequantizeSuperblocks(type, row, count, out)
        case .q5_0, .q5_1, .q2_K, .q3_K, .q5_K:
            // BlockType.isSupported is false for these: no matrix of theirs is ever made.
            for i in 0..<count { out[i] = .nan }
        }
    }

    /// By way of a lane block with one row: the scales are multiplied out there already.
    private func dequantizeSuperblocks(
        _ type: BlockType, _ row: UnsafeRawPointer, _ count: Int, _ out: UnsafeMutablePointer<Float>
    ) {
        withUnsafeTemporaryAllocation(byteCount: 8 &* laneBlockBytes, alignment: 64) { lanes in
            guard let base = lanes.baseAddress else { return }
            for superblock in 0..<count / 256 {
                unpack(type.rawValue, row, 0, 1, 8 &* superblock, 8, base)
                for b in 0..<8 {
                    let block = base + b &* laneBlockBytes
                    let first = block.load(fromByteOffset: 512, as: Float.self)
                    let second = block.load(fromByteOffset: 576, as: Float.self)
                    for i in 0..<32 {
                        let w = block.load(fromByteOffset: (i >> 2) &* 64 &+ (i & 3), as: UInt8.self)
                        out[256 &* superblock &+ 32 &* b &+ i] =
                            type == .q4_K
                            ? first * Float(w) + second : (i < 16 ? first : second) * Float(Int(w) &- 32)
                    }
                }
            }
        }
    }
}
