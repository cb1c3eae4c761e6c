/// What is done with a format that is unpacked by columns: the one list of these. Of three kinds, so that what one kind is not asked
/// for is never compiled for it: the compiler specializes whatever a visitor mentions and drops it afterwards.
protocol ColumnVisitor {
    func visit<F: ColumnFormat>(_: F.Type) -> Bool
    /// Blocks of 32.
    func visitShort<F: ColumnFormat>(_: F.Type) -> Bool
    /// Entries of tables.
    func visitTables<F: ColumnFormat>(_: F.Type) -> Bool
}

extension ColumnVisitor {
    @inline(__always) func visitShort<F: ColumnFormat>(_: F.Type) -> Bool { visit(F.self) }
    @inline(__always) func visitTables<F: ColumnFormat>(_: F.Type) -> Bool { visit(F.self) }
}

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
