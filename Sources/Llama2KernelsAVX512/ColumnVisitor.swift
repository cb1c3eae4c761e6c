/// What is done with a format that is unpacked by columns: each module has one list of these (`visitColumnFormat`). Of three kinds, so that what one kind is not asked
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
