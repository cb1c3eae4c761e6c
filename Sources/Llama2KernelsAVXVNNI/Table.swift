public import KernelOperands

/// The kernels of a machine with AVX2 and AVX-VNNI (256 bits; Alder Lake and what came after it): AVX2's, and several tokens with quantized
/// weights by sources of AVX2 with sums of this module (Sums.swift). Its one export.
public func kernelTable(over table: KernelTable) -> KernelTable {
    var own = table
    own.multiply = { $0.pointee.tokens > 1 && multiplyQuantized($0.pointee) }
    own.productScratchBytes = table.productScratchBytes > quantizedScratchBytes ? table.productScratchBytes : quantizedScratchBytes
    return own
}
