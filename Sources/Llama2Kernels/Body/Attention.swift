/// Attention of some query rows over one key-value head, by pages of 64 positions.
///
///     score_j = scale * sum_d q_d k_dj;  out_d = sum_j softmax(score)_j v_jd
///
/// Exact online softmax (Milakov & Gimelshein, 2018; Dao et al., FlashAttention, 2022): pages are walked in order of
/// position, each with its own maximum. Keys lie transposed, so that a lane is a position and a score one chain
/// of fused multiply-adds over d; for the values a lane is a component and the chain goes over j. So each row is
/// its own sequence of operations, whatever rows are computed beside it and wherever the pages lie.
///
/// A score that is NaN or +infinity, or scores that are all -infinity, make NaN of the row, as the formula says.
///
/// q, out: (rows, headStride), padded with zeros; row r sees `length + r / group` positions.
/// kPages: a pointer a page, each (headStride, 64); vPages: (64, headStride); of ggml's types kType and vType, F16 or F32 (quantized
/// ones: QuantizedAttention.swift); headStride a multiple of 16. scratch: `attentionScratchBytes`, 64-byte aligned.
public func attention(
    _ q: UnsafePointer<Float>, _ rows: Int, _ group: Int, _ headStride: Int, _ scale: Float,
    _ kPages: UnsafePointer<UnsafeRawPointer>, _ vPages: UnsafePointer<UnsafeRawPointer>, _ length: Int,
    _ kType: UInt32, _ vType: UInt32, _ out: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer
) {
    // 1. scratch: scores of two rows, (maximum, total) of every row, a page of each kind as floats, scaled weights
    let scores = scratch.assumingMemoryBound(to: Float.self), state = scores + 128
    let keysAsFloats = state + 2 &* ((rows &+ 7) & ~7), valuesAsFloats = keysAsFloats + 64 &* headStride
    let products = valuesAsFloats + 64 &* headStride
    var r = 0
    while r < rows {
        state[2 &* r] = -Float.infinity
        state[2 &* r &+ 1] = 0
        r &+= 1
    }
    var i = 0
    while i < rows &* headStride {
        F32x16(splat: 0).store(out + i)
        i &+= 16
    }
    // 2. the pages; converted once if several rows use them
    let longest = length &+ (rows &- 1) / group
    var page = 0
    while page &* 64 < longest {
        let keyScales = kPages[page], valueScales = vPages[page]
        var keys = keyScales, values = valueScales, k = CacheKind.of(kType), v = CacheKind.of(vType)
        if k > CacheKind.f16 { keys += 4 &* headStride }
        if v > CacheKind.f16 { values += 4 &* headStride }
        if rows > 4 && k != CacheKind.f32 {
            if k == CacheKind.f16 { widen(keys, 64 &* headStride, keysAsFloats) } else { unpack(keys, headStride, k, apart: 64, keysAsFloats) }
            keys = UnsafeRawPointer(keysAsFloats)
            k = k == CacheKind.f16 ? CacheKind.f32 : CacheKind.unpacked
        }
        if rows > 4 && v != CacheKind.f32 {
            if v == CacheKind.f16 { widen(values, 64 &* headStride, valuesAsFloats) } else { unpack(values, headStride, v, apart: 32, valuesAsFloats) }
            values = UnsafeRawPointer(valuesAsFloats)
            v = v == CacheKind.f16 ? CacheKind.f32 : CacheKind.unpacked
        }
        r = 0
        while r < rows {
            let count = min64(length &+ r / group &- 64 &* page)
            let next = r &+ 1 < rows ? min64(length &+ (r &+ 1) / group &- 64 &* page) : 0
            let query = q + r &* headStride, target = out + r &* headStride, s = state + 2 &* r
            if I32x16.tokensInRegisters == 8 && count > 0 && next > 0 && k <= CacheKind.f16 && v <= CacheKind.f16 {
                if k == CacheKind.f16 {
                    scoreTwo(query, headStride, keys, true, scores)
                } else {
                    scoreTwo(query, headStride, keys, false, scores)
                }
                let a = weigh(scores, count, scale, s), b = weigh(scores + 64, next, scale, s + 2)
                if v == CacheKind.f16 {
                    addTwo(values, headStride, true, scores, count, next, a, b, target)
                } else {
                    addTwo(values, headStride, false, scores, count, next, a, b, target)
                }
                r &+= 2
            } else {
                if count > 0 {
                    score(query, headStride, keys, keyScales, k, scores)
                    let a = weigh(scores, count, scale, s)
                    addValues(values, valueScales, headStride, v, scores, count, a, target, products)
                }
                r &+= 1
            }
        }
        page &+= 1
    }
    // 3. division by the totals
    r = 0
    while r < rows {
        let inverse = F32x16(splat: 1 / state[2 &* r &+ 1]), target = out + r &* headStride
        i = 0
        while i < headStride {
            (F32x16(load: target + i) * inverse).store(target + i)
            i &+= 16
        }
        r &+= 1
    }
}

