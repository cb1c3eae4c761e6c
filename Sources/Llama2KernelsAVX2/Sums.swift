internal import X86Intrinsics

/// Integer sums of tokens with lane blocks: products of bytes are summed in 16 bits as long as `capacity` allows.

/// Whether one token is multiplied by this module.
var multipliesOneToken: Bool { @inline(__always) get { true } }

/// What was added to the weights that tiles see.
@inline(__always) func tileBias<F: KernelFormat>(_: F.Type) -> Int { F.bias }

extension Pair {
    @inline(__always) mutating func addPairs(_ w: Pair, _ q: __m256i) {
        a = _mm256_add_epi16(a, _mm256_maddubs_epi16(w.a, q))
        b = _mm256_add_epi16(b, _mm256_maddubs_epi16(w.b, q))
    }

    /// Signed weights w, with magnitudes m.
    @inline(__always) mutating func addSigned(_ w: Pair, _ m: Pair, _ q: __m256i) {
        a = _mm256_add_epi32(a, widened(_mm256_maddubs_epi16(m.a, _mm256_sign_epi8(q, w.a))))
        b = _mm256_add_epi32(b, widened(_mm256_maddubs_epi16(m.b, _mm256_sign_epi8(q, w.b))))
    }

    @inline(__always) mutating func addWidened(_ pairs: Pair) {
        a = _mm256_add_epi32(a, widened(pairs.a))
        b = _mm256_add_epi32(b, widened(pairs.b))
    }

    @inline(__always) var magnitudes: Pair {
        var m = self
        m.a = _mm256_abs_epi8(a)
        m.b = _mm256_abs_epi8(b)
        return m
    }
}

/// Groups first ..< end of the lane block at `block`.
@inline(__always) func sums<F: KernelFormat>(
    _: F.Type, _ tokens: Int, _ block: UnsafeRawPointer, _ first: Int, _ end: Int, _ x: Tile, _ b: Int
) -> Sums {
    let q = UnsafeRawPointer(x.q)
    let q0 = q + 32 &* x.at(0, b), q1 = q + 32 &* x.at(1, b), q2 = q + 32 &* x.at(2, b), q3 = q + 32 &* x.at(3, b)
    var total = Sums()
    var g = first
    while g < end {
        if F.capacity == .signed {
            let w = Pair(load: block + 64 &* g), m = w.magnitudes, o = 4 &* g
            total.t0.addSigned(w, m, group(q0 + o))
            if tokens > 1 { total.t1.addSigned(w, m, group(q1 + o)) }
            if tokens > 2 {
                total.t2.addSigned(w, m, group(q2 + o))
                total.t3.addSigned(w, m, group(q3 + o))
            }
            g &+= 1
        } else {
            var pairs = Sums()
            let stop = g &+ F.capacity.groups < end ? g &+ F.capacity.groups : end
            while g < stop {
                let w = Pair(load: block + 64 &* g), o = 4 &* g
                pairs.t0.addPairs(w, group(q0 + o))
                if tokens > 1 { pairs.t1.addPairs(w, group(q1 + o)) }
                if tokens > 2 {
                    pairs.t2.addPairs(w, group(q2 + o))
                    pairs.t3.addPairs(w, group(q3 + o))
                }
                g &+= 1
            }
            total.t0.addWidened(pairs.t0)
            if tokens > 1 { total.t1.addWidened(pairs.t1) }
            if tokens > 2 {
                total.t2.addWidened(pairs.t2)
                total.t3.addWidened(pairs.t3)
            }
        }
    }
    return total
}
