/// Sixteen lanes in plain Swift: the reference, and what a machine without kernels of its own runs.
///
/// Each instruction-set module has its own `F32x16` and `I32x16` with these same members; the
/// kernels in `Body/` are written once against them. A member means the same IEEE operation in
/// every module, so the kernels give the same bits everywhere.
struct F32x16 {
    var v: SIMD16<Float>

    @inline(__always) init(_ v: SIMD16<Float>) { self.v = v }
    @inline(__always) init(splat x: Float) { v = SIMD16(repeating: x) }
    @inline(__always) init(load p: UnsafePointer<Float>) {
        v = UnsafeRawPointer(p).loadUnaligned(as: SIMD16<Float>.self)
    }
    @inline(__always) init(loadHalf p: UnsafeRawPointer) {
        v = SIMD16(repeating: 0)
        for i in 0..<16 { v[i] = halfToFloat(p.loadUnaligned(fromByteOffset: 2 &* i, as: UInt16.self)) }
    }
    @inline(__always) init(loadBF16 p: UnsafeRawPointer) {
        v = SIMD16(repeating: 0)
        for i in 0..<16 {
            v[i] = Float(bitPattern: UInt32(p.loadUnaligned(fromByteOffset: 2 &* i, as: UInt16.self)) << 16)
        }
    }
    @inline(__always) init(loadInt8 p: UnsafeRawPointer) { v = SIMD16<Float>(p.loadUnaligned(as: SIMD16<Int8>.self)) }
    /// The low, or high, four bits of 16 bytes, signed.
    @inline(__always) init(loadLowHalves p: UnsafeRawPointer) { v = SIMD16<Float>((p.loadUnaligned(as: SIMD16<Int8>.self) &<< 4) &>> 4) }
    @inline(__always) init(loadHighHalves p: UnsafeRawPointer) { v = SIMD16<Float>(p.loadUnaligned(as: SIMD16<Int8>.self) &>> 4) }
    @inline(__always) func store(_ p: UnsafeMutablePointer<Float>) {
        UnsafeMutableRawPointer(p).storeBytes(of: v, as: SIMD16<Float>.self)
    }
    @inline(__always) func storeHalf(_ p: UnsafeMutableRawPointer) {
        for i in 0..<16 { p.storeBytes(of: floatToHalf(v[i]), toByteOffset: 2 &* i, as: UInt16.self) }
    }
    /// The lowest byte of each lane.
    @inline(__always) func storeLowBytes(_ p: UnsafeMutableRawPointer) {
        for i in 0..<16 { p.storeBytes(of: UInt8(truncatingIfNeeded: v[i].bitPattern), toByteOffset: i, as: UInt8.self) }
    }

    @inline(__always) static func + (a: F32x16, b: F32x16) -> F32x16 { F32x16(a.v + b.v) }
    @inline(__always) static func - (a: F32x16, b: F32x16) -> F32x16 { F32x16(a.v - b.v) }
    @inline(__always) static func * (a: F32x16, b: F32x16) -> F32x16 { F32x16(a.v * b.v) }
    @inline(__always) static func / (a: F32x16, b: F32x16) -> F32x16 { F32x16(a.v / b.v) }
    /// a * b + c, rounded once.
    @inline(__always) static func fma(_ a: F32x16, _ b: F32x16, _ c: F32x16) -> F32x16 {
        var r = c.v
        for i in 0..<16 { r[i] = c.v[i].addingProduct(a.v[i], b.v[i]) }
        return F32x16(r)
    }
    /// a > b ? a : b, lane by lane; b when either is NaN (as x86 does).
    @inline(__always) static func max(_ a: F32x16, _ b: F32x16) -> F32x16 {
        F32x16(b.v.replacing(with: a.v, where: a.v .> b.v))
    }
    /// a < b ? a : b; b when either is NaN.
    @inline(__always) static func min(_ a: F32x16, _ b: F32x16) -> F32x16 {
        F32x16(b.v.replacing(with: a.v, where: a.v .< b.v))
    }
    /// A hint that the reference does not take.
    @inline(__always) static func prefetch(_ p: UnsafeRawPointer) {}
    /// Whether what is read once a pass is better fetched so, by `prefetchOnce`.
    @inline(__always) static var fetchesOnce: Bool { false }
    @inline(__always) static func prefetchOnce(_ p: UnsafeRawPointer) {}
    /// a < b ? x : y, lane by lane; y when either is NaN.
    @inline(__always) static func select(_ a: F32x16, lessThan b: F32x16, _ x: F32x16, _ y: F32x16) -> F32x16 {
        F32x16(y.v.replacing(with: x.v, where: a.v .< b.v))
    }
    /// The bit patterns moved left by 23: the integer n + 127 in the low bits becomes 2^n.
    @inline(__always) var lowBitsAsExponent: F32x16 {
        F32x16(unsafeBitCast(unsafeBitCast(v, to: SIMD16<UInt32>.self) &<< 23, to: SIMD16<Float>.self))
    }
    /// The greatest lane, by the same tree as `sum` (which matters when there is a NaN).
    @inline(__always) var largest: Float {
        let a = v.highHalf.replacing(with: v.lowHalf, where: v.lowHalf .> v.highHalf)
        let b = a.highHalf.replacing(with: a.lowHalf, where: a.lowHalf .> a.highHalf)
        let c = b.highHalf.replacing(with: b.lowHalf, where: b.lowHalf .> b.highHalf)
        return c[0] > c[1] ? c[0] : c[1]
    }
    /// Lanes i and i+8, then i and i+4, i+2, i+1: one fixed tree.
    @inline(__always) var sum: Float {
        let a = v.lowHalf + v.highHalf
        let b = a.lowHalf + a.highHalf
        let c = b.lowHalf + b.highHalf
        return c[0] + c[1]
    }
}

