/// The types with one scale for 32 weights. A row of blocks lies as the file has it; layouts are ggml's (ggml-common.h).

/// { f16 d; u8 q[16] }: low nibbles are columns 0..<16, high nibbles 16..<32.
enum Q4_0: BlockFormat {
    static var number: UInt32 { 2 }
    static var name: StaticString { "Q4_0" }
    static var elements: Int { 32 }
    static var bytes: Int { 2 + 16 }
    static var form: LaneForm { .symmetric4 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        for b in 0..<count {
            let p = row + b &* bytes
            putScale(out, b, r, 0, half(p, 0))
            for i in 0..<16 {
                put(out, b, r, i, byte(p, 2 &+ i) & 15)
                put(out, b, r, i &+ 16, byte(p, 2 &+ i) >> 4)
            }
        }
    }
}

/// { f16 d; f16 m; u8 q[16] }.
enum Q4_1: BlockFormat {
    static var number: UInt32 { 3 }
    static var name: StaticString { "Q4_1" }
    static var elements: Int { 32 }
    static var bytes: Int { 2 + 2 + 16 }
    static var form: LaneForm { .affine }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        for b in 0..<count {
            let p = row + b &* bytes
            putScale(out, b, r, 0, half(p, 0))
            putScale(out, b, r, 1, half(p, 2))
            for i in 0..<16 {
                put(out, b, r, i, byte(p, 4 &+ i) & 15)
                put(out, b, r, i &+ 16, byte(p, 4 &+ i) >> 4)
            }
        }
    }
}

/// { f16 d; u32 high; u8 q[16] }: nibbles as in Q4_0, the fifth bit of column i is bit i of `high`; weight - 16.
enum Q5_0: BlockFormat {
    static var number: UInt32 { 6 }
    static var name: StaticString { "Q5_0" }
    static var elements: Int { 32 }
    static var bytes: Int { 2 + 4 + 16 }
    static var form: LaneForm { .signed8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        for b in 0..<count {
            let p = row + b &* bytes
            putScale(out, b, r, 0, half(p, 0))
            for i in 0..<32 { putSigned(out, b, r, i, Int(fiveBits(p + 2, i)) &- 16) }
        }
    }
}

/// { f16 d; f16 m; u32 high; u8 q[16] }.
enum Q5_1: BlockFormat {
    static var number: UInt32 { 7 }
    static var name: StaticString { "Q5_1" }
    static var elements: Int { 32 }
    static var bytes: Int { 2 + 2 + 4 + 16 }
    static var form: LaneForm { .affine }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        for b in 0..<count {
            let p = row + b &* bytes
            putScale(out, b, r, 0, half(p, 0))
            putScale(out, b, r, 1, half(p, 2))
            for i in 0..<32 { put(out, b, r, i, fiveBits(p + 4, i)) }
        }
    }
}

/// { f16 d; i8 q[32] }.
enum Q8_0: BlockFormat {
    static var number: UInt32 { 8 }
    static var name: StaticString { "Q8_0" }
    static var elements: Int { 32 }
    static var bytes: Int { 2 + 32 }
    static var form: LaneForm { .signed8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        for b in 0..<count {
            let p = row + b &* bytes
            putScale(out, b, r, 0, half(p, 0))
            for i in 0..<32 { put(out, b, r, i, byte(p, 2 &+ i) ^ signedFlip) }
        }
    }
}

/// Column i (0..<32) of { u32 high; u8 q[16] }.
@inline(__always) private func fiveBits(_ p: UnsafeRawPointer, _ i: Int) -> UInt8 {
    let pair = byte(p, 4 &+ (i & 15)), high = byte(p, i >> 3) >> UInt8(truncatingIfNeeded: i & 7) & 1
    return (i < 16 ? pair & 15 : pair >> 4) | high << 4
}

/// The formats above, by ggml's number.
@inline(__always) func visitLegacy<V: FormatVisitor>(_ number: UInt32, _ visitor: V) -> V.Result? {
    switch number {
    case Q4_0.number: visitor.visit(Q4_0.self)
    case Q4_1.number: visitor.visit(Q4_1.self)
    case Q5_0.number: visitor.visit(Q5_0.self)
    case Q5_1.number: visitor.visit(Q5_1.self)
    case Q8_0.number: visitor.visit(Q8_0.self)
    default: nil
    }
}
