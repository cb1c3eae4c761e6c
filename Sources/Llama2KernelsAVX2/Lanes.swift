internal import X86Intrinsics

/// Sixteen lanes in two registers. Members as in Llama2Kernels/Lanes.swift.
struct F32x16 {
    var a: __m256  // lanes 0..<8
    var b: __m256  // lanes 8..<16

    @inline(__always) init(_ a: __m256, _ b: __m256) {
        self.a = a
        self.b = b
    }
    @inline(__always) init(splat x: Float) { self.init(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
    @inline(__always) init(load p: UnsafePointer<Float>) { self.init(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)) }
    @inline(__always) init(loadHalf p: UnsafeRawPointer) {
        self.init(_mm256_cvtph_ps(l2s_m128i_load(p)), _mm256_cvtph_ps(l2s_m128i_load(p + 16)))
    }
    @inline(__always) init(loadBF16 p: UnsafeRawPointer) {
        self.init(
            _mm256_castsi256_ps(l2s_m256i_shift_left_16(_mm256_cvtepu16_epi32(l2s_m128i_load(p)))),
            _mm256_castsi256_ps(l2s_m256i_shift_left_16(_mm256_cvtepu16_epi32(l2s_m128i_load(p + 16)))))
    }
    @inline(__always) private static func widened(_ p: UnsafeRawPointer) -> (__m256i, __m256i) {
        let bytes = l2s_m128i_load(p)
        return (_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes)))
    }
    @inline(__always) init(loadInt8 p: UnsafeRawPointer) {
        let (x, y) = F32x16.widened(p)
        self.init(_mm256_cvtepi32_ps(x), _mm256_cvtepi32_ps(y))
    }
    /// The low, or high, four bits of 16 bytes, signed.
    @inline(__always) init(loadLowHalves p: UnsafeRawPointer) {
        let (x, y) = F32x16.widened(p), n = _mm256_set1_epi32(28)
        self.init(
            _mm256_cvtepi32_ps(_mm256_srav_epi32(_mm256_sllv_epi32(x, n), n)), _mm256_cvtepi32_ps(_mm256_srav_epi32(_mm256_sllv_epi32(y, n), n)))
    }
    @inline(__always) init(loadHighHalves p: UnsafeRawPointer) {
        let (x, y) = F32x16.widened(p), n = _mm256_set1_epi32(4)
        self.init(_mm256_cvtepi32_ps(_mm256_srav_epi32(x, n)), _mm256_cvtepi32_ps(_mm256_srav_epi32(y, n)))
    }
    @inline(__always) func store(_ p: UnsafeMutablePointer<Float>) {
        _mm256_storeu_ps(p, a)
        _mm256_storeu_ps(p + 8, b)
    }
    @inline(__always) func storeHalf(_ p: UnsafeMutableRawPointer) {
        l2s_m128i_store(p, l2s_m256_to_half(a))
        l2s_m128i_store(p + 16, l2s_m256_to_half(b))
    }
    /// The lowest byte of each lane.
    @inline(__always) func storeLowBytes(_ p: UnsafeMutableRawPointer) {
        let low = _mm256_set1_epi32(255)
        let x = _mm256_and_si256(_mm256_castps_si256(a), low), y = _mm256_and_si256(_mm256_castps_si256(b), low)
        // packing goes by halves of 128 bits: four of x, four of y, four of x, four of y
        let bytes = _mm256_packus_epi16(_mm256_packus_epi32(x, y), _mm256_setzero_si256())
        let order = _mm256_set_epi32(7, 6, 3, 2, 5, 1, 4, 0)
        l2s_m128i_store(p, _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(bytes, order)))
    }

    @inline(__always) static func + (x: F32x16, y: F32x16) -> F32x16 {
        F32x16(_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b))
    }
    @inline(__always) static func - (x: F32x16, y: F32x16) -> F32x16 {
        F32x16(_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b))
    }
    @inline(__always) static func * (x: F32x16, y: F32x16) -> F32x16 {
        F32x16(_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b))
    }
    @inline(__always) static func / (x: F32x16, y: F32x16) -> F32x16 {
        F32x16(_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b))
    }
    @inline(__always) static func fma(_ x: F32x16, _ y: F32x16, _ z: F32x16) -> F32x16 {
        F32x16(_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b))
    }
    @inline(__always) static func max(_ x: F32x16, _ y: F32x16) -> F32x16 {
        F32x16(_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b))
    }
    @inline(__always) static func min(_ x: F32x16, _ y: F32x16) -> F32x16 {
        F32x16(_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b))
    }
    /// Into the second-level cache. An address that is not there does nothing.
    @inline(__always) static func prefetch(_ p: UnsafeRawPointer) { l2s_prefetch_t1(p) }
    /// a < b ? x : y, lane by lane; y when either is NaN.
    @inline(__always) static func select(_ a: F32x16, lessThan b: F32x16, _ x: F32x16, _ y: F32x16) -> F32x16 {
        F32x16(l2s_m256_select_less(a.a, b.a, x.a, y.a), l2s_m256_select_less(a.b, b.b, x.b, y.b))
    }
    @inline(__always) var lowBitsAsExponent: F32x16 {
        F32x16(
            _mm256_castsi256_ps(l2s_m256i_shift_left_23(_mm256_castps_si256(a))),
            _mm256_castsi256_ps(l2s_m256i_shift_left_23(_mm256_castps_si256(b))))
    }
    /// The greatest lane, by the same tree as `sum`.
    @inline(__always) var largest: Float {
        let s = _mm256_max_ps(a, b)
        let t = _mm_max_ps(_mm256_castps256_ps128(s), l2s_m256_high(s))
        let c = _mm_max_ps(t, _mm_movehl_ps(t, t))
        return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)))
    }
    @inline(__always) var sum: Float {
        let s = _mm256_add_ps(a, b)
        let t = _mm_add_ps(_mm256_castps256_ps128(s), l2s_m256_high(s))
        let c = _mm_add_ps(t, _mm_movehl_ps(t, t))
        return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)))
    }
}

struct I32x16 {
    /// Rows or tokens that kernels in Body take at once, 4 or 8: sixteen registers hold 4.
    @inline(__always) static var tokensInRegisters: Int { 4 }
}

/// What is exclusive-ored onto signed weight bytes of lane blocks: nothing here.
var signedFlip: UInt8 { @inline(__always) get { 0 } }