struct I32x16 {
    var v: SIMD16<Int32>

    @inline(__always) init(splat x: Int32) { v = SIMD16(repeating: x) }
    @inline(__always) var asFloat: F32x16 { F32x16(SIMD16<Float>(v)) }
    @inline(__always) mutating func add(_ other: I32x16) { v = v &+ other.v }

    /// Lane i gains the sum of four products: unsigned bytes w[4i..<4i+4] with the signed bytes of `a`.
    /// Ranges (w at most 63, |a| at most 127, 32 terms a block) keep every sum far inside 32 bits.
    @inline(__always) mutating func addDot(_ w: UnsafeRawPointer, _ a: UnsafeRawPointer) {
        let q = a.loadUnaligned(as: SIMD4<Int8>.self)
        for i in 0..<16 {
            let b = w.loadUnaligned(fromByteOffset: 4 &* i, as: SIMD4<UInt8>.self)
            v[i] &+=
                Int32(b[0]) &* Int32(q[0]) &+ Int32(b[1]) &* Int32(q[1])
                &+ Int32(b[2]) &* Int32(q[2]) &+ Int32(b[3]) &* Int32(q[3])
        }
    }
    /// The same for weights that use all 8 bits, signed; stored with `signedFlip` applied.
    @inline(__always) mutating func addSignedDot(_ w: UnsafeRawPointer, _ a: UnsafeRawPointer) {
        let q = a.loadUnaligned(as: SIMD4<Int8>.self)
        for i in 0..<16 {
            let b = w.loadUnaligned(fromByteOffset: 4 &* i, as: SIMD4<Int8>.self)
            v[i] &+=
                Int32(b[0]) &* Int32(q[0]) &+ Int32(b[1]) &* Int32(q[1])
                &+ Int32(b[2]) &* Int32(q[2]) &+ Int32(b[3]) &* Int32(q[3])
        }
    }
    /// Where a sum over `addSignedDot` starts; c as `quantizeRow` writes it.
    @inline(__always) init(signedStart c: UnsafePointer<Int32>) { self.init(splat: 0) }
    /// The same for a sum over 16 columns; c is -32 times their sum.
    @inline(__always) init(signedHalfStart c: Int32) { self.init(splat: 0) }
    /// Tokens that `multiplyQuantized` takes at once, 4 or 8.
    /// The reference multiplies every format.
    @inline(__always) static func multiplies(_ type: UInt32, _ tokens: Int) -> Bool { true }
    @inline(__always) static var tokensInRegisters: Int { 4 }
}

/// No fast unpacking here: the plain one is the reference.
@inline(__always) func unpackFast(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ first: Int, _ count: Int, _ next: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer
) -> Bool { false }

/// Everything goes the general way here.
@inline(__always) func multiplyFewTokens(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ blocks: Int, _ q: UnsafePointer<Int8>,
    _ s: UnsafePointer<Float>, _ c: UnsafePointer<Int32>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>,
    _ outStride: Int, _ next: UnsafeRawPointer, _ scratch: UnsafeMutableRawPointer
) -> Bool { false }

/// Four tokens go the general way here.
@inline(__always) func multiplyFourTokensFast(
    _ form: LaneForm, _ lanes: UnsafeRawPointer, _ blocks: Int, _ q: UnsafePointer<Int8>, _ s: UnsafePointer<Float>,
    _ c: UnsafePointer<Int32>, _ tokenStride: Int, _ blockStride: Int, _ acc: UnsafeMutablePointer<Float>
) -> Bool { false }

/// What is exclusive-ored onto signed weight bytes of lane blocks before `addSignedDot` sees them: nothing here.
var signedFlip: UInt8 { @inline(__always) get { 0 } }

/// Nothing is unpacked by way of the scratch here.
var unpackScratchBytes: Int { @inline(__always) get { 0 } }

/// Not used where tiles are of four tokens.
@inline(__always) func scaledSums(_ c: UnsafePointer<Int32>, _ s: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>) {}
@inline(__always) func shiftedStarts(_ c: UnsafePointer<Int32>, _ by: Int32, _ out: UnsafeMutablePointer<Int32>) {}
@inline(__always) func placeOfSums(_ scratch: UnsafeRawPointer) -> UnsafeMutablePointer<Float> {
    UnsafeMutableRawPointer(mutating: scratch).assumingMemoryBound(to: Float.self)
}
