internal import KernelOperands

/// Matrices of quantized blocks: out[t][r] = sum over blocks b of
///
///     symmetric, signed:  acc = fma(d[r][b], s[t][b] * float(sum_i w q), acc)
///     affine:             ... then acc = fma(m[r][b], s[t][b] * float(sum_i q), acc)
///     halves:             the first line (and the second) for each half of 16, with its own scale (and offset)
///
/// where w are the integers of the weights, q and s those of the activations. A lane is an output
/// row; every (row, token) is this sequence of scalar operations in order of b, whatever the tile,
/// the panel split or the vector width. Integer sums are exact, so their order is free.
///
/// data: (rows, columns) blocks of `type`; out: (tokens, outStride). scratch: `productScratchBytes`, 64-byte aligned. next: what
/// this thread will read after the last panel, to be fetched ahead. false: a format that is left to another module.
/// q, s and c come in tiles of `width` tokens, 1 or 8, so that a tile's tokens lie side by side:
/// q: (tokens/width, columns/32, width, 32), s: (tokens/width, columns/32, width),
/// c: (tokens/width, columns/32, width, 4) as `quantizeRow` writes them.
///
/// Measured on Zen 4 at 8 tokens: 8 multiply-accumulates of integers, a multiplication and a fused
/// multiply-add a block and token keep the two pipes that can do them busy; what else is needed comes
/// ready-made from memory (c) or stays in registers for eight tokens.
func multiplyQuantized(_ o: ProductOperands) -> Bool {
    let job = Job(
        data: o.data, rowBytes: o.row_bytes, rows: o.rows, blocks: o.columns >> 5, firstPanel: o.first_panel,
        endPanel: o.end_panel, q: o.q, s: o.s, c: o.c, tokens: o.tokens, width: o.width, out: o.out, outStride: o.out_stride,
        next: o.next, scratch: o.scratch)
    switch o.type {
    case Q4_0.number: multiplyQ4_0(job)
    case Q4_1.number: multiplyQ4_1(job)
    case Q8_0.number: multiplyQ8_0(job)
    case Q4_K.number: multiplyQ4_K(job)
    case Q5_K.number: multiplyQ5_K(job)
    case Q6_K.number: multiplyQ6_K(job)
    default: return multiplyOther(o.type, job)
    }
    return true
}

/// Bytes of scratch: eight lane blocks, the running sums of `tokensAtOnce` tokens with 16 rows, and from `unpackScratch` on what
/// unpacking itself needs.
var productScratchBytes: Int { unpackScratch &+ unpackScratchBytes }
var unpackScratch: Int { @inline(__always) get { 8 &* laneBlockBytes &+ 4 &* 16 &* tokensAtOnce } }

/// The operands of `multiplyQuantized`.
private struct Job {
    let data: UnsafeRawPointer, rowBytes: Int, rows: Int, blocks: Int, firstPanel: Int, endPanel: Int
    let q: UnsafePointer<Int8>, s: UnsafePointer<Float>, c: UnsafePointer<Int32>, tokens: Int, width: Int
    let out: UnsafeMutablePointer<Float>, outStride: Int, next: UnsafeRawPointer, scratch: UnsafeMutableRawPointer
}

// A function a type, so that each is small enough for everything below to be inlined into it.
@inline(never) private func multiplyQ4_0(_ job: Job) { multiplyPanels(Q4_0.number, Q4_0.form, job) }
@inline(never) private func multiplyQ4_1(_ job: Job) { multiplyPanels(Q4_1.number, Q4_1.form, job) }
@inline(never) private func multiplyQ8_0(_ job: Job) { multiplyPanels(Q8_0.number, Q8_0.form, job) }
@inline(never) private func multiplyQ4_K(_ job: Job) { multiplyPanels(Q4_K.number, Q4_K.form, job) }
@inline(never) private func multiplyQ5_K(_ job: Job) { multiplyPanels(Q5_K.number, Q5_K.form, job) }
@inline(never) private func multiplyQ6_K(_ job: Job) { multiplyPanels(Q6_K.number, Q6_K.form, job) }
@inline(never) private func multiplyOther(_ type: UInt32, _ job: Job) -> Bool {
    guard let form = I32x16.multiplies(type, job.tokens) ? laneForm(type) : nil else { return false }
    multiplyPanels(type, form, job)
    return true
}

/// Tokens whose accumulators fit the scratch beside eight lane blocks; a multiple of the tile.
private var tokensAtOnce: Int { @inline(__always) get { 256 } }
/// Bytes of activations (52 a block) that stay in the second-level cache from one panel to the next, beside the panels.
private var activationBytes: Int { @inline(__always) get { 1 << 19 } }

