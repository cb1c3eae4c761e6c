internal import KernelOperands
internal import X86Intrinsics

/// Matrices of floats: out[t][r] = sum_k w[r][k] x[t][k]. A (row, token) is sixteen partial sums over k, fused multiply-adds
/// in order of k, and one fixed tree (Llama2Kernels/Body/FloatMatrix.swift); the bits are the same.
///
/// Several tokens are blocked as matrix products are (Goto & van de Geijn, Anatomy of High-Performance Matrix
/// Multiplication, 2008): of eight rows, `chunk` columns are converted to floats once (16 KiB) and stay in L1 while three
/// tokens after the other pass by from L2, and the partial sums of all wait in the scratch. The sums
/// are done eight lanes at a time, first those of even half vectors, then the others: 4 rows x 3 tokens
/// in 12 registers, 7 loads for 12 fused multiply-adds. Lanes are independent, so that this changes no order.
///
/// false: no type of floats.
func multiplyFloats(_ o: FloatProductOperands) -> Bool {
    switch o.type {
    case F32.number: multiply(F32.self, o)
    case F16.number: multiply(F16.self, o)
    case BF16.number: multiply(BF16.self, o)
    default: return false
    }
    return true
}

/// Bytes of scratch that `multiplyQuantized` and `multiplyFloats` need.
var productScratchBytes: Int { quantizedScratchBytes > FloatScratch.end ? quantizedScratchBytes : FloatScratch.end }

/// What a panel needs beside its operands, for `tokens` tokens at once.
enum FloatScratch {
    static var chunk: Int { 512 }  // columns, a multiple of 16
    static var tokens: Int { 48 }  // so many that their columns of a chunk and the sums stay in L2
    /// (2 row groups, 2 halves, chunk / 16, 4 rows, 8) weights
    static var weights: Int { 0 }
    /// (4 row groups, tokens, 4 rows, 16) partial sums
    static var sums: Int { 2 &* 4 &* 4 &* chunk }
    /// (tokens, 16) the last columns of each token, zeros beyond
    static var tails: Int { sums &+ 4 &* 16 &* 16 &* tokens }
    static var end: Int { tails &+ 4 &* 16 &* tokens }
}

@inline(__always) private func multiply<F: FloatFormat>(_: F.Type, _ o: FloatProductOperands) {
    if o.tokens == 1 { return multiplyFloats_4x1(F.self, o) }
    var first = 0
    while first < o.tokens {
        let left = o.tokens &- first, count = left < FloatScratch.tokens ? left : FloatScratch.tokens
        let rest = o.columns & 15, tails = (o.scratch + FloatScratch.tails).assumingMemoryBound(to: Float.self)
        var t = 0
        while t < count && rest != 0 {
            loadTail(o.x + ((first &+ t &+ 1) &* o.columns &- rest), rest).store(tails + 16 &* t)
            t &+= 1
        }
        var row = o.first_row
        while row < o.end_row {
            multiplyPanel(F.self, o, row, first, count)
            row &+= 16
        }
        first &+= count
    }
}

