internal import KernelOperands

/// Attention of one position's query rows over one key-value head, in three steps that are each divided among threads, who meet
/// between them. Every number is what `attention` (Attention.swift) makes of it, by the same sequence of operations:
///
///     scores     of a page depend on no other page: by pages
///     weights    e^(score - maximum so far) and their sum: by pages, the maximum of those before being found anew
///     values     a lane's chain runs over all positions, so that pages cannot be divided here: by lanes and rows

/// 1. weights (pages, rows, 64) become scores, pages (pages, rows, 3) begin with the greatest of them, scaled.
func attentionScores(_ o: AttentionPartOperands) {
    let rows = o.rows, stride = o.head_stride, scratch = o.scratch.assumingMemoryBound(to: Float.self)
    let floats = scratch + AttentionScratch(rows: rows, headStride: stride).keys, kind = CacheKind.of(o.k_type)
    var page = o.first_page
    while page < o.end_page {
        let part = o.k_pages[page], count = positions(o.length, page)
        let next = o.k_pages[page &+ 1 < o.end_page ? page &+ 1 : page]
        let bytes = page &+ 1 < o.end_page ? CacheKind.bytes(kind, stride) : 0
        var keys = kind > CacheKind.f16 ? part + 4 &* stride : part, k = kind
        if rows > 4 && k != CacheKind.f32 {
            if k == CacheKind.f16 { widen(keys, 64 &* stride, floats) } else { unpack(keys, stride, k, apart: 64, floats) }
            keys = UnsafeRawPointer(floats)
            k = k == CacheKind.f16 ? CacheKind.f32 : CacheKind.unpacked
        }
        let isWide = I32x16.tokensInRegisters == 8
        var row = 0
        while row < rows {
            let query = o.q + row &* stride, scores = o.weights + 64 &* (page &* rows &+ row), ahead = Ahead(next, bytes, stride, row, 1)
            let done: Int
            if isWide && k == CacheKind.f32 && row &+ 4 <= rows {
                scoreFour(query, stride, keys, scores, ahead)
                done = 4
            } else if isWide && k == CacheKind.f16 && row &+ 2 <= rows {
                scoreTwo(query, stride, keys, true, scores, ahead)
                done = 2
            } else {
                score(query, stride, keys, part, k, scores, ahead)
                done = 1
            }
            var r = 0
            while r < done {
                o.pages[3 &* (page &* rows &+ row &+ r)] = greatest(scores + 64 &* r, count, o.scale)
                r &+= 1
            }
            row &+= done
        }
        page &+= 1
    }
}

/// 2. Scores become weights, and pages are completed. What they begin with stays: other threads read it.
func attentionWeights(_ o: AttentionPartOperands) {
    var row = 0
    while row < o.rows {
        var largest = -Float.infinity, page = 0
        while page < o.end_page {
            let entry = o.pages + 3 &* (page &* o.rows &+ row), previous = largest
            largest = larger(entry[0], previous)
            if page >= o.first_page {
                entry[1] = factor(from: previous, to: largest)
                entry[2] = turnToWeights(o.weights + 64 &* (page &* o.rows &+ row), positions(o.length, page), o.scale, largest)
            }
            page &+= 1
        }
        row &+= 1
    }
}

/// 3. The sum of values of rows first_row ..< end_row in lanes first_lane ..< end_lane; of quantized values all lanes are wanted.
func attentionValues(_ o: AttentionPartOperands) {
    let kind = CacheKind.of(o.v_type), pages = (o.length &+ 63) / 64
    if kind > CacheKind.f16 { return sumQuantized(o, kind, pages) }
    // four rows and so many lanes that eight chains are under way
    let width = I32x16.tokensInRegisters == 8 ? 32 : 16
    var lane = o.first_lane
    while lane < o.end_lane {
        let isPair = width == 32 && lane &+ 32 <= o.end_lane
        var row = o.first_row
        while row < o.end_row {
            if kind == CacheKind.f16 {
                if isPair { sumFour(o, true, true, pages, row, lane) } else { sumFour(o, true, false, pages, row, lane) }
            } else {
                if isPair { sumFour(o, false, true, pages, row, lane) } else { sumFour(o, false, false, pages, row, lane) }
            }
            row &+= 4
        }
        lane &+= isPair ? 32 : 16
    }
}

@inline(__always) private func positions(_ length: Int, _ page: Int) -> Int {
    let left = length &- 64 &* page
    return left < 64 ? left : 64
}

