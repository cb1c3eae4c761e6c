/// Operations on vectors. Sums run in 16 partial sums and one fixed tree, whatever the vector width.

/// e^x, x clamped to [-87, 88]; relative error below 2e-7. NaN stays NaN: minimum and maximum give their second operand when
/// one of them is NaN, so x stands second.
/// x = n ln 2 + r, |r| <= ln 2 / 2; e^r by a polynomial of degree 6 (Taylor coefficients).
/// Cody & Waite, Software Manual for the Elementary Functions, chapter 6.
@inline(__always) func exponential(_ x: F32x16) -> F32x16 {
    let clamped = F32x16.min(F32x16(splat: 88), F32x16.max(F32x16(splat: -87), x))
    // 1.5 * 2^23 + 127: adding it rounds to an integer and leaves n + 127 in the low bits
    let magic = F32x16(splat: 12_582_912 + 127)
    let shifted = F32x16.fma(clamped, F32x16(splat: 1.442_695_04), magic)
    let n = shifted - magic
    var r = F32x16.fma(n, F32x16(splat: -0.693_359_375), clamped)
    r = F32x16.fma(n, F32x16(splat: 2.121_944_4e-4), r)
    var p = F32x16(splat: 1.0 / 720)
    p = F32x16.fma(p, r, F32x16(splat: 1.0 / 120))
    p = F32x16.fma(p, r, F32x16(splat: 1.0 / 24))
    p = F32x16.fma(p, r, F32x16(splat: 1.0 / 6))
    p = F32x16.fma(p, r, F32x16(splat: 0.5))
    p = F32x16.fma(p, r, F32x16(splat: 1))
    p = F32x16.fma(p, r, F32x16(splat: 1))
    return p * shifted.lowBitsAsExponent
}

/// The first `count` (0...15) floats at `p`, zero beyond: never reads past them.
@inline(__always) func loadTail(_ p: UnsafePointer<Float>, _ count: Int) -> F32x16 {
    var lanes = SIMD16<Float>(repeating: 0)
    for i in 0..<count { lanes[i] = p[i] }
    return withUnsafePointer(to: &lanes) { F32x16(load: UnsafeRawPointer($0).assumingMemoryBound(to: Float.self)) }
}

@inline(__always) func storeTail(_ x: F32x16, _ p: UnsafeMutablePointer<Float>, _ count: Int) {
    var lanes = SIMD16<Float>(repeating: 0)
    withUnsafeMutablePointer(to: &lanes) { x.store(UnsafeMutableRawPointer($0).assumingMemoryBound(to: Float.self)) }
    for i in 0..<count { p[i] = lanes[i] }
}

/// out = x / sqrt(mean(x^2) + epsilon) * weight. x, weight, out: (count); out may be x.
/// Zhang & Sennrich, Root Mean Square Layer Normalization, 2019.
public func rmsNorm(
    _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ count: Int, _ epsilon: Float,
    _ out: UnsafeMutablePointer<Float>
) {
    let whole = count & ~15
    var squares = F32x16(splat: 0)
    var i = 0
    while i < whole {
        let v = F32x16(load: x + i)
        squares = F32x16.fma(v, v, squares)
        i &+= 16
    }
    let tail = loadTail(x + whole, count &- whole)
    squares = F32x16.fma(tail, tail, squares)
    let scale = F32x16(splat: 1 / (squares.sum / Float(count) + epsilon).squareRoot())
    i = 0
    while i < whole {
        (F32x16(load: x + i) * scale * F32x16(load: weight + i)).store(out + i)
        i &+= 16
    }
    storeTail(tail * scale * loadTail(weight + whole, count &- whole), out + whole, count &- whole)
}

/// out = silu(gate) * up, silu(g) = g / (1 + e^-g). All (count); out may be gate or up.
/// Shazeer, GLU Variants Improve Transformer, 2020.
public func swiGLU(
    _ gate: UnsafePointer<Float>, _ up: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<Float>
) {
    let one = F32x16(splat: 1), zero = F32x16(splat: 0)
    let whole = count & ~15
    var i = 0
    while i < whole {
        let g = F32x16(load: gate + i)
        (g / (one + exponential(zero - g)) * F32x16(load: up + i)).store(out + i)
        i &+= 16
    }
    let rest = count &- whole
    let g = loadTail(gate + whole, rest)
    storeTail(g / (one + exponential(zero - g)) * loadTail(up + whole, rest), out + whole, rest)
}

/// x += y, both (count).
public func addVector(_ x: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int) {
    var i = 0
    while i < count {
        x[i] += y[i]
        i &+= 1
    }
}

