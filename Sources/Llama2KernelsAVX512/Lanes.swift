internal import X86Intrinsics

/// Sixteen lanes in one register. Members as in Llama2Kernels/Lanes.swift.
struct F32x16 {
    var v: __m512

    @inline(__always) init(_ v: __m512) { self.v = v }
    @inline(__always) init(splat x: Float) { v = _mm512_set1_ps(x) }
    @inline(__always) init(load p: UnsafePointer<Float>) { v = _mm512_loadu_ps(p) }
    @inline(__always) init(loadHalf p: UnsafeRawPointer) { v = _mm512_cvtph_ps(l2s_m256i_load(p)) }
    @inline(__always) init(loadBF16 p: UnsafeRawPointer) {
        v = _mm512_castsi512_ps(_mm512_sllv_epi32(_mm512_cvtepu16_epi32(l2s_m256i_load(p)), _mm512_set1_epi32(16)))
    }
    @inline(__always) init(loadInt8 p: UnsafeRawPointer) { v = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(l2s_m128i_load(p))) }
    /// The low, or high, four bits of 16 bytes, signed.
    @inline(__always) init(loadLowHalves p: UnsafeRawPointer) {
        let n = _mm512_set1_epi32(28)
        v = _mm512_cvtepi32_ps(_mm512_srav_epi32(_mm512_sllv_epi32(_mm512_cvtepi8_epi32(l2s_m128i_load(p)), n), n))
    }
    @inline(__always) init(loadHighHalves p: UnsafeRawPointer) {
        v = _mm512_cvtepi32_ps(_mm512_srav_epi32(_mm512_cvtepi8_epi32(l2s_m128i_load(p)), _mm512_set1_epi32(4)))
    }
    @inline(__always) func store(_ p: UnsafeMutablePointer<Float>) { _mm512_storeu_ps(p, v) }
    @inline(__always) func storeHalf(_ p: UnsafeMutableRawPointer) { l2s_m256i_store(p, l2s_m512_to_half(v)) }
    /// The lowest byte of each lane.
    @inline(__always) func storeLowBytes(_ p: UnsafeMutableRawPointer) {
        l2s_m128i_store(p, _mm512_cvtepi32_epi8(_mm512_castps_si512(v)))
    }

    @inline(__always) static func + (a: F32x16, b: F32x16) -> F32x16 { F32x16(_mm512_add_ps(a.v, b.v)) }
    @inline(__always) static func - (a: F32x16, b: F32x16) -> F32x16 { F32x16(_mm512_sub_ps(a.v, b.v)) }
    @inline(__always) static func * (a: F32x16, b: F32x16) -> F32x16 { F32x16(_mm512_mul_ps(a.v, b.v)) }
    @inline(__always) static func / (a: F32x16, b: F32x16) -> F32x16 { F32x16(_mm512_div_ps(a.v, b.v)) }
    @inline(__always) static func fma(_ a: F32x16, _ b: F32x16, _ c: F32x16) -> F32x16 {
        F32x16(_mm512_fmadd_ps(a.v, b.v, c.v))
    }
    @inline(__always) static func max(_ a: F32x16, _ b: F32x16) -> F32x16 { F32x16(_mm512_max_ps(a.v, b.v)) }
    @inline(__always) static func min(_ a: F32x16, _ b: F32x16) -> F32x16 { F32x16(_mm512_min_ps(a.v, b.v)) }
    /// Into the second-level cache. An address that is not there does nothing.
    @inline(__always) static func prefetch(_ p: UnsafeRawPointer) { l2s_prefetch_t1(p) }
    @inline(__always) static var fetchesOnce: Bool { l2s_fetches_once() != 0 }
    @inline(__always) static func prefetchOnce(_ p: UnsafeRawPointer) { l2s_prefetch_nta(p) }
    /// a < b ? x : y, lane by lane; y when either is NaN.
    @inline(__always) static func select(_ a: F32x16, lessThan b: F32x16, _ x: F32x16, _ y: F32x16) -> F32x16 {
        F32x16(l2s_m512_select_less(a.v, b.v, x.v, y.v))
    }
    @inline(__always) var lowBitsAsExponent: F32x16 {
        F32x16(_mm512_castsi512_ps(_mm512_sllv_epi32(_mm512_castps_si512(v), _mm512_set1_epi32(23))))
    }
    /// The greatest lane, by the same tree as `sum`.
    @inline(__always) var largest: Float {
        let a = _mm256_max_ps(_mm512_castps512_ps256(v), l2s_m512_high(v))
        let b = _mm_max_ps(_mm256_castps256_ps128(a), l2s_m256_high(a))
        let c = _mm_max_ps(b, _mm_movehl_ps(b, b))
        return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)))
    }
    @inline(__always) var sum: Float {
        let a = _mm256_add_ps(_mm512_castps512_ps256(v), l2s_m512_high(v))
        let b = _mm_add_ps(_mm256_castps256_ps128(a), l2s_m256_high(a))
        let c = _mm_add_ps(b, _mm_movehl_ps(b, b))
        return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)))
    }
}

