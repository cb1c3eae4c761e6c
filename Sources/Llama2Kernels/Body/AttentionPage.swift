/// One page of 64 positions for one or two rows: the inner loops of Attention.swift, where the formula stands.
///
/// keys: (headStride, 64), values: (64, headStride), of halves or floats; scores, weights: (rows, 64).

@inline(__always) private func loadCached(_ p: UnsafeRawPointer, _ index: Int, _ half: Bool) -> F32x16 {
    half ? F32x16(loadHalf: p + 2 &* index) : F32x16(load: (p + 4 &* index).assumingMemoryBound(to: Float.self))
}

/// F16 to floats; count: a multiple of 16.
func widen(_ p: UnsafeRawPointer, _ count: Int, _ out: UnsafeMutablePointer<Float>) {
    var i = 0
    while i < count {
        F32x16(loadHalf: p + 2 &* i).store(out + i)
        i &+= 16
    }
}

/// scores (64) of one row, not yet scaled.
@inline(__always) func scoreOne(
    _ q: UnsafePointer<Float>, _ headStride: Int, _ keys: UnsafeRawPointer, _ half: Bool,
    _ scores: UnsafeMutablePointer<Float>
) {
    var s0 = F32x16(splat: 0), s1 = s0, s2 = s0, s3 = s0
    var d = 0
    while d < headStride {
        let x = F32x16(splat: q[d]), o = 64 &* d
        s0 = F32x16.fma(x, loadCached(keys, o, half), s0)
        s1 = F32x16.fma(x, loadCached(keys, o &+ 16, half), s1)
        s2 = F32x16.fma(x, loadCached(keys, o &+ 32, half), s2)
        s3 = F32x16.fma(x, loadCached(keys, o &+ 48, half), s3)
        d &+= 1
    }
    s0.store(scores)
    s1.store(scores + 16)
    s2.store(scores + 32)
    s3.store(scores + 48)
}

/// scores (2, 64) of two rows: the same operations, each key loaded once.
@inline(__always) func scoreTwo(
    _ q: UnsafePointer<Float>, _ headStride: Int, _ keys: UnsafeRawPointer, _ half: Bool,
    _ scores: UnsafeMutablePointer<Float>
) {
    var s0 = F32x16(splat: 0), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0
    var d = 0
    while d < headStride {
        let x = F32x16(splat: q[d]), y = F32x16(splat: q[headStride &+ d]), o = 64 &* d
        let k0 = loadCached(keys, o, half), k1 = loadCached(keys, o &+ 16, half)
        let k2 = loadCached(keys, o &+ 32, half), k3 = loadCached(keys, o &+ 48, half)
        s0 = F32x16.fma(x, k0, s0)
        t0 = F32x16.fma(y, k0, t0)
        s1 = F32x16.fma(x, k1, s1)
        t1 = F32x16.fma(y, k1, t1)
        s2 = F32x16.fma(x, k2, s2)
        t2 = F32x16.fma(y, k2, t2)
        s3 = F32x16.fma(x, k3, s3)
        t3 = F32x16.fma(y, k3, t3)
        d &+= 1
    }
    s0.store(scores)
    s1.store(scores + 16)
    s2.store(scores + 32)
    s3.store(scores + 48)
    t0.store(scores + 64)
    t1.store(scores + 80)
    t2.store(scores + 96)
    t3.store(scores + 112)
}

/// Scores of a page to weights e^(scale score - maximum), of which the first `count` are used; what was summed so far
/// moves to the new maximum. state: (maximum, total) of the row. Returns the factor for the row's output so far.
func weigh(
    _ scores: UnsafeMutablePointer<Float>, _ count: Int, _ scale: Float, _ state: UnsafeMutablePointer<Float>
) -> Float {
    // positions beyond the last hold what an earlier sequence left there, anything
    var j = count
    while j < 64 {
        scores[j] = -Float.infinity
        j &+= 1
    }
    let f = F32x16(splat: scale)
    let s0 = F32x16(load: scores) * f, s1 = F32x16(load: scores + 16) * f
    let s2 = F32x16(load: scores + 32) * f, s3 = F32x16(load: scores + 48) * f
    let most = F32x16.max(F32x16.max(s0, s1), F32x16.max(s2, s3)).largest
    // a NaN among the scores may hide here, or make -infinity the maximum: then the differences below are NaN, and the total
    let previous = state[0], largest = most > previous ? most : previous
    let m = F32x16(splat: largest)
    exponential(s0 - m).store(scores)
    exponential(s1 - m).store(scores + 16)
    exponential(s2 - m).store(scores + 32)
    exponential(s3 - m).store(scores + 48)
    j = count
    while j < 64 {
        scores[j] = 0
        j &+= 1
    }
    let sum = (F32x16(load: scores) + F32x16(load: scores + 16)) + (F32x16(load: scores + 32) + F32x16(load: scores + 48))
    let correction = largest == previous ? 1 : exponential(F32x16(splat: previous - largest)).first
    state[0] = largest
    state[1] = state[1] * correction + sum.sum
    return correction
}

