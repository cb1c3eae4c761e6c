internal import KernelOperands

/// Matrices stored as F32, F16 or BF16: out[t][r] = sum_k w[r][k] x[t][k].
///
/// One (row, token) is 16 partial sums over k, fused multiply-add in order of k, and one fixed
/// tree: the same whatever the tile. w: (rows, columns) of `type`; x: (tokens, columns);
/// out: (tokens, outStride).
///
/// Tiles of 4 rows and 4, 2 or 1 tokens (1 where there are only 16 registers); some tokens at a time, so that their x stays in the second-level
/// cache while the weights stream by, the next rows fetched ahead in file order.
/// false: no type of floats.
func multiplyFloats(_ o: FloatProductOperands) -> Bool {
    let job = FloatJob(
        w: o.data, columns: o.columns, firstRow: o.first_row, endRow: o.end_row, x: o.x, tokens: o.tokens, out: o.out,
        outStride: o.out_stride, next: o.next)
    switch o.type {
    case F32.number: multiplyF32(job)
    case F16.number: multiplyF16(job)
    case BF16.number: multiplyBF16(job)
    default: return false
    }
    return true
}

/// The operands of `multiplyFloats`.
private struct FloatJob {
    let w: UnsafeRawPointer, columns: Int, firstRow: Int, endRow: Int
    let x: UnsafePointer<Float>, tokens: Int
    let out: UnsafeMutablePointer<Float>, outStride: Int
    let next: UnsafeRawPointer  // what is read after the last row
}

@inline(never) private func multiplyF32(_ job: FloatJob) { multiplyRows(F32.number, F32.bytes, job) }
@inline(never) private func multiplyF16(_ job: FloatJob) { multiplyRows(F16.number, F16.bytes, job) }
@inline(never) private func multiplyBF16(_ job: FloatJob) { multiplyRows(BF16.number, BF16.bytes, job) }

@inline(__always) private func multiplyRows(_ type: UInt32, _ size: Int, _ job: FloatJob) {
    let columns = job.columns, rowBytes = columns &* size, last = job.endRow &- 1
    // 256 KiB of x, at least 8 tokens
    let atOnce = columns < 8192 ? (65536 / columns) & ~3 : 8
    // how many rows are fetched ahead: 16 KiB, so that short rows come in time too
    let ahead = 4 &* rowBytes < 16384 ? (16384 / rowBytes &+ 4) & ~3 : 4
    var firstToken = 0
    while firstToken < job.tokens {
        let end = job.tokens &- firstToken < atOnce ? job.tokens : firstToken &+ atOnce
        var row = job.firstRow
        while row < job.endRow {
            // Four rows at a time; the last group repeats its last row and does not store it.
            let r1 = row &+ 1 < last ? row &+ 1 : last, r2 = row &+ 2 < last ? row &+ 2 : last
            let r3 = row &+ 3 < last ? row &+ 3 : last
            let rows = FourRows(
                w0: job.w + row &* rowBytes, w1: job.w + r1 &* rowBytes, w2: job.w + r2 &* rowBytes,
                w3: job.w + r3 &* rowBytes, columns: columns,
                next: row &+ ahead < job.endRow
                    ? job.w + (row &+ ahead) &* rowBytes : job.next + (row &+ ahead &- job.endRow) &* rowBytes)
            var t = firstToken
            while t < end {
                let x = job.x + t &* columns, o = job.out + (t &* job.outStride &+ row), valid = last &- row &+ 1
                if I32x16.tokensInRegisters == 8 && t &+ 4 <= end {
                    multiplyTile(type, size, rows, x, 4, o, job.outStride, valid, false)
                    t &+= 4
                } else if I32x16.tokensInRegisters == 8 && t &+ 2 <= end {
                    multiplyTile(type, size, rows, x, 2, o, job.outStride, valid, false)
                    t &+= 2
                } else {
                    multiplyTile(type, size, rows, x, 1, o, job.outStride, valid, true)
                    t &+= 1
                }
            }
            row &+= 4
        }
        firstToken = end
    }
}

private struct FourRows {
    let w0: UnsafeRawPointer, w1: UnsafeRawPointer, w2: UnsafeRawPointer, w3: UnsafeRawPointer
    let columns: Int
    let next: UnsafeRawPointer
}

