internal import X86Intrinsics

/// `count` blocks of 16 rows to lane blocks, weights biased: the rows of half a panel in registers, transposed there.
/// p: the (super)block of row 0; next: what is fetched ahead, `count` blocks of 16 rows; temporary: `TableScratch`.
@inline(never) func unpackPanel<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ stride: Int, _ count: Int, _ next: UnsafeRawPointer, _ out: UnsafeMutableRawPointer,
    _ temporary: UnsafeMutableRawPointer
) {
    var side = 0
    while side < 2 {
        let rows = p + 8 &* side &* stride, lanes = out + 32 &* side
        var b = 0
        while b < count {
            let q = rows + F.offset(b), header = F.header(q, stride)
            if F.usesIndexes { storeIndexes(F.self, q, stride, temporary) }
            @inline(__always) func step(_ i: Int) {
                let o = lanes + (b &+ i) &* laneBlockBytes, share = F.bytes &* 8 / F.blocks
                storeScales(F.self, F.scales(header, q, stride, i), o)
                storeWeights(F.self, q, stride, i, o, temporary)
                prefetch(next + (share &* (side &* count &+ b &+ i)), share)
            }
            step(0)
            if F.blocks == 8 {
                step(1)
                step(2)
                step(3)
                step(4)
                step(5)
                step(6)
                step(7)
            }
            b &+= F.blocks
        }
        side &+= 1
    }
}

/// Block i of eight rows: eight double words of each, transposed.
@inline(__always) private func storeWeights<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ stride: Int, _ i: Int, _ out: UnsafeMutableRawPointer,
    _ temporary: UnsafeMutableRawPointer
) {
    if F.usesTables { storeRows(F.self, p, stride, i, temporary) }
    @inline(__always) func row(_ r: Int) -> __m256i {
        let w = F.usesTables ? load32(temporary + 32 &* r) : F.weights(p + r &* stride, i, p)
        return F.capacity == .signed && signedFlip != 0 ? _mm256_xor_si256(w, _mm256_set1_epi8(Int8(bitPattern: signedFlip))) : w
    }
    /// Four rows: double words k and k + 4 of each.
    @inline(__always) func four(_ r: Int) -> (__m256i, __m256i, __m256i, __m256i) {
        let a = row(r), b = row(r &+ 1), c = row(r &+ 2), d = row(r &+ 3)
        let t0 = _mm256_unpacklo_epi32(a, b), t1 = _mm256_unpackhi_epi32(a, b)
        let t2 = _mm256_unpacklo_epi32(c, d), t3 = _mm256_unpackhi_epi32(c, d)
        return (
            _mm256_unpacklo_epi64(t0, t2), _mm256_unpackhi_epi64(t0, t2), _mm256_unpacklo_epi64(t1, t3),
            _mm256_unpackhi_epi64(t1, t3)
        )
    }
    let x = four(0), y = four(4)
    @inline(__always) func both(_ a: __m256i, _ b: __m256i, _ g: Int) {
        store32(l2s_m256i_low_lanes(a, b), out + 64 &* g)
        store32(l2s_m256i_high_lanes(a, b), out + 64 &* (g &+ 4))
    }
    both(x.0, y.0, 0)
    both(x.1, y.1, 1)
    both(x.2, y.2, 2)
    both(x.3, y.3, 3)
}
