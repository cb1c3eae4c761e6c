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
    let q = load32(x.q + 32 &* block), c = x.c + 4 &* block
    if F.usesTables { storeRows(F.self, p, x.stride, i, x.rows) }
    let (first, second) = laneSums(F.self, p, x, i, q)
    let scales = F.scales(header, p, x.stride, i), s = splat(x.s[block])
    @inline(__always) func step(_ acc: __m256, _ d: __m256, _ sum: __m256i) -> __m256 {
        _mm256_fmadd_ps(d, _mm256_mul_ps(s, floats(sum)), acc)
    }
    if !F.hasHalves {
        let one = step(acc, scales.d0, _mm256_add_epi32(first, wholeStart(F.bias, c)))
        if F.form != .affine { return one }
        return _mm256_fmadd_ps(scales.m0, splat(Float(bitPattern: UInt32(bitPattern: c[1]))), one)
    }
    let one = step(acc, scales.d0, _mm256_add_epi32(first, halfStart(F.bias, c + 2)))
    let both = step(one, scales.d1, _mm256_add_epi32(second, halfStart(F.bias, c + 3)))
    if F.form != .affineHalves { return both }
    let sums = offsetSums(x.s[block], c)
    return _mm256_fmadd_ps(scales.m1, splat(sums.1), _mm256_fmadd_ps(scales.m0, splat(sums.0), both))
}

/// s times the sums of the first and of the last 16 activations; c[2] and c[3] are -32 times those.
@inline(__always) func offsetSums(_ s: Float, _ c: UnsafePointer<Int32>) -> (Float, Float) {
    (s * (Float(c[2]) * -0.031_25), s * (Float(c[3]) * -0.031_25))
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

/// The integer sums of block i of eight rows with the activations q, lane r for row r: over all columns, or over the first
/// and the last sixteen.
@inline(__always) private func laneSums<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ x: OneToken, _ i: Int, _ q: __m256i
) -> (__m256i, __m256i) {
    // 1. products: sums of two columns in 16 bits, widened to sums of four where 16 bits hold no more
    @inline(__always) func row(_ r: Int) -> __m256i {
        let w = F.usesTables ? load32(x.rows + 32 &* r) : F.weights(p + r &* x.stride, i, p)
        if F.capacity == .signed {
            return widened(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w)))
        }
        let pairs = _mm256_maddubs_epi16(w, q)
        return F.capacity == .two ? widened(pairs) : pairs
    }
    let wide = F.capacity == .signed || F.capacity == .two
    // 2. two rows: a quarter of a register each, of the first and of the last 16 columns
    @inline(__always) func two(_ r: Int) -> __m256i {
        let x = row(r), y = row(r &+ 1)
        let sum = plus(_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y), wide)
        return F.capacity == .four ? widened(sum) : sum
    }
    let wider = wide || F.capacity == .four
    // 3. four rows: a double word each
    @inline(__always) func four(_ r: Int) -> __m256i {
        let x = _mm256_castsi256_ps(two(r)), y = _mm256_castsi256_ps(two(r &+ 2))
        let low = _mm256_castps_si256(l2s_m256_even(x, y)), high = _mm256_castps_si256(l2s_m256_odd(x, y))
        let sum = plus(low, high, wider)
        return F.capacity == .eight || F.hasHalves && F.capacity == .sixteen ? widened(sum) : sum
    }
    // 4. eight rows
    let x = four(0), y = four(4)
    let first = l2s_m256i_low_lanes(x, y), second = l2s_m256i_high_lanes(x, y)
    if F.hasHalves { return (first, second) }
    if F.capacity == .sixteen { return (widened(_mm256_add_epi16(first, second)), second) }
    return (_mm256_add_epi32(first, second), second)
}

@inline(__always) private func plus(_ x: __m256i, _ y: __m256i, _ wide: Bool) -> __m256i {
    wide ? _mm256_add_epi32(x, y) : _mm256_add_epi16(x, y)
}