/// `scoreOne` or `scoreScaled`, with the kind known to each.
@inline(__always) private func score(
    _ q: UnsafePointer<Float>, _ headStride: Int, _ keys: UnsafeRawPointer, _ scales: UnsafeRawPointer, _ kind: Int,
    _ scores: UnsafeMutablePointer<Float>
) {
    if kind == CacheKind.f32 {
        scoreOne(q, headStride, keys, false, scores)
    } else if kind == CacheKind.f16 {
        scoreOne(q, headStride, keys, true, scores)
    } else if kind == CacheKind.unpacked {
        scoreScaled(q, headStride, keys, scales, CacheKind.unpacked, scores)
    } else if kind == CacheKind.int8 {
        scoreScaled(q, headStride, keys, scales, CacheKind.int8, scores)
    } else {
        scoreScaled(q, headStride, keys, scales, CacheKind.nibbles, scores)
    }
}

/// `addOne` or `addScaled`.
@inline(__always) private func addValues(
    _ values: UnsafeRawPointer, _ scales: UnsafeRawPointer, _ headStride: Int, _ kind: Int, _ weights: UnsafePointer<Float>,
    _ count: Int, _ correction: Float, _ out: UnsafeMutablePointer<Float>, _ products: UnsafeMutablePointer<Float>
) {
    if kind == CacheKind.f32 {
        addOne(values, headStride, false, weights, 0, count, correction, out)
    } else if kind == CacheKind.f16 {
        addOne(values, headStride, true, weights, 0, count, correction, out)
    } else if kind == CacheKind.unpacked {
        addScaled(values, scales, headStride, CacheKind.unpacked, weights, count, correction, out, products)
    } else if kind == CacheKind.int8 {
        addScaled(values, scales, headStride, CacheKind.int8, weights, count, correction, out, products)
    } else {
        addScaled(values, scales, headStride, CacheKind.nibbles, weights, count, correction, out, products)
    }
}

@inline(__always) private func min64(_ n: Int) -> Int { n < 64 ? n : 64 }

@inline(__always) private func loadCached(_ p: UnsafeRawPointer, _ index: Int, _ half: Bool) -> F32x16 {
    half ? F32x16(loadHalf: p + 2 &* index) : F32x16(load: (p + 4 &* index).assumingMemoryBound(to: Float.self))
}

private func widen(_ p: UnsafeRawPointer, _ count: Int, _ out: UnsafeMutablePointer<Float>) {
    var i = 0
    while i < count {
        F32x16(loadHalf: p + 2 &* i).store(out + i)
        i &+= 16
    }
}

/// scores (64) of one row, not yet scaled.
@inline(__always) private func scoreOne(
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
@inline(__always) private func scoreTwo(
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
private func weigh(
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
@inline(__always) private func addOne(
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
@inline(__always) private func addTwo(
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
