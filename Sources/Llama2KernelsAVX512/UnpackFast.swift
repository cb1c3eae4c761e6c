internal import X86Intrinsics

/// Unpacking in registers: 16 rows are loaded 16 bytes at a time and transposed as 4x4 double words,
/// which puts row r into lane r. Same result as the plain `unpackRow` functions, for a full panel.

/// 16 bytes of each of 16 rows: c[i] holds bytes 4i..<4i+4 of row r in lane r.
struct Columns16 {
    let c0: __m512i, c1: __m512i, c2: __m512i, c3: __m512i

    @inline(__always) init(_ p: UnsafeRawPointer, _ stride: Int) {
        // 1. register j: rows j, j+4, j+8, j+12
        let q = p.assumingMemoryBound(to: CChar.self), far = 4 &* stride
        let r0 = l2s_m512i_four(q, far), r1 = l2s_m512i_four(q + stride, far)
        let r2 = l2s_m512i_four(q + 2 &* stride, far), r3 = l2s_m512i_four(q + 3 &* stride, far)
        // 2. the 4x4 transpose inside each 128-bit lane
        let t0 = _mm512_unpacklo_epi32(r0, r1), t1 = _mm512_unpackhi_epi32(r0, r1)
        let t2 = _mm512_unpacklo_epi32(r2, r3), t3 = _mm512_unpackhi_epi32(r2, r3)
        c0 = _mm512_unpacklo_epi64(t0, t2)
        c1 = _mm512_unpackhi_epi64(t0, t2)
        c2 = _mm512_unpacklo_epi64(t1, t3)
        c3 = _mm512_unpackhi_epi64(t1, t3)
    }
}

@inline(__always) private func store(_ x: __m512i, _ out: UnsafeMutableRawPointer) { _mm512_storeu_si512(out, x) }

@inline(__always) func shiftRight(_ x: __m512i, _ by: Int32) -> __m512i {
    _mm512_srlv_epi32(x, _mm512_set1_epi32(by))
}

@inline(__always) func mask(_ x: __m512i, _ bytes: Int8) -> __m512i {
    _mm512_and_si512(x, _mm512_set1_epi8(bytes))
}

/// One lane block in registers: groups 0..<8 of 4 columns, and the scales.
struct LaneBlock {
    let w0: __m512i, w1: __m512i, w2: __m512i, w3: __m512i, w4: __m512i, w5: __m512i, w6: __m512i, w7: __m512i
    let d: __m512, m: __m512

    /// A block of Q4_0 (18 bytes) or Q4_1 (20): groups 0..<4 from the low nibbles, 4..<8 from the high ones.
    @inline(__always) init(q4 p: UnsafeRawPointer, _ size: Int, _ stride: Int) {
        let c = Columns16(p + (size &- 16), stride)
        w0 = mask(c.c0, 15)
        w1 = mask(c.c1, 15)
        w2 = mask(c.c2, 15)
        w3 = mask(c.c3, 15)
        w4 = mask(shiftRight(c.c0, 4), 15)
        w5 = mask(shiftRight(c.c1, 4), 15)
        w6 = mask(shiftRight(c.c2, 4), 15)
        w7 = mask(shiftRight(c.c3, 4), 15)
        d = halves16(p, stride)
        m = size == 20 ? halves16(p + 2, stride) : d
    }

    /// A block of Q8_0, the signs flipped for an instruction that takes unsigned weights.
    @inline(__always) init(q8 p: UnsafeRawPointer, _ stride: Int) {
        let a = Columns16(p + 2, stride), b = Columns16(p + 18, stride), flip = _mm512_set1_epi8(-128)
        w0 = _mm512_xor_si512(a.c0, flip)
        w1 = _mm512_xor_si512(a.c1, flip)
        w2 = _mm512_xor_si512(a.c2, flip)
        w3 = _mm512_xor_si512(a.c3, flip)
        w4 = _mm512_xor_si512(b.c0, flip)
        w5 = _mm512_xor_si512(b.c1, flip)
        w6 = _mm512_xor_si512(b.c2, flip)
        w7 = _mm512_xor_si512(b.c3, flip)
        d = halves16(p, stride)
        m = d
    }

    @inline(__always) func store(_ out: UnsafeMutableRawPointer) {
        _mm512_storeu_si512(out, w0)
        _mm512_storeu_si512(out + 64, w1)
        _mm512_storeu_si512(out + 128, w2)
        _mm512_storeu_si512(out + 192, w3)
        _mm512_storeu_si512(out + 256, w4)
        _mm512_storeu_si512(out + 320, w5)
        _mm512_storeu_si512(out + 384, w6)
        _mm512_storeu_si512(out + 448, w7)
        _mm512_storeu_ps(out + 512, d)
        _mm512_storeu_ps(out + 576, m)
    }
}