/// Rotates the pairs (2i, 2i+1) of each head by the angle whose cosine and sine are cosSin[i].
/// x: (heads, headStride); cosSin: (pairs, 2). Su et al., RoFormer, 2021.
public func rotatePairs(
    _ x: UnsafeMutablePointer<Float>, _ heads: Int, _ headStride: Int, _ pairs: Int, _ cosSin: UnsafePointer<Float>
) {
    var head = 0
    while head < heads {
        let p = x + head &* headStride
        var i = 0
        while i < pairs {
            let a = p[2 &* i], b = p[2 &* i &+ 1], c = cosSin[2 &* i], s = cosSin[2 &* i &+ 1]
            p[2 &* i] = a * c - b * s
            p[2 &* i &+ 1] = a * s + b * c
            i &+= 1
        }
        head &+= 1
    }
}

/// x (count) to int8 by blocks of 32: scale = max|x| / 127, q = round(x / scale) to nearest even.
/// Block b goes to q + 32 b width, scale + b width, c + 4 b width (see `multiplyQuantized`). c holds what
/// the formats need of the sums of q, ready to use: -8 sum, the float scale * sum, and -32 sum of the
/// first and of the last 16. A block with an infinity or NaN gets scale NaN, q 0.
public func quantizeRow(
    _ x: UnsafePointer<Float>, _ count: Int, _ width: Int, _ q: UnsafeMutablePointer<Int8>,
    _ scale: UnsafeMutablePointer<Float>, _ c: UnsafeMutablePointer<Int32>
) {
    let zero = F32x16(splat: 0), magic = F32x16(splat: 12_582_912)  // 1.5 * 2^23
    var block = 0
    while block &* 32 < count {
        let p = x + block &* 32, o = q + block &* 32 &* width
        let low = F32x16(load: p), high = F32x16(load: p + 16)
        // x - x is 0, or NaN for an infinity or NaN
        let finite = ((low - low) + (high - high)).sum == 0
        let most = F32x16.max(F32x16.max(low, zero - low), F32x16.max(high, zero - high)).largest
        // a largest value so small that 127 / it overflows counts as zero
        let usable = finite && most > 1e-36
        let s = finite ? (usable ? most / 127 : 0) : Float.nan, target = c + 4 &* block &* width
        var lowSum: Int32 = 0, highSum: Int32 = 0
        if usable {
            // |x * inverse| <= 127: adding the magic number rounds, and leaves the integer in the low byte
            let inverse = F32x16(splat: 127 / most)
            let a = low * inverse + magic, b = high * inverse + magic
            a.storeLowBytes(o)
            b.storeLowBytes(o + 16)
            // sums of integers up to 16 * 127: exact
            lowSum = Int32((a - magic).sum)
            highSum = Int32((b - magic).sum)
        } else {
            var i = 0
            while i < 32 {
                o[i] = 0
                i &+= 1
            }
        }
        scale[block &* width] = s
        target[0] = -8 &* (lowSum &+ highSum)
        target[1] = Int32(bitPattern: (s * Float(lowSum &+ highSum)).bitPattern)
        target[2] = -32 &* lowSum
        target[3] = -32 &* highSum
        block &+= 1
    }
}

/// Floats to the cache's format: x (count) to every `stride`-th element of `out`, F16 or F32. False when a number is lost:
/// one that is finite and so large (65520 or more) that F16 has only infinity for it. Infinity and NaN stay what they are.
public func storeCache(
    _ x: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutableRawPointer, _ stride: Int, _ half: Bool
) -> Bool {
    var i = 0
    guard half else {
        while i < count {
            out.storeBytes(of: x[i], toByteOffset: 4 &* i &* stride, as: Float.self)
            i &+= 1
        }
        return true
    }
    let zero = F32x16(splat: 0), infinity = F32x16(splat: Float.infinity)
    var largest = zero  // magnitudes of what is finite
    while stride == 1 && i &+ 16 <= count {
        let v = F32x16(load: x + i), magnitude = F32x16.max(v, zero - v)
        largest = F32x16.max(largest, F32x16.select(magnitude, lessThan: infinity, magnitude, zero))
        v.storeHalf(out + 2 &* i)
        i &+= 16
    }
    var fits = largest.largest < 65520
    while i < count {
        let magnitude = x[i].magnitude
        if magnitude >= 65520 && magnitude < Float.infinity { fits = false }
        out.storeBytes(of: floatToHalf(x[i]), toByteOffset: 2 &* i &* stride, as: UInt16.self)
        i &+= 1
    }
    return fits
}
