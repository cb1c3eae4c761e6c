/// From the file's blocks to lane order: see Formats/LaneBlock.swift.

/// Lane blocks `first ..< first + count` of the panel whose row 0 is at `base`; rows from `rows` on
/// repeat the last row. first is a multiple of 8 for superblock types, count at most 8. next: the panel that is
/// wanted after this one, to be fetched ahead.
/// The plain reference: one row after the other, one byte at a time.
@inline(__always) func unpack(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ rows: Int, _ first: Int, _ count: Int,
    _ next: UnsafeRawPointer, _ out: UnsafeMutableRawPointer
) {
    if rows >= 16 && unpackFast(type, base, stride, first, count, next, out) { return }
    var r = 0
    while r < 16 {
        unpackRow(type, base + (r < rows ? r : rows &- 1) &* stride, r, first, count, out)
        r &+= 1
    }
}

/// A row of the panel; row: where its block `first` begins.
@inline(never) private func unpackRow(
    _ type: UInt32, _ row: UnsafeRawPointer, _ r: Int, _ first: Int, _ count: Int, _ out: UnsafeMutableRawPointer
) {
    _ = visitBlockFormat(type, RowUnpacker(row: row, r: r, first: first, count: count, out: out))
}

private struct RowUnpacker: FormatVisitor {
    let row: UnsafeRawPointer, r: Int, first: Int, count: Int, out: UnsafeMutableRawPointer

    @inline(__always) func visit<F: BlockFormat>(_: F.Type) {
        F.unpackRow(row + F.offset(first), r, count, out)
    }
}

/// How the lane blocks of a format are meant; `type` is ggml's number. nil: no format of blocks.
@inline(__always) func laneForm(_ type: UInt32) -> LaneForm? { visitBlockFormat(type, FormOf()) }

private struct FormOf: FormatVisitor {
    @inline(__always) func visit<F: BlockFormat>(_: F.Type) -> LaneForm { F.form }
}
