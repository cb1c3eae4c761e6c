/// Matrices of quantized blocks: out[t][r] = sum over blocks b of
///
///     symmetric, signed:  acc = fma(d[r][b], s[t][b] * float(sum_i w q), acc)
///     affine:             ... then acc = fma(m[r][b], s[t][b] * float(sum_i q), acc)
///     halves:             the first line for each half, with its own scale
///
/// where w are the integers of the weights, q and s those of the activations. A lane is an output
/// row; every (row, token) is this sequence of scalar operations in order of b, whatever the tile,
/// the panel split or the vector width. Integer sums are exact, so their order is free.
///
/// data: (rows, columns) blocks of `type`; q: (tokens, columns); s, sums: (tokens, columns/32), sums
/// packed as `quantizeRow` writes them; out: (tokens, outStride). scratch: 16 KiB, 64-byte aligned.
public func multiplyQuantized(
    _ type: UInt32, _ data: UnsafeRawPointer, _ rowBytes: Int, _ rows: Int, _ columns: Int, _ firstPanel: Int,
    _ endPanel: Int, _ q: UnsafePointer<Int8>, _ s: UnsafePointer<Float>, _ sums: UnsafePointer<Int32>, _ tokens: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ scratch: UnsafeMutableRawPointer
) {
    switch type {
    case 2: multiplyPanels(2, data, rowBytes, rows, columns, firstPanel, endPanel, q, s, sums, tokens, out, outStride, scratch)
    case 3: multiplyPanels(3, data, rowBytes, rows, columns, firstPanel, endPanel, q, s, sums, tokens, out, outStride, scratch)
    case 8: multiplyPanels(8, data, rowBytes, rows, columns, firstPanel, endPanel, q, s, sums, tokens, out, outStride, scratch)
    case 12: multiplyPanels(12, data, rowBytes, rows, columns, firstPanel, endPanel, q, s, sums, tokens, out, outStride, scratch)
    default: multiplyPanels(14, data, rowBytes, rows, columns, firstPanel, endPanel, q, s, sums, tokens, out, outStride, scratch)
    }
}

/// Tokens whose accumulators fit the scratch beside eight lane blocks.
private var tokensAtOnce: Int { @inline(__always) get { 160 } }

@inline(__always) private func multiplyPanels(
    _ type: UInt32, _ data: UnsafeRawPointer, _ rowBytes: Int, _ rows: Int, _ columns: Int, _ firstPanel: Int,
    _ endPanel: Int, _ q: UnsafePointer<Int8>, _ s: UnsafePointer<Float>, _ sums: UnsafePointer<Int32>, _ tokens: Int,
    _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ scratch: UnsafeMutableRawPointer
) {
    let blocks = columns >> 5
    let accumulators = (scratch + 8 &* laneBlockBytes).assumingMemoryBound(to: Float.self)
    var panel = firstPanel
    while panel < endPanel {
        let base = data + panel &* 16 &* rowBytes, valid = rows &- panel &* 16
        var firstToken = 0
        while firstToken < tokens {
            let count = tokens &- firstToken < tokensAtOnce ? tokens &- firstToken : tokensAtOnce
            var t = 0
            while t < count {
                F32x16(splat: 0).store(accumulators + 16 &* t)
                t &+= 1
            }
            // Eight lane blocks at a time: 5 KiB, unpacked once and used for every token from L1.
            var b = 0
            while b < blocks {
                let n = blocks &- b < 8 ? blocks &- b : 8
                unpack(type, base, rowBytes, valid, b, n, scratch)
                t = 0
                while t &+ 4 <= count {
                    let i = firstToken &+ t, o = i &* blocks &+ b
                    multiplyFourTokens(
                        laneForm(type), scratch, n, q + (i &* columns &+ 32 &* b), columns, s + o, sums + o, blocks,
                        accumulators + 16 &* t)
                    t &+= 4
                }
                while t < count {
                    let i = firstToken &+ t, o = i &* blocks &+ b
                    multiplyOneToken(
                        laneForm(type), scratch, n, q + (i &* columns &+ 32 &* b), s + o, sums + o,
                        accumulators + 16 &* t)
                    t &+= 1
                }
                b &+= n
            }
            t = 0
            while t < count {
                let target = out + ((firstToken &+ t) &* outStride &+ panel &* 16)
                if valid >= 16 {
                    F32x16(load: accumulators + 16 &* t).store(target)
                } else {
                    storeTail(F32x16(load: accumulators + 16 &* t), target, valid)
                }
                t &+= 1
            }
            firstToken &+= count
        }
        panel &+= 1
    }
}

/// Sum of the q of one half of a block (index 0 or 1), or of the whole block.
@inline(__always) private func halfSum(_ packed: Int32, _ index: Int) -> Int32 {
    index == 0 ? Int32(Int16(truncatingIfNeeded: packed)) : packed >> 16
}
@inline(__always) private func wholeSum(_ packed: Int32) -> Int32 { halfSum(packed, 0) &+ halfSum(packed, 1) }

/// Where the integer sum starts, so that it ends as the sum over (w - bias) q.
@inline(__always) private func start(_ form: LaneForm, _ packed: Int32, _ index: Int) -> I32x16 {
    switch form {
    case .symmetric4: I32x16(splat: -8 &* wholeSum(packed))
    case .signed8: I32x16(splat: 0 &- I32x16.signedBias &* wholeSum(packed))
    case .affine: I32x16(splat: 0)
    case .halves6: I32x16(splat: -32 &* halfSum(packed, index))
    }
}

