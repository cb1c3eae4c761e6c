internal import X86Intrinsics

/// A panel of 16 rows for one token (or two), each piece of weights multiplied in the registers where it was unpacked, eight rows
/// after the other. The same operations in the same order as by way of the scratch. Q4_0, Q4_1, Q8_0, Q4_K and Q5_K;
/// false for whatever is left to the general path.
///
/// Nibbles need one widening a block: eight products of pairs, each at most 2 * 15 * 127, stay inside 16 bits; of the
/// five bits of Q5_K (2 * 31 * 127) four do.
@inline(__always) func multiplyFewTokens(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ blocks: Int, _ q: UnsafePointer<Int8>,
    _ s: UnsafePointer<Float>, _ c: UnsafePointer<Int32>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>,
    _ outStride: Int, _ next: UnsafeRawPointer
) -> Bool {
    // two are one after the other, the second time from L1: still faster than the scratch
    guard tokens <= 2, type == 2 || type == 3 || type == 8 || type == 12 || type == 13 else { return false }
    var t = 0
    while t < tokens {
        let o = t &* blocks
        let one = One(
            base: base, stride: stride, blocks: blocks, q: q + 32 &* o, s: s + o, c: c + 4 &* o, out: out + t &* outStride,
            next: next)
        switch type {
        case 2: oneQ4_0(one)
        case 3: oneQ4_1(one)
        case 8: oneQ8_0(one)
        case 12: oneQ4_K(one)
        default: oneQ5_K(one)
        }
        t &+= 1
    }
    return true
}

private struct One {
    let base: UnsafeRawPointer, stride: Int, blocks: Int
    let q: UnsafePointer<Int8>, s: UnsafePointer<Float>, c: UnsafePointer<Int32>
    let out: UnsafeMutablePointer<Float>
    let next: UnsafeRawPointer  // the panel after this one
}

@inline(never) private func oneQ4_0(_ one: One) { multiplyBlocks(2, 18, one) }
@inline(never) private func oneQ4_1(_ one: One) { multiplyBlocks(3, 20, one) }
@inline(never) private func oneQ8_0(_ one: One) { multiplyBlocks(8, 34, one) }
@inline(never) private func oneQ4_K(_ one: One) { multiplyK(12, one) }
@inline(never) private func oneQ5_K(_ one: One) { multiplyK(13, one) }

@inline(__always) private func group(_ q: UnsafeRawPointer, _ index: Int) -> __m256i {
    _mm256_set1_epi32((q + 4 &* index).loadUnaligned(as: Int32.self))
}

/// Sixteen columns of nibbles with their activations: pairs in 16 bits.
@inline(__always) private func pairs(_ c: Columns, _ high: Bool, _ q: UnsafeRawPointer) -> __m256i {
    @inline(__always) func products(_ w: __m256i, _ index: Int) -> __m256i {
        _mm256_maddubs_epi16(mask(high ? shiftRight(w, 4) : w, 15), group(q, index))
    }
    let a = _mm256_add_epi16(products(c.c0, 0), products(c.c1, 1))
    return _mm256_add_epi16(a, _mm256_add_epi16(products(c.c2, 2), products(c.c3, 3)))
}

@inline(__always) private func widened(_ pairs: __m256i) -> __m256i { _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)) }

/// Sixteen columns of signed bytes: |w| * (q with w's sign), pairs at most 32512.
@inline(__always) private func signedSum(_ sum: __m256i, _ c: Columns, _ q: UnsafeRawPointer) -> __m256i {
    @inline(__always) func products(_ w: __m256i, _ index: Int) -> __m256i {
        widened(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(group(q, index), w)))
    }
    let a = _mm256_add_epi32(products(c.c0, 0), products(c.c1, 1))
    return _mm256_add_epi32(sum, _mm256_add_epi32(a, _mm256_add_epi32(products(c.c2, 2), products(c.c3, 3))))
}

/// acc + d * s * sum
@inline(__always) private func add(_ acc: __m256, _ d: __m256, _ s: Float, _ sum: __m256i) -> __m256 {
    _mm256_fmadd_ps(d, _mm256_mul_ps(_mm256_set1_ps(s), _mm256_cvtepi32_ps(sum)), acc)
}

/// acc + m * (s * sum of the activations), which `c` holds.
@inline(__always) private func addOffset(_ acc: __m256, _ m: __m256, _ c: UnsafePointer<Int32>) -> __m256 {
    _mm256_fmadd_ps(m, _mm256_set1_ps(Float(bitPattern: UInt32(bitPattern: c[1]))), acc)
}

