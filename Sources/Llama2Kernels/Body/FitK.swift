/// Scales, offsets and integers of the K types. A lane is a block: sixteen blocks are fitted side by side, so that no sum crosses lanes.
///
/// For each block the scale (and offset) with the least weighted squared error is sought: the integers that a
/// first scale gives, then the best scale for those integers (least squares), for some first scales around the
/// obvious one. The scales are then rounded to the bits that the type has for them; of the neighbours of that
/// level the best is taken, and the integers are chosen once more.

/// What a quantizer needs beside its operands, in floats: (32, 16) values, (32, 16) weights, and what is fitted.
enum FitScratch {
    static var weights: Int { @inline(__always) get { 512 } }
    static var fit: Int { @inline(__always) get { 1024 } }
    static var bytes: Int { 8192 }
}

/// Values and weights of sixteen blocks of `size`, lane by lane: (size, 16) each.
struct FittedBlocks {
    let x: UnsafeMutablePointer<Float>, w: UnsafeMutablePointer<Float>, size: Int

    /// Lanes beyond 256 / size are zero.
    @inline(__always) init(
        _ values: UnsafePointer<Float>, _ weights: UnsafePointer<Float>?, _ size: Int, _ lanes: UnsafeMutablePointer<Float>
    ) {
        x = lanes
        w = lanes + FitScratch.weights
        self.size = size
        let count = 256 / size
        var i = 0
        while i < size {
            var lane = 0
            while lane < 16 {
                let o = 16 &* i &+ lane
                x[o] = lane < count ? values[lane &* size &+ i] : 0
                // never all zero, or nothing would decide
                if let weights { w[o] = lane < count ? weights[lane &* size &+ i] + 1e-12 : 1 } else { w[o] = 1 }
                lane &+= 1
            }
            i &+= 1
        }
    }

    @inline(__always) func value(_ i: Int) -> F32x16 { F32x16(load: x + 16 &* i) }
    @inline(__always) func weight(_ i: Int) -> F32x16 { F32x16(load: w + 16 &* i) }
}

/// To the nearest integer, ties to even; |x| below 2^22.
@inline(__always) func rounded(_ x: F32x16) -> F32x16 {
    let magic = F32x16(splat: 12_582_912)
    return (x + magic) - magic
}

@inline(__always) func clamped(_ x: F32x16, _ low: Float, _ high: Float) -> F32x16 {
    F32x16.min(F32x16.max(x, F32x16(splat: low)), F32x16(splat: high))
}

/// x ~ scale q + offset with q in 0...most and offset <= 0: to `out` (16) scales and (16) offsets, negated.
@inline(__always) func fitAffine(_ b: FittedBlocks, _ most: Float, _ out: UnsafeMutablePointer<Float>) {
    let zero = F32x16(splat: 0)
    var low = zero, high = b.value(0), sw = zero, swx = zero, swxx = zero
    var i = 0
    while i < b.size {
        let x = b.value(i), w = b.weight(i)
        low = F32x16.min(low, x)
        high = F32x16.max(high, x)
        sw = sw + w
        swx = F32x16.fma(w, x, swx)
        swxx = F32x16.fma(w * x, x, swxx)
        i &+= 1
    }
    let range = F32x16.max(high - low, F32x16(splat: 1e-30))
    var scale = (high - low) * F32x16(splat: 1 / most), offset = low, least = F32x16(splat: 3e38)
    var step = 0
    while step <= 16 {
        let inverse = F32x16(splat: most - 0.8 + 0.1 * Float(step)) / range
        var sq = zero, sqq = zero, sqx = zero
        i = 0
        while i < b.size {
            let x = b.value(i), w = b.weight(i), q = clamped(rounded((x - low) * inverse), 0, most), wq = w * q
            sq = sq + wq
            sqq = F32x16.fma(wq, q, sqq)
            sqx = F32x16.fma(wq, x, sqx)
            i &+= 1
        }
        // least squares; where the offset would be positive it is zero
        let determinant = sw * sqq - sq * sq
        let s = (sw * sqx - swx * sq) / determinant, o = (sqq * swx - sq * sqx) / determinant
        let alone = sqx / sqq
        let fitted = F32x16.select(zero, lessThan: o, alone, s), base = F32x16.min(o, zero)
        // sum w (x - fitted q - base)^2, multiplied out
        let two = F32x16(splat: 2)
        let mixed = fitted * (sqx - base * sq) + base * swx
        let error = swxx + fitted * fitted * sqq + base * base * sw - two * mixed
        scale = F32x16.select(error, lessThan: least, fitted, scale)
        offset = F32x16.select(error, lessThan: least, base, offset)
        least = F32x16.select(error, lessThan: least, error, least)
        step &+= 1
    }
    F32x16.max(scale, zero).store(out)
    (zero - offset).store(out + 16)
}

