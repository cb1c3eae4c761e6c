/// A format's blocks in lane order.
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

@inline(__always) func put(
    _ out: UnsafeMutableRawPointer, _ block: Int, _ r: Int, _ column: Int, _ weight: UInt8
) {
    out.storeBytes(
        of: weight, toByteOffset: block &* laneBlockBytes &+ (column >> 2) &* 64 &+ 4 &* r &+ (column & 3),
        as: UInt8.self)
}

/// A signed weight of the forms `signed8` and `halves8`.
@inline(__always) func putSigned(
    _ out: UnsafeMutableRawPointer, _ block: Int, _ r: Int, _ column: Int, _ weight: Int
) {
    put(out, block, r, column, UInt8(truncatingIfNeeded: weight) ^ signedFlip)
}

@inline(__always) func putScale(
    _ out: UnsafeMutableRawPointer, _ block: Int, _ r: Int, _ index: Int, _ value: Float
) {
    out.storeBytes(of: value, toByteOffset: block &* laneBlockBytes &+ 512 &+ 64 &* index &+ 4 &* r, as: Float.self)
}

@inline(__always) func half(_ p: UnsafeRawPointer, _ offset: Int) -> Float {
    halfToFloat(p.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
}

@inline(__always) func byte(_ p: UnsafeRawPointer, _ offset: Int) -> UInt8 {
    p.load(fromByteOffset: offset, as: UInt8.self)
}

@inline(__always) func word(_ p: UnsafeRawPointer, _ offset: Int) -> UInt32 {
    UInt32(p.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
}

@inline(__always) func nibble(_ p: UnsafeRawPointer, _ i: Int) -> UInt8 {
    i & 1 == 0 ? byte(p, i >> 1) & 15 : byte(p, i >> 1) >> 4
}
