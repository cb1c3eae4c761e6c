internal import KernelOperands

/// Floats to the K types. A lane is a block: sixteen blocks are fitted side by side, so that no sum crosses lanes.
///
/// For each block the scale (and offset) with the least weighted squared error is sought: the integers that a
/// first scale gives, then the best scale for those integers (least squares), for some first scales around the
/// obvious one. The scales are then rounded to the bits that the type has for them; of the neighbours of that
/// level the best is taken, and the integers are chosen once more. Formats: Formats/K.swift.
///
/// x: (256 superblocks); importance: (256 superblocks) weights of the squared errors, or nil; scratch: 8 KiB.
/// false: a type that is not made here.
func quantizeSuperblocks(_ o: SuperblockOperands) -> Bool {
    switch o.type {
    case Q2_K.number: eachSuperblock(Q2_K.bytes, o, quantizeQ2_K)
    case Q3_K.number: eachSuperblock(Q3_K.bytes, o, quantizeQ3_K)
    case Q4_K.number: eachSuperblock(Q4_K.bytes, o, quantizeQ4_K)
    case Q5_K.number: eachSuperblock(Q5_K.bytes, o, quantizeQ5_K)
    case Q6_K.number: eachSuperblock(Q6_K.bytes, o, quantizeQ6_K)
    default: return false
    }
    return true
}

@inline(__always) private func eachSuperblock(
    _ bytes: Int, _ o: SuperblockOperands,
    _ quantize: (UnsafePointer<Float>, UnsafePointer<Float>?, UnsafeMutableRawPointer, UnsafeMutablePointer<Float>) -> Void
) {
    let lanes = o.scratch.assumingMemoryBound(to: Float.self)
    var s = 0
    while s < o.count {
        let importance: UnsafePointer<Float>? = if let i = o.importance { i + 256 &* s } else { nil }
        quantize(o.x + 256 &* s, importance, o.out + bytes &* s, lanes)
        s &+= 1
    }
}

/// Values and weights of sixteen blocks of `size`, lane by lane: (size, 16) each.
private struct Blocks {
    let x: UnsafeMutablePointer<Float>, w: UnsafeMutablePointer<Float>, size: Int

