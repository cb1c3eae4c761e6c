public import KernelOperands
public import Llama2Core

#if arch(x86_64)
internal import Llama2KernelsAVX2
internal import Llama2KernelsAVX512
internal import Llama2KernelsAVXVNNI
internal import X86Intrinsics
#elseif arch(arm64)
internal import ArmIntrinsics
internal import Llama2KernelsDotProduct
internal import Llama2KernelsI8MM
internal import Llama2KernelsNEON
#endif

/// The kernels of one instruction set. All tables compute the same bits (DESIGN.md, the numeric
/// contract); which one runs is chosen once, when a context is created.
public struct Kernels: @unchecked Sendable {
    public enum ISA: Int32, CaseIterable, Sendable {
        case reference = 1, avx2 = 2, avx512 = 3, neon = 4, dotProduct = 5, i8mm = 6, avxVNNI = 7

        public var name: String {
            switch self {
            case .reference: "reference"
            case .avx2: "AVX2+FMA"
            case .avxVNNI: "AVX2+VNNI"
            case .avx512: "AVX-512+VNNI"
            case .neon: "NEON"
            case .dotProduct: "NEON+dotprod"
            case .i8mm: "NEON+i8mm"
            }
        }
    }

    public let isa: ISA
    /// This instruction set's kernels. Matrices and blocks are multiplied and made by the functions of this type, as a table may leave
    /// a type to another one; the others are called here.
    public let table: KernelTable
    /// What does the types that `table` leaves; what that leaves is done by the reference.
    let fallback: KernelTable
    static let reference = Kernels(isa: .reference, table: kernelTable(), fallback: kernelTable())

    #if arch(x86_64)
    static let avx2 = Kernels(isa: .avx2, table: Llama2KernelsAVX2.kernelTable(), fallback: reference.table)
    static let avxVNNI = Kernels(isa: .avxVNNI, table: Llama2KernelsAVXVNNI.kernelTable(over: avx2.table), fallback: avx2.table)
    /// A machine with AVX-512 has AVX2: formats without a kernel of their own run at its speed, with the same bits.
    static let avx512 = Kernels(isa: .avx512, table: Llama2KernelsAVX512.kernelTable(), fallback: avx2.table)
    #elseif arch(arm64)
    static let neon = Kernels(isa: .neon, table: Llama2KernelsNEON.kernelTable(), fallback: reference.table)
    static let dotProduct = Kernels(isa: .dotProduct, table: Llama2KernelsDotProduct.kernelTable(), fallback: reference.table)
    static let i8mm = Kernels(isa: .i8mm, table: Llama2KernelsI8MM.kernelTable(), fallback: reference.table)
    #endif

    /// Bytes of 64-byte aligned scratch that `multiply` needs with any instruction set, one a thread.
    public static var scratchBytes: Int { ((available.map { of($0).table.productScratchBytes }.max() ?? 0) + 63) & ~63 }

    /// The same for `table.attention`.
    public static func attentionScratchBytes(rows: Int, headStride: Int) -> Int { AttentionScratch(rows: rows, headStride: headStride).bytes }

    /// What this machine can run, best last.
    public static let available: [ISA] = {
        var list: [ISA] = [.reference]
        #if arch(x86_64)
        if l2s_cpu_has_avx2() != 0 { list.append(.avx2) }
        if l2s_cpu_has_avx_vnni() != 0 { list.append(.avxVNNI) }
        if l2s_cpu_has_avx512_vnni() != 0 { list.append(.avx512) }
        #elseif arch(arm64)
        list.append(.neon)
        if l2s_cpu_has_dot_product() != 0 { list.append(.dotProduct) }
        if l2s_cpu_has_i8mm() != 0 { list.append(.i8mm) }
        #endif
        return list
    }()

    /// The table of `isa`, or the best one for nil.
    public static func table(_ isa: ISA?) throws(Llama2Error) -> Kernels {
        let chosen = isa ?? available[available.count - 1]
        guard available.contains(chosen) else {
            throw Llama2Error(.unsupported, "this machine cannot run the \(chosen.name) kernels")
        }
        return of(chosen)
    }

    /// Kernels of another architecture than this one are never `available`; the reference stands for them.
    static func of(_ isa: ISA) -> Kernels {
        switch isa {
        case .reference: return reference
        #if arch(x86_64)
        case .avx2: return avx2
        case .avxVNNI: return avxVNNI
        case .avx512: return avx512
        case .neon, .dotProduct, .i8mm: return reference
        #elseif arch(arm64)
        case .neon: return neon
        case .dotProduct: return dotProduct
        case .i8mm: return i8mm
        case .avx2, .avxVNNI, .avx512: return reference
        #else
        case .avx2, .avxVNNI, .avx512, .neon, .dotProduct, .i8mm: return reference
        #endif
        }
    }
}
