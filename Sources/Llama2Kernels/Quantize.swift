internal import KernelOperands
public import Llama2Core

extension Kernels {
    /// Whether `quantize` can make this type.
    public static func canQuantize(_ type: BlockType) -> Bool {
        switch type {
        case .f32, .f16, .bf16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K: true
        case .iq2_xxs, .iq2_xs, .iq2_s, .iq3_xxs, .iq3_s, .iq1_s, .iq1_m, .iq4_nl, .iq4_xs, .tq1_0, .tq2_0: false
        }
    }

    /// Whether `quantize` to this type follows the importance of columns.
    public static func weighsColumns(_ type: BlockType) -> Bool {
        switch type {
        case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K: true
        case .f32, .f16, .bf16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0: false
        case .iq2_xxs, .iq2_xs, .iq2_s, .iq3_xxs, .iq3_s, .iq1_s, .iq1_m, .iq4_nl, .iq4_xs, .tq1_0, .tq2_0: false
        }
    }

    /// `count` finite floats, whole blocks, to a type that `canQuantize`. The types of 32 give the bytes of the `gguf`
    /// package's numpy. importance: (count) weights of the squared errors, for the K types. scratch: 8 KiB.
    public func quantize(
        _ type: BlockType, _ x: UnsafePointer<Float>, importance: UnsafePointer<Float>? = nil, count: Int,
        _ out: UnsafeMutableRawPointer, scratch: UnsafeMutableRawPointer
    ) {
        switch type {
        case .f32: out.copyMemory(from: x, byteCount: 4 &* count)
        case .f16:
            for i in 0..<count { out.storeBytes(of: floatToHalf(x[i]), toByteOffset: 2 &* i, as: UInt16.self) }
        case .bf16:
            for i in 0..<count {
                let bits = x[i].bitPattern
                // to nearest even
                let rounded = (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16
                out.storeBytes(of: UInt16(truncatingIfNeeded: rounded), toByteOffset: 2 &* i, as: UInt16.self)
            }
        case .q8_0:
            for b in 0..<count / 32 { Kernels.quantizeQ8_0(x + 32 &* b, out + type.bytes &* b) }
        case .q4_0, .q5_0:
            for b in 0..<count / 32 { Kernels.quantizeSymmetric(type, x + 32 &* b, out + type.bytes &* b) }
        case .q4_1, .q5_1:
            for b in 0..<count / 32 { Kernels.quantizeAffine(type, x + 32 &* b, out + type.bytes &* b) }
        case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K:
            let o = SuperblockOperands(
                x: x, importance: importance, count: count / 256, out: out, scratch: scratch, type: type.rawValue)
            withUnsafePointer(to: o) { _ = table.quantize_superblocks($0) }
        case .iq2_xxs, .iq2_xs, .iq2_s, .iq3_xxs, .iq3_s, .iq1_s, .iq1_m, .iq4_nl, .iq4_xs, .tq1_0, .tq2_0:
            break  // nothing makes these: see canQuantize
        }
    }

    /// d = the value of greatest magnitude / -8 (-16): it takes the one integer more that the negative side has.
    private static func quantizeSymmetric(_ type: BlockType, _ x: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer) {
        let half: Float = type == .q4_0 ? 8 : 16
        var extreme = x[0]
        for i in 1..<32 where x[i].magnitude > extreme.magnitude { extreme = x[i] }
        let d = extreme / -half, inverse = d == 0 ? 0 : 1 / d
        out.storeBytes(of: floatToHalf(d), as: UInt16.self)
        store(type, out + 2) { integer(x[$0] * inverse + (half + 0.5), most: 2 * half - 1) }
    }

    /// d = (max - min) / 15 (31), m = min.
    private static func quantizeAffine(_ type: BlockType, _ x: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer) {
        let most: Float = type == .q4_1 ? 15 : 31
        var low = x[0], high = x[0]
        for i in 1..<32 {
            low = Swift.min(low, x[i])
            high = Swift.max(high, x[i])
        }
        let d = (high - low) / most, inverse = d == 0 ? 0 : 1 / d
        out.storeBytes(of: floatToHalf(d), as: UInt16.self)
        out.storeBytes(of: floatToHalf(low), toByteOffset: 2, as: UInt16.self)
        store(type, out + 4) { integer((x[$0] - low) * inverse + 0.5, most: most) }
    }

    /// x without its fraction, in 0...most; 0 for what is no number.
    @inline(__always) private static func integer(_ x: Float, most: Float) -> UInt8 {
        x > 0 ? UInt8(x < most ? x : most) : 0
    }

    /// { (u32 high;) u8 q[16] }: column i in the low nibble of byte i, column i + 16 in the high one.
    @inline(__always) private static func store(_ type: BlockType, _ out: UnsafeMutableRawPointer, _ q: (Int) -> UInt8) {
        let hasFifthBit = type == .q5_0 || type == .q5_1, nibbles = out + (hasFifthBit ? 4 : 0)
        var high: UInt32 = 0
        for i in 0..<16 {
            let a = q(i), b = q(i &+ 16)
            nibbles.storeBytes(of: a & 15 | (b & 15) << 4, toByteOffset: i, as: UInt8.self)
            high |= UInt32(a >> 4) << UInt32(i) | UInt32(b >> 4) << UInt32(i &+ 16)
        }
        if hasFifthBit { out.storeBytes(of: high, as: UInt32.self) }
    }

    /// d = max |x| / 127; ties away from zero.
    private static func quantizeQ8_0(_ x: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer) {
        var most: Float = 0
        for i in 0..<32 { most = Swift.max(most, x[i].magnitude) }
        let d = most / 127, inverse = d == 0 ? 0 : 1 / d
        out.storeBytes(of: floatToHalf(d), as: UInt16.self)
        for i in 0..<32 {
            let q = (x[i] * inverse).rounded(.toNearestOrAwayFromZero)
            let byte = q >= -128 && q <= 127 ? Int8(q) : 0
            out.storeBytes(of: byte, toByteOffset: 2 &+ i, as: Int8.self)
        }
    }
}
