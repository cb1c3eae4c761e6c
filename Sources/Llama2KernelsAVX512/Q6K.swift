internal import X86Intrinsics

/// Q6_K: low bits of two blocks lie in one byte and high bits of four in another, so that there is too much of a superblock for
/// the registers (ColumnFormat.swift). Pieces of sixteen columns of four blocks at a time instead.

/// For one or two tokens, and three as two and one: each piece of weights is multiplied where it was unpacked and never stored. The
/// same operations in the same order as by way of the scratch, whose stores were the limit: 1.1B, from memory that gives 50 GB/s,
/// 1.4 times as fast (Zen 4). Four by way of the scratch are 1.2 times as fast as two and two (Zen 5).
@inline(__always) func multiplyFewQ6_K(_ few: Few, _ tokens: Int) {
    var t = 0
    while t < tokens {
        if tokens &- t >= 2 {
            if l2s_fetches_once() != 0 { twoOnceQ6_K(few.from(t)) } else { twoQ6_K(few.from(t)) }
            t &+= 2
        } else {
            if l2s_fetches_once() != 0 { oneOnceQ6_K(few.from(t)) } else { oneQ6_K(few.from(t)) }
            t &+= 1
        }
    }
}

@inline(never) private func oneQ6_K(_ few: Few) { multiplyQ6_K(1, few, once: false) }
@inline(never) private func oneOnceQ6_K(_ few: Few) { multiplyQ6_K(1, few, once: true) }
@inline(never) private func twoQ6_K(_ few: Few) { multiplyQ6_K(2, few, once: false) }
@inline(never) private func twoOnceQ6_K(_ few: Few) { multiplyQ6_K(2, few, once: true) }

/// Four groups of 4 columns.
private struct SixteenColumns {
    let w0: __m512i, w1: __m512i, w2: __m512i, w3: __m512i

    /// sum, and their products with the activations from `q` on.
    @inline(__always) func dots(_ sum: __m512i, _ q: UnsafeRawPointer) -> __m512i {
        dot(dot(dot(dot(sum, w0, q, 0), w1, q, 1), w2, q, 2), w3, q, 3)
    }

    @inline(__always) func store(_ out: UnsafeMutableRawPointer) {
        _mm512_storeu_si512(out, w0)
        _mm512_storeu_si512(out + 64, w1)
        _mm512_storeu_si512(out + 128, w2)
        _mm512_storeu_si512(out + 192, w3)
    }
}

/// A sum for each of two tokens; the second is not used when there is one.
private struct Two {
    let a: __m512i, b: __m512i
}

/// Byte i (0...3) of each lane, which is signed, times d.
@inline(__always) private func signedByte(_ x: __m512i, _ i: Int, times d: __m512) -> __m512 {
    _mm512_mul_ps(d, floats(_mm512_srav_epi32(shiftLeft(x, 24 &- 8 &* i), _mm512_set1_epi32(24))))
}

/// acc + scale * s * sum
@inline(__always) private func add(_ acc: __m512, _ scale: __m512, _ s: Float, _ sum: __m512i) -> __m512 {
    _mm512_fmadd_ps(scale, _mm512_mul_ps(_mm512_set1_ps(s), _mm512_cvtepi32_ps(sum)), acc)
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
    @inline(__always) func weights(_ i: Int) -> SixteenColumns {
        @inline(__always) func six(_ low: __m512i, _ h: __m512i) -> __m512i {
            let nibbles = i < 2 ? low : shiftRight(low, 4)
            let turn = _mm512_set1_epi32(Int32(truncatingIfNeeded: (4 &- 2 &* i) & 31))
            return _mm512_or_si512(mask(nibbles, 15), mask(i == 2 ? h : _mm512_rolv_epi32(h, turn), 0x30))
        }
        let l = i & 1 == 0 ? first : second
        return SixteenColumns(w0: six(l.c0, high.c0), w1: six(l.c1, high.c1), w2: six(l.c2, high.c2), w3: six(l.c3, high.c3))
    }
}

