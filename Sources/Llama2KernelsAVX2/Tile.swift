internal import X86Intrinsics

/// Some tokens with lane blocks (Formats/LaneBlock.swift) of a panel of 16 rows. The weights lie biased, as
/// `KernelFormat.weights` gives them; how products of bytes are summed is the module's (Sums.swift).

/// Where a tile of activations begins, and how far its tokens and blocks are apart, counted in blocks.
struct Tile {
    let q: UnsafePointer<Int8>, s: UnsafePointer<Float>, c: UnsafePointer<Int32>
    let tokenStride: Int, blockStride: Int

    @inline(__always) func at(_ t: Int, _ b: Int) -> Int { t &* tokenStride &+ b &* blockStride }
}

/// A register of each half of sixteen rows: weights, or sums of theirs.
struct Pair {
    var a: __m256i, b: __m256i

    @inline(__always) init() {
        a = _mm256_setzero_si256()
        b = a
    }

    @inline(__always) init(load p: UnsafeRawPointer) {
        a = load32(p)
        b = load32(p + 32)
    }
}

/// Integer sums of up to four tokens with sixteen rows.
struct Sums { var t0 = Pair(), t1 = Pair(), t2 = Pair(), t3 = Pair() }

/// `tokens` (1, 2 or 4, a constant where this is inlined) tokens; acc: (tokens, 16) running sums.
@inline(__always) private func multiplyTile<F: KernelFormat>(
    _: F.Type, _ tokens: Int, _ lanes: UnsafeRawPointer, _ blocks: Int, _ x: Tile, _ acc: UnsafeMutablePointer<Float>
) {
    var b = 0
    while b < blocks {
        let block = lanes + b &* laneBlockBytes
        /// acc of token t += scale `index` * s * sum
        @inline(__always) func add(_ t: Int, _ index: Int, _ start: __m256i, _ sum: Pair) {
            let a = acc + 16 &* t, d = (block + (512 &+ 64 &* index)).assumingMemoryBound(to: Float.self)
            let s = splat(x.s[x.at(t, b)])
            let low = _mm256_mul_ps(s, floats(_mm256_add_epi32(sum.a, start)))
            let high = _mm256_mul_ps(s, floats(_mm256_add_epi32(sum.b, start)))
            _mm256_storeu_ps(a, _mm256_fmadd_ps(_mm256_loadu_ps(d), low, _mm256_loadu_ps(a)))
            _mm256_storeu_ps(a + 8, _mm256_fmadd_ps(_mm256_loadu_ps(d + 8), high, _mm256_loadu_ps(a + 8)))
        }
        /// acc of token t += offset `index` * sum
        @inline(__always) func addOffset(_ t: Int, _ index: Int, _ v: __m256) {
            let a = acc + 16 &* t, m = (block + (512 &+ 64 &* index)).assumingMemoryBound(to: Float.self)
            _mm256_storeu_ps(a, _mm256_fmadd_ps(_mm256_loadu_ps(m), v, _mm256_loadu_ps(a)))
            _mm256_storeu_ps(a + 8, _mm256_fmadd_ps(_mm256_loadu_ps(m + 8), v, _mm256_loadu_ps(a + 8)))
        }
        @inline(__always) func part(_ index: Int, _ first: Int, _ end: Int, _ start: (Int) -> __m256i) {
            let sum = sums(F.self, tokens, block, first, end, x, b)
            add(0, index, start(0), sum.t0)
            if tokens > 1 { add(1, index, start(1), sum.t1) }
            if tokens > 2 {
                add(2, index, start(2), sum.t2)
                add(3, index, start(3), sum.t3)
            }
        }
        if F.hasHalves {
            part(0, 0, 4) { halfStart(tileBias(F.self), x.c + (4 &* x.at($0, b) &+ 2)) }
            part(1, 4, 8) { halfStart(tileBias(F.self), x.c + (4 &* x.at($0, b) &+ 3)) }
        } else {
            part(0, 0, 8) { wholeStart(tileBias(F.self), x.c + 4 &* x.at($0, b)) }
        }
        var t = 0
        while t < tokens && (F.form == .affine || F.form == .affineHalves) {
            let c = x.c + 4 &* x.at(t, b)
            if F.form == .affine {
                addOffset(t, 1, splat(Float(bitPattern: UInt32(bitPattern: c[1]))))
            } else {
                let both = offsetSums(x.s[x.at(t, b)], c)
                addOffset(t, 2, both.0)
                addOffset(t, 3, both.1)
            }
            t &+= 1
        }
        b &+= 1
    }
}

@inline(never) func multiplyFour<F: KernelFormat>(
    _: F.Type, _ lanes: UnsafeRawPointer, _ blocks: Int, _ x: Tile, _ acc: UnsafeMutablePointer<Float>
) { multiplyTile(F.self, 4, lanes, blocks, x, acc) }

@inline(never) func multiplyTwo<F: KernelFormat>(
    _: F.Type, _ lanes: UnsafeRawPointer, _ blocks: Int, _ x: Tile, _ acc: UnsafeMutablePointer<Float>
) { multiplyTile(F.self, 2, lanes, blocks, x, acc) }

@inline(never) func multiplyLast<F: KernelFormat>(
    _: F.Type, _ lanes: UnsafeRawPointer, _ blocks: Int, _ x: Tile, _ acc: UnsafeMutablePointer<Float>
) { multiplyTile(F.self, 1, lanes, blocks, x, acc) }