struct I32x16 {
    var v: __m512i

    @inline(__always) init(splat x: Int32) { v = _mm512_set1_epi32(x) }
    @inline(__always) var asFloat: F32x16 { F32x16(_mm512_cvtepi32_ps(v)) }
    @inline(__always) mutating func add(_ other: I32x16) { v = _mm512_add_epi32(v, other.v) }
    @inline(__always) mutating func addDot(_ w: UnsafeRawPointer, _ a: UnsafeRawPointer) {
        v = _mm512_dpbusd_epi32(v, _mm512_loadu_si512(w), _mm512_set1_epi32(a.loadUnaligned(as: Int32.self)))
    }
    /// The instruction takes unsigned weights: the sign bit is flipped, which adds 128.
    @inline(__always) mutating func addSignedDot(_ w: UnsafeRawPointer, _ a: UnsafeRawPointer) { addDot(w, a) }
    /// What undoes `addSignedDot`'s 128: -128 sum, c[0] being -8 sum.
    @inline(__always) init(signedStart c: UnsafePointer<Int32>) {
        v = _mm512_sllv_epi32(_mm512_set1_epi32(c[0]), _mm512_set1_epi32(4))
    }
    /// The same for a sum over 16 columns; c is -32 times their sum.
    @inline(__always) init(signedHalfStart c: Int32) { v = _mm512_set1_epi32(c &* 4) }
    /// One token of a format with tables is left to AVX2, whose bits are the same.
    @inline(__always) static func multiplies(_ type: UInt32, _ tokens: Int) -> Bool { tokens > 1 || multipliesOneToken(type) }
    /// Tokens whose sums and accumulators the 32 registers hold.
    @inline(__always) static var tokensInRegisters: Int { 8 }
}

/// Four tokens go the general way here.
@inline(__always) func multiplyFourTokensFast(
    _ form: LaneForm, _ lanes: UnsafeRawPointer, _ blocks: Int, _ q: UnsafePointer<Int8>, _ s: UnsafePointer<Float>,
    _ c: UnsafePointer<Int32>, _ tokenStride: Int, _ blockStride: Int, _ acc: UnsafeMutablePointer<Float>
) -> Bool { false }

/// Where `scaledSums` are kept in the scratch.
@inline(__always) func placeOfSums(_ scratch: UnsafeRawPointer) -> UnsafeMutablePointer<Float> {
    UnsafeMutableRawPointer(mutating: scratch + UnpackScratch.sums).assumingMemoryBound(to: Float.self)
}

/// Scratch behind lane blocks and running sums, from `unpackScratch` on: what formats with tables need of 16 rows, and
/// `scaledSums`.
enum UnpackScratch {
    static var rows: Int { unpackScratch }
    static var sums: Int { unpackScratch &+ 2 &* TableScratch.end }
    static var bytes: Int { 2 &* TableScratch.end &+ 512 }
}
var unpackScratchBytes: Int { @inline(__always) get { UnpackScratch.bytes } }

/// Where sums over signed weights start, of eight tokens: c, shifted. To memory, from where a broadcast is a load and no more. c, out: (8, 4).
@inline(__always) func shiftedStarts(_ c: UnsafePointer<Int32>, _ by: Int32, _ out: UnsafeMutablePointer<Int32>) {
    l2s_m512i_store_unseen(out, _mm512_sllv_epi32(_mm512_loadu_si512(c), _mm512_set1_epi32(by)))
    l2s_m512i_store_unseen(out + 16, _mm512_sllv_epi32(_mm512_loadu_si512(c + 16), _mm512_set1_epi32(by)))
}

/// Sums of 16 activations, scaled, of eight tokens or blocks that lie side by side: to memory, from where they are broadcast.
/// out: (8, 4), of which the last two are used.
@inline(__always) func scaledSums(_ c: UnsafePointer<Int32>, _ s: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>) {
    let eight = _mm512_castps256_ps512(_mm256_loadu_ps(s))
    @inline(__always) func four(_ t: Int, _ order: __m512i) {
        let sums = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(c + 4 &* t)), _mm512_set1_ps(-0.031_25))
        _mm512_storeu_ps(out + 4 &* t, _mm512_mul_ps(_mm512_permutexvar_ps(order, eight), sums))
    }
    four(0, _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0))
    four(4, _mm512_set_epi32(7, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4, 4, 4))
}

/// What is exclusive-ored onto signed weight bytes of lane blocks before `addSignedDot` sees them, and the bias that this leaves in them.
var signedFlip: UInt8 { @inline(__always) get { 0x80 } }
