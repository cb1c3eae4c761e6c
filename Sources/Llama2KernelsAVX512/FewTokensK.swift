internal import X86Intrinsics

/// A panel of 16 rows for one or two tokens, Q4_K, Q5_K and Q6_K: each piece of weights is multiplied where it was
/// unpacked and never stored. The same operations in the same order as by way of the scratch, whose stores
/// were the limit: Q6_K, 1.1B, from memory that gives 50 GB/s, 1.4 times as fast (Zen 4).

@inline(never) func oneQ4_K(_ few: Few) { multiplyK(Q4_K.number, 1, few) }
@inline(never) func oneQ5_K(_ few: Few) { multiplyK(Q5_K.number, 1, few) }
@inline(never) func oneQ6_K(_ few: Few) { multiplyQ6_K(1, few) }
@inline(never) func twoQ4_K(_ few: Few) { multiplyK(Q4_K.number, 2, few) }
@inline(never) func twoQ5_K(_ few: Few) { multiplyK(Q5_K.number, 2, few) }
@inline(never) func twoQ6_K(_ few: Few) { multiplyQ6_K(2, few) }

/// Four groups of 4 columns.
private struct Sixteen {
    let w0: __m512i, w1: __m512i, w2: __m512i, w3: __m512i

    /// sum, and their products with the activations from `q` on.
    @inline(__always) func dots(_ sum: __m512i, _ q: UnsafeRawPointer) -> __m512i {
        dot(dot(dot(dot(sum, w0, q, 0), w1, q, 1), w2, q, 2), w3, q, 3)
    }
}

/// A sum for each of two tokens; the second is not used when there is one.
private struct Two {
    var a: __m512i, b: __m512i

    @inline(__always) mutating func add(_ w: Sixteen, _ q: UnsafeRawPointer, _ tokens: Int, _ next: Int) {
        a = w.dots(a, q)
        if tokens == 2 { b = w.dots(b, q + next) }
    }
}

/// acc + scale * s * sum
@inline(__always) private func add(_ acc: __m512, _ scale: __m512, _ s: Float, _ sum: __m512i) -> __m512 {
    _mm512_fmadd_ps(scale, _mm512_mul_ps(_mm512_set1_ps(s), _mm512_cvtepi32_ps(sum)), acc)
}

@inline(__always) private func multiplyK(_ type: UInt32, _ tokens: Int, _ few: Few) {
    let size = type == Q5_K.number ? Q5_K.bytes : Q4_K.bytes, nibbles = type == Q5_K.number ? 48 : 16, stride = few.stride, blocks = few.blocks
    let zero = _mm512_setzero_si512()
    var acc = _mm512_setzero_ps(), second = acc
    var b = 0
    while b < blocks {
        let p = few.base + (b >> 3) &* size, header = HeaderK(p, stride)
        let h0 = type == Q5_K.number ? Columns16(p + 16, stride) : nil, h1 = type == Q5_K.number ? Columns16(p + 32, stride) : nil
        @inline(__always) func weights(_ c: Columns16, _ h: Columns16?, _ block: Int) -> Sixteen {
            @inline(__always) func low(_ c: __m512i, _ h: __m512i?) -> __m512i {
                let n = block & 1 == 0 ? c : shiftRight(c, 4)
                return if let h { withFifthBit(n, h, block) } else { mask(n, 15) }
            }
            return Sixteen(w0: low(c.c0, h?.c0), w1: low(c.c1, h?.c1), w2: low(c.c2, h?.c2), w3: low(c.c3, h?.c3))
        }
        /// Blocks 2 i and 2 i + 1 of the superblock.
        @inline(__always) func pair(_ i: Int) {
            let first = b &+ 2 &* i, q = UnsafeRawPointer(few.q + 32 &* first), next = 32 &* blocks
            var even = Two(a: zero, b: zero), odd = Two(a: zero, b: zero)
            prefetchShare(few.next, first, size >> 3)
            let x = Columns16(p + (nibbles &+ 32 &* i), stride)
            even.add(weights(x, h0, 2 &* i), q, tokens, next)
            odd.add(weights(x, h0, 2 &* i &+ 1), q + 32, tokens, next)
            prefetchShare(few.next, first &+ 1, size >> 3)
            let y = Columns16(p + (nibbles &+ 32 &* i &+ 16), stride)
            even.add(weights(y, h1, 2 &* i), q + 16, tokens, next)
            odd.add(weights(y, h1, 2 &* i &+ 1), q + 48, tokens, next)
            step(even, 2 &* i, first)
            step(odd, 2 &* i &+ 1, first &+ 1)
        }
        @inline(__always) func step(_ sum: Two, _ index: Int, _ block: Int) {
            let scales = header.scales(index)
            @inline(__always) func whole(_ acc: __m512, _ sum: __m512i, _ o: Int) -> __m512 {
                let m = Float(bitPattern: UInt32(bitPattern: few.c[4 &* o &+ 1]))
                return _mm512_fmadd_ps(scales.offset, _mm512_set1_ps(m), add(acc, scales.scale, few.s[o], sum))
            }
            acc = whole(acc, sum.a, block)
            if tokens == 2 { second = whole(second, sum.b, blocks &+ block) }
        }
        pair(0)
        pair(1)
        pair(2)
        pair(3)
        b &+= 8
    }
    _mm512_storeu_ps(few.out, acc)
    if tokens == 2 { _mm512_storeu_ps(few.out + few.outStride, second) }
}

