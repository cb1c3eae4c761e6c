internal import ArmIntrinsics

/// What the kernels of this module know of a format beside its layout.
protocol KernelFormat: ScaledFormat {
    /// The 32 weights of block b of the row whose (super)block is at p, in order of columns, as lane blocks have them
    /// (Formats/LaneBlock.swift): signed, but with 8 or 32 added in the forms that say so.
    static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32
}

/// What is done with a format that is known by its number only; false for a number that is no format of blocks.
protocol KernelVisitor {
    func visit<F: KernelFormat>(_ format: F.Type)
}

@inline(__always) func visitKernelFormat<V: KernelVisitor>(_ number: UInt32, _ visitor: V) -> Bool {
    switch number {
    case Q4_0.number: visitor.visit(Q4_0.self)
    case Q4_1.number: visitor.visit(Q4_1.self)
    case Q5_0.number: visitor.visit(Q5_0.self)
    case Q5_1.number: visitor.visit(Q5_1.self)
    case Q8_0.number: visitor.visit(Q8_0.self)
    case Q2_K.number: visitor.visit(Q2_K.self)
    case Q3_K.number: visitor.visit(Q3_K.self)
    case Q4_K.number: visitor.visit(Q4_K.self)
    case Q5_K.number: visitor.visit(Q5_K.self)
    case Q6_K.number: visitor.visit(Q6_K.self)
    case IQ2_XXS.number: visitor.visit(IQ2_XXS.self)
    case IQ2_XS.number: visitor.visit(IQ2_XS.self)
    case IQ2_S.number: visitor.visit(IQ2_S.self)
    case IQ3_XXS.number: visitor.visit(IQ3_XXS.self)
    case IQ3_S.number: visitor.visit(IQ3_S.self)
    case IQ1_S.number: visitor.visit(IQ1_S.self)
    case IQ1_M.number: visitor.visit(IQ1_M.self)
    case IQ4_NL.number: visitor.visit(IQ4_NL.self)
    case IQ4_XS.number: visitor.visit(IQ4_XS.self)
    case TQ1_0.number: visitor.visit(TQ1_0.self)
    case TQ2_0.number: visitor.visit(TQ2_0.self)
    default: return false
    }
    return true
}
