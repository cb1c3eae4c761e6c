internal import BlockTables

/// One row of `count` blocks to lane r of lane blocks, for the types whose weights come from tables: IQ
/// (lattice grids of 8 or 4 magnitudes, with signs) and TQ (ternary digits).
/// row: the first block; out: the lane blocks (Unpack.swift).

@inline(__always) private func word(_ p: UnsafeRawPointer, _ offset: Int) -> UInt32 {
    UInt32(p.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
}

/// Eight weights, columns `first` on: byte i of `magnitudes`, negative where bit i of `signs` is set.
@inline(__always) private func putEight(
    _ out: UnsafeMutableRawPointer, _ b: Int, _ r: Int, _ first: Int, _ magnitudes: UInt64, _ signs: UInt32
) {
    for i in 0..<8 {
        let w = Int(magnitudes >> UInt64(truncatingIfNeeded: 8 &* i) & 255)
        putSigned(out, b, r, first &+ i, signs >> UInt32(truncatingIfNeeded: i) & 1 == 0 ? w : 0 &- w)
    }
}

/// Seven stored signs; the eighth makes the number of negative ones even.
@inline(__always) private func eightSigns(_ seven: UInt32) -> UInt32 {
    let s = seven & 127
    return s | UInt32(truncatingIfNeeded: s.nonzeroBitCount & 1) << 7
}

@inline(__always) private func nibble(_ p: UnsafeRawPointer, _ i: Int) -> UInt8 {
    i & 1 == 0 ? byte(p, i >> 1) & 15 : byte(p, i >> 1) >> 4
}

/// { f16 d; { u8 grid[4]; u32 signs and scale }[8] }: scale d (1/2 + s) / 4.
func unpackRowIQ2_XXS(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        let p = row + (2 &+ 8 &* b), packed = p.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        putScale(out, b, r, 0, half(row, 0) * (0.5 + Float(packed >> 28)) * 0.25)
        for g in 0..<4 {
            let signs = eightSigns(packed >> UInt32(truncatingIfNeeded: 7 &* g))
            putEight(out, b, r, 8 &* g, l2s_iq2_xxs_grid(UInt32(byte(p, g))), signs)
        }
    }
}

/// { f16 d; u16 grid and signs[32]; u8 scales[8] }: 9 bits of grid, 7 of signs; 4-bit scales of 16 weights.
func unpackRowIQ2_XS(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        for h in 0..<2 {
            putScale(out, b, r, h, half(row, 0) * (0.5 + Float(nibble(row + 66, 2 &* b &+ h))) * 0.25)
        }
        for g in 0..<4 {
            let packed = word(row, 2 &+ 2 &* (4 &* b &+ g))
            putEight(out, b, r, 8 &* g, l2s_iq2_xs_grid(packed & 511), eightSigns(packed >> 9))
        }
    }
}

/// { f16 d; u8 grid[32]; u8 signs[32]; u8 high[8]; u8 scales[8] }: two more bits of grid in `high`.
func unpackRowIQ2_S(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        for h in 0..<2 {
            putScale(out, b, r, h, half(row, 0) * (0.5 + Float(nibble(row + 74, 2 &* b &+ h))) * 0.25)
        }
        for g in 0..<4 {
            let high = UInt32(byte(row, 66 &+ b)) >> UInt32(truncatingIfNeeded: 2 &* g) & 3
            let index = UInt32(byte(row, 2 &+ 4 &* b &+ g)) | high << 8
            putEight(out, b, r, 8 &* g, l2s_iq2_s_grid(index), UInt32(byte(row, 34 &+ 4 &* b &+ g)))
        }
    }
}

/// { f16 d; u8 grid[64]; u32 signs and scale[8] }: scale d (1/2 + s) / 2; a grid entry is 4 weights.
func unpackRowIQ3_XXS(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        let packed = row.loadUnaligned(fromByteOffset: 66 &+ 4 &* b, as: UInt32.self)
        putScale(out, b, r, 0, half(row, 0) * (0.5 + Float(packed >> 28)) * 0.5)
        for g in 0..<4 {
            let p = row + (2 &+ 8 &* b &+ 2 &* g)
            let low = UInt64(l2s_iq3_xxs_grid(UInt32(byte(p, 0)))), high = UInt64(l2s_iq3_xxs_grid(UInt32(byte(p, 1))))
            putEight(out, b, r, 8 &* g, low | high << 32, eightSigns(packed >> UInt32(truncatingIfNeeded: 7 &* g)))
        }
    }
}

/// { f16 d; u8 grid[64]; u8 high[8]; u8 signs[32]; u8 scales[4] }: scale d (1 + 2 s).
func unpackRowIQ3_S(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        putScale(out, b, r, 0, half(row, 0) * Float(1 &+ 2 &* Int(nibble(row + 106, b))))
        let high = UInt32(byte(row, 66 &+ b))
        @inline(__always) func four(_ i: Int) -> UInt64 {
            let bit = high >> UInt32(truncatingIfNeeded: i) & 1
            return UInt64(l2s_iq3_s_grid(UInt32(byte(row, 2 &+ 8 &* b &+ i)) | bit << 8))
        }
        for g in 0..<4 {
            putEight(out, b, r, 8 &* g, four(2 &* g) | four(2 &* g &+ 1) << 32, UInt32(byte(row, 74 &+ 4 &* b &+ g)))
        }
    }
}

