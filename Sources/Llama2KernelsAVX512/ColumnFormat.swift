internal import X86Intrinsics

/// A format whose bytes are transposed before anything else is done with them: 16 rows are loaded 16 bytes at a time, which puts
/// row r into lane r, and bits are taken apart there, for 16 rows at once. A lane block (Formats/LaneBlock.swift) then lies in
/// registers, to be stored or multiplied where it is.
protocol ColumnFormat: KernelFormat {
    /// Blocks of 32 columns whose weights lie in the same bytes: 1, 2 or 4.
    static var together: Int { get }
    /// What is read once a (super)block for its scales, and bits that all of its blocks share. p: the one of row 0.
    static func columnHeader(_ p: UnsafeRawPointer, _ stride: Int) -> ColumnHeader
    /// The header with what blocks 4 ..< 8 need in the places of blocks 0 ..< 4: one body of four blocks serves both halves of a
    /// superblock (eight are twice the code, and took most of the time of a build).
    static func secondHalf(_ h: ColumnHeader) -> ColumnHeader
    /// The bytes of blocks b ..< b + together of the superblock.
    static func columns(_ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Bytes32
    /// The weights of block b, 0...3 of its half, from them, `columnBias` added.
    static func columnWeights(_ x: Bytes32, _ h: ColumnHeader, _ b: Int) -> Bytes32
    static func columnScales(_ h: ColumnHeader, _ b: Int) -> ColumnScales
}

extension ColumnFormat {
    @inline(__always) static func secondHalf(_ h: ColumnHeader) -> ColumnHeader { h }
    /// What is added to each weight, so that none is negative: the instruction takes unsigned ones.
    @inline(__always) static var columnBias: Int { capacity == .signed ? 128 : bias }
}

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

    @inline(__always) init(_ c0: __m512i, _ c1: __m512i, _ c2: __m512i, _ c3: __m512i) {
        self.c0 = c0
        self.c1 = c1
        self.c2 = c2
        self.c3 = c3
    }

    @inline(__always) subscript(_ i: Int) -> __m512i {
        switch i & 3 {
        case 0: c0
        case 1: c1
        case 2: c2
        default: c3
        }
    }

    /// Byte i (0...15) of each row, as an integer.
    @inline(__always) func byte(_ i: Int) -> __m512i {
        let shifted = shiftRight(self[i >> 2], 8 &* (i & 3))
        return i & 3 == 3 ? shifted : _mm512_and_si512(shifted, _mm512_set1_epi32(255))
    }

    /// The last eight bytes where the first eight were.
    @inline(__always) var secondHalf: Columns16 { Columns16(c2, c3, c2, c3) }
    /// Bytes 4...7 where 0...3 were, 12...15 where 8...11 were.
    @inline(__always) var oddWords: Columns16 { Columns16(c1, c1, c3, c3) }

    @inline(__always) func map(_ f: (__m512i) -> __m512i) -> Columns16 { Columns16(f(c0), f(c1), f(c2), f(c3)) }
    @inline(__always) func map(_ y: Columns16, _ f: (__m512i, __m512i) -> __m512i) -> Columns16 {
        Columns16(f(c0, y.c0), f(c1, y.c1), f(c2, y.c2), f(c3, y.c3))
    }
}

/// 32 bytes of each of 16 rows.
struct Bytes32 {
    let a: Columns16, b: Columns16

    @inline(__always) init(_ a: Columns16, _ b: Columns16) {
        self.a = a
        self.b = b
    }
    @inline(__always) init(_ p: UnsafeRawPointer, _ stride: Int) { self.init(Columns16(p, stride), Columns16(p + 16, stride)) }

    @inline(__always) func map(_ f: (__m512i) -> __m512i) -> Bytes32 { Bytes32(a.map(f), b.map(f)) }
    @inline(__always) func map(_ y: Bytes32, _ f: (__m512i, __m512i) -> __m512i) -> Bytes32 { Bytes32(a.map(y.a, f), b.map(y.b, f)) }
}

/// What `columnHeader` keeps, of 16 rows: the halves d and dmin, 16 or 32 bytes of scales, bits of weights.
struct ColumnHeader {
    let d: __m512, m: __m512, x: Columns16, y: Columns16, high: Bytes32

    @inline(__always) init(_ d: __m512) {
        let none = _mm512_setzero_si512()
        self.init(d, Columns16(none, none, none, none))
    }
    @inline(__always) init(_ d: __m512, _ x: Columns16) { self.init(d, x, d, x) }
    @inline(__always) init(_ d: __m512, _ x: Columns16, _ m: __m512, _ y: Columns16) { self.init(d, x, m, y, Bytes32(x, y)) }
    @inline(__always) init(_ d: __m512, _ x: Columns16, _ m: __m512, _ y: Columns16, _ high: Bytes32) {
        self.d = d
        self.m = m
        self.x = x
        self.y = y
        self.high = high
    }
}

typealias ColumnScales = LaneScales<__m512>

/// A lane block in registers.
struct LaneBlock {
    let w: Bytes32, s: ColumnScales
}

/// What is done with the lane blocks of a panel, in order.
protocol LaneBlockUser {
    /// Block b of the rows, number i, 0...3, of its half of a superblock; half: 0 or 4.
    mutating func use<F: ColumnFormat>(_: F.Type, _ b: Int, _ half: Int, _ i: Int, _ block: LaneBlock)
}

