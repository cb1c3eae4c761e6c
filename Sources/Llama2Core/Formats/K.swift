/// The K types: superblocks of 256 weights, eight blocks of 32 (or sixteen of 16) whose scales are integers of six or four
/// bits times one half. Layouts are ggml's.
///
/// Their quantizers fit sixteen blocks side by side, in lanes, which Core has none of: Llama2Kernels/Body/QuantizeK.swift.

/// { u8 scales[16]; u8 q[64]; f16 d; f16 dmin }: sixteen groups of 16, scale in the low and minimum in the
/// high nibble; in each half of 128, four blocks of 32 share 32 bytes. Weight = d sc q - dmin mn.
enum Q2_K: BlockFormat {
    static var number: UInt32 { 10 }
    static var name: StaticString { "Q2_K" }
    static var elements: Int { 256 }
    static var bytes: Int { 16 + 64 + 2 + 2 }
    static var form: LaneForm { .affineHalves }
    static var weighsColumns: Bool { true }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
}

/// { u8 high[32]; u8 q[64]; u8 scales[12]; f16 d }: as Q2_K, with a third bit (bit b of high[i] for block b)
/// that is worth -4 when clear, and sixteen 6-bit scales less 32: low nibbles in 8 bytes, high pairs in 4.
enum Q3_K: BlockFormat {
    static var number: UInt32 { 11 }
    static var name: StaticString { "Q3_K" }
    static var elements: Int { 256 }
    static var bytes: Int { 32 + 64 + 12 + 2 }
    static var form: LaneForm { .halves8 }
    static var weighsColumns: Bool { true }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
}

/// { f16 d; f16 dmin; u8 scales[12]; u8 q[128] }: eight blocks of 32 with a 6-bit scale and a 6-bit minimum each; a pair of
/// blocks shares 32 bytes, low nibbles first. Weight = d sc q - dmin mn.
enum Q4_K: BlockFormat {
    static var number: UInt32 { 12 }
    static var name: StaticString { "Q4_K" }
    static var elements: Int { 256 }
    static var bytes: Int { 2 + 2 + 12 + 128 }
    static var form: LaneForm { .affine }
    static var weighsColumns: Bool { true }
    static var standIn: UInt32 { Q5_0.number }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        unpackRowK4(row, nibbles: 16, r, count, out)
    }
}

/// { f16 d; f16 dmin; u8 scales[12]; u8 high[32]; u8 q[128] }: as Q4_K, the fifth bit of block b is bit b of high[i].
enum Q5_K: BlockFormat {
    static var number: UInt32 { 13 }
    static var name: StaticString { "Q5_K" }
    static var elements: Int { 256 }
    static var bytes: Int { 2 + 2 + 12 + 32 + 128 }
    static var form: LaneForm { .affine }
    static var weighsColumns: Bool { true }
    static var standIn: UInt32 { Q5_1.number }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        unpackRowK4(row, nibbles: 48, r, count, out)
    }
}

/// { u8 low[128]; u8 high[64]; i8 scales[16]; f16 d }: sixteen groups of 16; in each half of 128,
/// four blocks of 32 share 64 bytes of low nibbles and 32 bytes of high bit pairs.
enum Q6_K: BlockFormat {
    static var number: UInt32 { 14 }
    static var name: StaticString { "Q6_K" }
    static var elements: Int { 256 }
    static var bytes: Int { 128 + 64 + 16 + 2 }
    static var form: LaneForm { .halves6 }
    static var weighsColumns: Bool { true }
    static var standIn: UInt32 { Q8_0.number }
    static var fileType: UInt32? { 18 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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
}

/// Q4_K and Q5_K; nibbles: where q begins. Before them lie the fifth bits of Q5_K, bit b of high[i] for block b.
private func unpackRowK4(_ row: UnsafeRawPointer, nibbles: Int, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
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

/// The formats above, by ggml's number.
@inline(__always) func visitK<V: FormatVisitor>(_ number: UInt32, _ visitor: V) -> V.Result? {
    switch number {
    case Q2_K.number: visitor.visit(Q2_K.self)
    case Q3_K.number: visitor.visit(Q3_K.self)
    case Q4_K.number: visitor.visit(Q4_K.self)
    case Q5_K.number: visitor.visit(Q5_K.self)
    case Q6_K.number: visitor.visit(Q6_K.self)
    default: nil
    }
}