    /// Lanes beyond 256 / size are zero.
    @inline(__always) init(
        _ values: UnsafePointer<Float>, _ weights: UnsafePointer<Float>?, _ size: Int, _ lanes: UnsafeMutablePointer<Float>
    ) {
        x = lanes
        w = lanes + 512
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
@inline(__always) private func rounded(_ x: F32x16) -> F32x16 {
    let magic = F32x16(splat: 12_582_912)
    return (x + magic) - magic
}

@inline(__always) private func clamped(_ x: F32x16, _ low: Float, _ high: Float) -> F32x16 {
    F32x16.min(F32x16.max(x, F32x16(splat: low)), F32x16(splat: high))
}

/// x ~ scale q + offset with q in 0...most and offset <= 0: to `out` (16) scales and (16) offsets, negated.
@inline(__always) private func fitAffine(_ b: Blocks, _ most: Float, _ out: UnsafeMutablePointer<Float>) {
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
@inline(__always) private func fitSymmetric(_ b: Blocks, _ most: Float, _ out: UnsafeMutablePointer<Float>) {
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
@inline(__always) private func inverseOrZero(_ x: F32x16) -> F32x16 {
    let zero = F32x16(splat: 0), inverse = F32x16(splat: 1) / x
    return F32x16.select(x, lessThan: zero, inverse, F32x16.select(zero, lessThan: x, inverse, zero))
}

/// Levels of the scales (16) and, unless dmin is nil, of the offsets (16), as the type stores them: each is moved by
/// one where that makes the error less. Levels lie in lowest...highest (offsets in 0...highest), integers in low...high.
@inline(__always) private func improveLevels(
    _ b: Blocks, _ levels: UnsafeMutablePointer<Float>, _ d: Float, _ dmin: Float?, _ lowest: Float, _ highest: Float,
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
@inline(__always) private func chooseIntegers(
    _ b: Blocks, _ levels: UnsafePointer<Float>, _ d: Float, _ dmin: Float?, _ low: Float, _ high: Float
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
@inline(__always) private func integer(_ b: Blocks, _ lane: Int, _ i: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: Int(b.x[16 &* i &+ lane]))
}

/// The nearest integer to value / unit, 0 when unit is 0, in low...high.
@inline(__always) private func level(_ value: Float, _ unit: Float, _ low: Float, _ high: Float) -> Float {
    let q = unit == 0 ? 0 : value / unit
    return q > low ? (q < high ? q.rounded(.toNearestOrEven) : high) : low
}

/// The half nearest to x and what it stands for; not beyond the largest half.
@inline(__always) private func storedHalf(_ x: Float, _ out: UnsafeMutableRawPointer) -> Float {
    let bits = floatToHalf(x > 65504 ? 65504 : x < -65504 ? -65504 : x)
    out.storeBytes(of: bits, as: UInt16.self)
    return halfToFloat(bits)
}

@inline(__always) private func greatest(_ p: UnsafePointer<Float>, _ count: Int) -> Float {
    var most: Float = 0
    for i in 0..<count where p[i] > most { most = p[i] }
    return most
}

@inline(__always) private func greatestMagnitude(_ p: UnsafePointer<Float>) -> Float {
    var most: Float = 0
    for i in 0..<16 where p[i].magnitude > most.magnitude { most = p[i] }
    return most
}

@inline(never) private func quantizeQ4_K(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer, _ lanes: UnsafeMutablePointer<Float>
) { quantizeAffineK(4, x, w, out, lanes) }

@inline(never) private func quantizeQ5_K(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer, _ lanes: UnsafeMutablePointer<Float>
) { quantizeAffineK(5, x, w, out, lanes) }

/// { d; dmin; scales[12]; (high[32];) q[128] }, eight blocks of 32.
@inline(__always) private func quantizeAffineK(
    _ bits: Int, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer,
    _ lanes: UnsafeMutablePointer<Float>
) {
    let b = Blocks(x, w, 32, lanes), fit = lanes + 1024, most: Float = bits == 5 ? 31 : 15
    fitAffine(b, most, fit)
    let d = storedHalf(greatest(fit, 8) / 63, out), dmin = storedHalf(greatest(fit + 16, 8) / 63, out + 2)
    let packed = (out + 4).assumingMemoryBound(to: UInt8.self)
    for i in 0..<12 { packed[i] = 0 }
    for lane in 0..<16 {
        fit[lane] = level(fit[lane], d, 0, 63)
        fit[16 &+ lane] = level(fit[16 &+ lane], dmin, 0, 63)
    }
    improveLevels(b, fit, d, dmin, 0, 63, 0, most)
    for lane in 0..<8 {
        let sc = UInt8(fit[lane]), mn = UInt8(fit[16 &+ lane])
        if lane < 4 {
            packed[lane] |= sc
            packed[lane &+ 4] |= mn
        } else {
            packed[lane &+ 4] = sc & 15 | (mn & 15) << 4
            packed[lane &- 4] |= (sc >> 4) << 6
            packed[lane] |= (mn >> 4) << 6
        }
    }
    chooseIntegers(b, fit, d, dmin, 0, most)
    let high = (out + 16).assumingMemoryBound(to: UInt8.self), q = (out + (bits == 5 ? 48 : 16)).assumingMemoryBound(to: UInt8.self)
    for pair in 0..<4 {
        for i in 0..<32 {
            let a = integer(b, 2 &* pair, i), c = integer(b, 2 &* pair &+ 1, i)
            q[32 &* pair &+ i] = a & 15 | (c & 15) << 4
            if bits == 5 {
                let both = (a >> 4 | (c >> 4) << 1) << UInt8(2 &* pair)
                high[i] = pair == 0 ? both : high[i] | both
            }
        }
    }
}

/// { scales[16]; q[64]; d; dmin }, sixteen blocks of 16.
@inline(never) private func quantizeQ2_K(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer, _ lanes: UnsafeMutablePointer<Float>
) {
    let b = Blocks(x, w, 16, lanes), fit = lanes + 1024
    fitAffine(b, 3, fit)
    let d = storedHalf(greatest(fit, 16) / 15, out + 80), dmin = storedHalf(greatest(fit + 16, 16) / 15, out + 82)
    let bytes = out.assumingMemoryBound(to: UInt8.self)
    for lane in 0..<16 {
        fit[lane] = level(fit[lane], d, 0, 15)
        fit[16 &+ lane] = level(fit[16 &+ lane], dmin, 0, 15)
    }
    improveLevels(b, fit, d, dmin, 0, 15, 0, 3)
    for lane in 0..<16 { bytes[lane] = UInt8(fit[lane]) | UInt8(fit[16 &+ lane]) << 4 }
    chooseIntegers(b, fit, d, dmin, 0, 3)
    packPairs(b, bytes + 16, 0)
}

/// Two bits each: in each half of 128, four runs of 32 share 32 bytes. `bias` is added first.
@inline(__always) private func packPairs(_ b: Blocks, _ q: UnsafeMutablePointer<UInt8>, _ bias: UInt8) {
    for side in 0..<2 {
        for i in 0..<32 {
            var byte: UInt8 = 0
            for run in 0..<4 {
                let lane = 8 &* side &+ 2 &* run &+ i >> 4
                byte |= ((integer(b, lane, i & 15) &+ bias) & 3) << UInt8(2 &* run)
            }
            q[32 &* side &+ i] = byte
        }
    }
}

/// { high[32]; q[64]; scales[12]; d }, sixteen blocks of 16, integers -4...3.
@inline(never) private func quantizeQ3_K(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer, _ lanes: UnsafeMutablePointer<Float>
) {
    let b = Blocks(x, w, 16, lanes), fit = lanes + 1024, bytes = out.assumingMemoryBound(to: UInt8.self)
    fitSymmetric(b, 4, fit)
    let d = storedHalf(greatestMagnitude(fit) / -32, out + 108), scales = bytes + 96
    for i in 0..<12 { scales[i] = 0 }
    for lane in 0..<16 { fit[lane] = level(fit[lane], d, -32, 31) }
    improveLevels(b, fit, d, nil, -32, 31, -4, 3)
    for lane in 0..<16 {
        let sc = UInt8(truncatingIfNeeded: Int(fit[lane]) &+ 32)
        scales[lane & 7] |= (sc & 15) << (lane < 8 ? 0 : 4)
        scales[8 &+ (lane & 3)] |= (sc >> 4) << UInt8(2 &* (lane >> 2))
    }
    chooseIntegers(b, fit, d, nil, -4, 3)
    for i in 0..<32 {
        var byte: UInt8 = 0
        for block in 0..<8 {
            // the third bit of integer + 4
            let q = integer(b, 2 &* block &+ i >> 4, i & 15) &+ 4
            byte |= (q >> 2) << UInt8(block)
        }
        bytes[i] = byte
    }
    packPairs(b, bytes + 32, 4)
}

/// { low[128]; high[64]; scales[16]; d }, sixteen blocks of 16, integers -32...31.
@inline(never) private func quantizeQ6_K(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer, _ lanes: UnsafeMutablePointer<Float>
) {
    let b = Blocks(x, w, 16, lanes), fit = lanes + 1024, bytes = out.assumingMemoryBound(to: UInt8.self)
    fitSymmetric(b, 32, fit)
    let d = storedHalf(greatestMagnitude(fit) / -128, out + 208)
    for lane in 0..<16 { fit[lane] = level(fit[lane], d, -128, 127) }
    improveLevels(b, fit, d, nil, -128, 127, -32, 31)
    for lane in 0..<16 { bytes[192 &+ lane] = UInt8(truncatingIfNeeded: Int(fit[lane])) }
    chooseIntegers(b, fit, d, nil, -32, 31)
    for side in 0..<2 {
        for i in 0..<32 {
            @inline(__always) func q(_ run: Int) -> UInt8 { integer(b, 8 &* side &+ 2 &* run &+ i >> 4, i & 15) &+ 32 }
            let q0 = q(0), q1 = q(1), q2 = q(2), q3 = q(3)
            bytes[64 &* side &+ i] = q0 & 15 | (q2 & 15) << 4
            bytes[64 &* side &+ 32 &+ i] = q1 & 15 | (q3 & 15) << 4
            bytes[128 &+ 32 &* side &+ i] = q0 >> 4 | (q1 >> 4) << 2 | (q2 >> 4) << 4 | (q3 >> 4) << 6
        }
    }
}
