internal import X86Intrinsics

/// Unpacking in registers, half a panel after the other: 8 rows are loaded 16 bytes at a time and
/// transposed as 4x4 double words, which puts row r into lane r. Same result as the plain `unpackRow`
/// functions, for a full panel.

/// 16 bytes of each of 8 rows: c[i] holds bytes 4i..<4i+4 of row r in lane r.
struct Columns {
    let c0: __m256i, c1: __m256i, c2: __m256i, c3: __m256i

    @inline(__always) init(_ p: UnsafeRawPointer, _ stride: Int) {
        // 1. register j: rows j, j+4
        @inline(__always) func two(_ r: Int) -> __m256i {
            l2s_m256i_pair(p + r &* stride, p + (r &+ 4) &* stride)
        }
        let r0 = two(0), r1 = two(1), r2 = two(2), r3 = two(3)
        // 2. the 4x4 transpose inside each 128-bit lane
        let t0 = _mm256_unpacklo_epi32(r0, r1), t1 = _mm256_unpackhi_epi32(r0, r1)
        let t2 = _mm256_unpacklo_epi32(r2, r3), t3 = _mm256_unpackhi_epi32(r2, r3)
        c0 = _mm256_unpacklo_epi64(t0, t2)
        c1 = _mm256_unpackhi_epi64(t0, t2)
        c2 = _mm256_unpacklo_epi64(t1, t3)
        c3 = _mm256_unpackhi_epi64(t1, t3)
    }
}

@inline(__always) private func store(_ x: __m256i, _ out: UnsafeMutableRawPointer) { l2s_m256i_store(out, x) }

@inline(__always) func shiftRight(_ x: __m256i, _ by: Int32) -> __m256i {
    _mm256_srlv_epi32(x, _mm256_set1_epi32(by))
}

@inline(__always) func mask(_ x: __m256i, _ bytes: Int8) -> __m256i {
    _mm256_and_si256(x, _mm256_set1_epi8(bytes))
}

/// Groups 0..<4 from the low nibbles, 4..<8 from the high ones.
@inline(__always) private func storeNibbles(_ c: Columns, _ out: UnsafeMutableRawPointer) {
    store(mask(c.c0, 15), out)
    store(mask(c.c1, 15), out + 64)
    store(mask(c.c2, 15), out + 128)
    store(mask(c.c3, 15), out + 192)
    store(mask(shiftRight(c.c0, 4), 15), out + 256)
    store(mask(shiftRight(c.c1, 4), 15), out + 320)
    store(mask(shiftRight(c.c2, 4), 15), out + 384)
    store(mask(shiftRight(c.c3, 4), 15), out + 448)
}

/// The half at `p` of 8 rows, as floats; put together in registers, never through memory.
@inline(__always) func halves(_ p: UnsafeRawPointer, _ stride: Int) -> __m256 {
    @inline(__always) func h(_ r: Int) -> Int16 { p.loadUnaligned(fromByteOffset: r &* stride, as: Int16.self) }
    return _mm256_cvtph_ps(_mm_set_epi16(h(7), h(6), h(5), h(4), h(3), h(2), h(1), h(0)))
}

@inline(__always) private func storeScale(_ x: __m256, _ out: UnsafeMutableRawPointer, _ index: Int) {
    _mm256_storeu_ps((out + (512 &+ 64 &* index)).assumingMemoryBound(to: Float.self), x)
}

@inline(__always) func unpackFast(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ first: Int, _ count: Int, _ next: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer
) -> Bool {
    // rows 0..<8 and the first halves of the vectors, then rows 8..<16 and the second ones
    var side = 0
    while side < 2 {
        let rows = base + 8 &* side &* stride, o = out + 32 &* side, ahead = next + 8 &* side &* stride
        switch type {
        case 2, 3: unpackQ4(type == 2 ? 18 : 20, rows, stride, first, count, ahead, o)
        case 8: unpackQ8_0(rows, stride, first, count, ahead, o)
        case 12: unpackK(16, rows, stride, first >> 3, count, ahead, o)
        case 13: unpackK(48, rows, stride, first >> 3, count, ahead, o)
        case 14: unpackQ6_K(rows, stride, first >> 3, count, ahead, o)
        default: return false
        }
        side &+= 1
    }
    return true
}

