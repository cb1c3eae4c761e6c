internal import KernelOperands

/// The input of a multiplication, in both forms: floats for float weights, int8 for the others.
/// The int8 form comes in tiles of `width` tokens that lie side by side: see `multiplyQuantized`.
public struct Activations: BitwiseCopyable {
    public let f32: UnsafePointer<Float>  // (tokens, columns)
    public let q: UnsafeMutablePointer<Int8>  // (tokens / width, columns / 32, width, 32)
    public let scale: UnsafeMutablePointer<Float>  // (tokens / width, columns / 32, width)
    public let corrections: UnsafeMutablePointer<Int32>  // (tokens / width, columns / 32, width, 4)
    public let width: Int

    public init(
        f32: UnsafePointer<Float>, q: UnsafeMutablePointer<Int8>, scale: UnsafeMutablePointer<Float>,
        corrections: UnsafeMutablePointer<Int32>, tokens: Int
    ) {
        self.f32 = f32
        self.q = q
        self.scale = scale
        self.corrections = corrections
        width = Activations.width(tokens)
    }

    /// Tiles of eight from five tokens on: what a tile lacks is multiplied and not stored where that is faster than fewer at a time.
    public static func width(_ tokens: Int) -> Int { tokens >= 5 ? 8 : 1 }

    /// Blocks that the int8 form of `tokens` tokens takes: whole tiles.
    public static func blocks(_ tokens: Int, columns: Int) -> Int {
        let w = width(tokens)
        return (tokens + w - 1) / w * w * (columns / 32)
    }
}

extension Kernels {
    /// Columns `first ..< first + count` of token t of `a.f32`, (tokens, columns), to int8; both multiples of 32.
    public func quantize(_ a: Activations, columns: Int, token t: Int, first: Int, count: Int) {
        let w = a.width, o = ((t / w) &* (columns / 32) &+ first / 32) &* w &+ t % w
        let operands = QuantizeOperands(
            x: a.f32 + (t &* columns &+ first), count: count, width: w, q: a.q + 32 &* o, s: a.scale + o,
            c: a.corrections + 4 &* o)
        withUnsafePointer(to: operands) { table.quantize($0) }
    }

    /// out = x - what the int8 form of token t stands for; x, out: (columns).
    public func subtractQuantized(
        _ a: Activations, columns: Int, token t: Int, from x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>
    ) {
        let w = a.width, first = (t / w) &* (columns / 32) &* w &+ t % w
        for b in 0..<columns / 32 {
            let o = first &+ b &* w
            for i in 0..<32 { out[32 &* b &+ i] = x[32 &* b &+ i] - a.scale[o] * Float(a.q[32 &* o &+ i]) }
        }
    }
}
