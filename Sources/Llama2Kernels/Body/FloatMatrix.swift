internal import KernelOperands

/// Matrices stored as F32, F16 or BF16: out[t][r] = sum_k w[r][k] x[t][k].
///
/// One (row, token) is 16 partial sums over k, fused multiply-add in order of k, and one fixed
/// tree: the same whatever the tile. w: (rows, columns) of `type`; x: (tokens, columns);
/// out: (tokens, outStride).
///
/// Tiles of 4 rows and 4, 2 or 1 tokens (1 where there are only 16 registers; 32 hold 24 sums: 3 rows and 8 tokens
/// of halves, 6 and 4 of floats: the more tokens, the fewer conversions of weights, which take the pipes of the products);
/// some tokens at a time, so that their x stays in the second-level cache while the weights stream by, the next rows fetched ahead
/// in file order.
/// false: no type of floats.
func multiplyFloats(_ o: FloatProductOperands) -> Bool {
    let job = FloatJob(
        w: o.data, columns: o.columns, firstRow: o.first_row, endRow: o.end_row, x: o.x, tokens: o.tokens, out: o.out,
        outStride: o.out_stride, next: o.next)
    switch o.type {
    case F32.number: multiplyRows(F32.self, job)
    case F16.number: multiplyRows(F16.self, job)
    case BF16.number: multiplyRows(BF16.self, job)
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

@inline(never) private func multiplyRows<F: FloatFormat>(_: F.Type, _ job: FloatJob) {
    let columns = job.columns, rowBytes = columns &* F.bytes, last = job.endRow &- 1
    // 256 KiB of x, at least 8 tokens
    let atOnce = columns < 8192 ? (65536 / columns) & ~3 : 8
    // how many rows are fetched ahead: a tile's, but 16 KiB, so that short rows come in time too
    let least = I32x16.tokensInRegisters == 8 && job.tokens >= 4 ? 6 : 4
    let ahead = 4 &* rowBytes < 16384 ? (16384 / rowBytes &+ 6) & ~3 : least
    var firstToken = 0
    while firstToken < job.tokens {
        let end = job.tokens &- firstToken < atOnce ? job.tokens : firstToken &+ atOnce
        var row = job.firstRow
        while row < job.endRow {
            // A group repeats its last row and does not store it. Six where fours of tokens follow, else four.
            let six = I32x16.tokensInRegisters == 8 && end &- firstToken >= 4 && row &+ 5 <= last
            @inline(__always) func at(_ r: Int) -> UnsafeRawPointer { job.w + (row &+ r < last ? row &+ r : last) &* rowBytes }
            let next =
                row &+ ahead < job.endRow ? job.w + (row &+ ahead) &* rowBytes : job.next + (row &+ ahead &- job.endRow) &* rowBytes
            let rows = Rows(w0: at(0), w1: at(1), w2: at(2), w3: at(3), w4: at(4), w5: at(5), columns: columns, next: next)
            let more = Rows(w0: at(4), w1: at(5), w2: at(5), w3: at(5), w4: at(5), w5: at(5), columns: columns, next: next)
            let lower = Rows(w0: at(3), w1: at(4), w2: at(5), w3: at(5), w4: at(5), w5: at(5), columns: columns, next: next)
            let tiles = (end &- firstToken &+ 3) >> 2, parts = I32x16.tokensInRegisters == 8 ? (tiles < 3 ? tiles : 3) : 1
            var t = firstToken, part = 0
            while t < end {
                let x = job.x + t &* columns, o = job.out + (t &* job.outStride &+ row), valid = last &- row &+ 1
                // up to three tiles fetch a part each of what is wanted next: one alone would ask for more than the memory gives
                @inline(__always) func bytes(_ part: Int) -> Int { part < parts ? (six ? 6 : 4) &* 16 &* F.bytes / parts : 0 }
                let share = bytes(part)
                if six && F.bytes == 2 && t &+ 8 <= end {
                    tile(F.self, ThreeByEight.self, rows, x, o, job.outStride, 3, part, share)
                    tile(F.self, ThreeByEight.self, lower, x, o + 3, job.outStride, 3, part &+ 1, bytes(part &+ 1))
                    part &+= 1
                    t &+= 8
                } else if I32x16.tokensInRegisters == 8 && t &+ 4 <= end {
                    if six {
                        tile(F.self, SixByFour.self, rows, x, o, job.outStride, 6, part, share)
                    } else {
                        tile(F.self, FourByFour.self, rows, x, o, job.outStride, valid, part, share)
                    }
                    t &+= 4
                } else if I32x16.tokensInRegisters == 8 && t &+ 2 <= end {
                    tile(F.self, FourByTwo.self, rows, x, o, job.outStride, valid, part, share)
                    if six { tile(F.self, FourByTwo.self, more, x, o + 4, job.outStride, 2, 0, 0) }
                    t &+= 2
                } else if job.tokens == 1 && F32x16.fetchesOnce {
                    tile(F.self, FourByOneOnce.self, rows, x, o, job.outStride, valid, part, share)
                    t &+= 1
                } else {
                    tile(F.self, FourByOne.self, rows, x, o, job.outStride, valid, part, share)
                    if six { tile(F.self, FourByOne.self, more, x, o + 4, job.outStride, 2, 0, 0) }
                    t &+= 1
                }
                part &+= 1
            }
            row &+= six ? 6 : 4
        }
        firstToken = end
    }
}

private struct Rows {
    let w0: UnsafeRawPointer, w1: UnsafeRawPointer, w2: UnsafeRawPointer, w3: UnsafeRawPointer, w4: UnsafeRawPointer, w5: UnsafeRawPointer
    let columns: Int
    let next: UnsafeRawPointer
}

/// The weights of some columns of three, four or six rows.
private struct RowWeights {
    let m0: F32x16, m1: F32x16, m2: F32x16, m3: F32x16, m4: F32x16, m5: F32x16

    @inline(__always) init(_ w: Rows, _ count: Int, _ load: (UnsafeRawPointer) -> F32x16) {
        m0 = load(w.w0)
        m1 = load(w.w1)
        m2 = load(w.w2)
        m3 = count > 3 ? load(w.w3) : m2
        m4 = count == 6 ? load(w.w4) : m3
        m5 = count == 6 ? load(w.w5) : m3
    }
}

/// The partial sums of one token with three, four or six rows.
private struct RowSums {
    var a0 = F32x16(splat: 0), a1 = F32x16(splat: 0), a2 = F32x16(splat: 0), a3 = F32x16(splat: 0)
    var a4 = F32x16(splat: 0), a5 = F32x16(splat: 0)

    @inline(__always) mutating func add(_ m: RowWeights, _ rows: Int, _ v: F32x16) {
        a0 = F32x16.fma(m.m0, v, a0)
        a1 = F32x16.fma(m.m1, v, a1)
        a2 = F32x16.fma(m.m2, v, a2)
        if rows > 3 { a3 = F32x16.fma(m.m3, v, a3) }
        if rows == 6 {
            a4 = F32x16.fma(m.m4, v, a4)
            a5 = F32x16.fma(m.m5, v, a5)
        }
    }

    @inline(__always) func store(_ out: UnsafeMutablePointer<Float>, _ rows: Int, _ valid: Int) {
        out[0] = a0.sum
        if valid > 1 { out[1] = a1.sum }
        if valid > 2 { out[2] = a2.sum }
        if valid > 3 { out[3] = a3.sum }
        if rows == 6 {
            out[4] = a4.sum
            out[5] = a5.sum
        }
    }
}

/// The rows and tokens of a tile.
private protocol TileShape {
    static var rows: Int { get }  // 3, 4 or 6
    static var tokens: Int { get }  // 8, 4, 2 or 1
    static var once: Bool { get }  // whether what is fetched ahead is read once, and fetched so
}

extension TileShape {
    @inline(__always) static var once: Bool { false }
}

private enum ThreeByEight: TileShape {
    @inline(__always) static var rows: Int { 3 }
    @inline(__always) static var tokens: Int { 8 }
}
private enum SixByFour: TileShape {
    @inline(__always) static var rows: Int { 6 }
    @inline(__always) static var tokens: Int { 4 }
}
private enum FourByFour: TileShape {
    @inline(__always) static var rows: Int { 4 }
    @inline(__always) static var tokens: Int { 4 }
}
private enum FourByTwo: TileShape {
    @inline(__always) static var rows: Int { 4 }
    @inline(__always) static var tokens: Int { 2 }
}
private enum FourByOne: TileShape {
    @inline(__always) static var rows: Int { 4 }
    @inline(__always) static var tokens: Int { 1 }
}

private enum FourByOneOnce: TileShape {
    @inline(__always) static var rows: Int { 4 }
    @inline(__always) static var tokens: Int { 1 }
    @inline(__always) static var once: Bool { true }
}

/// A tile of the tokens at x; meanwhile part number `part` of the next rows is fetched, `share` bytes for every 16 columns. A function
/// for each format and shape: of as many as one function takes, the compiler would leave some to one that asks for both at every step.
@inline(never) private func tile<F: FloatFormat, Shape: TileShape>(
    _: F.Type, _: Shape.Type, _ w: Rows, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ outStride: Int,
    _ valid: Int, _ part: Int, _ share: Int
) {
    let size = F.bytes, rows = Shape.rows, tokens = Shape.tokens
    var ahead = w.next + part &* share &* (w.columns >> 4)
    let columns = w.columns, whole = columns & ~15, rest = columns & 15
    let x1 = x + columns, x2 = x1 + columns, x3 = x2 + columns, x4 = x3 + columns, x5 = x4 + columns, x6 = x5 + columns, x7 = x6 + columns
    var s0 = RowSums(), s1 = RowSums(), s2 = RowSums(), s3 = RowSums()
    var s4 = RowSums(), s5 = RowSums(), s6 = RowSums(), s7 = RowSums()
    var k = 0
    while k < whole {
        // the next rows are one piece
        var line = 0
        while line < share {
            if Shape.once { F32x16.prefetchOnce(ahead + line) } else { F32x16.prefetch(ahead + line) }
            line &+= 64
        }
        ahead += share
        let o = k &* size, m = RowWeights(w, rows) { F.load($0 + o) }
        s0.add(m, rows, F32x16(load: x + k))
        if tokens > 1 { s1.add(m, rows, F32x16(load: x1 + k)) }
        if tokens > 2 {
            s2.add(m, rows, F32x16(load: x2 + k))
            s3.add(m, rows, F32x16(load: x3 + k))
        }
        if tokens > 4 {
            s4.add(m, rows, F32x16(load: x4 + k))
            s5.add(m, rows, F32x16(load: x5 + k))
            s6.add(m, rows, F32x16(load: x6 + k))
            s7.add(m, rows, F32x16(load: x7 + k))
        }
        k &+= 16
    }
    if rest != 0 {
        let o = whole &* size, m = RowWeights(w, rows) { loadTail(F.self, $0 + o, rest) }
        s0.add(m, rows, loadTail(x + whole, rest))
        if tokens > 1 { s1.add(m, rows, loadTail(x1 + whole, rest)) }
        if tokens > 2 {
            s2.add(m, rows, loadTail(x2 + whole, rest))
            s3.add(m, rows, loadTail(x3 + whole, rest))
        }
        if tokens > 4 {
            s4.add(m, rows, loadTail(x4 + whole, rest))
            s5.add(m, rows, loadTail(x5 + whole, rest))
            s6.add(m, rows, loadTail(x6 + whole, rest))
            s7.add(m, rows, loadTail(x7 + whole, rest))
        }
    }
    s0.store(out, rows, valid)
    if tokens > 1 { s1.store(out + outStride, rows, valid) }
    if tokens > 2 {
        s2.store(out + 2 &* outStride, rows, valid)
        s3.store(out + 3 &* outStride, rows, valid)
    }
    if tokens > 4 {
        s4.store(out + 4 &* outStride, rows, valid)
        s5.store(out + 5 &* outStride, rows, valid)
        s6.store(out + 6 &* outStride, rows, valid)
        s7.store(out + 7 &* outStride, rows, valid)
    }
}

/// The last, partial vector of a row: out of the line of its loop.
@inline(never) private func loadTail<F: FloatFormat>(_: F.Type, _ p: UnsafeRawPointer, _ count: Int) -> F32x16 { F.load(p, count) }
