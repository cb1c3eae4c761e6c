internal import KernelOperands
internal import X86Intrinsics

/// Matrices of quantized blocks: formula, operands and order of operations as in Llama2Kernels/Body/QuantizedMatrix.swift,
/// the same bits. One token goes along the rows (OneToken.swift); for more, a panel is unpacked once to lane blocks in
/// L1, eight at a time, and every token uses them from there, four at a time (Tile.swift).
///
/// false: a format that has no kernel here.
func multiplyQuantized(_ o: ProductOperands) -> Bool {
    switch o.type {
    case Q4_0.number: multiplyPanels(Q4_0.self, o)
    case Q4_1.number: multiplyPanels(Q4_1.self, o)
    case Q5_0.number: multiplyPanels(Q5_0.self, o)
    case Q5_1.number: multiplyPanels(Q5_1.self, o)
    case Q8_0.number: multiplyPanels(Q8_0.self, o)
    case Q2_K.number: multiplyPanels(Q2_K.self, o)
    case Q3_K.number: multiplyPanels(Q3_K.self, o)
    case Q4_K.number: multiplyPanels(Q4_K.self, o)
    case Q5_K.number: multiplyPanels(Q5_K.self, o)
    case Q6_K.number: multiplyPanels(Q6_K.self, o)
    case IQ2_XXS.number: multiplyPanels(IQ2_XXS.self, o)
    case IQ2_XS.number: multiplyPanels(IQ2_XS.self, o)
    case IQ2_S.number: multiplyPanels(IQ2_S.self, o)
    case IQ3_XXS.number: multiplyPanels(IQ3_XXS.self, o)
    case IQ3_S.number: multiplyPanels(IQ3_S.self, o)
    case IQ1_S.number: multiplyPanels(IQ1_S.self, o)
    case IQ1_M.number: multiplyPanels(IQ1_M.self, o)
    case IQ4_NL.number: multiplyPanels(IQ4_NL.self, o)
    case IQ4_XS.number: multiplyPanels(IQ4_XS.self, o)
    case TQ1_0.number: multiplyPanels(TQ1_0.self, o)
    case TQ2_0.number: multiplyPanels(TQ2_0.self, o)
    default: return false
    }
    return true
}

/// The scratch: running sums of `tokensAtOnce` tokens with 16 rows, eight lane blocks, eight blocks of 16 rows of a short
/// panel, what formats with tables need of eight rows.
private enum Scratch {
    static var tokensAtOnce: Int { 256 }  // a multiple of the tile
    static var lanes: Int { 4 &* 16 &* tokensAtOnce }
    static var rows: Int { lanes &+ 8 &* laneBlockBytes }
    static var rowStride: Int { 288 }  // eight blocks of at most 34 bytes
    static var weights: Int { rows &+ 16 &* rowStride }
    static var end: Int { weights &+ TableScratch.end }
}

/// Bytes of scratch that `multiplyQuantized` needs.
var quantizedScratchBytes: Int { Scratch.end }

private func multiplyPanels<F: KernelFormat>(_: F.Type, _ o: ProductOperands) {
    var panel = o.first_panel
    while panel < o.end_panel {
        let base = o.data + panel &* 16 &* o.row_bytes, valid = o.rows &- panel &* 16
        let next = panel &+ 1 < o.end_panel ? base + 16 &* o.row_bytes : o.next
        if multipliesOneToken && o.tokens == 1 && valid >= 16 {
            multiplyOnePanel(F.self, base, o, next, o.out + panel &* 16)
        } else {
            multiplyPanel(F.self, base, valid < 16 ? valid : 16, o, next, o.out + panel &* 16)
        }
        panel &+= 1
    }
}

@inline(never) private func multiplyOnePanel<F: KernelFormat>(
    _: F.Type, _ base: UnsafeRawPointer, _ o: ProductOperands, _ next: UnsafeRawPointer, _ out: UnsafeMutablePointer<Float>
) {
    let x = OneToken(q: o.q, s: o.s, c: o.c, blocks: o.columns >> 5, stride: o.row_bytes, rows: o.scratch + Scratch.weights)
    var side = 0
    while side < 2 {
        let rows = base + 8 &* side &* o.row_bytes
        _mm256_storeu_ps(out + 8 &* side, multiplyOne(F.self, rows, x, side == 0 ? rows + 8 &* o.row_bytes : next))
        side &+= 1
    }
}

