/// One or four tokens by the lane blocks of a panel: the inner loops of QuantizedMatrix.swift, where the formula stands.
///
/// lanes: `blocks` lane blocks (Formats/LaneBlock.swift); acc: (tokens, 16) running sums, read and written.

/// Where a tile of activations begins, and how far its tokens and blocks are apart, counted in blocks. While it is multiplied, `share`
/// bytes a block are fetched from `ahead` on: beside the products, as a burst of them where blocks are unpacked would keep that
/// waiting, and the memory idle during the products.
struct TokenTile {
    let q: UnsafePointer<Int8>, s: UnsafePointer<Float>, c: UnsafePointer<Int32>
    let tokenStride: Int, blockStride: Int
    let ahead: UnsafeRawPointer, share: Int

    @inline(__always) func fetch(_ b: Int) {
        let end = (b &+ 1) &* share
        var line = (b &* share &+ 63) & ~63
        while line < end {
            F32x16.prefetch(ahead + line)
            line &+= 64
        }
    }

    @inline(__always) func q(_ t: Int, _ b: Int) -> UnsafePointer<Int8> { q + 32 &* (t &* tokenStride &+ b &* blockStride) }
    @inline(__always) func s(_ t: Int, _ b: Int) -> Float { s[t &* tokenStride &+ b &* blockStride] }
    @inline(__always) func c(_ t: Int, _ b: Int) -> UnsafePointer<Int32> { c + 4 &* (t &* tokenStride &+ b &* blockStride) }
}

/// Where the integer sum starts, so that it ends as the sum over (w - bias) q; half: index 0 or 1.
@inline(__always) private func start(_ form: LaneForm, _ c: UnsafePointer<Int32>, _ index: Int) -> I32x16 {
    switch form {
    case .symmetric4: I32x16(splat: c[0])
    case .signed8: I32x16(signedStart: c)
    case .affine, .affineHalves: I32x16(splat: 0)
    case .halves6: I32x16(splat: c[2 &+ index])
    case .halves8: I32x16(signedHalfStart: c[2 &+ index])
    }
}

@inline(__always) private func addProducts(
    _ form: LaneForm, _ sum: inout I32x16, _ w: UnsafeRawPointer, _ q: UnsafePointer<Int8>
) {
    if form.isSigned { sum.addSignedDot(w, q) } else { sum.addDot(w, q) }
}

/// One lane block's floating-point step for one token; `second` is used by two-part forms.
@inline(__always) func accumulate(
    _ form: LaneForm, _ acc: F32x16, _ block: UnsafeRawPointer, _ sum: I32x16, _ second: I32x16, _ s: Float,
    _ c: UnsafePointer<Int32>
) -> F32x16 {
    let d = F32x16(load: (block + 512).assumingMemoryBound(to: Float.self))
    let first = F32x16.fma(d, F32x16(splat: s) * sum.asFloat, acc)
    switch form {
    case .symmetric4, .signed8:
        return first
    case .affine:
        let m = F32x16(load: (block + 576).assumingMemoryBound(to: Float.self))
        return F32x16.fma(m, F32x16(splat: Float(bitPattern: UInt32(bitPattern: c[1]))), first)
    case .halves6, .halves8, .affineHalves:
        let d1 = F32x16(load: (block + 576).assumingMemoryBound(to: Float.self))
        let both = F32x16.fma(d1, F32x16(splat: s) * second.asFloat, first)
        if form != .affineHalves { return both }
        // c[2] and c[3] are -32 times the sums of the halves
        let m0 = F32x16(load: (block + 640).assumingMemoryBound(to: Float.self))
        let m1 = F32x16(load: (block + 704).assumingMemoryBound(to: Float.self))
        let withFirst = F32x16.fma(m0, F32x16(splat: s * (Float(c[2]) * -0.031_25)), both)
        return F32x16.fma(m1, F32x16(splat: s * (Float(c[3]) * -0.031_25)), withFirst)
    }
}

@inline(__always) func multiplyOneToken(
    _ form: LaneForm, _ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>
) {
    var a = F32x16(load: acc)
    var b = 0
    while b < blocks {
        x.fetch(b)
        let block = lanes + b &* laneBlockBytes, q = x.q(0, b), c = x.c(0, b)
        var i0 = start(form, c, 0), i1 = form.hasHalves ? start(form, c, 1) : I32x16(splat: 0)
        var g = 0
        while g < 4 {
            addProducts(form, &i0, block + 64 &* g, q + 4 &* g)
            addProducts(form, &i1, block + (64 &* g &+ 256), q + (4 &* g &+ 16))
            g &+= 1
        }
        if !form.hasHalves { i0.add(i1) }
        a = accumulate(form, a, block, i0, i1, x.s(0, b), c)
        b &+= 1
    }
    a.store(acc)
}

/// The integer sums of four tokens over half a block: groups `first ..< first + 4`.
struct FourSums {
    var i0: I32x16, i1: I32x16, i2: I32x16, i3: I32x16

    @inline(__always) init(_ form: LaneForm, _ x: TokenTile, _ t: Int, _ b: Int, _ index: Int) {
        i0 = start(form, x.c(t, b), index)
        i1 = start(form, x.c(t &+ 1, b), index)
        i2 = start(form, x.c(t &+ 2, b), index)
        i3 = start(form, x.c(t &+ 3, b), index)
    }

    /// Starts that lie ready: (4, 4), of which `index` is the one.
    @inline(__always) init(_ starts: UnsafePointer<Int32>, _ index: Int) {
        i0 = I32x16(splat: starts[index])
        i1 = I32x16(splat: starts[4 &+ index])
        i2 = I32x16(splat: starts[8 &+ index])
        i3 = I32x16(splat: starts[12 &+ index])
    }

