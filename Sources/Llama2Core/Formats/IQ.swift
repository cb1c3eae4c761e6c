internal import BlockTables

/// The IQ types: weights are entries of lattice grids (8 or 4 magnitudes) with signs apart, or of one table of sixteen
/// values (IQ4). Layouts and tables are ggml's.

/// { f16 d; { u8 grid[4]; u32 signs and scale }[8] }: scale d (1/2 + s) / 4.
enum IQ2_XXS: BlockFormat {
    static var number: UInt32 { 16 }
    static var name: StaticString { "IQ2_XXS" }
    static var elements: Int { 256 }
    static var bytes: Int { 2 + 64 }
    static var form: LaneForm { .signed8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        for b in 0..<count {
            let p = row + (2 &+ 8 &* b), packed = p.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
            putScale(out, b, r, 0, half(row, 0) * (0.5 + Float(packed >> 28)) * 0.25)
            for g in 0..<4 {
                let signs = eightSigns(packed >> UInt32(truncatingIfNeeded: 7 &* g))
                putEight(out, b, r, 8 &* g, l2s_iq2_xxs_grid(UInt32(byte(p, g))), signs)
            }
        }
    }
}

/// { f16 d; u16 grid and signs[32]; u8 scales[8] }: 9 bits of grid, 7 of signs; 4-bit scales of 16 weights.
enum IQ2_XS: BlockFormat {
    static var number: UInt32 { 17 }
    static var name: StaticString { "IQ2_XS" }
    static var elements: Int { 256 }
    static var bytes: Int { 2 + 64 + 8 }
    static var form: LaneForm { .halves8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
}

/// { f16 d; u8 grid[32]; u8 signs[32]; u8 high[8]; u8 scales[8] }: two more bits of grid in `high`.
enum IQ2_S: BlockFormat {
    static var number: UInt32 { 22 }
    static var name: StaticString { "IQ2_S" }
    static var elements: Int { 256 }
    static var bytes: Int { 2 + 32 + 32 + 8 + 8 }
    static var form: LaneForm { .halves8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
}

/// { f16 d; u8 grid[64]; u32 signs and scale[8] }: scale d (1/2 + s) / 2; a grid entry is 4 weights.
enum IQ3_XXS: BlockFormat {
    static var number: UInt32 { 18 }
    static var name: StaticString { "IQ3_XXS" }
    static var elements: Int { 256 }
    static var bytes: Int { 2 + 64 + 32 }
    static var form: LaneForm { .signed8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
}

/// { f16 d; u8 grid[64]; u8 high[8]; u8 signs[32]; u8 scales[4] }: scale d (1 + 2 s).
enum IQ3_S: BlockFormat {
    static var number: UInt32 { 21 }
    static var name: StaticString { "IQ3_S" }
    static var elements: Int { 256 }
    static var bytes: Int { 2 + 64 + 8 + 32 + 4 }
    static var form: LaneForm { .signed8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
}

/// { f16 d; u8 grid[32]; u16 high[8] }: of `high`, 3 bits of grid four times, 3 of scale, the sign of delta.
enum IQ1_S: BlockFormat {
    static var number: UInt32 { 19 }
    static var name: StaticString { "IQ1_S" }
    static var elements: Int { 256 }
    static var bytes: Int { 2 + 32 + 16 }
    static var form: LaneForm { .signed8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
}

/// { u8 grid[32]; u8 high[16]; u16 scales[4] }: the half d is spread over the top nibbles of `scales`.
enum IQ1_M: BlockFormat {
    static var number: UInt32 { 29 }
    static var name: StaticString { "IQ1_M" }
    static var elements: Int { 256 }
    static var bytes: Int { 32 + 16 + 8 }
    static var form: LaneForm { .halves8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
}

/// { f16 d; u8 q[16] }: nibbles as in Q4_0.
enum IQ4_NL: BlockFormat {
    static var number: UInt32 { 20 }
    static var name: StaticString { "IQ4_NL" }
    static var elements: Int { 32 }
    static var bytes: Int { 2 + 16 }
    static var form: LaneForm { .signed8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        for b in 0..<count {
            let p = row + b &* bytes
            putScale(out, b, r, 0, half(p, 0))
            for i in 0..<32 {
                let pair = byte(p, 2 &+ (i & 15))
                putSigned(out, b, r, i, nonlinear(i < 16 ? pair & 15 : pair >> 4))
            }
        }
    }
}

/// { f16 d; u16 high; u8 low[4]; u8 q[128] }: 6-bit scales less 32, four bits in `low` and two in `high`.
enum IQ4_XS: BlockFormat {
    static var number: UInt32 { 23 }
    static var name: StaticString { "IQ4_XS" }
    static var elements: Int { 256 }
    static var bytes: Int { 2 + 2 + 4 + 128 }
    static var form: LaneForm { .signed8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        for b in 0..<count {
            let high = word(row, 2) >> UInt32(truncatingIfNeeded: 2 &* b) & 3
            putScale(out, b, r, 0, half(row, 0) * Float(Int(UInt32(nibble(row + 4, b)) | high << 4) &- 32))
            for i in 0..<32 {
                let pair = byte(row, 8 &+ 16 &* b &+ (i & 15))
                putSigned(out, b, r, i, nonlinear(i < 16 ? pair & 15 : pair >> 4))
            }
        }
    }
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

/// Eight weights of IQ1: (-1, 0 or 1) + delta or - delta, delta = 1/8; as integers, eight times as large.
@inline(__always) private func putTernary(
    _ out: UnsafeMutableRawPointer, _ b: Int, _ r: Int, _ first: Int, _ grid: UInt64, _ negative: Bool
) {
    for i in 0..<8 {
        let w = 8 &* (Int(grid >> UInt64(truncatingIfNeeded: 8 &* i) & 255) &- 1)
        putSigned(out, b, r, first &+ i, w &+ (negative ? -1 : 1))
    }
}

/// The sixteen values of a 4-bit index: -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
/// as two's complement bytes.
@inline(__always) private func nonlinear(_ index: UInt8) -> Int {
    let table: UInt64 = index < 8 ? 0xf6ea_ddcf_bfad_9881 : 0x7159_4535_2619_0d01
    return Int(Int8(truncatingIfNeeded: table >> UInt64(truncatingIfNeeded: 8 &* (index & 7))))
}

/// The formats above, by ggml's number.
@inline(__always) func visitIQ<V: FormatVisitor>(_ number: UInt32, _ visitor: V) -> V.Result? {
    switch number {
    case IQ2_XXS.number: visitor.visit(IQ2_XXS.self)
    case IQ2_XS.number: visitor.visit(IQ2_XS.self)
    case IQ2_S.number: visitor.visit(IQ2_S.self)
    case IQ3_XXS.number: visitor.visit(IQ3_XXS.self)
    case IQ3_S.number: visitor.visit(IQ3_S.self)
    case IQ1_S.number: visitor.visit(IQ1_S.self)
    case IQ1_M.number: visitor.visit(IQ1_M.self)
    case IQ4_NL.number: visitor.visit(IQ4_NL.self)
    case IQ4_XS.number: visitor.visit(IQ4_XS.self)
    default: nil
    }
}
