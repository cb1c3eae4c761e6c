internal import Llama2Core

/// Keys and values on their way into quantized pages and out of them, a position at a time. The layouts are told in
/// Body/QuantizedAttention.swift, which reads them.
///
/// Before it is quantized a vector is turned by a Walsh-Hadamard matrix, which spreads what is large in one component over all:
/// the largest number of a block, which decides its scale, is then little larger than the others (Ashkboos et al., QuaRot, 2024).
/// The matrix is orthogonal and its own inverse: queries turned likewise give the same scores, and attention's output turned
/// once more is the sum of the values.
extension Kernels {
    /// The largest power of two that divides `count`: the size of the matrices along a head.
    private static func hadamardSize(_ count: Int) -> Int { count & -count }

    /// x (count) times the Walsh-Hadamard matrix of `hadamardSize` components, as often as it fits, divided by the square root
    /// of its size. Sums and differences of pairs at distances 1, 2, 4 ..., then one product each.
    public static func hadamard(_ x: UnsafeMutablePointer<Float>, _ count: Int) {
        let size = hadamardSize(count)
        guard size > 1 else { return }
        var distance = 1
        while distance < size {
            var first = 0
            while first < count {
                for i in first..<(first &+ distance) {
                    let a = x[i], b = x[i &+ distance]
                    x[i] = a + b
                    x[i &+ distance] = a - b
                }
                first &+= 2 &* distance
            }
            distance &*= 2
        }
        let scale = 1 / Float(size).squareRoot()
        for i in 0..<count { x[i] *= scale }
    }

    /// x (d) to column `column` of a part of keys. False when a number is lost: a block with one that is finite and too large for its
    /// scale. A block with infinity or NaN becomes NaN.
    public static func storeKey(
        _ x: UnsafePointer<Float>, _ d: Int, _ part: UnsafeMutableRawPointer, column: Int, headStride: Int, _ type: CacheType
    ) -> Bool {
        let integers = part + headStride / 32 &* 128 + column
        var fits = true
        for b in 0..<(d &+ 31) / 32 {
            let count = min(32, d &- 32 &* b)
            let inverse = storeScale(x + 32 &* b, count, part + 128 &* b + 2 &* column, type, &fits)
            for i in 0..<count {
                let q = integer(x[32 &* b &+ i], inverse, type), row = 32 &* b &+ i
                switch type {
                case .q8_0: integers.storeBytes(of: q, toByteOffset: 64 &* row, as: Int8.self)
                case .q4_0: storeNibble(q, integers + 64 &* (row / 2), isHigh: row & 1 == 1)
                case .f32, .f16: break
                }
            }
        }
        return fits
    }

    /// The same for values.
    public static func storeValue(
        _ x: UnsafePointer<Float>, _ d: Int, _ part: UnsafeMutableRawPointer, column: Int, headStride: Int, _ type: CacheType
    ) -> Bool {
        let integers = part + headStride / 32 &* 128 + column &* (headStride &* type.bits / 8)
        var fits = true
        for b in 0..<(d &+ 31) / 32 {
            let count = min(32, d &- 32 &* b)
            let inverse = storeScale(x + 32 &* b, count, part + 128 &* b + 2 &* column, type, &fits)
            for i in 0..<count {
                let q = integer(x[32 &* b &+ i], inverse, type)
                switch type {
                case .q8_0: integers.storeBytes(of: q, toByteOffset: 32 &* b &+ i, as: Int8.self)
                case .q4_0: storeNibble(q, integers + 32 &* (b / 2) + i, isHigh: b & 1 == 1)
                case .f32, .f16: break
                }
            }
        }
        return fits
    }

    /// What column `column` of a part of keys stands for, to x (d).
    public static func loadKey(
        _ part: UnsafeRawPointer, column: Int, _ x: UnsafeMutablePointer<Float>, _ d: Int, headStride: Int, _ type: CacheType
    ) {
        let integers = part + headStride / 32 &* 128 + column
        for i in 0..<d {
            let scale = halfToFloat(part.loadUnaligned(fromByteOffset: 128 &* (i / 32) &+ 2 &* column, as: UInt16.self))
            let byte = integers.load(fromByteOffset: 64 &* (type == .q4_0 ? i / 2 : i), as: Int8.self)
            let q = type == .q8_0 ? byte : i & 1 == 1 ? byte &>> 4 : (byte &<< 4) &>> 4
            x[i] = Float(q) * scale
        }
    }

    /// The scale of a block, x (count), to `out` in F16; returns its inverse, 0 where all integers are 0.
    private static func storeScale(
        _ x: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutableRawPointer, _ type: CacheType, _ fits: inout Bool
    ) -> Float {
        var most: Float = 0, signed: Float = 0, isFinite = true
        for i in 0..<count {
            if !x[i].isFinite { isFinite = false }
            if x[i].magnitude > most { (most, signed) = (x[i].magnitude, x[i]) }
        }
        // the largest becomes -8, as ggml has it, or 127
        var exact = type == .q4_0 ? signed / -8 : most / 127
        if type == .q4_0 && isFinite { exact = leastSquares(x, count, exact) }
        if isFinite && exact.magnitude >= 65520 { fits = false }
        let half = isFinite ? floatToHalf(exact) : floatToHalf(.nan), scale = halfToFloat(half)
        out.storeBytes(of: half, as: UInt16.self)
        return isFinite && scale != 0 && scale.isFinite ? 1 / scale : 0
    }

    /// With the integers q that `scale` gives to x (count), the scale s whose sum of (x - s q)^2 is least: x q / q q. Of what 4 bits lose it saves a
    /// twentieth; of what 8 bits lose, nothing that counts.
    private static func leastSquares(_ x: UnsafePointer<Float>, _ count: Int, _ scale: Float) -> Float {
        let inverse = 1 / scale
        guard inverse.isFinite else { return scale }
        var products: Float = 0, squares: Float = 0
        for i in 0..<count {
            let q = shifted(x[i], inverse, .q4_0) - shift
            products += x[i] * q
            squares += q * q
        }
        return squares > 0 ? products / squares : scale
    }

    /// The nearest integer of the type, of two the even one. |x * inverse| is hardly more than 127, or 8.
    private static func integer(_ x: Float, _ inverse: Float, _ type: CacheType) -> Int8 {
        inverse == 0 ? 0 : Int8(truncatingIfNeeded: shifted(x, inverse, type).bitPattern)
    }

    /// Here a float's last bit is worth one, so that its low bits are an integer; rounding needs no call of libm's.
    private static var shift: Float { 0x1.8p23 }

    private static func shifted(_ x: Float, _ inverse: Float, _ type: CacheType) -> Float {
        min(type == .q4_0 ? 7 : 127, max(type == .q4_0 ? -8 : -127, x * inverse)) + shift
    }

    private static func storeNibble(_ q: Int8, _ byte: UnsafeMutableRawPointer, isHigh: Bool) {
        let old = byte.load(as: UInt8.self), nibble = UInt8(bitPattern: q) & 15
        byte.storeBytes(of: isHigh ? old & 15 | nibble << 4 : old & 0xf0 | nibble, as: UInt8.self)
    }
}