@inline(__always) private func multiplyQ6_K(_ tokens: Int, _ few: Few, once: Bool) {
    let stride = few.stride, blocks = few.blocks
    var acc = _mm512_setzero_ps(), other = acc
    var b = 0
    while b < blocks {
        let p = few.base + (b >> 3) &* Q6_K.bytes, next = few.next + (b >> 3) &* (16 &* Q6_K.bytes)
        let scales = Columns16(p + 192, stride), d = halves16(p + 208, stride)
        @inline(__always) func scale(_ x: __m512i, _ i: Int) -> __m512 { signedByte(x, i, times: d) }
        /// Four blocks, the sums of their first and second 16 columns.
        @inline(__always) func half(_ side: Int, _ sc0: __m512i, _ sc1: __m512i) {
            let block = b &+ 4 &* side
            @inline(__always) func sum(_ w: SixteenColumns, _ i: Int, _ part: Int) -> Two {
                @inline(__always) func one(_ o: Int) -> __m512i {
                    w.dots(_mm512_set1_epi32(few.c[4 &* o &+ 2 &+ part]), UnsafeRawPointer(few.q + (32 &* o &+ 16 &* part)))
                }
                let a = one(block &+ i)
                return Two(a: a, b: tokens == 2 ? one(blocks &+ block &+ i) : a)
            }
            prefetchShare(next, 4 &* side, once)
            let x = SixBits(p, side, 0, stride)
            let x0 = sum(x.weights(0), 0, 0), x1 = sum(x.weights(1), 1, 0)
            prefetchShare(next, 4 &* side &+ 1, once)
            let x2 = sum(x.weights(2), 2, 0), x3 = sum(x.weights(3), 3, 0)
            prefetchShare(next, 4 &* side &+ 2, once)
            let y = SixBits(p, side, 1, stride)
            let y0 = sum(y.weights(0), 0, 1), y1 = sum(y.weights(1), 1, 1)
            prefetchShare(next, 4 &* side &+ 3, once)
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

/// Part `part` (0...7) of the next superblock of 16 rows: 26.25 bytes of each row, rounded up.
@inline(__always) private func prefetchShare(_ next: UnsafeRawPointer, _ part: Int, _ once: Bool) {
    prefetchLines(next + part &* (27 &* 16), 27 &* 16, once)
}

@inline(__always) private func storeScale(_ x: __m512, _ out: UnsafeMutableRawPointer, _ index: Int) {
    _mm512_storeu_ps(out + (512 &+ 64 &* index), x)
}

@inline(__always) func unpackQ6_K(_ base: UnsafeRawPointer, _ stride: Int, _ superblock: Int, _ out: UnsafeMutableRawPointer) {
    let p = base + superblock &* Q6_K.bytes
    // 1. sixteen signed 8-bit scales: byte i of a lane, sign-extended
    let scales = Columns16(p + 192, stride), d = halves16(p + 208, stride)
    @inline(__always) func scale(_ x: __m512i, _ i: Int) -> __m512 { signedByte(x, i, times: d) }
    @inline(__always) func storeScales(_ x: __m512i, _ b: Int) {
        storeScale(scale(x, 0), out + b &* laneBlockBytes, 0)
        storeScale(scale(x, 1), out + b &* laneBlockBytes, 1)
        storeScale(scale(x, 2), out + (b &+ 1) &* laneBlockBytes, 0)
        storeScale(scale(x, 3), out + (b &+ 1) &* laneBlockBytes, 1)
    }
    storeScales(scales.c0, 0)
    storeScales(scales.c1, 2)
    storeScales(scales.c2, 4)
    storeScales(scales.c3, 6)
    // 2. each half of 128 columns: 16 of its 32 column bytes at a time give four blocks' halves
    var side = 0
    while side < 2 {
        var part = 0
        while part < 2 {
            let x = SixBits(p, side, part, stride), o = out + (4 &* side &* laneBlockBytes &+ 256 &* part)
            x.weights(0).store(o)
            x.weights(1).store(o + laneBlockBytes)
            x.weights(2).store(o + 2 &* laneBlockBytes)
            x.weights(3).store(o + 3 &* laneBlockBytes)
            part &+= 1
        }
        side &+= 1
    }
}
