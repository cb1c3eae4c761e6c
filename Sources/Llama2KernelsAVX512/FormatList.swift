/// What this module unpacks by columns, and what else it has.

/// What the visitor says; false for a format that is none of these (Q6K.swift, UnpackRows.swift).
@inline(__always) func visitColumnFormat<Visitor: ColumnVisitor>(_ type: UInt32, _ visitor: Visitor) -> Bool {
    switch type {
    case Q4_0.number: visitor.visitShort(Q4_0.self)
    case Q4_1.number: visitor.visitShort(Q4_1.self)
    case Q5_0.number: visitor.visitShort(Q5_0.self)
    case Q5_1.number: visitor.visitShort(Q5_1.self)
    case Q8_0.number: visitor.visitShort(Q8_0.self)
    case IQ4_NL.number: visitor.visitShort(IQ4_NL.self)
    case Q2_K.number: visitor.visit(Q2_K.self)
    case Q3_K.number: visitor.visit(Q3_K.self)
    case Q4_K.number: visitor.visit(Q4_K.self)
    case Q5_K.number: visitor.visit(Q5_K.self)
    case IQ4_XS.number: visitor.visit(IQ4_XS.self)
    case TQ2_0.number: visitor.visit(TQ2_0.self)
    case IQ2_XXS.number: visitor.visitTables(IQ2_XXS.self)
    case IQ2_XS.number: visitor.visitTables(IQ2_XS.self)
    case IQ2_S.number: visitor.visitTables(IQ2_S.self)
    case IQ3_XXS.number: visitor.visitTables(IQ3_XXS.self)
    case IQ3_S.number: visitor.visitTables(IQ3_S.self)
    case IQ1_S.number: visitor.visitTables(IQ1_S.self)
    default: false
    }
}

/// Whether entries of tables are looked up in registers.
var looksUpTables: Bool { @inline(__always) get { false } }

/// A few tokens with a format of a kernel of its own. nil: no such format.
@inline(__always) func multiplyFewOther(_ type: UInt32, _ few: Few, _ tokens: Int) -> Bool? {
    if type != Q6_K.number { return nil }
    if tokens > 3 { return false }
    multiplyFewQ6_K(few, tokens)
    return true
}

/// Full panels of formats that are not unpacked by columns. false: none of these.
@inline(__always) func unpackOther(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ first: Int, _ count: Int, _ out: UnsafeMutableRawPointer
) -> Bool {
    if type == Q6_K.number {
        unpackQ6_K(base, stride, first >> 3, out)
        return true
    }
    return unpackByRows(type, base, stride, first, count, out)
}