    @inline(__always) init(zero: ()) {
        i0 = I32x16(splat: 0)
        i1 = I32x16(splat: 0)
        i2 = I32x16(splat: 0)
        i3 = I32x16(splat: 0)
    }

    @inline(__always) mutating func add(_ other: FourSums) {
        i0.add(other.i0)
        i1.add(other.i1)
        i2.add(other.i2)
        i3.add(other.i3)
    }

    @inline(__always) mutating func addGroups(
        _ form: LaneForm, _ block: UnsafeRawPointer, _ first: Int, _ x: TokenTile, _ t: Int, _ b: Int
    ) {
        var g = first
        while g < first &+ 4 {
            addGroup(form, block, g, x, t, b)
            g &+= 1
        }
    }

    @inline(__always) mutating func addGroup(_ form: LaneForm, _ block: UnsafeRawPointer, _ g: Int, _ x: TokenTile, _ t: Int, _ b: Int) {
        let w = block + 64 &* g, o = 4 &* g
        addProducts(form, &i0, w, x.q(t, b) + o)
        addProducts(form, &i1, w, x.q(t &+ 1, b) + o)
        addProducts(form, &i2, w, x.q(t &+ 2, b) + o)
        addProducts(form, &i3, w, x.q(t &+ 3, b) + o)
    }
}

/// The running sums of four tokens.
struct FourAccumulators {
    var a0: F32x16, a1: F32x16, a2: F32x16, a3: F32x16

    @inline(__always) init(load p: UnsafePointer<Float>) {
        a0 = F32x16(load: p)
        a1 = F32x16(load: p + 16)
        a2 = F32x16(load: p + 32)
        a3 = F32x16(load: p + 48)
    }

    @inline(__always) func store(_ p: UnsafeMutablePointer<Float>) {
        a0.store(p)
        a1.store(p + 16)
        a2.store(p + 32)
        a3.store(p + 48)
    }

    @inline(__always) mutating func add(
        _ form: LaneForm, _ block: UnsafeRawPointer, _ i: FourSums, _ j: FourSums, _ x: TokenTile, _ t: Int, _ b: Int
    ) {
        a0 = accumulate(form, a0, block, i.i0, j.i0, x.s(t, b), x.c(t, b))
        a1 = accumulate(form, a1, block, i.i1, j.i1, x.s(t &+ 1, b), x.c(t &+ 1, b))
        a2 = accumulate(form, a2, block, i.i2, j.i2, x.s(t &+ 2, b), x.c(t &+ 2, b))
        a3 = accumulate(form, a3, block, i.i3, j.i3, x.s(t &+ 3, b), x.c(t &+ 3, b))
    }

    /// The offsets of the form `affineHalves`; sums: (4, 4), the last two of each token those of its halves, scaled.
    @inline(__always) mutating func addOffsets(_ block: UnsafeRawPointer, _ sums: UnsafePointer<Float>) {
        let m = (block + 640).assumingMemoryBound(to: Float.self), m0 = F32x16(load: m), m1 = F32x16(load: m + 16)
        @inline(__always) func both(_ a: F32x16, _ t: Int) -> F32x16 {
            F32x16.fma(m1, F32x16(splat: sums[4 &* t &+ 3]), F32x16.fma(m0, F32x16(splat: sums[4 &* t &+ 2]), a))
        }
        a0 = both(a0, 0)
        a1 = both(a1, 1)
        a2 = both(a2, 2)
        a3 = both(a3, 3)
    }
}

@inline(__always) private func multiplyFourTokens(
    _ form: LaneForm, _ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>
) {
    var a = FourAccumulators(load: acc)
    var b = 0
    while b < blocks {
        x.fetch(b)
        let block = lanes + b &* laneBlockBytes
        var i = FourSums(form, x, 0, b, 0)
        i.addGroups(form, block, 0, x, 0, b)
        var j = form.hasHalves ? FourSums(form, x, 0, b, 1) : i
        j.addGroups(form, block, 4, x, 0, b)
        a.add(form, block, form.hasHalves ? i : j, j, x, 0, b)
        b &+= 1
    }
    a.store(acc)
}

// A function a form, never inlined: the form is a constant in each, and each is small enough for the
// compiler to inline what it is made of.

@inline(__always) func fourTokens(
    _ form: LaneForm, _ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>
) {
    if multiplyFourTokensFast(form, lanes, blocks, x.q, x.s, x.c, x.tokenStride, x.blockStride, acc) { return }
    switch form {
    case .symmetric4: fourSymmetric4(lanes, blocks, x, acc)
    case .signed8: fourSigned8(lanes, blocks, x, acc)
    case .affine: fourAffine(lanes, blocks, x, acc)
    case .halves6: fourHalves6(lanes, blocks, x, acc)
    case .halves8: fourHalves8(lanes, blocks, x, acc)
    case .affineHalves: fourAffineHalves(lanes, blocks, x, acc)
    }
}

@inline(never) private func fourSymmetric4(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyFourTokens(.symmetric4, lanes, blocks, x, acc)
}
@inline(never) private func fourSigned8(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyFourTokens(.signed8, lanes, blocks, x, acc)
}
@inline(never) private func fourAffine(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyFourTokens(.affine, lanes, blocks, x, acc)
}
@inline(never) private func fourHalves6(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyFourTokens(.halves6, lanes, blocks, x, acc)
}
@inline(never) private func fourHalves8(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyFourTokens(.halves8, lanes, blocks, x, acc)
}
@inline(never) private func fourAffineHalves(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyFourTokens(.affineHalves, lanes, blocks, x, acc)
}
