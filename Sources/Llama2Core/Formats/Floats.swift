/// Plain numbers: multiplied as such (FloatMatrix.swift), never unpacked to lane blocks.

/// IEEE 754 binary32.
enum F32: PlainFormat {
    static var number: UInt32 { 0 }
    static var name: StaticString { "F32" }
    static var bytes: Int { 4 }
    static var fileType: UInt32? { 0 }

    @inline(__always) static func load(_ p: UnsafeRawPointer) -> Float { p.loadUnaligned(as: Float.self) }
    @inline(__always) static func store(_ x: Float, _ p: UnsafeMutableRawPointer) { p.storeBytes(of: x, as: Float.self) }
}

/// IEEE 754 binary16.
enum F16: PlainFormat {
    static var number: UInt32 { 1 }
    static var name: StaticString { "F16" }
    static var bytes: Int { 2 }
    static var fileType: UInt32? { 1 }

    @inline(__always) static func load(_ p: UnsafeRawPointer) -> Float { half(p, 0) }
    @inline(__always) static func store(_ x: Float, _ p: UnsafeMutableRawPointer) { p.storeBytes(of: floatToHalf(x), as: UInt16.self) }
}

/// The upper half of a binary32.
enum BF16: PlainFormat {
    static var number: UInt32 { 30 }
    static var name: StaticString { "BF16" }
    static var bytes: Int { 2 }
    static var fileType: UInt32? { 32 }

    @inline(__always) static func load(_ p: UnsafeRawPointer) -> Float {
        Float(bitPattern: UInt32(p.loadUnaligned(as: UInt16.self)) << 16)
    }

    @inline(__always) static func store(_ x: Float, _ p: UnsafeMutableRawPointer) {
        let bits = x.bitPattern
        // to nearest even
        let rounded = (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16
        p.storeBytes(of: UInt16(truncatingIfNeeded: rounded), as: UInt16.self)
    }
}

/// The formats above, by ggml's number.
@inline(__always) func visitPlain<V: PlainVisitor>(_ number: UInt32, _ visitor: V) -> V.Result? {
    switch number {
    case F32.number: visitor.visit(F32.self)
    case F16.number: visitor.visit(F16.self)
    case BF16.number: visitor.visit(BF16.self)
    default: nil
    }
}
