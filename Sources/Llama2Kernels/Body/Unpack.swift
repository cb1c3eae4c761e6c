/// From the file's blocks to lane order.
///
/// A lane block is 32 columns of a panel of 16 rows, in a form that is the same for every type:
///
///     offset   0: 8 groups of 64 bytes; group g, byte 4 r + i = weight of row r, column 4 g + i
///     offset 512: 16 floats, the scale of each row (of columns 0..<16 when the form has two)
///     offset 576: 16 floats, the offset of each row, or its scale of columns 16..<32
///     offset 640, 704: the offsets of columns 0..<16 and 16..<32 in the form that has them
///
/// The scales of superblock types are multiplied out here, as the format defines them, so that the
/// multiplication knows six forms and no type. Block layouts: ggml's.

/// How the weights of a lane block are meant.
enum LaneForm {
    /// d * (w - 8)
    case symmetric4
    /// d * w, w signed 8-bit
    case signed8
    /// d * w + m
    case affine
    /// d0 * (w - 32) for the first 16 columns, d1 * (w - 32) for the others
    case halves6
    /// d0 * w for the first 16 columns, d1 * w for the others, w signed 8-bit
    case halves8
    /// d0 * w + m0 for the first 16 columns, d1 * w + m1 for the others
    case affineHalves

    @inline(__always) var isSigned: Bool { self == .signed8 || self == .halves8 }
    @inline(__always) var hasHalves: Bool { self == .halves6 || self == .halves8 || self == .affineHalves }
}

var laneBlockBytes: Int { @inline(__always) get { 768 } }

/// `type` is ggml's number.
@inline(__always) func laneForm(_ type: UInt32) -> LaneForm {
    switch type {
    case 2: .symmetric4
    case 3, 7, 12, 13: .affine  // Q4_1 Q5_1 Q4_K Q5_K
    case 10: .affineHalves  // Q2_K
    case 14: .halves6  // Q6_K
    case 11, 17, 22, 29: .halves8  // Q3_K IQ2_XS IQ2_S IQ1_M
    default: .signed8  // Q5_0 Q8_0 IQ2_XXS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ4_XS TQ1_0 TQ2_0
    }
}

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

@inline(never) private func unpackRow(
    _ type: UInt32, _ row: UnsafeRawPointer, _ r: Int, _ first: Int, _ count: Int, _ out: UnsafeMutableRawPointer
) {
    let superblock = first >> 3
    switch type {
    case 2: unpackRowQ4_0(row + first &* 18, r, count, out)
    case 3: unpackRowQ4_1(row + first &* 20, r, count, out)
    case 6: unpackRowQ5_0(row + first &* 22, r, count, out)
    case 7: unpackRowQ5_1(row + first &* 24, r, count, out)
    case 8: unpackRowQ8_0(row + first &* 34, r, count, out)
    case 10: unpackRowQ2_K(row + superblock &* 84, r, count, out)
    case 11: unpackRowQ3_K(row + superblock &* 110, r, count, out)
    case 12: unpackRowQ4_K(row + superblock &* 144, 16, r, count, out)
    case 13: unpackRowQ4_K(row + superblock &* 176, 48, r, count, out)
    case 14: unpackRowQ6_K(row + superblock &* 210, r, count, out)
    case 16: unpackRowIQ2_XXS(row + superblock &* 66, r, count, out)
    case 17: unpackRowIQ2_XS(row + superblock &* 74, r, count, out)
    case 18: unpackRowIQ3_XXS(row + superblock &* 98, r, count, out)
    case 19: unpackRowIQ1_S(row + superblock &* 50, r, count, out)
    case 20: unpackRowIQ4_NL(row + first &* 18, r, count, out)
    case 21: unpackRowIQ3_S(row + superblock &* 110, r, count, out)
    case 22: unpackRowIQ2_S(row + superblock &* 82, r, count, out)
    case 23: unpackRowIQ4_XS(row + superblock &* 136, r, count, out)
    case 29: unpackRowIQ1_M(row + superblock &* 56, r, count, out)
    case 34: unpackRowTQ1_0(row + superblock &* 54, r, count, out)
    default: unpackRowTQ2_0(row + superblock &* 66, r, count, out)
    }
}