@inline(__always) private func addGroup(
    _ form: LaneForm, _ sum: inout I32x16, _ w: UnsafeRawPointer, _ q: UnsafePointer<Int8>
) {
    if case .signed8 = form { sum.addSignedDot(w, q) } else { sum.addDot(w, q) }
}

/// One lane block's floating-point step for one token; `second` is used by two-part forms.
@inline(__always) private func accumulate(
    _ form: LaneForm, _ acc: F32x16, _ block: UnsafeRawPointer, _ sum: I32x16, _ second: I32x16, _ s: Float,
    _ packed: Int32
) -> F32x16 {
    let d = F32x16(load: (block + 512).assumingMemoryBound(to: Float.self))
    let first = F32x16.fma(d, F32x16(splat: s) * sum.asFloat, acc)
    switch form {
    case .symmetric4, .signed8:
        return first
    case .affine:
        let m = F32x16(load: (block + 576).assumingMemoryBound(to: Float.self))
        return F32x16.fma(m, F32x16(splat: s * Float(wholeSum(packed))), first)
    case .halves6:
        let d1 = F32x16(load: (block + 576).assumingMemoryBound(to: Float.self))
        return F32x16.fma(d1, F32x16(splat: s) * second.asFloat, first)
    }
}

@inline(__always) private func multiplyOneToken(
    _ form: LaneForm, _ lanes: UnsafeRawPointer, _ blocks: Int, _ q: UnsafePointer<Int8>, _ s: UnsafePointer<Float>,
    _ sums: UnsafePointer<Int32>, _ acc: UnsafeMutablePointer<Float>
) {
    var a = F32x16(load: acc)
    var b = 0
    while b < blocks {
        let block = lanes + b &* laneBlockBytes, x = q + 32 &* b
        var i0 = start(form, sums[b], 0), i1 = form == .halves6 ? start(form, sums[b], 1) : I32x16(splat: 0)
        var g = 0
        while g < 4 {
            addGroup(form, &i0, block + 64 &* g, x + 4 &* g)
            addGroup(form, &i1, block + (64 &* g &+ 256), x + (4 &* g &+ 16))
            g &+= 1
        }
        if form != .halves6 { i0.add(i1) }
        a = accumulate(form, a, block, i0, i1, s[b], sums[b])
        b &+= 1
    }
    a.store(acc)
}

@inline(__always) private func multiplyFourTokens(
    _ form: LaneForm, _ lanes: UnsafeRawPointer, _ blocks: Int, _ q: UnsafePointer<Int8>, _ columns: Int,
    _ s: UnsafePointer<Float>, _ sums: UnsafePointer<Int32>, _ rowBlocks: Int, _ acc: UnsafeMutablePointer<Float>
) {
    let q1 = q + columns, q2 = q1 + columns, q3 = q2 + columns
    let s1 = s + rowBlocks, s2 = s1 + rowBlocks, s3 = s2 + rowBlocks
    let p1 = sums + rowBlocks, p2 = p1 + rowBlocks, p3 = p2 + rowBlocks
    var a0 = F32x16(load: acc), a1 = F32x16(load: acc + 16), a2 = F32x16(load: acc + 32), a3 = F32x16(load: acc + 48)
    var b = 0
    while b < blocks {
        let block = lanes + b &* laneBlockBytes, x = 32 &* b
        var i0 = start(form, sums[b], 0), i1 = start(form, p1[b], 0), i2 = start(form, p2[b], 0)
        var i3 = start(form, p3[b], 0)
        var j0 = i0, j1 = i1, j2 = i2, j3 = i3
        if form == .halves6 {
            j0 = start(form, sums[b], 1); j1 = start(form, p1[b], 1)
            j2 = start(form, p2[b], 1); j3 = start(form, p3[b], 1)
        }
        var g = 0
        while g < 4 {
            let w = block + 64 &* g, o = x &+ 4 &* g
            addGroup(form, &i0, w, q + o); addGroup(form, &i1, w, q1 + o)
            addGroup(form, &i2, w, q2 + o); addGroup(form, &i3, w, q3 + o)
            g &+= 1
        }
        g = 4
        while g < 8 {
            let w = block + 64 &* g, o = x &+ 4 &* g
            if form == .halves6 {
                addGroup(form, &j0, w, q + o); addGroup(form, &j1, w, q1 + o)
                addGroup(form, &j2, w, q2 + o); addGroup(form, &j3, w, q3 + o)
            } else {
                addGroup(form, &i0, w, q + o); addGroup(form, &i1, w, q1 + o)
                addGroup(form, &i2, w, q2 + o); addGroup(form, &i3, w, q3 + o)
            }
            g &+= 1
        }
        a0 = accumulate(form, a0, block, i0, j0, s[b], sums[b])
        a1 = accumulate(form, a1, block, i1, j1, s1[b], p1[b])
        a2 = accumulate(form, a2, block, i2, j2, s2[b], p2[b])
        a3 = accumulate(form, a3, block, i3, j3, s3[b], p3[b])
        b &+= 1
    }
    a0.store(acc)
    a1.store(acc + 16)
    a2.store(acc + 32)
    a3.store(acc + 48)
}