/// Rows row ..< row + 16 (or to the last) with tokens first ..< first + count.
@inline(never) private func multiplyPanel<F: FloatFormat>(_: F.Type, _ o: FloatProductOperands, _ row: Int, _ first: Int, _ count: Int) {
    let left = o.end_row &- row, valid = left < 16 ? left : 16, groups = (valid &+ 3) >> 2
    let sums = (o.scratch + FloatScratch.sums).assumingMemoryBound(to: Float.self)
    let tails = (o.scratch + FloatScratch.tails).assumingMemoryBound(to: Float.self)
    let weights = (o.scratch + FloatScratch.weights).assumingMemoryBound(to: Float.self)
    let groupSums = 64 &* FloatScratch.tokens, groupWeights = 4 &* FloatScratch.chunk
    var group = 0
    while group < groups {
        var i = 0
        while i < 64 &* count {
            F32x16(splat: 0).store(sums + (group &* groupSums &+ i))
            i &+= 16
        }
        group &+= 1
    }
    // 1. by chunks of columns
    let panelBytes = 16 &* o.columns &* F.bytes, chunks = (o.columns &+ FloatScratch.chunk &- 1) / FloatScratch.chunk
    let parts = (4 &+ 2 &* ((count &+ 2) / 3)) &* groups &* chunks  // of converted rows and halves of tiles
    var ahead = NextPanel(row &+ 16 < o.end_row ? o.data + (row &+ 16) &* o.columns &* F.bytes : o.next, panelBytes, parts: parts)
    var k = 0
    while k < o.columns {
        let width = o.columns &- k < FloatScratch.chunk ? o.columns &- k : FloatScratch.chunk
        let whole = width >> 4
        var pair = 0
        while pair < groups {
            let end = pair &+ 2 < groups ? pair &+ 2 : groups
            var g = pair
            while g < end {
                convert(F.self, o, row &+ 4 &* g, k, width, weights + groupWeights &* (g &- pair), &ahead)
                g &+= 1
            }
            var t = 0
            while t < count {
                let tile = count &- t < 3 ? count &- t : 3
                let x = o.x + ((first &+ t) &* o.columns &+ k)
                g = pair
                while g < end {
                    let w = weights + groupWeights &* (g &- pair), s = sums + (g &* groupSums &+ 64 &* t)
                    multiplyTile(tile, w, FloatScratch.chunk >> 4, x, o.columns, whole, s, &ahead)
                    if width & 15 != 0 {
                        multiplyTile(tile, w + 32 &* whole, FloatScratch.chunk >> 4, tails + 16 &* t, 16, 1, s, &ahead)
                    }
                    g &+= 1
                }
                t &+= tile
            }
            pair = end
        }
        k &+= width
    }
    // 2. the sixteen partial sums of each to one
    var t = 0
    while t < count {
        let out = o.out + ((first &+ t) &* o.out_stride &+ row)
        var r = 0
        while r < valid {
            out[r] = F32x16(load: sums + ((r >> 2) &* groupSums &+ 64 &* t &+ 16 &* (r & 3))).sum
            r &+= 1
        }
        t &+= 1
    }
}

/// Columns k ..< k + width of four rows from `row` on, as floats in the order in which tiles read them; zeros fill the last
/// vector, and rows beyond the last repeat it.
@inline(__always) private func convert<F: FloatFormat>(
    _: F.Type, _ o: FloatProductOperands, _ row: Int, _ k: Int, _ width: Int, _ weights: UnsafeMutablePointer<Float>, _ ahead: inout NextPanel
) {
    let rowBytes = o.columns &* F.bytes, chunk = FloatScratch.chunk
    var r = 0
    while r < 4 {
        ahead.fetchPart()
        let p = o.data + ((row &+ r < o.end_row ? row &+ r : o.end_row &- 1) &* rowBytes &+ k &* F.bytes)
        let out = weights + 8 &* r
        @inline(__always) func store(_ x: F32x16, _ step: Int) {
            _mm256_storeu_ps(out + 32 &* step, x.a)
            _mm256_storeu_ps(out + (32 &* step &+ 2 &* chunk), x.b)
        }
        let whole = width >> 4
        var i = 0
        while i < whole {
            store(F.load(p + 16 &* F.bytes &* i), i)
            i &+= 1
        }
        if width & 15 != 0 { store(F.load(p + 16 &* F.bytes &* whole, width & 15), whole) }
        r &+= 1
    }
}

/// Four rows with `tokens` (1...3) tokens, `steps` vectors of sixteen columns; `all`: those that the weights have room for.
@inline(__always) private func multiplyTile(
    _ tokens: Int, _ w: UnsafePointer<Float>, _ all: Int, _ x: UnsafePointer<Float>, _ stride: Int, _ steps: Int,
    _ sums: UnsafeMutablePointer<Float>, _ ahead: inout NextPanel
) {
    var half = 0
    while half < 2 {
        ahead.fetchPart()
        let w = w + 32 &* all &* half, x = x + 8 &* half, s = sums + 8 &* half
        switch tokens {
        case 3: floats_4x3(w, x, stride, steps, s)
        case 2: floats_4x2(w, x, stride, steps, s)
        default: floats_4x1(w, x, stride, steps, s)
        }
        half &+= 1
    }
}

/// Eight lanes of four rows with one token.
private struct FourRows {
    var a0: __m256, a1: __m256, a2: __m256, a3: __m256

    /// sums: (4 rows, 16)
    @inline(__always) init(_ sums: UnsafePointer<Float>) {
        a0 = _mm256_loadu_ps(sums)
        a1 = _mm256_loadu_ps(sums + 16)
        a2 = _mm256_loadu_ps(sums + 32)
        a3 = _mm256_loadu_ps(sums + 48)
    }

    @inline(__always) func store(_ sums: UnsafeMutablePointer<Float>) {
        _mm256_storeu_ps(sums, a0)
        _mm256_storeu_ps(sums + 16, a1)
        _mm256_storeu_ps(sums + 32, a2)
        _mm256_storeu_ps(sums + 48, a3)
    }
}

