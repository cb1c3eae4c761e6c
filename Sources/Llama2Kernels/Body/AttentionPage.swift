/// One page of 64 positions for one or two rows: the inner loops of Attention.swift, where the formula stands.
///
/// keys: (headStride, 64), values: (64, headStride), of halves or floats; scores, weights: (rows, 64).

@inline(__always) func loadCached(_ p: UnsafeRawPointer, _ index: Int, _ half: Bool) -> F32x16 {
    half ? F32x16(loadHalf: p + 2 &* index) : F32x16(load: (p + 4 &* index).assumingMemoryBound(to: Float.self))
}

/// Four vectors: the scores of 64 positions, or 64 components of an output.
struct Quad {
    var a: F32x16, b: F32x16, c: F32x16, d: F32x16

    @inline(__always) init(splat x: Float) {
        a = F32x16(splat: x)
        b = a
        c = a
        d = a
    }
    /// Numbers index ..< index + 64 of halves or floats.
    @inline(__always) init(_ p: UnsafeRawPointer, _ index: Int, _ half: Bool) {
        a = loadCached(p, index, half)
        b = loadCached(p, index &+ 16, half)
        c = loadCached(p, index &+ 32, half)
        d = loadCached(p, index &+ 48, half)
    }
    @inline(__always) init(_ p: UnsafePointer<Float>, times x: F32x16) {
        a = F32x16(load: p) * x
        b = F32x16(load: p + 16) * x
        c = F32x16(load: p + 32) * x
        d = F32x16(load: p + 48) * x
    }