/// The partial sums of one token with four rows.
private struct RowSums {
    var a0 = F32x16(splat: 0), a1 = F32x16(splat: 0), a2 = F32x16(splat: 0), a3 = F32x16(splat: 0)

    @inline(__always) mutating func add(_ m0: F32x16, _ m1: F32x16, _ m2: F32x16, _ m3: F32x16, _ v: F32x16) {
        a0 = F32x16.fma(m0, v, a0)
        a1 = F32x16.fma(m1, v, a1)
        a2 = F32x16.fma(m2, v, a2)
        a3 = F32x16.fma(m3, v, a3)
    }

    @inline(__always) func store(_ out: UnsafeMutablePointer<Float>, _ valid: Int) {
        out[0] = a0.sum
        if valid > 1 { out[1] = a1.sum }
        if valid > 2 { out[2] = a2.sum }
        if valid > 3 { out[3] = a3.sum }
    }
}

/// Four rows with `tokens` (4, 2 or 1, a constant where this is inlined) tokens at x.
@inline(__always) private func multiplyTile(
    _ type: UInt32, _ size: Int, _ w: FourRows, _ x: UnsafePointer<Float>, _ tokens: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ valid: Int, _ prefetch: Bool
) {
    let columns = w.columns, whole = columns & ~15, rest = columns & 15
    let x1 = x + columns, x2 = x1 + columns, x3 = x2 + columns
    var s0 = RowSums(), s1 = RowSums(), s2 = RowSums(), s3 = RowSums()
    var k = 0
    while k < whole {
        let o = k &* size
        let m0 = loadWeights(type, w.w0 + o), m1 = loadWeights(type, w.w1 + o)
        let m2 = loadWeights(type, w.w2 + o), m3 = loadWeights(type, w.w3 + o)
        s0.add(m0, m1, m2, m3, F32x16(load: x + k))
        if tokens > 1 { s1.add(m0, m1, m2, m3, F32x16(load: x1 + k)) }
        if tokens > 2 {
            s2.add(m0, m1, m2, m3, F32x16(load: x2 + k))
            s3.add(m0, m1, m2, m3, F32x16(load: x3 + k))
        }
        if prefetch {
            // the next four rows are one piece: 64 columns' bytes of it
            F32x16.prefetch(w.next + 4 &* o)
            F32x16.prefetch(w.next + (4 &* o &+ 64))
            if size == 4 {
                F32x16.prefetch(w.next + (4 &* o &+ 128))
                F32x16.prefetch(w.next + (4 &* o &+ 192))
            }
        }
        k &+= 16
    }
    if rest != 0 {
        let o = whole &* size
        let m0 = loadWeightsTail(type, w.w0 + o, rest), m1 = loadWeightsTail(type, w.w1 + o, rest)
        let m2 = loadWeightsTail(type, w.w2 + o, rest), m3 = loadWeightsTail(type, w.w3 + o, rest)
        s0.add(m0, m1, m2, m3, loadTail(x + whole, rest))
        if tokens > 1 { s1.add(m0, m1, m2, m3, loadTail(x1 + whole, rest)) }
        if tokens > 2 {
            s2.add(m0, m1, m2, m3, loadTail(x2 + whole, rest))
            s3.add(m0, m1, m2, m3, loadTail(x3 + whole, rest))
        }
    }
    s0.store(out, valid)
    if tokens > 1 { s1.store(out + outStride, valid) }
    if tokens > 2 {
        s2.store(out + 2 &* outStride, valid)
        s3.store(out + 3 &* outStride, valid)
    }
}

@inline(__always) private func loadWeights(_ type: UInt32, _ p: UnsafeRawPointer) -> F32x16 {
    switch type {
    case F32.number: F32x16(load: p.assumingMemoryBound(to: Float.self))
    case F16.number: F32x16(loadHalf: p)
    default: F32x16(loadBF16: p)
    }
}

/// The last, partial vector of a row, without reading past its end.
@inline(__always) private func loadWeightsTail(_ type: UInt32, _ p: UnsafeRawPointer, _ count: Int) -> F32x16 {
    var bytes = SIMD64<UInt8>(repeating: 0)
    let size = type == F32.number ? count &* 4 : count &* 2
    for i in 0..<size { bytes[i] = p.load(fromByteOffset: i, as: UInt8.self) }
    return withUnsafePointer(to: &bytes) { loadWeights(type, UnsafeRawPointer($0)) }
}