/// x ~ scale q with q in -most ..< most: to `out` (16) scales.
@inline(__always) func fitSymmetric(_ b: FittedBlocks, _ most: Float, _ out: UnsafeMutablePointer<Float>) {
    let zero = F32x16(splat: 0)
    var high = zero, low = zero
    var i = 0
    while i < b.size {
        high = F32x16.max(high, b.value(i))
        low = F32x16.min(low, b.value(i))
        i &+= 1
    }
    // the value of greatest magnitude takes the one integer more that the negative side has
    let extreme = F32x16.select(high, lessThan: zero - low, low, high)
    var scale = zero, best = zero
    var step = 0
    while step <= 18 {
        let inverse = F32x16(splat: 0.9 - most - 0.1 * Float(step)) / extreme
        var sqx = zero, sqq = zero
        i = 0
        while i < b.size {
            let x = b.value(i), q = clamped(rounded(x * inverse), -most, most - 1), wq = b.weight(i) * q
            sqx = F32x16.fma(wq, x, sqx)
            sqq = F32x16.fma(wq, q, sqq)
            i &+= 1
        }
        let fitted = sqx / sqq, gain = sqx * fitted
        scale = F32x16.select(best, lessThan: gain, fitted, scale)
        best = F32x16.select(best, lessThan: gain, gain, best)
        step &+= 1
    }
    scale.store(out)
}

/// 1 / x, and 0 for 0: a block of zeros.
@inline(__always) func inverseOrZero(_ x: F32x16) -> F32x16 {
    let zero = F32x16(splat: 0), inverse = F32x16(splat: 1) / x
    return F32x16.select(x, lessThan: zero, inverse, F32x16.select(zero, lessThan: x, inverse, zero))
}

/// Levels of the scales (16) and, unless dmin is nil, of the offsets (16), as the type stores them: each is moved by
/// one where that makes the error less. Levels lie in lowest...highest (offsets in 0...highest), integers in low...high.
@inline(__always) func improveLevels(
    _ b: FittedBlocks, _ levels: UnsafeMutablePointer<Float>, _ d: Float, _ dmin: Float?, _ lowest: Float, _ highest: Float,
    _ low: Float, _ high: Float
) {
    let zero = F32x16(splat: 0), scales = F32x16(load: levels), offsets = F32x16(load: levels + 16)
    var bestScale = scales, bestOffset = offsets, least = F32x16(splat: 3e38)
    var step = 0
    while step < (dmin == nil ? 3 : 9) {
        // unmoved comes first, so that it stays where nothing is better
        let moves = step == 0 ? 4 : step <= 4 ? step &- 1 : step
        let moveScale: Float = dmin == nil ? (step == 0 ? 0 : step == 1 ? -1 : 1) : Float(moves % 3 &- 1)
        let moveOffset: Float = dmin == nil ? 0 : Float(moves / 3 &- 1)
        let scale = clamped(scales + F32x16(splat: moveScale), lowest, highest)
        let offset = clamped(offsets + F32x16(splat: moveOffset), 0, highest)
        let unit = F32x16(splat: d) * scale, base = F32x16(splat: dmin ?? 0) * offset, inverse = inverseOrZero(unit)
        var error = zero
        var i = 0
        while i < b.size {
            let x = b.value(i) + base, rest = x - unit * clamped(rounded(x * inverse), low, high)
            error = F32x16.fma(b.weight(i) * rest, rest, error)
            i &+= 1
        }
        bestScale = F32x16.select(error, lessThan: least, scale, bestScale)
        bestOffset = F32x16.select(error, lessThan: least, offset, bestOffset)
        least = F32x16.select(error, lessThan: least, error, least)
        step &+= 1
    }
    bestScale.store(levels)
    if dmin != nil { bestOffset.store(levels + 16) }
}

/// What x becomes with the scales d * level (and offsets dmin * level): integers, written over x.
@inline(__always) func chooseIntegers(
    _ b: FittedBlocks, _ levels: UnsafePointer<Float>, _ d: Float, _ dmin: Float?, _ low: Float, _ high: Float
) {
    let inverse = inverseOrZero(F32x16(splat: d) * F32x16(load: levels))
    let offset = dmin.map { F32x16(splat: $0) * F32x16(load: levels + 16) } ?? F32x16(splat: 0)
    var i = 0
    while i < b.size {
        clamped(rounded((b.value(i) + offset) * inverse), low, high).store(b.x + 16 &* i)
        i &+= 1
    }
}

/// Integer i of block `lane`.
@inline(__always) func integer(_ b: FittedBlocks, _ lane: Int, _ i: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: Int(b.x[16 &* i &+ lane]))
}

/// The nearest integer to value / unit, 0 when unit is 0, in low...high.
@inline(__always) func level(_ value: Float, _ unit: Float, _ low: Float, _ high: Float) -> Float {
    let q = unit == 0 ? 0 : value / unit
    return q > low ? (q < high ? q.rounded(.toNearestOrEven) : high) : low
}

/// The half nearest to x and what it stands for; not beyond the largest half.
@inline(__always) func storedHalf(_ x: Float, _ out: UnsafeMutableRawPointer) -> Float {
    let bits = floatToHalf(x > 65504 ? 65504 : x < -65504 ? -65504 : x)
    out.storeBytes(of: bits, as: UInt16.self)
    return halfToFloat(bits)
}

@inline(__always) func greatest(_ p: UnsafePointer<Float>, _ count: Int) -> Float {
    var most: Float = 0
    for i in 0..<count where p[i] > most { most = p[i] }
    return most
}

@inline(__always) func greatestMagnitude(_ p: UnsafePointer<Float>) -> Float {
    var most: Float = 0
    for i in 0..<16 where p[i].magnitude > most.magnitude { most = p[i] }
    return most
}
