internal import Llama2Core
internal import Llama2Formats
internal import Llama2Kernels

/// A weight that cannot be written as a number, where it is first met.
struct LostValue: BitwiseCopyable {
    enum Kind: UInt8 { case none, notFinite, beyondType }
    var kind = Kind.none
    var row = 0, column = 0
    var value: Float = 0

    func error(_ name: ByteText, _ target: BlockType) -> Llama2Error {
        let place = "tensor \(name), row \(row), column \(column)"
        guard kind == .beyondType else { return Llama2Error(.corrupt, "\(place): \(value) is not finite") }
        return Llama2Error(
            .corrupt, "\(place): \(value) would not be finite in \(target.name); LLAMA2_QUANTIZE_KEEP_WIDER keeps such a tensor in a wider type")
    }
}

/// Looks at what is read and at what is written of a row.
enum WrittenValues {
    /// The largest number that every type's scales hold: F16's. A row within it is finite in every type.
    static let largestHalf: Float = 65_504

    /// The largest magnitude of `x` (count); nil, with the column in `bad`, when one is no finite number.
    @inline(__always) static func largest(_ x: UnsafePointer<Float>, _ count: Int, bad: inout Int) -> Float? {
        var largest: Float = 0
        for i in 0..<count {
            let magnitude = x[i].magnitude
            guard magnitude < .infinity else {
                bad = i
                return nil
            }
            if magnitude > largest { largest = magnitude }
        }
        return largest
    }

    /// The first column that a written row has as no finite number; nil when there is none. y: (count), scratch as `dequantize` wants.
    static func firstLost(
        _ kernels: borrowing Kernels, _ type: BlockType, _ row: UnsafeRawPointer, _ count: Int, _ y: UnsafeMutablePointer<Float>,
        scratch: UnsafeMutableRawPointer
    ) -> Int? {
        kernels.dequantize(type, row, count, y, scratch: scratch)
        for i in 0..<count where !y[i].isFinite { return i }
        return nil
    }

    /// The same of `count` bytes from `first` on that are written as they are; a type of blocks is not looked into.
    static func check(_ tensor: TensorInfo, from first: Int, count: Int) throws(Llama2Error) {
        guard tensor.type.isFloat, let start = tensor.data.baseAddress else { return }
        let size = tensor.type.bytes, base = start + first, elements = 0..<(count / size)
        let bad: Int?
        // all ones in the exponent: infinity and NaN
        if tensor.type == .f32 {
            bad = elements.first { base.loadUnaligned(fromByteOffset: 4 &* $0, as: UInt32.self) & 0x7f80_0000 == 0x7f80_0000 }
        } else {
            let exponent: UInt16 = tensor.type == .f16 ? 0x7c00 : 0x7f80
            bad = elements.first { base.loadUnaligned(fromByteOffset: 2 &* $0, as: UInt16.self) & exponent == exponent }
        }
        guard let bad else { return }
        let index = first / size + bad
        throw Llama2Error(
            .corrupt, "tensor \(tensor.name), row \(index / tensor.columns), column \(index % tensor.columns): not a finite number")
    }

    /// Where the weights of a tensor do not fit `type`: what it is kept in instead.
    static func wider(than type: BlockType, source: BlockType) -> BlockType { source == .bf16 && type != .bf16 ? .bf16 : .f32 }

    /// What importance is multiplied by, so that sums of squares of its products with weights stay floats: a power of two, and 1
    /// for any that is not enormous. Only the ratios within a matrix count.
    static func scale(_ importance: [Float]) -> Float {
        let largest = importance.max() ?? 0
        return largest > 0x1p40 ? Float(sign: .plus, exponent: -Int(largest.exponent), significand: 1) : 1
    }
}
