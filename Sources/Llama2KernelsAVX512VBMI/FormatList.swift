/// What this module has: formats with tables.

/// What the visitor says; false for a format that is none of these.
@inline(__always) func visitColumnFormat<Visitor: ColumnVisitor>(_ type: UInt32, _ visitor: Visitor) -> Bool {
    switch type {
    case IQ2_XXS.number: visitor.visitTables(IQ2_XXS.self)
    case IQ2_XS.number: visitor.visitTables(IQ2_XS.self)
    case IQ2_S.number: visitor.visitTables(IQ2_S.self)
    case IQ3_XXS.number: visitor.visitTables(IQ3_XXS.self)
    case IQ3_S.number: visitor.visitTables(IQ3_S.self)
    case IQ1_S.number: visitor.visitTables(IQ1_S.self)
    case IQ1_M.number: visitor.visitTables(IQ1_M.self)
    default: false
    }
}

var looksUpTables: Bool { @inline(__always) get { true } }

@inline(__always) func multiplyFewOther(_: UInt32, _: Few, _: Int) -> Bool? { nil }

@inline(__always) func unpackOther(_: UInt32, _: UnsafeRawPointer, _: Int, _: Int, _: Int, _: UnsafeMutableRawPointer) -> Bool { false }