/// w: (steps, 4, 8); x: tokens `stride` apart, every other eight of their floats; sums: (tokens, 4, 16), every other eight.
@inline(never) private func floats_4x3(
    _ w: UnsafePointer<Float>, _ x: UnsafePointer<Float>, _ stride: Int, _ steps: Int, _ sums: UnsafeMutablePointer<Float>
) {
    var s = FourRows(sums), t = FourRows(sums + 64), u = FourRows(sums + 128)
    let y = x + stride, z = x + 2 &* stride
    var i = 0
    while i < steps {
        let x = _mm256_loadu_ps(x + 16 &* i), y = _mm256_loadu_ps(y + 16 &* i), z = _mm256_loadu_ps(z + 16 &* i)
        let w0 = _mm256_loadu_ps(w + 32 &* i)
        s.a0 = _mm256_fmadd_ps(w0, x, s.a0)
        t.a0 = _mm256_fmadd_ps(w0, y, t.a0)
        u.a0 = _mm256_fmadd_ps(w0, z, u.a0)
        let w1 = _mm256_loadu_ps(w + (32 &* i &+ 8))
        s.a1 = _mm256_fmadd_ps(w1, x, s.a1)
        t.a1 = _mm256_fmadd_ps(w1, y, t.a1)
        u.a1 = _mm256_fmadd_ps(w1, z, u.a1)
        let w2 = _mm256_loadu_ps(w + (32 &* i &+ 16))
        s.a2 = _mm256_fmadd_ps(w2, x, s.a2)
        t.a2 = _mm256_fmadd_ps(w2, y, t.a2)
        u.a2 = _mm256_fmadd_ps(w2, z, u.a2)
        let w3 = _mm256_loadu_ps(w + (32 &* i &+ 24))
        s.a3 = _mm256_fmadd_ps(w3, x, s.a3)
        t.a3 = _mm256_fmadd_ps(w3, y, t.a3)
        u.a3 = _mm256_fmadd_ps(w3, z, u.a3)
        i &+= 1
    }
    s.store(sums)
    t.store(sums + 64)
    u.store(sums + 128)
}

@inline(never) private func floats_4x2(
    _ w: UnsafePointer<Float>, _ x: UnsafePointer<Float>, _ stride: Int, _ steps: Int, _ sums: UnsafeMutablePointer<Float>
) {
    var s = FourRows(sums), t = FourRows(sums + 64)
    let y = x + stride
    var i = 0
    while i < steps {
        let x = _mm256_loadu_ps(x + 16 &* i), y = _mm256_loadu_ps(y + 16 &* i), w = w + 32 &* i
        let w0 = _mm256_loadu_ps(w), w1 = _mm256_loadu_ps(w + 8), w2 = _mm256_loadu_ps(w + 16), w3 = _mm256_loadu_ps(w + 24)
        s.a0 = _mm256_fmadd_ps(w0, x, s.a0)
        t.a0 = _mm256_fmadd_ps(w0, y, t.a0)
        s.a1 = _mm256_fmadd_ps(w1, x, s.a1)
        t.a1 = _mm256_fmadd_ps(w1, y, t.a1)
        s.a2 = _mm256_fmadd_ps(w2, x, s.a2)
        t.a2 = _mm256_fmadd_ps(w2, y, t.a2)
        s.a3 = _mm256_fmadd_ps(w3, x, s.a3)
        t.a3 = _mm256_fmadd_ps(w3, y, t.a3)
        i &+= 1
    }
    s.store(sums)
    t.store(sums + 64)
}

@inline(never) private func floats_4x1(
    _ w: UnsafePointer<Float>, _ x: UnsafePointer<Float>, _ stride: Int, _ steps: Int, _ sums: UnsafeMutablePointer<Float>
) {
    var s = FourRows(sums)
    var i = 0
    while i < steps {
        let x = _mm256_loadu_ps(x + 16 &* i), w = w + 32 &* i
        s.a0 = _mm256_fmadd_ps(_mm256_loadu_ps(w), x, s.a0)
        s.a1 = _mm256_fmadd_ps(_mm256_loadu_ps(w + 8), x, s.a1)
        s.a2 = _mm256_fmadd_ps(_mm256_loadu_ps(w + 16), x, s.a2)
        s.a3 = _mm256_fmadd_ps(_mm256_loadu_ps(w + 24), x, s.a3)
        i &+= 1
    }
    s.store(sums)
}