@inline(__always) private func multiplyPanels(_ type: UInt32, _ form: LaneForm, _ job: Job) {
    // Some tokens over all panels, then the next ones: their activations are read from the second-level cache once they are there,
    // and the panels of a call are few.
    let fitting = activationBytes / (52 &* (job.blocks > 0 ? job.blocks : 1)) & ~7
    let most = fitting < 64 ? 64 : fitting < tokensAtOnce ? fitting : tokensAtOnce
    var first = 0
    while first < job.tokens {
        let count = job.tokens &- first < most ? job.tokens &- first : most
        var panel = job.firstPanel
        while panel < job.endPanel {
            multiplyPanel(type, form, job, panel, first, count)
            panel &+= 1
        }
        first &+= count
    }
}

/// Tokens first ..< first + count by one panel; first is a multiple of the tile.
@inline(__always) private func multiplyPanel(
    _ type: UInt32, _ form: LaneForm, _ job: Job, _ panel: Int, _ first: Int, _ count: Int
) {
    let rowBytes = job.rowBytes, blocks = job.blocks, scratch = job.scratch
    let base = job.data + panel &* 16 &* rowBytes, valid = job.rows &- panel &* 16
    let out = job.out + panel &* 16, next = panel &+ 1 < job.endPanel ? base + 16 &* rowBytes : job.next
    if valid >= 16 && multiplyFewTokens(type, base, rowBytes, blocks, job.q, job.s, job.c, job.tokens, out, job.outStride, next, scratch) {
        return
    }
    let accumulators = (scratch + 8 &* laneBlockBytes).assumingMemoryBound(to: Float.self)
    var t = 0
    while t < (count &+ 7) & ~7 {
        F32x16(splat: 0).store(accumulators + 16 &* t)
        t &+= 1
    }
    // Eight lane blocks at a time: 5 KiB, unpacked once and used for every token from L1. Where tiles are of eight tokens, the
    // first ones fetch the same blocks of the next panel, each a part; unpacking does elsewhere.
    let parts = count >= 32 ? 4 : count >= 16 ? 2 : 1
    let share = I32x16.tokensInRegisters == 8 ? 16 &* rowBytes / (blocks &* parts) : 0
    // five tokens of a format with two scales a block are 1.00 to 1.12 times as fast as four and one (Emerald Rapids)
    let alone = form.hasHalves ? 5 : 4
    var b = 0
    while b < blocks {
        let n = blocks &- b < 8 ? blocks &- b : 8
        unpack(type, base, rowBytes, valid, b, n, next, scratch)
        t = 0
        while t < count {
            let i = first &+ t, left = count &- t, a = accumulators + 16 &* t, part = t >> 3
            let ahead = next + (b &* parts &+ part &* n) &* share, fetched = t & 7 == 0 && part < parts ? share : 0
            if job.width == 8 {
                // i is a multiple of 8 unless the tile is the last one, which fours and ones end; more than `alone` tokens are one of eight,
                // of which the last are not stored: they would take longer as four and ones
                let o = ((i >> 3) &* blocks &+ b) &* 8 &+ (i & 7)
                let tile = TokenTile(
                    q: job.q + 32 &* o, s: job.s + o, c: job.c + 4 &* o, tokenStride: 1, blockStride: 8, ahead: ahead, share: fetched)
                if I32x16.tokensInRegisters == 8 && left > alone && i & 7 == 0 {
                    // lines of the output that this tile ends in, one a token and far apart
                    if b &+ n == blocks { fetchLines(out + i &* job.outStride, job.outStride, left < 8 ? left : 8) }
                    eightTokens(form, scratch, n, tile, a)
                    t &+= 8
                } else if left >= 4 {
                    fourTokens(form, scratch, n, tile, a)
                    t &+= 4
                } else {
                    multiplyOneToken(form, scratch, n, tile, a)
                    t &+= 1
                }
            } else {
                let o = i &* blocks &+ b
                let tile = TokenTile(
                    q: job.q + 32 &* o, s: job.s + o, c: job.c + 4 &* o, tokenStride: blocks, blockStride: 1, ahead: ahead, share: fetched)
                if left >= 4 {
                    fourTokens(form, scratch, n, tile, a)
                    t &+= 4
                } else {
                    multiplyOneToken(form, scratch, n, tile, a)
                    t &+= 1
                }
            }
        }
        b &+= n
    }
    t = 0
    while t < count {
        let target = out + (first &+ t) &* job.outStride
        if valid >= 16 {
            F32x16(load: accumulators + 16 &* t).store(target)
        } else {
            storeTail(F32x16(load: accumulators + 16 &* t), target, valid)
        }
        t &+= 1
    }
}

@inline(__always) private func fetchLines(_ p: UnsafePointer<Float>, _ stride: Int, _ count: Int) {
    var t = 0
    while t < count {
        F32x16.prefetch(p + t &* stride)
        t &+= 1
    }
}