/// The sixteen columns of four blocks that one piece of 48 bytes holds.
private struct SixBits {
    let first: Columns16, second: Columns16, high: Columns16

    @inline(__always) init(_ p: UnsafeRawPointer, _ side: Int, _ part: Int, _ stride: Int) {
        first = Columns16(p + (64 &* side &+ 16 &* part), stride)
        second = Columns16(p + (64 &* side &+ 32 &+ 16 &* part), stride)
        high = Columns16(p + (128 &+ 32 &* side &+ 16 &* part), stride)
    }

    /// Weights of block `i` (0...3).
    @inline(__always) func weights(_ i: Int) -> Sixteen {
        @inline(__always) func six(_ low: __m512i, _ h: __m512i) -> __m512i {
            let nibbles = i < 2 ? low : shiftRight(low, 4)
            let turn = _mm512_set1_epi32(Int32(truncatingIfNeeded: (4 &- 2 &* i) & 31))
            return _mm512_or_si512(mask(nibbles, 15), mask(i == 2 ? h : _mm512_rolv_epi32(h, turn), 0x30))
        }
        let l = i & 1 == 0 ? first : second
        return Sixteen(w0: six(l.c0, high.c0), w1: six(l.c1, high.c1), w2: six(l.c2, high.c2), w3: six(l.c3, high.c3))
    }
}

@inline(__always) private func multiplyQ6_K(_ tokens: Int, _ few: Few) {
    let stride = few.stride, blocks = few.blocks
    var acc = _mm512_setzero_ps(), other = acc
    var b = 0
    while b < blocks {
        let p = few.base + (b >> 3) &* Q6_K.bytes, next = few.next + (b >> 3) &* (16 &* Q6_K.bytes)
        let scales = Columns16(p + 192, stride), d = halves16(p + 208, stride)
        /// Signed byte i of each lane, times d.
        @inline(__always) func scale(_ x: __m512i, _ i: Int32) -> __m512 {
            let up = i == 3 ? x : _mm512_sllv_epi32(x, _mm512_set1_epi32(24 &- 8 &* i))
            return _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_srav_epi32(up, _mm512_set1_epi32(24))))
        }
        /// Four blocks, the sums of their first and second 16 columns.
        @inline(__always) func half(_ side: Int, _ sc0: __m512i, _ sc1: __m512i) {
            let block = b &+ 4 &* side
            @inline(__always) func sum(_ w: Sixteen, _ i: Int, _ part: Int) -> Two {
                @inline(__always) func one(_ o: Int) -> __m512i {
                    w.dots(_mm512_set1_epi32(few.c[4 &* o &+ 2 &+ part]), UnsafeRawPointer(few.q + (32 &* o &+ 16 &* part)))
                }
                let a = one(block &+ i)
                return Two(a: a, b: tokens == 2 ? one(blocks &+ block &+ i) : a)
            }
            prefetchShare(next, 4 &* side, 27)  // 26.25, rounded up
            let x = SixBits(p, side, 0, stride)
            let x0 = sum(x.weights(0), 0, 0), x1 = sum(x.weights(1), 1, 0)
            prefetchShare(next, 4 &* side &+ 1, 27)
            let x2 = sum(x.weights(2), 2, 0), x3 = sum(x.weights(3), 3, 0)
            prefetchShare(next, 4 &* side &+ 2, 27)
            let y = SixBits(p, side, 1, stride)
            let y0 = sum(y.weights(0), 0, 1), y1 = sum(y.weights(1), 1, 1)
            prefetchShare(next, 4 &* side &+ 3, 27)
            let y2 = sum(y.weights(2), 2, 1), y3 = sum(y.weights(3), 3, 1)
            @inline(__always) func step(_ i: Int, _ d0: __m512, _ d1: __m512, _ x: Two, _ y: Two) {
                let o = block &+ i
                acc = add(add(acc, d0, few.s[o], x.a), d1, few.s[o], y.a)
                if tokens == 2 { other = add(add(other, d0, few.s[blocks &+ o], x.b), d1, few.s[blocks &+ o], y.b) }
            }
            step(0, scale(sc0, 0), scale(sc0, 1), x0, y0)
            step(1, scale(sc0, 2), scale(sc0, 3), x1, y1)
            step(2, scale(sc1, 0), scale(sc1, 1), x2, y2)
            step(3, scale(sc1, 2), scale(sc1, 3), x3, y3)
        }
        half(0, scales.c0, scales.c1)
        half(1, scales.c2, scales.c3)
        b &+= 8
    }
    _mm512_storeu_ps(few.out, acc)
    if tokens == 2 { _mm512_storeu_ps(few.out + few.outStride, other) }
}
