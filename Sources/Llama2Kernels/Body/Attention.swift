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
/// ones: QuantizedAttention.swift); headStride a multiple of 16. scratch: `AttentionScratch`, 64-byte aligned.
public func attention(
    _ q: UnsafePointer<Float>, _ rows: Int, _ group: Int, _ headStride: Int, _ scale: Float,
    _ kPages: UnsafePointer<UnsafeRawPointer>, _ vPages: UnsafePointer<UnsafeRawPointer>, _ length: Int,
    _ kType: UInt32, _ vType: UInt32, _ out: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer
) {
    // 1. nothing seen yet
    let scores = scratch.assumingMemoryBound(to: Float.self), place = AttentionScratch(rows: rows, headStride: headStride)
    let factors = scores + place.factors, state = scores + place.state, products = scores + place.products
    let keysAsFloats = scores + place.keys, valuesAsFloats = scores + place.values
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
        // the next page, when there is one, is fetched by the first rows of this one
        let isLast = (page &+ 1) &* 64 >= longest, keyBytes = isLast ? 0 : CacheKind.bytes(CacheKind.of(kType), headStride)
        let valueBytes = isLast ? 0 : CacheKind.bytes(CacheKind.of(vType), headStride)
        let nextKeys = isLast ? keyScales : kPages[page &+ 1], nextValues = isLast ? valueScales : vPages[page &+ 1]
        let areFloats = k == CacheKind.f32 && v == CacheKind.f32 && headStride & 63 == 0
        let together = I32x16.tokensInRegisters != 8 || k > CacheKind.f16 || v > CacheKind.f16 ? 1 : areFloats && rows >= 4 ? 4 : 2
        let steps = rows < together ? 1 : rows < 8 &* together ? rows / together : 8
        r = 0
        while r < rows {
            let keysAhead = Ahead(nextKeys, keyBytes, headStride, r / together, steps)
            let valuesAhead = Ahead(nextValues, valueBytes, 64, r / together, steps)
            let count = min64(length &+ r / group &- 64 &* page)
            let next = r &+ 1 < rows ? min64(length &+ (r &+ 1) / group &- 64 &* page) : 0
            let query = q + r &* headStride, target = out + r &* headStride, s = state + 2 &* r
            if together == 4 && count > 0 && r &+ 4 <= rows {
                // two times four where there are as many, each step of both: what waits for a maximum has something to do beside it
                let first = counts(length &- 64 &* page, r, group), isTwice = r &+ 8 <= rows
                let second = isTwice ? counts(length &- 64 &* page, r &+ 4, group) : first
                let more = 4 &* headStride, step = r / 4 &+ 1
                scoreFour(query, headStride, keys, scores, keysAhead)
                if isTwice { scoreFour(query + more, headStride, keys, scores + 256, Ahead(nextKeys, keyBytes, headStride, step, steps)) }
                weighFour(scores, first, scale, s, factors)
                if isTwice { weighFour(scores + 256, second, scale, s + 8, factors + 16) }
                addFour(values, headStride, scores, first, factors, target, valuesAhead)
                if isTwice {
                    addFour(
                        values, headStride, scores + 256, second, factors + 16, target + more, Ahead(nextValues, valueBytes, 64, step, steps))
                }
                r &+= isTwice ? 8 : 4
            } else if together > 1 && count > 0 && next > 0 {
                if k == CacheKind.f16 {
                    scoreTwo(query, headStride, keys, true, scores, keysAhead)
                } else {
                    scoreTwo(query, headStride, keys, false, scores, keysAhead)
                }
                let a = weigh(scores, count, scale, s), b = weigh(scores + 64, next, scale, s + 2)
                if v == CacheKind.f16 {
                    addTwo(values, headStride, true, scores, count, next, a, b, target, valuesAhead)
                } else {
                    addTwo(values, headStride, false, scores, count, next, a, b, target, valuesAhead)
                }
                r &+= 2
            } else {
                if count > 0 {
                    score(query, headStride, keys, keyScales, k, scores, keysAhead)
                    let a = weigh(scores, count, scale, s)
                    addValues(values, valueScales, headStride, v, scores, count, a, target, products, valuesAhead)
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

/// What `attention` needs beside its operands, in floats from the beginning of its scratch: (8, 64) scores of eight rows and (2, 16) their factors; behind
/// them (rows, 2) the maximum and the total of every row, (64, headStride) a page of keys and one of values as floats, (128) scaled weights.
struct AttentionScratch {
    let factors: Int, state: Int, keys: Int, values: Int, products: Int

    @inline(__always) init(rows: Int, headStride: Int) {
        factors = 512
        state = factors &+ 32
        keys = state &+ 2 &* ((rows &+ 7) & ~7)  // whole lines
        values = keys &+ 64 &* headStride
        products = values &+ 64 &* headStride
    }

    var bytes: Int { 4 &* (products &+ 128) }
}

/// `scoreOne` or `scoreScaled`, with the kind known to each.
@inline(__always) func score(
    _ q: UnsafePointer<Float>, _ headStride: Int, _ keys: UnsafeRawPointer, _ scales: UnsafeRawPointer, _ kind: Int,
    _ scores: UnsafeMutablePointer<Float>, _ ahead: Ahead
) {
    if kind == CacheKind.f32 {
        scoreOne(q, headStride, keys, false, scores, ahead)
    } else if kind == CacheKind.f16 {
        scoreOne(q, headStride, keys, true, scores, ahead)
    } else if kind == CacheKind.unpacked {
        scoreScaled(q, headStride, keys, scales, CacheKind.unpacked, scores, ahead)
    } else if kind == CacheKind.int8 {
        scoreScaled(q, headStride, keys, scales, CacheKind.int8, scores, ahead)
    } else {
        scoreScaled(q, headStride, keys, scales, CacheKind.nibbles, scores, ahead)
    }
}

/// `addOne` or `addScaled`.
@inline(__always) func addValues(
    _ values: UnsafeRawPointer, _ scales: UnsafeRawPointer, _ headStride: Int, _ kind: Int, _ weights: UnsafePointer<Float>,
    _ count: Int, _ correction: Float, _ out: UnsafeMutablePointer<Float>, _ products: UnsafeMutablePointer<Float>,
    _ ahead: Ahead
) {
    if kind == CacheKind.f32 {
        addOne(values, headStride, false, weights, 0, count, correction, out, ahead)
    } else if kind == CacheKind.f16 {
        addOne(values, headStride, true, weights, 0, count, correction, out, ahead)
    } else if kind == CacheKind.unpacked {
        addScaled(values, scales, headStride, CacheKind.unpacked, weights, count, correction, out, products, ahead)
    } else if kind == CacheKind.int8 {
        addScaled(values, scales, headStride, CacheKind.int8, weights, count, correction, out, products, ahead)
    } else {
        addScaled(values, scales, headStride, CacheKind.nibbles, weights, count, correction, out, products, ahead)
    }
}

/// Positions of a page that rows r ..< r + 4 see; ahead: those from the page's first one on that the first row of all sees.
@inline(__always) private func counts(_ ahead: Int, _ r: Int, _ group: Int) -> (Int, Int, Int, Int) {
    (min64(ahead &+ r / group), min64(ahead &+ (r &+ 1) / group), min64(ahead &+ (r &+ 2) / group), min64(ahead &+ (r &+ 3) / group))
}

@inline(__always) private func min64(_ n: Int) -> Int { n < 64 ? n : 64 }

/// The part of the next page that is fetched while this one is worked on, `share` bytes an iteration: a page is a piece of memory of its
/// own, and a burst of fetches would keep its reader waiting and the memory idle while there is arithmetic to do.
struct Ahead {
    let p: UnsafeRawPointer, share: Int

    /// bytes: of the whole part, of which rows take `steps` shares in turn, this one number `step`; iterations: of a step.
    @inline(__always) init(_ p: UnsafeRawPointer, _ bytes: Int, _ iterations: Int, _ step: Int, _ steps: Int) {
        share = step < steps ? (bytes &+ iterations &* steps &- 1) / (iterations &* steps) : 0
        self.p = p + step &* iterations &* share
    }
    @inline(__always) init(nothingAt p: UnsafeRawPointer) {
        self.p = p
        share = 0
    }

    /// What belongs to iterations i ..< i + count.
    @inline(__always) func fetch(_ i: Int, _ count: Int = 1) {
        let end = (i &+ count) &* share
        var line = (i &* share &+ 63) & ~63
        while line < end {
            F32x16.prefetch(p + line)
            line &+= 64
        }
    }
}
