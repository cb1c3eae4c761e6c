/// One row of `count` blocks to lane r of lane blocks, for the types whose weights are plain integers.
/// row: the first block; out: the lane blocks (Unpack.swift).

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
    put(out, block, r, column, UInt8(truncatingIfNeeded: weight) ^ I32x16.signedFlip)
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

/// { f16 d; u8 q[16] }: low nibbles are columns 0..<16, high nibbles 16..<32.
func unpackRowQ4_0(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
func unpackRowQ4_1(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
func unpackRowQ8_0(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        let p = row + b &* 34
        putScale(out, b, r, 0, half(p, 0))
        for i in 0..<32 { put(out, b, r, i, byte(p, 2 &+ i) ^ I32x16.signedFlip) }
    }
}

/// { f16 d; u32 high; u8 q[16] }: nibbles as in Q4_0, the fifth bit of column i is bit i of `high`; weight - 16.
func unpackRowQ5_0(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        let p = row + b &* 22
        putScale(out, b, r, 0, half(p, 0))
        for i in 0..<32 { putSigned(out, b, r, i, Int(fiveBits(p + 2, i)) &- 16) }
    }
}

/// { f16 d; f16 m; u32 high; u8 q[16] }.
func unpackRowQ5_1(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        let p = row + b &* 24
        putScale(out, b, r, 0, half(p, 0))
        putScale(out, b, r, 1, half(p, 2))
        for i in 0..<32 { put(out, b, r, i, fiveBits(p + 4, i)) }
    }
}

/// Column i (0..<32) of { u32 high; u8 q[16] }.
@inline(__always) private func fiveBits(_ p: UnsafeRawPointer, _ i: Int) -> UInt8 {
    let pair = byte(p, 4 &+ (i & 15)), high = byte(p, i >> 3) >> UInt8(truncatingIfNeeded: i & 7) & 1
    return (i < 16 ? pair & 15 : pair >> 4) | high << 4
}

/// { u8 scales[16]; u8 q[64]; f16 d; f16 dmin }: sixteen groups of 16, scale in the low and minimum in the
/// high nibble; in each half of 128, four blocks of 32 share 32 bytes. Weight = d sc q - dmin mn.
func unpackRowQ2_K(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    let d = half(row, 80), dmin = half(row, 82)
    for b in 0..<count {
        for h in 0..<2 {
            let packed = byte(row, 2 &* b &+ h)
            putScale(out, b, r, h, d * Float(packed & 15))
            putScale(out, b, r, 2 &+ h, 0 - dmin * Float(packed >> 4))
        }
        for i in 0..<32 {
            let four = byte(row, 16 &+ (b >> 2) &* 32 &+ i)
            put(out, b, r, i, four >> UInt8(truncatingIfNeeded: 2 &* (b & 3)) & 3)
        }
    }
}

/// { u8 high[32]; u8 q[64]; u8 scales[12]; f16 d }: as Q2_K, with a third bit (bit b of high[i] for block b)
/// that is worth -4 when clear, and sixteen 6-bit scales less 32: low nibbles in 8 bytes, high pairs in 4.
func unpackRowQ3_K(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    let d = half(row, 108)
    for b in 0..<count {
        for h in 0..<2 {
            let g = 2 &* b &+ h, low = byte(row, 96 &+ (g & 7)) >> (g < 8 ? 0 : 4) & 15
            let high = byte(row, 104 &+ (g & 3)) >> UInt8(truncatingIfNeeded: 2 &* (g >> 2)) & 3
            putScale(out, b, r, h, d * Float(Int(low | high << 4) &- 32))
        }
        for i in 0..<32 {
            let two = byte(row, 32 &+ (b >> 2) &* 32 &+ i) >> UInt8(truncatingIfNeeded: 2 &* (b & 3)) & 3
            let third = byte(row, i) >> UInt8(truncatingIfNeeded: b) & 1
            putSigned(out, b, r, i, Int(two) &- (third == 0 ? 4 : 0))
        }
    }
}

/// Q4_K: { f16 d; f16 dmin; u8 scales[12]; u8 q[128] }, Q5_K: { ...; u8 high[32]; u8 q[128] }: eight blocks of
/// 32 with a 6-bit scale and a 6-bit minimum each; a pair of blocks shares 32 bytes, low nibbles first; the
/// fifth bit of block b is bit b of high[i]. Weight = d sc q - dmin mn. `nibbles`: where q begins, 16 or 48.
func unpackRowQ4_K(_ row: UnsafeRawPointer, _ nibbles: Int, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
            let pair = byte(row, nibbles &+ (b >> 1) &* 32 &+ i)
            let fifth = nibbles == 48 ? byte(row, 16 &+ i) >> UInt8(truncatingIfNeeded: b) & 1 : 0
            put(out, b, r, i, (b & 1 == 0 ? pair & 15 : pair >> 4) | fifth << 4)
        }
    }
}

/// { u8 low[128]; u8 high[64]; i8 scales[16]; f16 d }: sixteen groups of 16; in each half of 128,
/// four blocks of 32 share 64 bytes of low nibbles and 32 bytes of high bit pairs.
func unpackRowQ6_K(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
