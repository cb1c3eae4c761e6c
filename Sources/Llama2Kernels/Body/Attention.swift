/// Attention of one token over one key-value head, by pages of 64 positions.
///
///     score_j = scale * (q . k_j);  out = sum_j softmax(score)_j v_j
///
/// Exact online softmax (Milakov & Gimelshein, 2018; Dao et al., FlashAttention, 2022): pages are
/// walked in order of position, each with its own maximum, so the result depends on the positions
/// and not on where the pages lie or what else is computed.
///
/// q, out: (group, headStride), padded with zeros; kPages, vPages: a pointer a page, each page
/// (64, headStride) of F16 or F32; headStride a multiple of 16. scratch: 64 floats, 64-byte aligned.
public func attention(
    _ q: UnsafePointer<Float>, _ group: Int, _ headStride: Int, _ scale: Float,
    _ kPages: UnsafePointer<UnsafeRawPointer>, _ vPages: UnsafePointer<UnsafeRawPointer>, _ length: Int,
    _ half: Bool, _ out: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer
) {
    let scores = scratch.assumingMemoryBound(to: Float.self)
    let rowBytes = half ? headStride &* 2 : headStride &* 4
    var head = 0
    while head < group {
        let query = q + head &* headStride, result = out + head &* headStride
        var largest = -Float.infinity, total: Float = 0
        var i = 0
        while i < headStride {
            F32x16(splat: 0).store(result + i)
            i &+= 16
        }
        var page = 0, done = 0
        while done < length {
            let count = length &- done < 64 ? length &- done : 64
            // 1. scores of the page and its maximum
            let keys = kPages[page]
            var pageLargest = largest
            var j = 0
            while j < count {
                let score = scale * cachedDot(query, keys + j &* rowBytes, headStride, half)
                scores[j] = score
                pageLargest = score > pageLargest ? score : pageLargest
                j &+= 1
            }
            // 2. what was summed so far moves to the new maximum
            let correction = largest == pageLargest ? 1 : exponential(F32x16(splat: largest - pageLargest)).first
            // 3. weights; those beyond the last position are zero
            while j & 15 != 0 {
                scores[j] = 0
                j &+= 1
            }
            var partial = F32x16(splat: 0)
            i = 0
            while i < count {
                var weights = exponential(F32x16(load: scores + i) - F32x16(splat: pageLargest))
                if count &- i < 16 {
                    weights.store(scores + i)
                    var k = count
                    while k < i &+ 16 {
                        scores[k] = 0
                        k &+= 1
                    }
                    weights = F32x16(load: scores + i)
                }
                weights.store(scores + i)
                partial = partial + weights
                i &+= 16
            }
            total = total * correction + partial.sum
            largest = pageLargest
            // 4. values, position by position
            addValues(vPages[page], rowBytes, headStride, half, scores, count, correction, result)
            done &+= count
            page &+= 1
        }
        let inverse = F32x16(splat: 1 / total)
        i = 0
        while i < headStride {
            (F32x16(load: result + i) * inverse).store(result + i)
            i &+= 16
        }
        head &+= 1
    }
}

@inline(__always) private func loadCached(_ p: UnsafeRawPointer, _ index: Int, _ half: Bool) -> F32x16 {
    half ? F32x16(loadHalf: p + 2 &* index) : F32x16(load: (p + 4 &* index).assumingMemoryBound(to: Float.self))
}

@inline(__always) private func cachedDot(_ q: UnsafePointer<Float>, _ k: UnsafeRawPointer, _ count: Int, _ half: Bool)
    -> Float
{
    var sum = F32x16(splat: 0)
    var i = 0
    while i < count {
        sum = F32x16.fma(F32x16(load: q + i), loadCached(k, i, half), sum)
        i &+= 16
    }
    return sum.sum
}

/// result = result * correction + sum_j weights[j] * v_j, j in order; four column blocks at a time
/// only to have four independent chains.
@inline(__always) private func addValues(
    _ values: UnsafeRawPointer, _ rowBytes: Int, _ headStride: Int, _ half: Bool, _ weights: UnsafePointer<Float>,
    _ count: Int, _ correction: Float, _ result: UnsafeMutablePointer<Float>
) {
    let c = F32x16(splat: correction)
    var i = 0
    while i &+ 64 <= headStride {
        var a0 = F32x16(load: result + i) * c, a1 = F32x16(load: result + (i &+ 16)) * c
        var a2 = F32x16(load: result + (i &+ 32)) * c, a3 = F32x16(load: result + (i &+ 48)) * c
        var j = 0
        while j < count {
            let w = F32x16(splat: weights[j]), row = values + j &* rowBytes
            a0 = F32x16.fma(w, loadCached(row, i, half), a0)
            a1 = F32x16.fma(w, loadCached(row, i &+ 16, half), a1)
            a2 = F32x16.fma(w, loadCached(row, i &+ 32, half), a2)
            a3 = F32x16.fma(w, loadCached(row, i &+ 48, half), a3)
            j &+= 1
        }
        a0.store(result + i)
        a1.store(result + (i &+ 16))
        a2.store(result + (i &+ 32))
        a3.store(result + (i &+ 48))
        i &+= 64
    }
    while i < headStride {
        var a = F32x16(load: result + i) * c
        var j = 0
        while j < count {
            a = F32x16.fma(F32x16(splat: weights[j]), loadCached(values + j &* rowBytes, i, half), a)
            j &+= 1
        }
        a.store(result + i)
        i &+= 16
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