/// Eight weights of IQ1: (-1, 0 or 1) + delta or - delta, delta = 1/8; as integers, eight times as large.
@inline(__always) private func putTernary(
    _ out: UnsafeMutableRawPointer, _ b: Int, _ r: Int, _ first: Int, _ grid: UInt64, _ negative: Bool
) {
    for i in 0..<8 {
        let w = 8 &* (Int(grid >> UInt64(truncatingIfNeeded: 8 &* i) & 255) &- 1)
        putSigned(out, b, r, first &+ i, w &+ (negative ? -1 : 1))
    }
}

/// { f16 d; u8 grid[32]; u16 high[8] }: of `high`, 3 bits of grid four times, 3 of scale, the sign of delta.
func unpackRowIQ1_S(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        let high = word(row, 34 &+ 2 &* b)
        putScale(out, b, r, 0, half(row, 0) * Float(2 &* (high >> 12 & 7) &+ 1) * 0.125)
        for g in 0..<4 {
            let bits = high >> UInt32(truncatingIfNeeded: 3 &* g) & 7
            let grid = l2s_iq1_s_grid(UInt32(byte(row, 2 &+ 4 &* b &+ g)) | bits << 8)
            putTernary(out, b, r, 8 &* g, grid, high & 0x8000 != 0)
        }
    }
}

/// { u8 grid[32]; u8 high[16]; u16 scales[4] }: the half d is spread over the top nibbles of `scales`.
func unpackRowIQ1_M(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    let bits = (word(row, 48) >> 12) | (word(row, 50) >> 8 & 0xf0) | (word(row, 52) >> 4 & 0xf00) | (word(row, 54) & 0xf000)
    let d = halfToFloat(UInt16(truncatingIfNeeded: bits))
    for b in 0..<count {
        for h in 0..<2 {
            let scale = word(row, 48 &+ 2 &* (b >> 1)) >> UInt32(truncatingIfNeeded: 6 &* (b & 1) &+ 3 &* h) & 7
            putScale(out, b, r, h, d * Float(2 &* scale &+ 1) * 0.125)
        }
        for g in 0..<4 {
            let high = UInt32(nibble(row + 32, 4 &* b &+ g))
            let grid = l2s_iq1_s_grid(UInt32(byte(row, 4 &* b &+ g)) | (high & 7) << 8)
            putTernary(out, b, r, 8 &* g, grid, high & 8 != 0)
        }
    }
}

/// The sixteen values of a 4-bit index: -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
/// as two's complement bytes.
@inline(__always) private func nonlinear(_ index: UInt8) -> Int {
    let table: UInt64 = index < 8 ? 0xf6ea_ddcf_bfad_9881 : 0x7159_4535_2619_0d01
    return Int(Int8(truncatingIfNeeded: table >> UInt64(truncatingIfNeeded: 8 &* (index & 7))))
}

/// { f16 d; u8 q[16] }: nibbles as in Q4_0.
func unpackRowIQ4_NL(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        let p = row + b &* 18
        putScale(out, b, r, 0, half(p, 0))
        for i in 0..<32 {
            let pair = byte(p, 2 &+ (i & 15))
            putSigned(out, b, r, i, nonlinear(i < 16 ? pair & 15 : pair >> 4))
        }
    }
}

/// { f16 d; u16 high; u8 low[4]; u8 q[128] }: 6-bit scales less 32, four bits in `low` and two in `high`.
func unpackRowIQ4_XS(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        let high = word(row, 2) >> UInt32(truncatingIfNeeded: 2 &* b) & 3
        putScale(out, b, r, 0, half(row, 0) * Float(Int(UInt32(nibble(row + 4, b)) | high << 4) &- 32))
        for i in 0..<32 {
            let pair = byte(row, 8 &+ 16 &* b &+ (i & 15))
            putSigned(out, b, r, i, nonlinear(i < 16 ? pair & 15 : pair >> 4))
        }
    }
}

/// Digit n (0 the first) of a byte that holds five base-3 digits as a fraction of 256.
@inline(__always) private func ternaryDigit(_ q: UInt8, _ n: Int) -> Int {
    var x = q
    for _ in 0..<n { x = x &* 3 }
    return Int((UInt16(x) &* 3) >> 8) &- 1
}

/// { u8 q[48]; u8 rest[4]; f16 d }: 32 bytes hold five runs of 32 columns, 16 bytes five runs of 16, 4 bytes four of 4.
func unpackRowTQ1_0(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        putScale(out, b, r, 0, half(row, 52))
        for i in 0..<32 {
            let column = 32 &* b &+ i
            let digit =
                column < 160 ? ternaryDigit(byte(row, i), b)
                : column < 240 ? ternaryDigit(byte(row, 32 &+ (column & 15)), (column &- 160) >> 4)
                : ternaryDigit(byte(row, 48 &+ (column & 3)), (column &- 240) >> 2)
            putSigned(out, b, r, i, digit)
        }
    }
}

/// { u8 q[64]; f16 d }: in each half of 128, four blocks share 32 bytes, two bits each, less 1.
func unpackRowTQ2_0(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
    for b in 0..<count {
        putScale(out, b, r, 0, half(row, 64))
        for i in 0..<32 {
            let four = byte(row, 32 &* (b >> 2) &+ i)
            putSigned(out, b, r, i, Int(four >> UInt8(truncatingIfNeeded: 2 &* (b & 3)) & 3) &- 1)
        }
    }
}
