/// Matrices stored as F32, F16 or BF16: out[t][r] = sum_k w[r][k] x[t][k].
///
/// One (row, token) is 16 partial sums over k, fused multiply-add in order of k, and one fixed
/// tree: the same whatever the tile. w: (rows, columns) of `type`; x: (tokens, columns);
/// out: (tokens, outStride).
public func multiplyFloat(
    _ type: UInt32, _ w: UnsafeRawPointer, _ columns: Int, _ firstRow: Int, _ endRow: Int, _ x: UnsafePointer<Float>,
    _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    switch type {
    case 0: multiplyFloatTiles(0, 4, w, columns, firstRow, endRow, x, tokens, out, outStride)
    case 1: multiplyFloatTiles(1, 2, w, columns, firstRow, endRow, x, tokens, out, outStride)
    default: multiplyFloatTiles(30, 2, w, columns, firstRow, endRow, x, tokens, out, outStride)
    }
}

@inline(__always) private func loadWeights(_ type: UInt32, _ p: UnsafeRawPointer) -> F32x16 {
    switch type {
    case 0: F32x16(load: p.assumingMemoryBound(to: Float.self))
    case 1: F32x16(loadHalf: p)
    default: F32x16(loadBF16: p)
    }
}

/// The last, partial vector of a row, without reading past its end.
@inline(__always) private func loadWeightsTail(_ type: UInt32, _ p: UnsafeRawPointer, _ count: Int) -> F32x16 {
    var bytes = SIMD64<UInt8>(repeating: 0)
    let size = type == 0 ? count &* 4 : count &* 2
    for i in 0..<size { bytes[i] = p.load(fromByteOffset: i, as: UInt8.self) }
    return withUnsafePointer(to: &bytes) { loadWeights(type, UnsafeRawPointer($0)) }
}

@inline(__always) private func multiplyFloatTiles(
    _ type: UInt32, _ size: Int, _ w: UnsafeRawPointer, _ columns: Int, _ firstRow: Int, _ endRow: Int,
    _ x: UnsafePointer<Float>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
) {
    let whole = columns & ~15, rest = columns & 15, rowBytes = columns &* size
    var row = firstRow
    while row < endRow {
        // Four rows at a time; the last group repeats its last row and does not store it.
        let last = endRow &- 1
        let r1 = row &+ 1 < last ? row &+ 1 : last, r2 = row &+ 2 < last ? row &+ 2 : last
        let r3 = row &+ 3 < last ? row &+ 3 : last
        let w0 = w + row &* rowBytes, w1 = w + r1 &* rowBytes, w2 = w + r2 &* rowBytes, w3 = w + r3 &* rowBytes
        var t = 0
        while t < tokens {
            // Two tokens at a time, likewise.
            let u = t &+ 1 < tokens ? t &+ 1 : t
            let x0 = x + t &* columns, x1 = x + u &* columns
            var a00 = F32x16(splat: 0), a10 = a00, a20 = a00, a30 = a00, a01 = a00, a11 = a00, a21 = a00, a31 = a00
            var k = 0
            while k < whole {
                let v0 = F32x16(load: x0 + k), v1 = F32x16(load: x1 + k), o = k &* size
                let m0 = loadWeights(type, w0 + o), m1 = loadWeights(type, w1 + o)
                a00 = F32x16.fma(m0, v0, a00); a01 = F32x16.fma(m0, v1, a01)
                a10 = F32x16.fma(m1, v0, a10); a11 = F32x16.fma(m1, v1, a11)
                let m2 = loadWeights(type, w2 + o), m3 = loadWeights(type, w3 + o)
                a20 = F32x16.fma(m2, v0, a20); a21 = F32x16.fma(m2, v1, a21)
                a30 = F32x16.fma(m3, v0, a30); a31 = F32x16.fma(m3, v1, a31)
                k &+= 16
            }
            if rest != 0 {
                let v0 = loadTail(x0 + whole, rest), v1 = loadTail(x1 + whole, rest), o = whole &* size
                let m0 = loadWeightsTail(type, w0 + o, rest), m1 = loadWeightsTail(type, w1 + o, rest)
                a00 = F32x16.fma(m0, v0, a00); a01 = F32x16.fma(m0, v1, a01)
                a10 = F32x16.fma(m1, v0, a10); a11 = F32x16.fma(m1, v1, a11)
                let m2 = loadWeightsTail(type, w2 + o, rest), m3 = loadWeightsTail(type, w3 + o, rest)
                a20 = F32x16.fma(m2, v0, a20); a21 = F32x16.fma(m2, v1, a21)
                a30 = F32x16.fma(m3, v0, a30); a31 = F32x16.fma(m3, v1, a31)
            }
            let o0 = out + (t &* outStride &+ row), o1 = out + (u &* outStride &+ row)
            o0[0] = a00.sum; o1[0] = a01.sum
            if row &+ 1 <= last { o0[1] = a10.sum; o1[1] = a11.sum }
            if row &+ 2 <= last { o0[2] = a20.sum; o1[2] = a21.sum }
            if row &+ 3 <= last { o0[3] = a30.sum; o1[3] = a31.sum }
            t &+= 2
        }
        row &+= 4
    }
}
