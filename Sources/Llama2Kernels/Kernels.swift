public import Llama2Core
#if arch(x86_64)
internal import Llama2KernelsAVX2
internal import Llama2KernelsAVX512
internal import X86Intrinsics
#endif

/// The kernels of one instruction set. All tables compute the same bits (DESIGN.md, the numeric
/// contract); which one runs is chosen once, when a context is created.
public struct Kernels: Sendable {
    public enum ISA: Int32, CaseIterable, Sendable {
        case reference = 1, avx2 = 2, avx512 = 3

        public var name: String {
            switch self {
            case .reference: "reference"
            case .avx2: "AVX2+FMA"
            case .avx512: "AVX-512+VNNI"
            }
        }
    }

    typealias Floats = UnsafePointer<Float>
    typealias MutableFloats = UnsafeMutablePointer<Float>

    public let isa: ISA
    let multiplyQuantized_: @Sendable (UInt32, UnsafeRawPointer, Int, Int, Int, Int, Int, UnsafePointer<Int8>, Floats, UnsafePointer<Int32>, Int, Int, MutableFloats, Int, UnsafeRawPointer, UnsafeMutableRawPointer) -> Void
    let multiplyFloat_: @Sendable (UInt32, UnsafeRawPointer, Int, Int, Int, Floats, Int, MutableFloats, Int, UnsafeRawPointer) -> Void
    let quantize_: @Sendable (Floats, Int, Int, UnsafeMutablePointer<Int8>, MutableFloats, UnsafeMutablePointer<Int32>) -> Void
    let rmsNorm_: @Sendable (Floats, Floats, Int, Float, MutableFloats) -> Void
    let swiGLU_: @Sendable (Floats, Floats, Int, MutableFloats) -> Void
    let add_: @Sendable (MutableFloats, Floats, Int) -> Void
    let rope_: @Sendable (MutableFloats, Int, Int, Int, Floats) -> Void
    let attention_: @Sendable (Floats, Int, Int, Int, Float, UnsafePointer<UnsafeRawPointer>, UnsafePointer<UnsafeRawPointer>, Int, Bool, MutableFloats, UnsafeMutableRawPointer) -> Void
    let storeCache_: @Sendable (Floats, Int, UnsafeMutableRawPointer, Int, Bool) -> Void
    let quantizeSuperblocks_: @Sendable (UInt32, Floats, Floats?, Int, UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> Void

    static let reference = Kernels(
        isa: .reference, multiplyQuantized_: multiplyQuantized, multiplyFloat_: multiplyFloat, quantize_: quantizeRow,
        rmsNorm_: rmsNorm_body, swiGLU_: swiGLU_body, add_: addVector, rope_: rotatePairs, attention_: attention_body,
        storeCache_: storeCache, quantizeSuperblocks_: quantizeSuperblocks)

    #if arch(x86_64)
    static let avx2 = Kernels(
        isa: .avx2, multiplyQuantized_: Llama2KernelsAVX2.multiplyQuantized,
        multiplyFloat_: Llama2KernelsAVX2.multiplyFloat, quantize_: Llama2KernelsAVX2.quantizeRow,
        rmsNorm_: Llama2KernelsAVX2.rmsNorm, swiGLU_: Llama2KernelsAVX2.swiGLU, add_: Llama2KernelsAVX2.addVector,
        rope_: Llama2KernelsAVX2.rotatePairs, attention_: Llama2KernelsAVX2.attention,
        storeCache_: Llama2KernelsAVX2.storeCache, quantizeSuperblocks_: Llama2KernelsAVX2.quantizeSuperblocks)
    static let avx512 = Kernels(
        isa: .avx512, multiplyQuantized_: Llama2KernelsAVX512.multiplyQuantized,
        multiplyFloat_: Llama2KernelsAVX512.multiplyFloat, quantize_: Llama2KernelsAVX512.quantizeRow,
        rmsNorm_: Llama2KernelsAVX512.rmsNorm, swiGLU_: Llama2KernelsAVX512.swiGLU,
        add_: Llama2KernelsAVX512.addVector, rope_: Llama2KernelsAVX512.rotatePairs,
        attention_: Llama2KernelsAVX512.attention, storeCache_: Llama2KernelsAVX512.storeCache,
        quantizeSuperblocks_: Llama2KernelsAVX512.quantizeSuperblocks)
    #endif

    /// What this machine can run, best last.
    public static let available: [ISA] = {
        var list: [ISA] = [.reference]
        #if arch(x86_64)
        if l2s_cpu_has_avx2() != 0 { list.append(.avx2) }
        if l2s_cpu_has_avx512_vnni() != 0 { list.append(.avx512) }
        #endif
        return list
    }()

    /// The table of `isa`, or the best one for nil.
    public static func table(_ isa: ISA?) throws(Llama2Error) -> Kernels {
        let chosen = isa ?? available[available.count - 1]
        guard available.contains(chosen) else {
            throw Llama2Error(.unsupported, "this machine cannot run the \(chosen.name) kernels")
        }
        switch chosen {
        case .reference: return reference
        #if arch(x86_64)
        case .avx2: return avx2
        case .avx512: return avx512
        #else
        case .avx2, .avx512: return reference
        #endif
        }
    }
}

private let rmsNorm_body: @Sendable (Kernels.Floats, Kernels.Floats, Int, Float, Kernels.MutableFloats) -> Void = rmsNorm
private let swiGLU_body: @Sendable (Kernels.Floats, Kernels.Floats, Int, Kernels.MutableFloats) -> Void = swiGLU
private let attention_body: @Sendable (Kernels.Floats, Int, Int, Int, Float, UnsafePointer<UnsafeRawPointer>, UnsafePointer<UnsafeRawPointer>, Int, Bool, Kernels.MutableFloats, UnsafeMutableRawPointer) -> Void = attention