/// A panel of `valid` rows with any number of tokens. out: column of the panel's first row.
@inline(never) private func multiplyPanel<F: KernelFormat>(
    _: F.Type, _ base: UnsafeRawPointer, _ valid: Int, _ o: ProductOperands, _ next: UnsafeRawPointer,
    _ out: UnsafeMutablePointer<Float>
) {
    let blocks = o.columns >> 5, sums = o.scratch.assumingMemoryBound(to: Float.self), lanes = o.scratch + Scratch.lanes
    let temporary = o.scratch + Scratch.weights
    var first = 0
    while first < o.tokens {
        let left = o.tokens &- first, count = left < Scratch.tokensAtOnce ? left : Scratch.tokensAtOnce
        var i = 0
        while i < 16 &* count {
            _mm256_storeu_ps(sums + i, _mm256_setzero_ps())
            i &+= 8
        }
        var b = 0
        while b < blocks {
            let n = blocks &- b < 8 ? blocks &- b : 8
            if valid == 16 {
                unpackPanel(F.self, base + F.offset(b), o.row_bytes, n, next + 16 &* F.offset(b), lanes, temporary)
            } else {
                let rows = copyRows(base + F.offset(b), valid, o.row_bytes, F.offset(n), o.scratch + Scratch.rows)
                unpackPanel(F.self, rows, Scratch.rowStride, n, next, lanes, temporary)
            }
            multiplyTokens(F.self, lanes, n, b, blocks, first, count, o, sums)
            b &+= n
        }
        var t = 0
        while t < count {
            store(sums + 16 &* t, out + (first &+ t) &* o.out_stride, valid)
            t &+= 1
        }
        first &+= count
    }
}

/// Tokens first ..< first + count, four, two or one at a time, with n lane blocks from block b of the rows on.
@inline(__always) private func multiplyTokens<F: KernelFormat>(
    _: F.Type, _ lanes: UnsafeRawPointer, _ n: Int, _ b: Int, _ blocks: Int, _ first: Int, _ count: Int,
    _ o: ProductOperands, _ sums: UnsafeMutablePointer<Float>
) {
    var t = 0
    while t < count {
        let i = first &+ t, left = count &- t, acc = sums + 16 &* t
        // a tile of eight tokens is never left in its middle by four or two: i is a multiple of what is taken
        let at = o.width == 8 ? ((i >> 3) &* blocks &+ b) &* 8 &+ (i & 7) : i &* blocks &+ b
        let tile = Tile(
            q: o.q + 32 &* at, s: o.s + at, c: o.c + 4 &* at, tokenStride: o.width == 8 ? 1 : blocks,
            blockStride: o.width == 8 ? 8 : 1)
        if left >= 4 {
            multiplyFour(F.self, lanes, n, tile, acc)
            t &+= 4
        } else if left >= 2 {
            multiplyTwo(F.self, lanes, n, tile, acc)
            t &+= 2
        } else {
            multiplyLast(F.self, lanes, n, tile, acc)
            t &+= 1
        }
    }
}

/// 16 rows side by side, the last of them repeated: `bytes` of each.
private func copyRows(
    _ p: UnsafeRawPointer, _ valid: Int, _ stride: Int, _ bytes: Int, _ out: UnsafeMutableRawPointer
) -> UnsafeRawPointer {
    var r = 0
    while r < 16 {
        let row = p + (r < valid ? r : valid &- 1) &* stride, target = out + r &* Scratch.rowStride
        var i = 0
        while i < bytes {
            target.storeBytes(of: byte(row, i), toByteOffset: i, as: UInt8.self)
            i &+= 1
        }
        r &+= 1
    }
    return UnsafeRawPointer(out)
}

private func store(_ sums: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ valid: Int) {
    if valid == 16 {
        _mm256_storeu_ps(out, _mm256_loadu_ps(sums))
        _mm256_storeu_ps(out + 8, _mm256_loadu_ps(sums + 8))
        return
    }
    var r = 0
    while r < valid {
        out[r] = sums[r]
        r &+= 1
    }
}