/// The half at `p` of 16 rows, as floats; put together in registers, never through memory.
@inline(__always) func halves16(_ p: UnsafeRawPointer, _ stride: Int) -> __m512 {
    @inline(__always) func h(_ r: Int) -> Int16 { p.loadUnaligned(fromByteOffset: r &* stride, as: Int16.self) }
    return _mm512_cvtph_ps(
        _mm256_set_epi16(
            h(15), h(14), h(13), h(12), h(11), h(10), h(9), h(8), h(7), h(6), h(5), h(4), h(3), h(2), h(1), h(0)))
}

@inline(__always) private func storeScale(_ x: __m512, _ out: UnsafeMutableRawPointer, _ index: Int) {
    _mm512_storeu_ps(out + (512 &+ 64 &* index), x)
}

@inline(__always) func unpackFast(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ first: Int, _ count: Int, _ next: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer
) -> Bool {
    switch type {
    case Q4_0.number, Q4_1.number: unpackQ4(type == Q4_0.number ? Q4_0.bytes : Q4_1.bytes, base, stride, first, count, next, out)
    case Q8_0.number: unpackQ8_0(base, stride, first, count, next, out)
    case Q4_K.number, Q5_K.number: unpackK(type, base, stride, first >> 3, count, next, out)
    case Q6_K.number: unpackQ6_K(base, stride, first >> 3, count, next, out)
    default: return unpackByRows(type, base, stride, first, count, next, out)
    }
    return true
}

/// A panel's rows are one piece of the file: while one panel is multiplied, the same share of the next one is
/// fetched into L2, in file order; a few lines at a time, or the loads of this one would queue behind
/// them. `blockBytes` counts for 16 rows. A prefetch beyond the mapping does nothing.
@inline(__always) func prefetchShare(_ next: UnsafeRawPointer, _ block: Int, _ blockBytes: Int) {
    let share = next + block &* blockBytes &* 16
    var line = 0
    while line < blockBytes &* 16 {
        l2s_prefetch_t1(share + line)
        line &+= 64
    }
}

@inline(__always) private func unpackQ4(
    _ size: Int, _ base: UnsafeRawPointer, _ stride: Int, _ first: Int, _ count: Int, _ next: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer
) {
    var b = 0
    while b < count {
        LaneBlock(q4: base + (first &+ b) &* size, size, stride).store(out + b &* laneBlockBytes)
        prefetchShare(next, first &+ b, size)
        b &+= 1
    }
}

@inline(__always) private func unpackQ8_0(
    _ base: UnsafeRawPointer, _ stride: Int, _ first: Int, _ count: Int, _ next: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer
) {
    var b = 0
    while b < count {
        LaneBlock(q8: base + (first &+ b) &* Q8_0.bytes, stride).store(out + b &* laneBlockBytes)
        prefetchShare(next, first &+ b, Q8_0.bytes)
        b &+= 1
    }
}

/// Low 16 bits of each lane, a half, as floats.
@inline(__always) func lowHalves16(_ x: __m512i) -> __m512 { _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x)) }

/// The 16-byte header of a Q4_K or Q5_K superblock of each row.
struct HeaderK {
    private let words: Columns16
    private let d: __m512, dmin: __m512

    @inline(__always) init(_ p: UnsafeRawPointer, _ stride: Int) {
        words = Columns16(p, stride)
        d = lowHalves16(words.c0)
        dmin = lowHalves16(shiftRight(words.c0, 16))
    }

    /// Scale and offset of block b: 6 bits each, split over two bytes for the last four blocks.
    @inline(__always) func scales(_ b: Int) -> (scale: __m512, offset: __m512) {
        let six = _mm512_set1_epi32(63), four = _mm512_set1_epi32(15), two = _mm512_set1_epi32(3)
        let scale: __m512i, minimum: __m512i, s = Int32(truncatingIfNeeded: 8 &* (b & 3))
        if b < 4 {
            scale = _mm512_and_si512(shiftRight(words.c1, s), six)
            minimum = _mm512_and_si512(shiftRight(words.c2, s), six)
        } else {
            let left = _mm512_set1_epi32(4)
            let sHigh = _mm512_and_si512(shiftRight(words.c1, s &+ 6), two)
            let mHigh = _mm512_and_si512(shiftRight(words.c2, s &+ 6), two)
            scale = _mm512_or_si512(_mm512_and_si512(shiftRight(words.c3, s), four), _mm512_sllv_epi32(sHigh, left))
            minimum = _mm512_or_si512(
                _mm512_and_si512(shiftRight(words.c3, s &+ 4), four), _mm512_sllv_epi32(mHigh, left))
        }
        return (
            _mm512_mul_ps(d, _mm512_cvtepi32_ps(scale)),
            _mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(minimum)))
        )
    }
}

