internal import KernelOperands
internal import X86Intrinsics

/// One token: eight rows at a time, each row's weights multiplied where they were loaded, along the row, by its own
/// activations. A product of bytes gives sums of neighbours; those of eight rows are added up and brought into lanes
/// together (integers, so their order is free), and from there on a lane is a row: the same fused multiply-adds in the
/// same order as everywhere (QuantizedMatrix in Llama2Kernels/Body).
///
/// Beside a transpose of the weights (what the tiles for more tokens need) this spares the stores, the scratch and a
/// broadcast for every four columns: 22 instructions bring 256 sums into 8 lanes.
struct OneToken {
    let q: UnsafePointer<Int8>, s: UnsafePointer<Float>, c: UnsafePointer<Int32>  // of this token's blocks
    let blocks: Int, stride: Int
    let rows: UnsafeMutableRawPointer  // `TableScratch`
}

/// Rows from p on: their eight results. next: eight rows that will be read later, fetched ahead.
@inline(__always) func multiplyOne<F: KernelFormat>(
    _: F.Type, _ rows: UnsafeRawPointer, _ x: OneToken, _ next: UnsafeRawPointer
) -> __m256 {
    var acc = _mm256_setzero_ps()
    var b = 0
    while b < x.blocks {
        let p = rows + F.offset(b), header = F.header(p, x.stride), ahead = next + 8 &* F.offset(b)
        if F.usesIndexes { storeIndexes(F.self, p, x.stride, x.rows) }
        @inline(__always) func step(_ i: Int) {
            acc = add(F.self, p, header, x, b &+ i, i, acc)
            let share = F.bytes &* 8 / F.blocks
            prefetch(ahead + share &* i, share)
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
    return acc
}

/// acc and what block `block` of the token, number i of the superblock at p, adds.
@inline(__always) private func add<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ header: Header, _ x: OneToken, _ block: Int, _ i: Int, _ acc: __m256
) -> __m256 {
    let c = x.c + 4 &* block
    let q = x.q + 32 &* block, sums = F.usesTables ? laneSumsApart(F.self, p, x, i, q) : laneSums(F.self, p, x, i, q)
    let (first, second) = sums
    let scales = F.scales(header, p, x.stride, i), s = splat(x.s[block])
    @inline(__always) func step(_ acc: __m256, _ d: __m256, _ sum: __m256i) -> __m256 {
        _mm256_fmadd_ps(d, _mm256_mul_ps(s, floats(sum)), acc)
    }
    if !F.hasHalves {
        let one = step(acc, scales.d0, _mm256_add_epi32(first, wholeStart(F.oneBias, c)))
        if F.form != .affine { return one }
        return _mm256_fmadd_ps(scales.m0, splat(Float(bitPattern: UInt32(bitPattern: c[1]))), one)
    }
    let one = step(acc, scales.d0, _mm256_add_epi32(first, halfStart(F.oneBias, c + 2)))
    let both = step(one, scales.d1, _mm256_add_epi32(second, halfStart(F.oneBias, c + 3)))
    if F.form != .affineHalves { return both }
    let offsets = offsetSums(x.s[block], c)
    return _mm256_fmadd_ps(scales.m1, offsets.1, _mm256_fmadd_ps(scales.m0, offsets.0, both))
}

/// s times the sums of the first and of the last 16 activations; c[2] and c[3] are -32 times those.
@inline(__always) func offsetSums(_ s: Float, _ c: UnsafePointer<Int32>) -> (__m256, __m256) {
    let sums = _mm_mul_ps(_mm_cvtepi32_ps(l2s_m128i_load(c)), _mm_set1_ps(-0.031_25))
    let all = _mm256_castps128_ps256(_mm_mul_ps(_mm_set1_ps(s), sums))
    return (_mm256_permutevar8x32_ps(all, _mm256_set1_epi32(2)), _mm256_permutevar8x32_ps(all, _mm256_set1_epi32(3)))
}

/// -bias times the sum of 32 activations; c holds -8 times it.
@inline(__always) func wholeStart(_ bias: Int, _ c: UnsafePointer<Int32>) -> __m256i { scaled(c, bias, 3) }

/// -bias times the sum of 16 activations; c holds -32 times it.
@inline(__always) func halfStart(_ bias: Int, _ c: UnsafePointer<Int32>) -> __m256i { scaled(c, bias, 5) }

/// The integer at c, 2^stored times too large, by bias: exact, as it is a multiple of 2^stored.
@inline(__always) private func scaled(_ c: UnsafePointer<Int32>, _ bias: Int, _ stored: Int) -> __m256i {
    if bias == 0 { return _mm256_setzero_si256() }
    let x = _mm256_set1_epi32(c[0]), by = bias.trailingZeroBitCount &- stored
    return by < 0 ? _mm256_srav_epi32(x, _mm256_set1_epi32(Int32(truncatingIfNeeded: 0 &- by))) : shiftLeft(x, by)
}

/// Sums of two columns, of four where 16 bits hold no more, of one row: block i of the superblock at p.
@inline(__always) private func rowSums<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ i: Int, _ indexes: UnsafeRawPointer, _ q: __m256i
) -> __m256i {
    if F.oneCapacity == .signed {
        let w = F.weights(p, i, indexes)
        return widened(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w)))
    }
    let (magnitudes, negative) = F.parts(p, i, indexes)
    let pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sub_epi8(_mm256_xor_si256(q, negative), negative))
    return F.oneCapacity == .two ? widened(pairs) : pairs
}

