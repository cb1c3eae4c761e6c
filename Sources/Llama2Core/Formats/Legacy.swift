/// The types with one scale for 32 weights. A row of blocks lies as the file has it; layouts are ggml's (ggml-common.h).

/// { f16 d; u8 q[16] }: low nibbles are columns 0..<16, high nibbles 16..<32.
enum Q4_0: BlockFormat {
    static var number: UInt32 { 2 }
    static var name: StaticString { "Q4_0" }
    static var elements: Int { 32 }
    static var bytes: Int { 2 + 16 }
    static var form: LaneForm { .symmetric4 }
    static var fileType: UInt32? { 2 }
    static var quantizer: Quantizer? { { x, _, out, _ in quantizeSymmetric(x, out, 8) } }

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
    static var fileType: UInt32? { 3 }
    static var quantizer: Quantizer? { { x, _, out, _ in quantizeAffine(x, out, 15) } }

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
    static var fileType: UInt32? { 8 }
    static var quantizer: Quantizer? { { x, _, out, _ in quantizeSymmetric(x, out, 16) } }

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
    static var fileType: UInt32? { 9 }
    static var quantizer: Quantizer? { { x, _, out, _ in quantizeAffine(x, out, 31) } }

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
    static var fileType: UInt32? { 7 }
    static var quantizer: Quantizer? { { x, _, out, _ in quantizeQ8_0(x, out) } }

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

// The bytes that floats become are those of the `gguf` package's numpy.

/// d = the value of greatest magnitude / -half: it takes the one integer more that the negative side has.
private func quantizeSymmetric(_ x: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer, _ half: Float) {
    var extreme = x[0]
    for i in 1..<32 where x[i].magnitude > extreme.magnitude { extreme = x[i] }
    let d = extreme / -half, inverse = d == 0 ? 0 : 1 / d
    out.storeBytes(of: floatToHalf(d), as: UInt16.self)
    store(out + 2, 2 * half - 1) { x[$0] * inverse + (half + 0.5) }
}

/// d = (max - min) / most, m = min.
private func quantizeAffine(_ x: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer, _ most: Float) {
    var low = x[0], high = x[0]
    for i in 1..<32 {
        if x[i] < low { low = x[i] }
        if x[i] >= high { high = x[i] }
    }
    let d = (high - low) / most, inverse = d == 0 ? 0 : 1 / d
    out.storeBytes(of: floatToHalf(d), as: UInt16.self)
    out.storeBytes(of: floatToHalf(low), toByteOffset: 2, as: UInt16.self)
    store(out + 4, most) { (x[$0] - low) * inverse + 0.5 }
}

/// { (u32 high;) u8 q[16] } of x without its fraction, in 0...most: column i in the low nibble of byte i, column i + 16 in the high one.
@inline(__always) private func store(_ out: UnsafeMutableRawPointer, _ most: Float, _ x: (Int) -> Float) {
    /// 0 for what is no number.
    @inline(__always) func integer(_ x: Float) -> UInt8 { x > 0 ? UInt8(x < most ? x : most) : 0 }
    let hasFifthBit = most > 15, nibbles = out + (hasFifthBit ? 4 : 0)
    var high: UInt32 = 0
    for i in 0..<16 {
        let a = integer(x(i)), b = integer(x(i &+ 16))
        nibbles.storeBytes(of: a & 15 | (b & 15) << 4, toByteOffset: i, as: UInt8.self)
        high |= UInt32(a >> 4) << UInt32(i) | UInt32(b >> 4) << UInt32(i &+ 16)
    }
    if hasFifthBit { out.storeBytes(of: high, as: UInt32.self) }
}

/// d = max |x| / 127; ties away from zero.
private func quantizeQ8_0(_ x: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer) {
    var most: Float = 0
    for i in 0..<32 where x[i].magnitude > most { most = x[i].magnitude }
    let d = most / 127, inverse = d == 0 ? 0 : 1 / d
    out.storeBytes(of: floatToHalf(d), as: UInt16.self)
    for i in 0..<32 {
        let q = (x[i] * inverse).rounded(.toNearestOrAwayFromZero)
        let byte = q >= -128 && q <= 127 ? Int8(q) : 0
        out.storeBytes(of: byte, toByteOffset: 2 &+ i, as: Int8.self)
    }
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
