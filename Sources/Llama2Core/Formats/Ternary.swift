/// The ternary types: -1, 0 and 1 with one scale for 256 weights. Layouts are ggml's.

/// { u8 q[48]; u8 rest[4]; f16 d }: 32 bytes hold five runs of 32 columns, 16 bytes five runs of 16, 4 bytes four of 4.
enum TQ1_0: BlockFormat {
    static var number: UInt32 { 34 }
    static var name: StaticString { "TQ1_0" }
    static var elements: Int { 256 }
    static var bytes: Int { 48 + 4 + 2 }
    static var form: LaneForm { .signed8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        for b in 0..<count {
            putScale(out, b, r, 0, half(row, 52))
            for i in 0..<32 {
                let column = 32 &* b &+ i
                let digit =
                    column < 160
                    ? ternaryDigit(byte(row, i), b)
                    : column < 240
                        ? ternaryDigit(byte(row, 32 &+ (column & 15)), (column &- 160) >> 4)
                        : ternaryDigit(byte(row, 48 &+ (column & 3)), (column &- 240) >> 2)
                putSigned(out, b, r, i, digit)
            }
        }
    }
}

/// { u8 q[64]; f16 d }: in each half of 128, four blocks share 32 bytes, two bits each, less 1.
enum TQ2_0: BlockFormat {
    static var number: UInt32 { 35 }
    static var name: StaticString { "TQ2_0" }
    static var elements: Int { 256 }
    static var bytes: Int { 64 + 2 }
    static var form: LaneForm { .signed8 }

    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer) {
        for b in 0..<count {
            putScale(out, b, r, 0, half(row, 64))
            for i in 0..<32 {
                let four = byte(row, 32 &* (b >> 2) &+ i)
                putSigned(out, b, r, i, Int(four >> UInt8(truncatingIfNeeded: 2 &* (b & 3)) & 3) &- 1)
            }
        }
    }
}

/// Digit n (0 the first) of a byte that holds five base-3 digits as a fraction of 256.
@inline(__always) private func ternaryDigit(_ q: UInt8, _ n: Int) -> Int {
    var x = q
    for _ in 0..<n { x = x &* 3 }
    return Int((UInt16(x) &* 3) >> 8) &- 1
}

/// The formats above, by ggml's number.
@inline(__always) func visitTernary<V: FormatVisitor>(_ number: UInt32, _ visitor: V) -> V.Result? {
    switch number {
    case TQ1_0.number: visitor.visit(TQ1_0.self)
    case TQ2_0.number: visitor.visit(TQ2_0.self)
    default: nil
    }
}
