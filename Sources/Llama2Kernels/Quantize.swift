internal import KernelOperands
public import Llama2Core

extension Kernels {
    public static var quantizeScratchBytes: Int { FitScratch.bytes }

    /// Whether `quantize` can make this type.
    public static func canQuantize(_ type: BlockType) -> Bool { visitFormat(type.rawValue, HasQuantizer()) ?? false }

    /// `count` finite floats, whole blocks, to a type that `canQuantize`. importance: (count) weights of the squared errors, for types
    /// that weigh columns. scratch: `quantizeScratchBytes`.
    public func quantize(
        _ type: BlockType, _ x: UnsafePointer<Float>, importance: UnsafePointer<Float>? = nil, count: Int,
        _ out: UnsafeMutableRawPointer, scratch: UnsafeMutableRawPointer
    ) {
        let o = BlocksOperands(x: x, importance: importance, count: count / type.elements, out: out, scratch: scratch, type: type.rawValue)
        withUnsafePointer(to: o) { _ = table.quantizeBlocks($0) }
    }
}

private struct HasQuantizer: NumberVisitor {
    @inline(__always) func visit<F: NumberFormat>(any _: F.Type) -> Bool { F.quantizer != nil }
}