/// `count` blocks, whole superblocks, of 16 rows. p: the (super)block of row 0; next: what is fetched ahead, as many blocks;
/// once, a constant: how, see `l2s_fetches_once`.
@inline(__always) func walk<F: ColumnFormat, User: LaneBlockUser>(
    _: F.Type, _ p: UnsafeRawPointer, _ stride: Int, _ count: Int, _ next: UnsafeRawPointer?, once: Bool, _ user: inout User
) {
    var b = 0
    while b < count {
        let q = p + F.offset(b)
        var ahead: UnsafeRawPointer?
        if let next { ahead = next + 16 &* F.offset(b) }
        if F.blocks == 1 {
            useHalf(F.self, q, stride, F.columnHeader(q, stride), b, 0, ahead, once, &user)
        } else {
            var header = F.columnHeader(q, stride), half = 0
            while half < 8 {
                useHalf(F.self, q, stride, header, b &+ half, half, ahead, once, &user)
                header = F.secondHalf(header)
                half &+= 4
            }
        }
        b &+= F.blocks
    }
}

/// Blocks half ..< half + 4 of the superblock at q, or the only one; b: the number of the first in the rows; ahead: the superblock
/// whose bytes are fetched meanwhile.
@inline(__always) private func useHalf<F: ColumnFormat, User: LaneBlockUser>(
    _: F.Type, _ q: UnsafeRawPointer, _ stride: Int, _ header: ColumnHeader, _ b: Int, _ half: Int, _ ahead: UnsafeRawPointer?,
    _ once: Bool, _ user: inout User
) {
    let share = 16 &* F.bytes / F.blocks
    @inline(__always) func use(_ i: Int, _ x: Bytes32) {
        if let ahead { prefetchLines(ahead + (half &+ i) &* share, share, once) }
        user.use(F.self, b &+ i, half, i, LaneBlock(w: F.columnWeights(x, header, i), s: F.columnScales(header, i)))
    }
    @inline(__always) func group(_ i: Int) {
        if i >= F.blocks || i % F.together != 0 { return }
        let x = F.columns(q, stride, half &+ i)
        use(i, x)
        if F.together > 1 { use(i &+ 1, x) }
        if F.together > 2 {
            use(i &+ 2, x)
            use(i &+ 3, x)
        }
    }
    group(0)
    group(1)
    group(2)
    group(3)
}

/// A panel's rows are one piece of the file: while one panel is multiplied, the same share of the next one is
/// fetched into L2 (once: or as what is not used again), in file order; a few lines at a time, or the loads of this one would queue behind
/// them. A prefetch beyond the mapping does nothing.
@inline(__always) func prefetchLines(_ p: UnsafeRawPointer, _ bytes: Int, _ once: Bool) {
    var line = 0
    while line < bytes {
        if once { l2s_prefetch_nta(p + line) } else { l2s_prefetch_t1(p + line) }
        line &+= 64
    }
}

@inline(__always) func shiftRight(_ x: __m512i, _ by: Int) -> __m512i {
    by == 0 ? x : _mm512_srlv_epi32(x, _mm512_set1_epi32(Int32(truncatingIfNeeded: by)))
}

@inline(__always) func shiftLeft(_ x: __m512i, _ by: Int) -> __m512i {
    by == 0 ? x : _mm512_sllv_epi32(x, _mm512_set1_epi32(Int32(truncatingIfNeeded: by)))
}

/// Bits moved up by `by`, or down where it is negative, to a place that the caller masks: a rotation may carry bits into the next
/// byte, but never the ones that stay.
@inline(__always) func turned(_ x: __m512i, _ by: Int) -> __m512i {
    by == 0 ? x : _mm512_rolv_epi32(x, _mm512_set1_epi32(Int32(truncatingIfNeeded: by & 31)))
}

@inline(__always) func mask(_ x: __m512i, _ bytes: Int8) -> __m512i {
    _mm512_and_si512(x, _mm512_set1_epi8(bytes))
}

@inline(__always) func floats(_ x: __m512i) -> __m512 { _mm512_cvtepi32_ps(x) }

/// 0 - x: +0 for 0, as the reference subtracts.
@inline(__always) func negative(_ x: __m512) -> __m512 { _mm512_sub_ps(_mm512_setzero_ps(), x) }

/// Low 16 bits of each lane, a half, as floats.
@inline(__always) func lowHalves16(_ x: __m512i) -> __m512 { _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x)) }

/// The double word at `p` of 16 rows, where gathering is fast and offsets fit 32 bits.
@inline(__always) func gathered16(_ p: UnsafeRawPointer, _ stride: Int) -> __m512i? {
    if l2s_gathers_fast() == 0 || stride >> 27 != 0 { return nil }
    let numbers = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
    return l2s_m512i_gather_bytes(p, _mm512_mullo_epi32(numbers, _mm512_set1_epi32(Int32(truncatingIfNeeded: stride))))
}

/// The half at `p` of 16 rows, as floats; put together in registers, never through memory.
/// first: whether two bytes follow it in its row, so that they may be read.
@inline(__always) func halves16(_ p: UnsafeRawPointer, _ stride: Int, first: Bool = false) -> __m512 {
    if first, let both = gathered16(p, stride) { return lowHalves16(both) }
    @inline(__always) func h(_ r: Int) -> Int16 { p.loadUnaligned(fromByteOffset: r &* stride, as: Int16.self) }
    return _mm512_cvtph_ps(
        _mm256_set_epi16(
            h(15), h(14), h(13), h(12), h(11), h(10), h(9), h(8), h(7), h(6), h(5), h(4), h(3), h(2), h(1), h(0)))
}