    @inline(__always) mutating func add(_ x: F32x16, _ y: Quad) {
        a = F32x16.fma(x, y.a, a)
        b = F32x16.fma(x, y.b, b)
        c = F32x16.fma(x, y.c, c)
        d = F32x16.fma(x, y.d, d)
    }
    @inline(__always) func store(_ p: UnsafeMutablePointer<Float>) {
        a.store(p)
        b.store(p + 16)
        c.store(p + 32)
        d.store(p + 48)
    }
    @inline(__always) var largest: Float { F32x16.max(F32x16.max(a, b), F32x16.max(c, d)).largest }
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
    _ scores: UnsafeMutablePointer<Float>, _ ahead: Ahead
) {
    var s0 = F32x16(splat: 0), s1 = s0, s2 = s0, s3 = s0
    var d = 0
    while d < headStride {
        ahead.fetch(d)
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
    _ scores: UnsafeMutablePointer<Float>, _ ahead: Ahead
) {
    var s = Quad(splat: 0), t = s
    var d = 0
    while d < headStride {
        ahead.fetch(d)
        let k = Quad(keys, 64 &* d, half)
        s.add(F32x16(splat: q[d]), k)
        t.add(F32x16(splat: q[headStride &+ d]), k)
        d &+= 1
    }
    s.store(scores)
    t.store(scores + 64)
}

/// scores (4, 64) of four rows, keys as floats: sixteen chains, twice as many as the additions that are under way at a time.
func scoreFour(
    _ q: UnsafePointer<Float>, _ headStride: Int, _ keys: UnsafeRawPointer, _ scores: UnsafeMutablePointer<Float>, _ ahead: Ahead
) {
    var s = Quad(splat: 0), t = s, u = s, v = s
    let second = q + headStride, third = second + headStride, fourth = third + headStride
    var d = 0
    while d < headStride {
        ahead.fetch(d, 4)
        let end = d &+ 4
        while d < end {
            let k = Quad(keys, 64 &* d, false)
            s.add(F32x16(splat: q[d]), k)
            t.add(F32x16(splat: second[d]), k)
            u.add(F32x16(splat: third[d]), k)
            v.add(F32x16(splat: fourth[d]), k)
            d &+= 1
        }
    }
    s.store(scores)
    t.store(scores + 64)
    u.store(scores + 128)
    v.store(scores + 192)
}

/// out = out * correction + sum_j w_j v_j for j in first ..< count, in order; 64 components at a time.
@inline(__always) func addOne(
    _ values: UnsafeRawPointer, _ headStride: Int, _ half: Bool, _ weights: UnsafePointer<Float>, _ first: Int,
    _ count: Int, _ correction: Float, _ out: UnsafeMutablePointer<Float>, _ ahead: Ahead
) {
    let c = F32x16(splat: correction)
    var i = 0
    while i &+ 64 <= headStride {
        var a = Quad(out + i, times: c)
        var j = first
        while j < count {
            if i == 0 { ahead.fetch(j) }
            a.add(F32x16(splat: weights[j]), Quad(values, j &* headStride &+ i, half))
            j &+= 1
        }
        a.store(out + i)
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
    _ next: Int, _ correction: Float, _ nextCorrection: Float, _ out: UnsafeMutablePointer<Float>, _ ahead: Ahead
) {
    let second = out + headStride
    guard headStride & 63 == 0 else {
        addOne(values, headStride, half, weights, 0, count, correction, out, ahead)
        addOne(values, headStride, half, weights + 64, 0, next, nextCorrection, second, Ahead(nothingAt: values))
        return
    }
    let c = F32x16(splat: correction), e = F32x16(splat: nextCorrection)
    var i = 0
    while i < headStride {
        var a = Quad(out + i, times: c), b = Quad(second + i, times: e)
        var j = 0
        while j < count {
            if i == 0 { ahead.fetch(j) }
            let v = Quad(values, j &* headStride &+ i, half)
            a.add(F32x16(splat: weights[j]), v)
            b.add(F32x16(splat: weights[64 &+ j]), v)
            j &+= 1
        }
        a.store(out + i)
        b.store(second + i)
        i &+= 64
    }
    addRest(values, headStride, half, weights + 64, count, next, second)
}

/// `addOne` for four rows, values as floats; no row has fewer positions than the first. headStride: a multiple of 64.
func addFour(
    _ values: UnsafeRawPointer, _ headStride: Int, _ weights: UnsafePointer<Float>, _ counts: (Int, Int, Int, Int),
    _ factors: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ ahead: Ahead
) {
    let second = out + headStride, third = second + headStride, fourth = third + headStride
    let f = F32x16(splat: factors[0]), g = F32x16(splat: factors[1]), h = F32x16(splat: factors[2]), k = F32x16(splat: factors[3])
    var i = 0
    while i < headStride {
        var a = Quad(out + i, times: f), b = Quad(second + i, times: g), c = Quad(third + i, times: h), d = Quad(fourth + i, times: k)
        var j = 0
        while j < counts.0 {
            let end = j &+ 4 < counts.0 ? j &+ 4 : counts.0
            if i == 0 { ahead.fetch(j, end &- j) }
            while j < end {
                let v = Quad(values, j &* headStride &+ i, false)
                a.add(F32x16(splat: weights[j]), v)
                b.add(F32x16(splat: weights[64 &+ j]), v)
                c.add(F32x16(splat: weights[128 &+ j]), v)
                d.add(F32x16(splat: weights[192 &+ j]), v)
                j &+= 1
            }
        }
        a.store(out + i)
        b.store(second + i)
        c.store(third + i)
        d.store(fourth + i)
        i &+= 64
    }
    addRest(values, headStride, false, weights + 64, counts.0, counts.1, second)
    addRest(values, headStride, false, weights + 128, counts.0, counts.2, third)
    addRest(values, headStride, false, weights + 192, counts.0, counts.3, fourth)
}

/// The positions of a row that those beside it do not have: the chain goes on, as a factor of 1 changes nothing.
@inline(__always) private func addRest(
    _ values: UnsafeRawPointer, _ headStride: Int, _ half: Bool, _ weights: UnsafePointer<Float>, _ first: Int, _ count: Int,
    _ out: UnsafeMutablePointer<Float>
) {
    if first < count { addOne(values, headStride, half, weights, first, count, 1, out, Ahead(nothingAt: values)) }
}
