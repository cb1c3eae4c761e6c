internal import X86Intrinsics

/// A panel of 16 rows for 1 to 8 tokens, each lane block used in the registers where it was unpacked: the
/// scratch of the general path would cost more stores than there are multiplications. The same operations in the
/// same order. false for whatever is left to the general path: eight tokens of superblocks are as fast there (their code here was
/// half of this module, and of the time to build it).
@inline(__always) func multiplyFewTokens(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ blocks: Int, _ q: UnsafePointer<Int8>,
    _ s: UnsafePointer<Float>, _ c: UnsafePointer<Int32>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>,
    _ outStride: Int, _ next: UnsafeRawPointer, _ scratch: UnsafeMutableRawPointer
) -> Bool {
    if tokens > 8 { return false }
    let few = Few(
        base: base, stride: stride, blocks: blocks, q: q, s: s, c: c, out: out, outStride: outStride, next: next,
        sums: (scratch + UnpackScratch.sums).assumingMemoryBound(to: Float.self))
    if let done = multiplyFewOther(type, few, tokens) { return done }
    return visitColumnFormat(type, FewMultiplier(few: few, tokens: tokens))
}

private struct FewMultiplier: ColumnVisitor {
    let few: Few, tokens: Int

    @inline(__always) func visit<F: ColumnFormat>(_: F.Type) -> Bool {
        if tokens > 4 { return false }
        if tokens > 1 { several(F.self, few, tokens) } else { single(F.self) }
        return true
    }

    @inline(__always) func visitShort<F: ColumnFormat>(_: F.Type) -> Bool {
        if tokens <= 4 { return visit(F.self) }
        eight(F.self, few, tokens)
        return true
    }

    @inline(__always) func visitTables<F: ColumnFormat>(_: F.Type) -> Bool {
        // gathers take longer than stores; three tokens would look up twice
        if tokens > 1 && !(looksUpTables && (tokens == 2 || tokens == 4)) { return false }
        return visit(F.self)
    }

    @inline(__always) private func single<F: ColumnFormat>(_: F.Type) {
        if l2s_fetches_once() != 0 { oneOnce(F.self, few) } else { one(F.self, few) }
    }
}

/// Whether one token of a format is multiplied here.
@inline(__always) func multipliesOneToken(_ type: UInt32) -> Bool { visitColumnFormat(type, IsColumnFormat()) }

private struct IsColumnFormat: ColumnVisitor {
    @inline(__always) func visit<F: ColumnFormat>(_: F.Type) -> Bool { true }
}

struct Few {
    let base: UnsafeRawPointer, stride: Int, blocks: Int
    let q: UnsafePointer<Int8>, s: UnsafePointer<Float>, c: UnsafePointer<Int32>
    let out: UnsafeMutablePointer<Float>, outStride: Int
    let next: UnsafeRawPointer  // the panel after this one
    let sums: UnsafeMutablePointer<Float>  // (4, 8, 4), of `scaledSums`

    /// Token t and those after it, of four at most: their rows of activations follow each other.
    @inline(__always) func from(_ t: Int) -> Few {
        Few(
            base: base, stride: stride, blocks: blocks, q: q + 32 &* blocks &* t, s: s + blocks &* t,
            c: c + 4 &* blocks &* t, out: out + t &* outStride, outStride: outStride, next: next, sums: sums)
    }
}

/// Two to four tokens as fours, twos and ones; the panel is unpacked once for each of these, from L1.
private func several<F: ColumnFormat>(_: F.Type, _ few: Few, _ tokens: Int) {
    var t = 0
    while t < tokens {
        let left = tokens &- t
        if left >= 4 {
            four(F.self, few.from(t))
            t &+= 4
        } else if left >= 2 {
            if l2s_fetches_once() != 0 { twoOnce(F.self, few.from(t)) } else { two(F.self, few.from(t)) }
            t &+= 2
        } else {
            one(F.self, few.from(t))
            t &+= 1
        }
    }
}

@inline(never) private func one<F: ColumnFormat>(_: F.Type, _ few: Few) { multiplyOne(F.self, few, once: false) }
@inline(never) private func oneOnce<F: ColumnFormat>(_: F.Type, _ few: Few) { multiplyOne(F.self, few, once: true) }
@inline(never) private func two<F: ColumnFormat>(_: F.Type, _ few: Few) { multiplyUpToFour(F.self, few, 2, once: false) }
@inline(never) private func twoOnce<F: ColumnFormat>(_: F.Type, _ few: Few) { multiplyUpToFour(F.self, few, 2, once: true) }
@inline(never) private func four<F: ColumnFormat>(_: F.Type, _ few: Few) { multiplyUpToFour(F.self, few, 4, once: false) }