@inline(__always) private func multiplyBlocks(_ type: UInt32, _ size: Int, _ one: One) {
    let stride = one.stride
    var low = _mm256_setzero_ps(), high = low
    var b = 0
    while b < one.blocks {
        let p = one.base + b &* size, q = UnsafeRawPointer(one.q + 32 &* b), c = one.c + 4 &* b, s = one.s[b]
        @inline(__always) func eightRows(_ p: UnsafeRawPointer, _ acc: __m256) -> __m256 {
            let d = halves(p, stride)
            if type == 8 {
                let first = signedSum(_mm256_setzero_si256(), Columns(p + 2, stride), q)
                return add(acc, d, s, signedSum(first, Columns(p + 18, stride), q + 16))
            }
            let x = Columns(p + (size &- 16), stride)
            let sum = widened(_mm256_add_epi16(pairs(x, false, q), pairs(x, true, q + 16)))
            if type == 2 { return add(acc, d, s, _mm256_add_epi32(_mm256_set1_epi32(c[0]), sum)) }
            return addOffset(add(acc, d, s, sum), halves(p + 2, stride), c)
        }
        low = eightRows(p, low)
        high = eightRows(p + 8 &* stride, high)
        prefetchShare(one.next, 2 &* b, size)
        prefetchShare(one.next, 2 &* b &+ 1, size)
        b &+= 1
    }
    _mm256_storeu_ps(one.out, low)
    _mm256_storeu_ps(one.out + 8, high)
}

@inline(__always) private func multiplyK(_ type: UInt32, _ one: One) {
    let stride = one.stride, size = type == 13 ? 176 : 144, nibbles = type == 13 ? 48 : 16
    var low = _mm256_setzero_ps(), high = low
    var b = 0
    while b < one.blocks {
        let p = one.base + (b >> 3) &* size
        @inline(__always) func eightRows(_ p: UnsafeRawPointer, _ start: __m256, _ side: Int) -> __m256 {
            let header = HeaderK(p, stride)
            let h0 = type == 13 ? Columns(p + 16, stride) : header.words, h1 = type == 13 ? Columns(p + 32, stride) : header.words
            var acc = start
            /// Blocks 2 i and 2 i + 1 of the superblock.
            @inline(__always) func pair(_ i: Int) {
                let o = b &+ 2 &* i, q = UnsafeRawPointer(one.q + 32 &* o)
                prefetchShare(one.next, 2 &* o &+ side, size >> 3)
                prefetchShare(one.next, 2 &* o &+ 2 &+ side, size >> 3)
                let x = Columns(p + (nibbles &+ 32 &* i), stride), y = Columns(p + (nibbles &+ 16 &+ 32 &* i), stride)
                @inline(__always) func step(_ odd: Bool) {
                    let block = 2 &* i &+ (odd ? 1 : 0), q = q + (odd ? 32 : 0), scales = header.scales(block)
                    let sum =
                        type == 13
                        ? _mm256_add_epi32(widened(pairs5(x, h0, block, q)), widened(pairs5(y, h1, block, q + 16)))
                        : widened(_mm256_add_epi16(pairs(x, odd, q), pairs(y, odd, q + 16)))
                    acc = add(acc, scales.scale, one.s[b &+ block], sum)
                    acc = addOffset(acc, scales.offset, one.c + 4 &* (b &+ block))
                }
                step(false)
                step(true)
            }
            pair(0)
            pair(1)
            pair(2)
            pair(3)
            return acc
        }
        low = eightRows(p, low, 0)
        high = eightRows(p + 8 &* stride, high, 1)
        b &+= 8
    }
    _mm256_storeu_ps(one.out, low)
    _mm256_storeu_ps(one.out + 8, high)
}

/// Sixteen columns of block b of Q5_K: nibbles, and bit b of each byte of `high`.
@inline(__always) private func pairs5(_ c: Columns, _ high: Columns, _ b: Int, _ q: UnsafeRawPointer) -> __m256i {
    @inline(__always) func products(_ w: __m256i, _ h: __m256i, _ index: Int) -> __m256i {
        let nibble = mask(b & 1 == 0 ? w : shiftRight(w, 4), 15), left = Int32(truncatingIfNeeded: 4 &- b)
        let bit = b < 4 ? _mm256_sllv_epi32(h, _mm256_set1_epi32(left)) : shiftRight(h, 0 &- left)
        return _mm256_maddubs_epi16(_mm256_or_si256(nibble, mask(bit, 16)), group(q, index))
    }
    let a = _mm256_add_epi16(products(c.c0, high.c0, 0), products(c.c1, high.c1, 1))
    return _mm256_add_epi16(a, _mm256_add_epi16(products(c.c2, high.c2, 2), products(c.c3, high.c3, 3)))
}