/// Rows r and r + 1: a quarter of a register each, of the first and of the last 16 columns.
@inline(__always) private func twoRows<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ x: OneToken, _ i: Int, _ q: __m256i, _ r: Int
) -> __m256i {
    @inline(__always) func row(_ r: Int) -> __m256i {
        rowSums(F.self, p + r &* x.stride, i, x.rows + (TableScratch.indexes &+ r &* TableScratch.indexStride), q)
    }
    let a = row(r), b = row(r &+ 1)
    let sum = plus(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b), F.oneCapacity == .signed || F.oneCapacity == .two)
    return F.oneCapacity == .four ? widened(sum) : sum
}

/// The integer sums of block i of eight rows with the activations at q, lane r for row r: over all columns, or over the first
/// and the last sixteen.
@inline(__always) private func laneSums<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ x: OneToken, _ i: Int, _ q: UnsafePointer<Int8>
) -> (__m256i, __m256i) {
    let q = load32(q)
    // 1. two rows
    @inline(__always) func two(_ r: Int) -> __m256i { twoRows(F.self, p, x, i, q, r) }
    // 2. four rows: a double word each
    @inline(__always) func four(_ r: Int) -> __m256i {
        let x = _mm256_castsi256_ps(two(r)), y = _mm256_castsi256_ps(two(r &+ 2))
        let low = _mm256_castps_si256(l2s_m256_even(x, y)), high = _mm256_castps_si256(l2s_m256_odd(x, y))
        let sum = plus(low, high, F.oneCapacity != .eight && F.oneCapacity != .sixteen)
        return F.oneCapacity == .eight || F.hasHalves && F.oneCapacity == .sixteen ? widened(sum) : sum
    }
    // 3. eight rows
    let x = four(0), y = four(4)
    let first = l2s_m256i_low_lanes(x, y), second = l2s_m256i_high_lanes(x, y)
    if F.hasHalves { return (first, second) }
    if F.oneCapacity == .sixteen { return (widened(_mm256_add_epi16(first, second)), second) }
    return (_mm256_add_epi32(first, second), second)
}

/// `laneSums`, not in line: beside the fetching ahead the compiler loads all the numbers of grid entries of a block first and puts
/// them by, each in memory.
@inline(never) private func laneSumsApart<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ x: OneToken, _ i: Int, _ q: UnsafePointer<Int8>
) -> (__m256i, __m256i) { laneSums(F.self, p, x, i, q) }

@inline(__always) private func plus(_ x: __m256i, _ y: __m256i, _ wide: Bool) -> __m256i {
    wide ? _mm256_add_epi32(x, y) : _mm256_add_epi16(x, y)
}
