public import KernelOperands

/// The kernels of this module, its one export. Each is written once in Body for the lanes that the module has, or is the
/// module's own.
public func kernelTable() -> KernelTable {
    KernelTable(
        multiply: { multiplyQuantized($0.pointee) },
        multiplyFloats: { multiplyFloats($0.pointee) },
        quantize: { quantizeRow($0.pointee.x, $0.pointee.count, $0.pointee.width, $0.pointee.q, $0.pointee.s, $0.pointee.c) },
        quantizeBlocks: { quantizeBlocks($0.pointee) },
        attention: {
            let o = $0.pointee
            attention(
                o.q, o.rows, o.group, o.head_stride, o.scale, o.k_pages, o.v_pages, o.length, o.k_type, o.v_type, o.out,
                o.scratch)
        },
        attentionScores: { attentionScores($0.pointee) },
        attentionWeights: { attentionWeights($0.pointee) },
        attentionValues: { attentionValues($0.pointee) },
        rmsNorm: { rmsNorm($0, $1, $2, $3, $4) },
        swiGLU: { swiGLU($0, $1, $2, $3) },
        add: { addVector($0, $1, $2) },
        rotatePairs: { rotatePairs($0, $1, $2, $3, $4) },
        storeCache: { storeCache($0, $1, $2, $3, $4) },
        productScratchBytes: productScratchBytes)
}
