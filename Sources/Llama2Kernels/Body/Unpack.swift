/// From the file's blocks to lane order.
///
/// A lane block is 32 columns of a panel of 16 rows, in a form that is the same for every type:
///
///     offset   0: 8 groups of 64 bytes; group g, byte 4 r + i = weight of row r, column 4 g + i
///     offset 512: 16 floats, the scale of each row (of columns 0..<16 when the form has two)
///     offset 576: 16 floats, the offset of each row, or its scale of columns 16..<32
///
/// The scales of superblock types are multiplied out here, as the format defines them, so that the
/// multiplication knows four forms and no type. Block layouts: ggml's (Q4_0 ... Q6_K).

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
}

var laneBlockBytes: Int { @inline(__always) get { 640 } }

@inline(__always) func laneForm(_ type: UInt32) -> LaneForm {
    switch type {
    case 2: .symmetric4
    case 8: .signed8
    case 3, 12: .affine
    default: .halves6
    }
}

/// Lane blocks `first ..< first + count` of the panel whose row 0 is at `base`; rows from `rows` on
/// repeat the last row. first is a multiple of 8 for superblock types, count at most 8.
/// The plain reference: one row after the other, one byte at a time.
@inline(__always) func unpack(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ rows: Int, _ first: Int, _ count: Int,
    _ out: UnsafeMutableRawPointer
) {
    if rows >= 16 && unpackFast(type, base, stride, first, count, out) { return }
    var r = 0
    while r < 16 {
        let row = base + (r < rows ? r : rows &- 1) &* stride
        switch type {
        case 2: unpackRowQ4_0(row + first &* 18, r, count, out)
        case 3: unpackRowQ4_1(row + first &* 20, r, count, out)
        case 8: unpackRowQ8_0(row + first &* 34, r, count, out)
        case 12: unpackRowQ4_K(row + (first >> 3) &* 144, r, count, out)
        default: unpackRowQ6_K(row + (first >> 3) &* 210, r, count, out)
        }
        r &+= 1
    }
}

@inline(__always) private func put(
    _ out: UnsafeMutableRawPointer, _ block: Int, _ r: Int, _ column: Int, _ weight: UInt8
) {
    out.storeBytes(
        of: weight, toByteOffset: block &* laneBlockBytes &+ (column >> 2) &* 64 &+ 4 &* r &+ (column & 3),
        as: UInt8.self)
}

@inline(__always) private func putScale(
    _ out: UnsafeMutableRawPointer, _ block: Int, _ r: Int, _ index: Int, _ value: Float
) {
    out.storeBytes(of: value, toByteOffset: block &* laneBlockBytes &+ 512 &+ 64 &* index &+ 4 &* r, as: Float.self)
}

@inline(__always) private func half(_ p: UnsafeRawPointer, _ offset: Int) -> Float {
    halfToFloat(p.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
}

@inline(__always) private func byte(_ p: UnsafeRawPointer, _ offset: Int) -> UInt8 {
    p.load(fromByteOffset: offset, as: UInt8.self)
}

/// { f16 d; u8 q[16] }: low nibbles are columns 0..<16, high nibbles 16..<32.
private func unpackRowQ4_0(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        let p = row + b &* 18
        putScale(out, b, r, 0, half(p, 0))
        for i in 0..<16 {
            put(out, b, r, i, byte(p, 2 &+ i) & 15)
            put(out, b, r, i &+ 16, byte(p, 2 &+ i) >> 4)
        }
    }
}

/// { f16 d; f16 m; u8 q[16] }.
private func unpackRowQ4_1(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        let p = row + b &* 20
        putScale(out, b, r, 0, half(p, 0))
        putScale(out, b, r, 1, half(p, 2))
        for i in 0..<16 {
            put(out, b, r, i, byte(p, 4 &+ i) & 15)
            put(out, b, r, i &+ 16, byte(p, 4 &+ i) >> 4)
        }
    }
}

/// { f16 d; i8 q[32] }.
private func unpackRowQ8_0(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        let p = row + b &* 34
        putScale(out, b, r, 0, half(p, 0))
        for i in 0..<32 { put(out, b, r, i, byte(p, 2 &+ i) ^ I32x16.signedFlip) }
    }
}

/// { f16 d; f16 dmin; u8 scales[12]; u8 q[128] }: eight blocks of 32 with a 6-bit scale and a 6-bit
/// minimum each; a pair of blocks shares 32 bytes, low nibbles first. Weight = d sc q - dmin mn.
private func unpackRowQ4_K(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    let d = half(row, 0), dmin = half(row, 2)
    for b in 0..<count {
        let scale: UInt8, minimum: UInt8
        if b < 4 {
            scale = byte(row, 4 &+ b) & 63
            minimum = byte(row, 8 &+ b) & 63
        } else {
            scale = byte(row, 8 &+ b) & 15 | (byte(row, b) >> 6) << 4
            minimum = byte(row, 8 &+ b) >> 4 | (byte(row, 4 &+ b) >> 6) << 4
        }
        putScale(out, b, r, 0, d * Float(scale))
        putScale(out, b, r, 1, 0 - dmin * Float(minimum))
        for i in 0..<32 {
            let pair = byte(row, 16 &+ (b >> 1) &* 32 &+ i)
            put(out, b, r, i, b & 1 == 0 ? pair & 15 : pair >> 4)
        }
    }
}

/// { u8 low[128]; u8 high[64]; i8 scales[16]; f16 d }: sixteen groups of 16; in each half of 128,
/// four blocks of 32 share 64 bytes of low nibbles and 32 bytes of high bit pairs.
private func unpackRowQ6_K(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    let d = half(row, 208)
    for b in 0..<count {
        for h in 0..<2 {
            let scale = Int8(bitPattern: byte(row, 192 &+ 2 &* b &+ h))
            putScale(out, b, r, h, d * Float(scale))
        }
        let side = b >> 2, part = b & 3
        for i in 0..<32 {
            let nibbles = byte(row, side &* 64 &+ (part & 1) &* 32 &+ i)
            let low = part < 2 ? nibbles & 15 : nibbles >> 4
            let high = (byte(row, 128 &+ side &* 32 &+ i) >> UInt8(truncatingIfNeeded: 2 &* part)) & 3
            put(out, b, r, i, low | high << 4)
        }
    }
}