/// Up to four rows, one or two vectors of lanes. A row that is not there is the last one again: a chain waits for itself, so that it
/// costs nothing, and it writes the same.
@inline(__always) private func sumFour(
    _ o: AttentionPartOperands, _ half: Bool, _ isPair: Bool, _ pages: Int, _ row: Int, _ lane: Int
) {
    let stride = o.head_stride, last = o.end_row &- 1 &- row
    let r1 = last < 1 ? last : 1, r2 = last < 2 ? last : 2, r3 = last < 3 ? last : 3
    let zero = F32x16(splat: 0)
    var a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero
    var t0: Float = 0, t1: Float = 0, t2: Float = 0, t3: Float = 0
    var page = 0
    while page < pages {
        let w0 = o.weights + 64 &* (page &* o.rows &+ row), w1 = w0 + 64 &* r1, w2 = w0 + 64 &* r2, w3 = w0 + 64 &* r3
        let p0 = o.pages + 3 &* (page &* o.rows &+ row), p1 = p0 + 3 &* r1, p2 = p0 + 3 &* r2, p3 = p0 + 3 &* r3
        t0 = t0 * p0[1] + p0[2]
        t1 = t1 * p1[1] + p1[2]
        t2 = t2 * p2[1] + p2[2]
        t3 = t3 * p3[1] + p3[2]
        let c0 = F32x16(splat: p0[1]), c1 = F32x16(splat: p1[1]), c2 = F32x16(splat: p2[1]), c3 = F32x16(splat: p3[1])
        a0 = a0 * c0
        a1 = a1 * c1
        a2 = a2 * c2
        a3 = a3 * c3
        if isPair {
            b0 = b0 * c0
            b1 = b1 * c1
            b2 = b2 * c2
            b3 = b3 * c3
        }
        let values = o.v_pages[page], next = o.v_pages[page &+ 1 < pages ? page &+ 1 : page], count = positions(o.length, page)
        var j = 0
        while j < count {
            let at = j &* stride &+ lane, v = loadCached(values, at, half)
            F32x16.prefetch(next + (half ? 2 : 4) &* at)
            let x0 = F32x16(splat: w0[j]), x1 = F32x16(splat: w1[j]), x2 = F32x16(splat: w2[j]), x3 = F32x16(splat: w3[j])
            a0 = F32x16.fma(x0, v, a0)
            a1 = F32x16.fma(x1, v, a1)
            a2 = F32x16.fma(x2, v, a2)
            a3 = F32x16.fma(x3, v, a3)
            if isPair {
                let u = loadCached(values, at &+ 16, half)
                b0 = F32x16.fma(x0, u, b0)
                b1 = F32x16.fma(x1, u, b1)
                b2 = F32x16.fma(x2, u, b2)
                b3 = F32x16.fma(x3, u, b3)
            }
            j &+= 1
        }
        page &+= 1
    }
    let out = o.out + (row &* stride &+ lane)
    let i0 = F32x16(splat: 1 / t0), i1 = F32x16(splat: 1 / t1), i2 = F32x16(splat: 1 / t2), i3 = F32x16(splat: 1 / t3)
    (a0 * i0).store(out)
    (a1 * i1).store(out + r1 &* stride)
    (a2 * i2).store(out + r2 &* stride)
    (a3 * i3).store(out + r3 &* stride)
    if isPair {
        (b0 * i0).store(out + 16)
        (b1 * i1).store(out + (r1 &* stride &+ 16))
        (b2 * i2).store(out + (r2 &* stride &+ 16))
        (b3 * i3).store(out + (r3 &* stride &+ 16))
    }
}

/// Row by row, all lanes.
private func sumQuantized(_ o: AttentionPartOperands, _ kind: Int, _ pages: Int) {
    let stride = o.head_stride, products = o.scratch.assumingMemoryBound(to: Float.self) + AttentionScratch(rows: o.rows, headStride: stride).products
    var row = o.first_row
    while row < o.end_row {
        let out = o.out + row &* stride
        var total: Float = 0, i = 0, page = 0
        while i < stride {
            F32x16(splat: 0).store(out + i)
            i &+= 16
        }
        while page < pages {
            let entry = o.pages + 3 &* (page &* o.rows &+ row), values = o.v_pages[page], isLast = page &+ 1 == pages
            let ahead = Ahead(o.v_pages[isLast ? page : page &+ 1], isLast ? 0 : CacheKind.bytes(kind, stride), 64, 0, 1)
            addValues(
                values + 4 &* stride, values, stride, kind, o.weights + 64 &* (page &* o.rows &+ row), positions(o.length, page), entry[1],
                out, products, ahead)
            total = total * entry[1] + entry[2]
            page &+= 1
        }
        let inverse = F32x16(splat: 1 / total)
        i = 0
        while i < stride {
            (F32x16(load: out + i) * inverse).store(out + i)
            i &+= 16
        }
        row &+= 1
    }
}