/// out = out * correction + sum_j w_j v_j for j in first ..< count, in order; 64 components at a time.
@inline(__always) func addOne(
    _ values: UnsafeRawPointer, _ headStride: Int, _ half: Bool, _ weights: UnsafePointer<Float>, _ first: Int,
    _ count: Int, _ correction: Float, _ out: UnsafeMutablePointer<Float>
) {
    let c = F32x16(splat: correction)
    var i = 0
    while i &+ 64 <= headStride {
        var a0 = F32x16(load: out + i) * c, a1 = F32x16(load: out + (i &+ 16)) * c
        var a2 = F32x16(load: out + (i &+ 32)) * c, a3 = F32x16(load: out + (i &+ 48)) * c
        var j = first
        while j < count {
            let w = F32x16(splat: weights[j]), o = j &* headStride &+ i
            a0 = F32x16.fma(w, loadCached(values, o, half), a0)
            a1 = F32x16.fma(w, loadCached(values, o &+ 16, half), a1)
            a2 = F32x16.fma(w, loadCached(values, o &+ 32, half), a2)
            a3 = F32x16.fma(w, loadCached(values, o &+ 48, half), a3)
            j &+= 1
        }
        a0.store(out + i)
        a1.store(out + (i &+ 16))
        a2.store(out + (i &+ 32))
        a3.store(out + (i &+ 48))
        i &+= 64
    }
    while i < headStride {
        var a = F32x16(load: out + i) * c
        var j = first
        while j < count {
            a = F32x16.fma(F32x16(splat: weights[j]), loadCached(values, j &* headStride &+ i, half), a)
            j &+= 1
        }
        a.store(out + i)
        i &+= 16
    }
}

/// `addOne` for two rows, the second with at least as many positions; each value is loaded once.
@inline(__always) func addTwo(
    _ values: UnsafeRawPointer, _ headStride: Int, _ half: Bool, _ weights: UnsafePointer<Float>, _ count: Int,
    _ next: Int, _ correction: Float, _ nextCorrection: Float, _ out: UnsafeMutablePointer<Float>
) {
    let second = out + headStride
    guard headStride & 63 == 0 else {
        addOne(values, headStride, half, weights, 0, count, correction, out)
        addOne(values, headStride, half, weights + 64, 0, next, nextCorrection, second)
        return
    }
    let c = F32x16(splat: correction), e = F32x16(splat: nextCorrection)
    var i = 0
    while i < headStride {
        let p = out + i, r = second + i
        var a0 = F32x16(load: p) * c, a1 = F32x16(load: p + 16) * c
        var a2 = F32x16(load: p + 32) * c, a3 = F32x16(load: p + 48) * c
        var b0 = F32x16(load: r) * e, b1 = F32x16(load: r + 16) * e
        var b2 = F32x16(load: r + 32) * e, b3 = F32x16(load: r + 48) * e
        var j = 0
        while j < count {
            let w = F32x16(splat: weights[j]), x = F32x16(splat: weights[64 &+ j]), o = j &* headStride &+ i
            let v0 = loadCached(values, o, half), v1 = loadCached(values, o &+ 16, half)
            let v2 = loadCached(values, o &+ 32, half), v3 = loadCached(values, o &+ 48, half)
            a0 = F32x16.fma(w, v0, a0)
            b0 = F32x16.fma(x, v0, b0)
            a1 = F32x16.fma(w, v1, a1)
            b1 = F32x16.fma(x, v1, b1)
            a2 = F32x16.fma(w, v2, a2)
            b2 = F32x16.fma(x, v2, b2)
            a3 = F32x16.fma(w, v3, a3)
            b3 = F32x16.fma(x, v3, b3)
            j &+= 1
        }
        while j < next {
            let x = F32x16(splat: weights[64 &+ j]), o = j &* headStride &+ i
            b0 = F32x16.fma(x, loadCached(values, o, half), b0)
            b1 = F32x16.fma(x, loadCached(values, o &+ 16, half), b1)
            b2 = F32x16.fma(x, loadCached(values, o &+ 32, half), b2)
            b3 = F32x16.fma(x, loadCached(values, o &+ 48, half), b3)
            j &+= 1
        }
        a0.store(p)
        a1.store(p + 16)
        a2.store(p + 32)
        a3.store(p + 48)
        b0.store(r)
        b1.store(r + 16)
        b2.store(r + 32)
        b3.store(r + 48)
        i &+= 64
    }
}

extension F32x16 {
    /// Lane 0, through memory: used once a page.
    @inline(__always) fileprivate var first: Float {
        var lanes = SIMD16<Float>(repeating: 0)
        withUnsafeMutablePointer(to: &lanes) { store(UnsafeMutableRawPointer($0).assumingMemoryBound(to: Float.self)) }
        return lanes[0]
    }
}
