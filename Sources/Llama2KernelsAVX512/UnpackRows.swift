internal import X86Intrinsics

/// Formats that are not unpacked by columns (UnpackFast.swift): 16 rows by what the AVX2 kernels know of a format (the links in
/// Shared), 256 bits a row, transposed in 512. Same result as `unpackRow`, for a full panel. false: no format of blocks.
@inline(__always) func unpackByRows(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ first: Int, _ count: Int,
    _ out: UnsafeMutableRawPointer
) -> Bool {
    @inline(__always) func panel<F: KernelFormat>(_: F.Type) {
        unpackPanel(F.self, base + F.offset(first), stride, count, out)
    }
    switch type {
    case IQ1_M.number: panel(IQ1_M.self)
    case TQ1_0.number: panel(TQ1_0.self)
    default: return false
    }
    return true
}

/// `count` blocks of 16 rows to lane blocks at `out`, the beginning of the scratch. p: the (super)block of row 0.
@inline(never) private func unpackPanel<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ stride: Int, _ count: Int, _ out: UnsafeMutableRawPointer
) {
    let temporary = out + UnpackScratch.rows
    var b = 0
    while b < count {
        let q = p + F.offset(b), below = q + 8 &* stride
        // 1. scales, eight rows at a time
        let h0 = F.header(q, stride), h1 = F.header(below, stride)
        @inline(__always) func scales(_ i: Int) {
            let o = out + (b &+ i) &* laneBlockBytes
            storeScales(F.self, F.scales(h0, q, stride, i), o)
            storeScales(F.self, F.scales(h1, below, stride, i), o + 32)
        }
        // 2. weights
        if F.usesIndexes {
            storeIndexes(F.self, q, stride, temporary)
            storeIndexes(F.self, below, stride, temporary + TableScratch.end)
        }
        @inline(__always) func weights(_ i: Int) {
            if F.usesTables {
                storeRows(F.self, q, stride, i, temporary)
                storeRows(F.self, below, stride, i, temporary + TableScratch.end)
            }
            storeWeights(F.self, q, stride, i, out + (b &+ i) &* laneBlockBytes, temporary)
        }
        scales(0)
        if F.blocks == 8 {
            scales(1)
            scales(2)
            scales(3)
            scales(4)
            scales(5)
            scales(6)
            scales(7)
        }
        if F.usesTables {
            var i = 0
            while i < F.blocks {
                weights(i)
                i &+= 1
            }
        } else {
            // the number of a block is a constant in each
            weights(0)
            if F.blocks == 8 {
                weights(1)
                weights(2)
                weights(3)
                weights(4)
                weights(5)
                weights(6)
                weights(7)
            }
        }
        b &+= F.blocks
    }
}

/// Block i of 16 rows: eight double words of each, transposed.
@inline(__always) private func storeWeights<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ stride: Int, _ i: Int, _ out: UnsafeMutableRawPointer, _ temporary: UnsafeRawPointer
) {
    @inline(__always) func row(_ r: Int) -> __m256i {
        F.usesTables ? load32(temporary + (32 &* (r & 7) &+ TableScratch.end &* (r >> 3))) : F.weights(p + r &* stride, i, p)
    }
    // 1. rows r and r + 4 side by side; what `weights` added to signed ones made the 128 that `addSignedDot` expects
    @inline(__always) func two(_ r: Int) -> __m512i {
        let x = l2s_m512i_join(row(r), row(r &+ 4))
        return F.form.isSigned ? _mm512_add_epi8(x, _mm512_set1_epi8(Int8(truncatingIfNeeded: 128 &- F.bias))) : x
    }
    // 2. eight rows: double words k and k + 4 of the first four, then those of the last four
    @inline(__always) func eight(_ r: Int) -> (__m512i, __m512i, __m512i, __m512i) {
        let a = two(r), b = two(r &+ 1), c = two(r &+ 2), d = two(r &+ 3)
        let t0 = _mm512_unpacklo_epi32(a, b), t1 = _mm512_unpackhi_epi32(a, b)
        let t2 = _mm512_unpacklo_epi32(c, d), t3 = _mm512_unpackhi_epi32(c, d)
        return (
            _mm512_unpacklo_epi64(t0, t2), _mm512_unpackhi_epi64(t0, t2), _mm512_unpacklo_epi64(t1, t3),
            _mm512_unpackhi_epi64(t1, t3)
        )
    }
    // 3. sixteen rows
    let x = eight(0), y = eight(8)
    @inline(__always) func both(_ a: __m512i, _ b: __m512i, _ g: Int) {
        _mm512_storeu_si512(out + 64 &* g, l2s_m512i_even_lanes(a, b))
        _mm512_storeu_si512(out + 64 &* (g &+ 4), l2s_m512i_odd_lanes(a, b))
    }
    both(x.0, y.0, 0)
    both(x.1, y.1, 1)
    both(x.2, y.2, 2)
    both(x.3, y.3, 3)
}