@inline(__always) private func multiplyOne<F: ColumnFormat>(_: F.Type, _ few: Few, once: Bool) {
    var sums = One(few: few)
    walk(F.self, few.base, few.stride, few.blocks, few.next, once: once, &sums)
    _mm512_storeu_ps(few.out, sums.acc)
}

@inline(__always) private func multiplyUpToFour<F: ColumnFormat>(_: F.Type, _ few: Few, _ tokens: Int, once: Bool) {
    var sums = UpToFour(few: few, tokens: tokens)
    walk(F.self, few.base, few.stride, few.blocks, few.next, once: once, &sums)
    _mm512_storeu_ps(few.out, sums.a0)
    _mm512_storeu_ps(few.out + few.outStride, sums.a1)
    if tokens == 4 {
        _mm512_storeu_ps(few.out + 2 &* few.outStride, sums.a2)
        _mm512_storeu_ps(few.out + 3 &* few.outStride, sums.a3)
    }
}

/// Five to eight tokens: what there is not is multiplied, too, and not stored.
@inline(never) private func eight<F: ColumnFormat>(_: F.Type, _ few: Few, _ tokens: Int) {
    var sums = Eight(few: few)
    walk(F.self, few.base, few.stride, few.blocks, few.next, once: false, &sums)
    sums.store(few.out, few.outStride, tokens)
}

@inline(__always) func dot(_ sum: __m512i, _ w: __m512i, _ q: UnsafeRawPointer, _ group: Int) -> __m512i {
    _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32((q + 4 &* group).loadUnaligned(as: Int32.self)))
}

/// -bias times a sum of activations; c is -2^stored times it.
@inline(__always) private func start(_ bias: Int, _ c: Int32, _ stored: Int) -> __m512i {
    if bias == 0 { return _mm512_setzero_si512() }
    let x = _mm512_set1_epi32(c), by = bias.trailingZeroBitCount &- stored
    return by < 0 ? _mm512_srav_epi32(x, _mm512_set1_epi32(Int32(truncatingIfNeeded: 0 &- by))) : shiftLeft(x, by)
}

/// One block and token: the steps of `accumulate` in Body/QuantizedMatrix.swift. sums: of the form `affineHalves`, (4).
@inline(__always) private func step<F: ColumnFormat>(
    _: F.Type, _ block: LaneBlock, _ q: UnsafePointer<Int8>, _ s: Float, _ c: UnsafePointer<Int32>, _ sums: UnsafePointer<Float>,
    _ acc: __m512
) -> __m512 {
    let x = UnsafeRawPointer(q), w = block.w, scale = block.s, bias = F.columnBias
    var a = F.hasHalves ? start(bias, c[2], 5) : start(bias, c[0], 3)
    var b = F.hasHalves ? start(bias, c[3], 5) : _mm512_setzero_si512()
    a = dot(a, w.a.c0, x, 0)
    b = dot(b, w.b.c0, x, 4)
    a = dot(a, w.a.c1, x, 1)
    b = dot(b, w.b.c1, x, 5)
    a = dot(a, w.a.c2, x, 2)
    b = dot(b, w.b.c2, x, 6)
    a = dot(a, w.a.c3, x, 3)
    b = dot(b, w.b.c3, x, 7)
    @inline(__always) func add(_ acc: __m512, _ d: __m512, _ sum: __m512i) -> __m512 {
        _mm512_fmadd_ps(d, _mm512_mul_ps(_mm512_set1_ps(s), floats(sum)), acc)
    }
    if !F.hasHalves {
        let first = add(acc, scale.d0, _mm512_add_epi32(a, b))
        if F.form != .affine { return first }
        return _mm512_fmadd_ps(scale.m0, _mm512_set1_ps(Float(bitPattern: UInt32(bitPattern: c[1]))), first)
    }
    let both = add(add(acc, scale.d0, a), scale.d1, b)
    if F.form != .affineHalves { return both }
    return _mm512_fmadd_ps(scale.m1, _mm512_set1_ps(sums[3]), _mm512_fmadd_ps(scale.m0, _mm512_set1_ps(sums[2]), both))
}

private struct One: LaneBlockUser {
    let few: Few
    var acc = _mm512_setzero_ps()

    @inline(__always) init(few: Few) { self.few = few }

    @inline(__always) mutating func use<F: ColumnFormat>(_: F.Type, _ b: Int, _ half: Int, _ i: Int, _ block: LaneBlock) {
        if F.form == .affineHalves && i == 0 && half == 0 { scaledSums(few.c + 4 &* b, few.s + b, few.sums) }
        acc = step(F.self, block, few.q + 32 &* b, few.s[b], few.c + 4 &* b, few.sums + 4 &* (half &+ i), acc)
    }
}

