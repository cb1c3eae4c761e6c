public import KernelOperands
public import Llama2Core

#if arch(x86_64)
internal import Llama2KernelsAVX2
internal import Llama2KernelsAVX512
internal import Llama2KernelsAVX512VBMI
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
        case reference = 1, avx2 = 2, avx512 = 3, neon = 4, dotProduct = 5, i8mm = 6, avxVNNI = 7, avx512VBMI = 8

        public var name: String {
            switch self {
            case .reference: "reference"
            case .avx2: "AVX2+FMA"
            case .avxVNNI: "AVX2+VNNI"
            case .avx512: "AVX-512+VNNI"
            case .avx512VBMI: "AVX-512+VBMI"
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
    /// What does the types that `table` leaves, and what does those that this one leaves; the rest is done by the reference.
    let second: KernelTable, third: KernelTable
    static let reference = Kernels(.reference, kernelTable())

    private init(_ isa: ISA, _ table: KernelTable, _ second: KernelTable? = nil, _ third: KernelTable? = nil) {
        self.isa = isa
        self.table = table
        self.second = second ?? table
        self.third = third ?? second ?? table
    }

    #if arch(x86_64)
    static let avx2 = Kernels(.avx2, Llama2KernelsAVX2.kernelTable())
    static let avxVNNI = Kernels(.avxVNNI, Llama2KernelsAVXVNNI.kernelTable(over: avx2.table), avx2.table)
    /// A machine with AVX-512 has AVX2: formats without a kernel of their own run at its speed, with the same bits.
    static let avx512 = Kernels(.avx512, Llama2KernelsAVX512.kernelTable(), avx2.table)
    static let avx512VBMI = Kernels(.avx512VBMI, Llama2KernelsAVX512VBMI.kernelTable(over: avx512.table), avx512.table, avx2.table)
    #elseif arch(arm64)
    static let neon = Kernels(.neon, Llama2KernelsNEON.kernelTable())
    static let dotProduct = Kernels(.dotProduct, Llama2KernelsDotProduct.kernelTable())
    static let i8mm = Kernels(.i8mm, Llama2KernelsI8MM.kernelTable())
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
        if l2s_cpu_has_avx512_vbmi() != 0 { list.append(.avx512VBMI) }
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
        case .avx512VBMI: return avx512VBMI
        case .neon, .dotProduct, .i8mm: return reference
        #elseif arch(arm64)
        case .neon: return neon
        case .dotProduct: return dotProduct
        case .i8mm: return i8mm
        case .avx2, .avxVNNI, .avx512, .avx512VBMI: return reference
        #else
        case .avx2, .avxVNNI, .avx512, .avx512VBMI, .neon, .dotProduct, .i8mm: return reference
        #endif
        }
    }
}