/// Weights of block b of Q5_K: nibbles, and the fifth bit, bit b of each byte of `high`.
@inline(__always) func withFifthBit(_ nibbles: __m512i, _ high: __m512i, _ b: Int) -> __m512i {
    // a rotation may carry bits into the next byte, but never the one that the mask keeps
    let bit = _mm512_rolv_epi32(high, _mm512_set1_epi32(Int32(truncatingIfNeeded: (4 &- b) & 31)))
    return _mm512_or_si512(mask(nibbles, 15), mask(bit, 16))
}

/// A pair of blocks shares 32 bytes: low nibbles the first, high nibbles the second.
@inline(__always) private func unpackK(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ superblock: Int, _ count: Int,
    _ next: UnsafeRawPointer, _ out: UnsafeMutableRawPointer
) {
    let size = type == Q5_K.number ? Q5_K.bytes : Q4_K.bytes, p = base + superblock &* size, nibbles = type == Q5_K.number ? 48 : 16
    let header = HeaderK(p, stride)
    var b = 0
    while b < count {
        let s = header.scales(b)
        storeScale(s.scale, out + b &* laneBlockBytes, 0)
        storeScale(s.offset, out + b &* laneBlockBytes, 1)
        b &+= 1
    }
    var side = 0
    while side < 2 {
        let high = type == Q5_K.number ? Columns16(p + (16 &+ 16 &* side), stride) : nil
        var pair = 0
        while pair &* 2 < count {
            prefetchShare(next, 8 &* superblock &+ 4 &* side &+ pair, size >> 3)
            let c = Columns16(p + (nibbles &+ 32 &* pair &+ 16 &* side), stride)
            let low = out + (2 &* pair &* laneBlockBytes &+ 256 &* side), up = low + laneBlockBytes
            @inline(__always) func storeBoth(_ c: __m512i, _ h: __m512i?, _ at: Int) {
                if let h {
                    store(withFifthBit(c, h, 2 &* pair), low + at)
                    store(withFifthBit(shiftRight(c, 4), h, 2 &* pair &+ 1), up + at)
                } else {
                    store(mask(c, 15), low + at)
                    store(mask(shiftRight(c, 4), 15), up + at)
                }
            }
            storeBoth(c.c0, high?.c0, 0)
            storeBoth(c.c1, high?.c1, 64)
            storeBoth(c.c2, high?.c2, 128)
            storeBoth(c.c3, high?.c3, 192)
            pair &+= 1
        }
        side &+= 1
    }
}

@inline(__always) private func unpackQ6_K(
    _ base: UnsafeRawPointer, _ stride: Int, _ superblock: Int, _ count: Int, _ next: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer
) {
    let p = base + superblock &* Q6_K.bytes
    // 1. sixteen signed 8-bit scales: byte i of a lane, sign-extended
    let scales = Columns16(p + 192, stride), d = halves16(p + 208, stride)
    @inline(__always) func scale(_ x: __m512i, _ i: Int32) -> __m512 {
        let up = _mm512_sllv_epi32(x, _mm512_set1_epi32(24 &- 8 &* i))
        return _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_srav_epi32(up, _mm512_set1_epi32(24))))
    }
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
            prefetchShare(next, 2 &* (2 &* superblock &+ side) &+ part, 53)  // 52.5, rounded up
            let first = Columns16(p + (64 &* side &+ 16 &* part), stride)
            let second = Columns16(p + (64 &* side &+ 32 &+ 16 &* part), stride)
            let high = Columns16(p + (128 &+ 32 &* side &+ 16 &* part), stride)
            let o = out + (4 &* side &* laneBlockBytes &+ 256 &* part)
            storeSix(first.c0, second.c0, high.c0, o)
            storeSix(first.c1, second.c1, high.c1, o + 64)
            storeSix(first.c2, second.c2, high.c2, o + 128)
            storeSix(first.c3, second.c3, high.c3, o + 192)
            part &+= 1
        }
        side &+= 1
    }
}

/// Four column bytes of four blocks: nibbles of `first` and `second`, bit pairs of `high`.
@inline(__always) private func storeSix(
    _ first: __m512i, _ second: __m512i, _ high: __m512i, _ out: UnsafeMutableRawPointer
) {
    let four = _mm512_set1_epi32(4), two = _mm512_set1_epi32(2)
    let h0 = mask(_mm512_sllv_epi32(high, four), 0x30), h1 = mask(_mm512_sllv_epi32(high, two), 0x30)
    let h2 = mask(high, 0x30), h3 = mask(shiftRight(high, 2), 0x30)
    store(_mm512_or_si512(mask(first, 15), h0), out)
    store(_mm512_or_si512(mask(second, 15), h1), out + laneBlockBytes)
    store(_mm512_or_si512(mask(shiftRight(first, 4), 15), h2), out + 2 &* laneBlockBytes)
    store(_mm512_or_si512(mask(shiftRight(second, 4), 15), h3), out + 3 &* laneBlockBytes)
}
