internal import X86Intrinsics

/// Integer sums of tokens with lane blocks: one instruction adds the products of four bytes, unsigned and signed, in 32 bits.

/// One token goes at the memory's speed, or by way of tables, with AVX2's kernels as well.
var multipliesOneToken: Bool { @inline(__always) get { false } }

/// What is exclusive-ored onto signed weight bytes of lane blocks: the sign bit, which adds 128.
var signedFlip: UInt8 { @inline(__always) get { 0x80 } }

/// What was added to the weights that tiles see.
@inline(__always) func tileBias<F: KernelFormat>(_: F.Type) -> Int { F.capacity == .signed ? 128 : F.bias }

extension Pair {
    @inline(__always) mutating func add(_ w: Pair, _ q: __m256i) {
        a = _mm256_dpbusd_avx_epi32(a, w.a, q)
        b = _mm256_dpbusd_avx_epi32(b, w.b, q)
    }
}

/// Groups first ..< end of the lane block at `block`.
@inline(__always) func sums<F: KernelFormat>(
    _: F.Type, _ tokens: Int, _ block: UnsafeRawPointer, _ first: Int, _ end: Int, _ x: Tile, _ b: Int
) -> Sums {
    let q = UnsafeRawPointer(x.q)
    let q0 = q + 32 &* x.at(0, b), q1 = q + 32 &* x.at(1, b), q2 = q + 32 &* x.at(2, b), q3 = q + 32 &* x.at(3, b)
    var total = Sums()
    @inline(__always) func add(_ g: Int) {
        if g < first || g >= end { return }
        let w = Pair(load: block + 64 &* g), o = 4 &* g
        total.t0.add(w, group(q0 + o))
        if tokens > 1 { total.t1.add(w, group(q1 + o)) }
        if tokens > 2 {
            total.t2.add(w, group(q2 + o))
            total.t3.add(w, group(q3 + o))
        }
    }
    add(0)
    add(1)
    add(2)
    add(3)
    add(4)
    add(5)
    add(6)
    add(7)
    return total
}
