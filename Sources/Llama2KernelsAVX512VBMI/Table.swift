public import KernelOperands

/// The kernels of a machine with AVX-512, VNNI and VBMI (Ice Lake, Zen 4 and what came after them): AVX-512's, and those of formats with tables by
/// the same sources (links), with entries that are looked up in registers (ColumnWeightsIQ.swift). Its one export.
public func kernelTable(over table: KernelTable) -> KernelTable {
    var own = table
    own.multiply = { multipliesOneToken($0.pointee.type) && multiplyQuantized($0.pointee) }
    own.productScratchBytes = table.productScratchBytes > productScratchBytes ? table.productScratchBytes : productScratchBytes
    return own
}