/// A panel's rows are one piece of the file: while one panel is unpacked, the same share of the next one is
/// fetched into L2, in file order; a few lines at a time, or the loads of this one would queue behind
/// them. `blockBytes` counts for 8 rows. A prefetch beyond the mapping does nothing.
@inline(__always) func prefetchShare(_ next: UnsafeRawPointer, _ block: Int, _ blockBytes: Int) {
    let share = next + block &* blockBytes &* 8
    var line = 0
    while line < blockBytes &* 8 {
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
        let p = base + (first &+ b) &* size, o = out + b &* laneBlockBytes
        storeNibbles(Columns(p + (size &- 16), stride), o)
        storeScale(halves(p, stride), o, 0)
        if size == 20 { storeScale(halves(p + 2, stride), o, 1) }
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
        let p = base + (first &+ b) &* 34, o = out + b &* laneBlockBytes
        var side = 0
        while side < 2 {
            let c = Columns(p + (2 &+ 16 &* side), stride), q = o + 256 &* side
            store(c.c0, q)
            store(c.c1, q + 64)
            store(c.c2, q + 128)
            store(c.c3, q + 192)
            side &+= 1
        }
        storeScale(halves(p, stride), o, 0)
        prefetchShare(next, first &+ b, 34)
        b &+= 1
    }
}

/// The 16-byte header of a Q4_K or Q5_K superblock of 8 rows: one transpose gives d, dmin and scales by lane.
struct HeaderK {
    let words: Columns
    private let d: __m256, dmin: __m256

    @inline(__always) init(_ p: UnsafeRawPointer, _ stride: Int) {
        words = Columns(p, stride)
        d = halves(p, stride)
        dmin = halves(p + 2, stride)
    }

    /// Scale and offset of block b: 6 bits each, split over two bytes for the last four blocks.
    @inline(__always) func scales(_ b: Int) -> (scale: __m256, offset: __m256) {
        let six = _mm256_set1_epi32(63), four = _mm256_set1_epi32(15), two = _mm256_set1_epi32(3)
        let scale: __m256i, minimum: __m256i, s = Int32(truncatingIfNeeded: 8 &* (b & 3))
        if b < 4 {
            scale = _mm256_and_si256(shiftRight(words.c1, s), six)
            minimum = _mm256_and_si256(shiftRight(words.c2, s), six)
        } else {
            let left = _mm256_set1_epi32(4)
            let sHigh = _mm256_and_si256(shiftRight(words.c1, s &+ 6), two)
            let mHigh = _mm256_and_si256(shiftRight(words.c2, s &+ 6), two)
            scale = _mm256_or_si256(_mm256_and_si256(shiftRight(words.c3, s), four), _mm256_sllv_epi32(sHigh, left))
            minimum = _mm256_or_si256(
                _mm256_and_si256(shiftRight(words.c3, s &+ 4), four), _mm256_sllv_epi32(mHigh, left))
        }
        return (
            _mm256_mul_ps(d, _mm256_cvtepi32_ps(scale)),
            _mm256_sub_ps(_mm256_setzero_ps(), _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(minimum)))
        )
    }
}