/// Two or four tokens, their rows of activations one after the other.
private struct UpToFour: LaneBlockUser {
    let few: Few, tokens: Int
    var a0 = _mm512_setzero_ps(), a1 = _mm512_setzero_ps(), a2 = _mm512_setzero_ps(), a3 = _mm512_setzero_ps()

    @inline(__always) init(few: Few, tokens: Int) {
        self.few = few
        self.tokens = tokens
    }

    @inline(__always) mutating func use<F: ColumnFormat>(_: F.Type, _ b: Int, _ half: Int, _ i: Int, _ block: LaneBlock) {
        @inline(__always) func next(_ t: Int, _ acc: __m512) -> __m512 {
            let o = t &* few.blocks &+ b, sums = few.sums + 32 &* t
            if F.form == .affineHalves && i == 0 && half == 0 { scaledSums(few.c + 4 &* o, few.s + o, sums) }
            return step(F.self, block, few.q + 32 &* o, few.s[o], few.c + 4 &* o, sums + 4 &* (half &+ i), acc)
        }
        a0 = next(0, a0)
        a1 = next(1, a1)
        if tokens == 4 {
            a2 = next(2, a2)
            a3 = next(3, a3)
        }
    }
}

/// A tile of eight tokens, which lie side by side.
private struct Eight: LaneBlockUser {
    let few: Few
    var a0 = _mm512_setzero_ps(), a1 = _mm512_setzero_ps(), a2 = _mm512_setzero_ps(), a3 = _mm512_setzero_ps()
    var a4 = _mm512_setzero_ps(), a5 = _mm512_setzero_ps(), a6 = _mm512_setzero_ps(), a7 = _mm512_setzero_ps()

    @inline(__always) init(few: Few) { self.few = few }

    @inline(__always) mutating func use<F: ColumnFormat>(_: F.Type, _ b: Int, _: Int, _: Int, _ block: LaneBlock) {
        let q = UnsafeRawPointer(few.q + 256 &* b), s = few.s + 8 &* b, c = few.c + 32 &* b, w = block.w, scale = block.s
        // the steps of `step` for a format of one scale a block, group by group: eight sums that do not wait for each other
        @inline(__always) func first(_ t: Int) -> __m512i { start(F.columnBias, c[4 &* t], 3) }
        var i0 = first(0), i1 = first(1), i2 = first(2), i3 = first(3), i4 = first(4), i5 = first(5), i6 = first(6), i7 = first(7)
        @inline(__always) func group(_ w: __m512i, _ g: Int) {
            i0 = dot(i0, w, q, g)
            i1 = dot(i1, w, q + 32, g)
            i2 = dot(i2, w, q + 64, g)
            i3 = dot(i3, w, q + 96, g)
            i4 = dot(i4, w, q + 128, g)
            i5 = dot(i5, w, q + 160, g)
            i6 = dot(i6, w, q + 192, g)
            i7 = dot(i7, w, q + 224, g)
        }
        group(w.a.c0, 0)
        group(w.a.c1, 1)
        group(w.a.c2, 2)
        group(w.a.c3, 3)
        group(w.b.c0, 4)
        group(w.b.c1, 5)
        group(w.b.c2, 6)
        group(w.b.c3, 7)
        @inline(__always) func next(_ t: Int, _ acc: __m512, _ sum: __m512i) -> __m512 {
            let scaled = _mm512_fmadd_ps(scale.d0, _mm512_mul_ps(_mm512_set1_ps(s[t]), floats(sum)), acc)
            if F.form != .affine { return scaled }
            return _mm512_fmadd_ps(scale.m0, _mm512_set1_ps(Float(bitPattern: UInt32(bitPattern: c[4 &* t &+ 1]))), scaled)
        }
        a0 = next(0, a0, i0)
        a1 = next(1, a1, i1)
        a2 = next(2, a2, i2)
        a3 = next(3, a3, i3)
        a4 = next(4, a4, i4)
        a5 = next(5, a5, i5)
        a6 = next(6, a6, i6)
        a7 = next(7, a7, i7)
    }

    @inline(__always) func store(_ out: UnsafeMutablePointer<Float>, _ next: Int, _ tokens: Int) {
        _mm512_storeu_ps(out, a0)
        _mm512_storeu_ps(out + next, a1)
        _mm512_storeu_ps(out + 2 &* next, a2)
        _mm512_storeu_ps(out + 3 &* next, a3)
        _mm512_storeu_ps(out + 4 &* next, a4)
        if tokens > 5 { _mm512_storeu_ps(out + 5 &* next, a5) }
        if tokens > 6 { _mm512_storeu_ps(out + 6 &* next, a6) }
        if tokens > 7 { _mm512_storeu_ps(out + 7 &* next, a7) }
    }
}