/// Q4_K and Q5_K; `nibbles`: where they begin, 16 or 48.
@inline(__always) private func unpackK(
    _ nibbles: Int, _ base: UnsafeRawPointer, _ stride: Int, _ superblock: Int, _ count: Int,
    _ next: UnsafeRawPointer, _ out: UnsafeMutableRawPointer
) {
    let size = nibbles &+ 128, p = base + superblock &* size, header = HeaderK(p, stride)
    // 1. scales
    var b = 0
    while b < count {
        let s = header.scales(b), o = out + b &* laneBlockBytes
        storeScale(s.scale, o, 0)
        storeScale(s.offset, o, 1)
        b &+= 1
    }
    // 2. a pair of blocks shares 32 bytes: low nibbles the first, high nibbles the second
    var side = 0
    while side < 2 {
        let high = nibbles == 48 ? Columns(p + (16 &+ 16 &* side), stride) : header.words
        var pair = 0
        while pair &* 2 < count {
            prefetchShare(next, 8 &* superblock &+ 4 &* side &+ pair, size >> 3)
            let c = Columns(p + (nibbles &+ 32 &* pair &+ 16 &* side), stride)
            let low = out + (2 &* pair &* laneBlockBytes &+ 256 &* side), up = low + laneBlockBytes
            @inline(__always) func storeBoth(_ c: __m256i, _ h: __m256i, _ at: Int) {
                store(weights(c, h, 2 &* pair), low + at)
                store(weights(shiftRight(c, 4), h, 2 &* pair &+ 1), up + at)
            }
            /// Nibbles, and for Q5_K the fifth bit: bit b of each byte of `high`.
            @inline(__always) func weights(_ c: __m256i, _ h: __m256i, _ b: Int) -> __m256i {
                if nibbles == 16 { return mask(c, 15) }
                let left = Int32(truncatingIfNeeded: 4 &- b)
                let bit = b < 4 ? _mm256_sllv_epi32(h, _mm256_set1_epi32(left)) : shiftRight(h, 0 &- left)
                return _mm256_or_si256(mask(c, 15), mask(bit, 16))
            }
            storeBoth(c.c0, high.c0, 0)
            storeBoth(c.c1, high.c1, 64)
            storeBoth(c.c2, high.c2, 128)
            storeBoth(c.c3, high.c3, 192)
            pair &+= 1
        }
        side &+= 1
    }
}

@inline(__always) private func unpackQ6_K(
    _ base: UnsafeRawPointer, _ stride: Int, _ superblock: Int, _ count: Int, _ next: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer
) {
    let p = base + superblock &* 210
    // 1. sixteen signed 8-bit scales: byte i of a lane, sign-extended
    let scales = Columns(p + 192, stride), d = halves(p + 208, stride)
    @inline(__always) func scale(_ x: __m256i, _ i: Int32) -> __m256 {
        let up = _mm256_sllv_epi32(x, _mm256_set1_epi32(24 &- 8 &* i))
        return _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_srav_epi32(up, _mm256_set1_epi32(24))))
    }
    @inline(__always) func storeScales(_ x: __m256i, _ b: Int) {
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
            let first = Columns(p + (64 &* side &+ 16 &* part), stride)
            let second = Columns(p + (64 &* side &+ 32 &+ 16 &* part), stride)
            let high = Columns(p + (128 &+ 32 &* side &+ 16 &* part), stride)
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
    _ first: __m256i, _ second: __m256i, _ high: __m256i, _ out: UnsafeMutableRawPointer
) {
    let four = _mm256_set1_epi32(4), two = _mm256_set1_epi32(2)
    let h0 = mask(_mm256_sllv_epi32(high, four), 0x30), h1 = mask(_mm256_sllv_epi32(high, two), 0x30)
    let h2 = mask(high, 0x30), h3 = mask(shiftRight(high, 2), 0x30)
    store(_mm256_or_si256(mask(first, 15), h0), out)
    store(_mm256_or_si256(mask(second, 15), h1), out + laneBlockBytes)
    store(_mm256_or_si256(mask(shiftRight(first, 4), 15), h2), out + 2 &* laneBlockBytes)
    store(_mm256_or_si256(mask(shiftRight(second, 4), 15), h3), out + 3 &* laneBlockBytes)
}
