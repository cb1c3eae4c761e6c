// Attention's two steps over quantized pages. A part holds the keys, or the values, of one head and 64 positions:
//
//     scales    (headStride / 32, 64) F16: of block b (components 32 b ..< 32 b + 32) of each position
//     keys      Q8_0: (headStride, 64) int8; Q4_0: (headStride / 2, 64) bytes, component 2 i in the low half of row i, 2 i + 1 in the high
//     values    Q8_0: (64, headStride) int8; Q4_0: (64, headStride / 2) bytes, of 32 bytes for each 64 components the low halves the first
//               32 of them, the high halves the others
//
// Halves are signed, -8 to 7. headStride is a multiple of 64; what is beyond the head is zero. The integers become floats exactly
// and the sums inside a block are taken over them; a scale is multiplied once a block and position. So the sequence of
// operations is the same whether the integers are unpacked where they are used or once for several rows.

/// Where the integers lie, and how they are read.
enum CacheKind {
    static let f32 = 0, f16 = 1
    /// Integers that were made floats, of 8 bits, of 4 bits.
    static let unpacked = 2, int8 = 3, nibbles = 4

    /// Bytes of a part of a page; kind: as it lies there.
    @inline(__always) static func bytes(_ kind: Int, _ headStride: Int) -> Int {
        kind == f32 ? 256 &* headStride : kind == f16 ? 128 &* headStride : kind == int8 ? 68 &* headStride : 36 &* headStride
    }

    /// type: a number of `CacheType`, which has these four.
    @inline(__always) static func of(_ type: UInt32) -> Int {
        type == F32.number ? f32 : type == F16.number ? f16 : type == Q8_0.number ? int8 : nibbles
    }
}

/// scores (64) of one row, not yet scaled: sum over blocks, in order, of scale times the sum of query component times integer.
@inline(__always) func scoreScaled(
    _ q: UnsafePointer<Float>, _ headStride: Int, _ integers: UnsafeRawPointer, _ scales: UnsafeRawPointer, _ kind: Int,
    _ scores: UnsafeMutablePointer<Float>, _ ahead: Ahead
) {
    let zero = F32x16(splat: 0)
    zero.store(scores)
    zero.store(scores + 16)
    zero.store(scores + 32)
    zero.store(scores + 48)
    var first = 0
    while first < headStride {
        ahead.fetch(first, 32)
        var s0 = zero, s1 = zero, s2 = zero, s3 = zero
        var d = first
        if kind == CacheKind.nibbles {
            while d < first &+ 32 {
                let x = F32x16(splat: q[d]), y = F32x16(splat: q[d &+ 1]), row = integers + 32 &* d
                s0 = F32x16.fma(x, F32x16(loadLowHalves: row), s0)
                s1 = F32x16.fma(x, F32x16(loadLowHalves: row + 16), s1)
                s2 = F32x16.fma(x, F32x16(loadLowHalves: row + 32), s2)
                s3 = F32x16.fma(x, F32x16(loadLowHalves: row + 48), s3)
                s0 = F32x16.fma(y, F32x16(loadHighHalves: row), s0)
                s1 = F32x16.fma(y, F32x16(loadHighHalves: row + 16), s1)
                s2 = F32x16.fma(y, F32x16(loadHighHalves: row + 32), s2)
                s3 = F32x16.fma(y, F32x16(loadHighHalves: row + 48), s3)
                d &+= 2
            }
        } else if kind == CacheKind.int8 {
            while d < first &+ 32 {
                let x = F32x16(splat: q[d]), row = integers + 64 &* d
                s0 = F32x16.fma(x, F32x16(loadInt8: row), s0)
                s1 = F32x16.fma(x, F32x16(loadInt8: row + 16), s1)
                s2 = F32x16.fma(x, F32x16(loadInt8: row + 32), s2)
                s3 = F32x16.fma(x, F32x16(loadInt8: row + 48), s3)
                d &+= 1
            }
        } else {
            while d < first &+ 32 {
                let x = F32x16(splat: q[d]), row = (integers + 256 &* d).assumingMemoryBound(to: Float.self)
                s0 = F32x16.fma(x, F32x16(load: row), s0)
                s1 = F32x16.fma(x, F32x16(load: row + 16), s1)
                s2 = F32x16.fma(x, F32x16(load: row + 32), s2)
                s3 = F32x16.fma(x, F32x16(load: row + 48), s3)
                d &+= 1
            }
        }
        let scale = scales + 4 &* first
        F32x16.fma(s0, F32x16(loadHalf: scale), F32x16(load: scores)).store(scores)
        F32x16.fma(s1, F32x16(loadHalf: scale + 32), F32x16(load: scores + 16)).store(scores + 16)
        F32x16.fma(s2, F32x16(loadHalf: scale + 64), F32x16(load: scores + 32)).store(scores + 32)
        F32x16.fma(s3, F32x16(loadHalf: scale + 96), F32x16(load: scores + 48)).store(scores + 48)
        first &+= 32
    }
}

/// out = out * correction + sum_j (w_j scale_j) v_j for j in 0 ..< count, in order; 64 components at a time. products: (128) of scratch.
@inline(__always) func addScaled(
    _ integers: UnsafeRawPointer, _ scales: UnsafeRawPointer, _ headStride: Int, _ kind: Int, _ weights: UnsafePointer<Float>,
    _ count: Int, _ correction: Float, _ out: UnsafeMutablePointer<Float>, _ products: UnsafeMutablePointer<Float>,
    _ ahead: Ahead
) {
    let c = F32x16(splat: correction)
    ahead.fetch(0, 64)
    var i = 0
    while i < headStride {
        var k = 0
        while k < 64 {
            let w = F32x16(load: weights + k), scale = scales + (4 &* i &+ 2 &* k)
            (w * F32x16(loadHalf: scale)).store(products + k)
            (w * F32x16(loadHalf: scale + 128)).store(products + (64 &+ k))
            k &+= 16
        }
        var a0 = F32x16(load: out + i) * c, a1 = F32x16(load: out + (i &+ 16)) * c
        var a2 = F32x16(load: out + (i &+ 32)) * c, a3 = F32x16(load: out + (i &+ 48)) * c
        var j = 0
        if kind == CacheKind.nibbles {
            while j < count {
                let w = F32x16(splat: products[j]), x = F32x16(splat: products[64 &+ j]), row = integers + (j &* headStride &+ i) / 2
                a0 = F32x16.fma(w, F32x16(loadLowHalves: row), a0)
                a1 = F32x16.fma(w, F32x16(loadLowHalves: row + 16), a1)
                a2 = F32x16.fma(x, F32x16(loadHighHalves: row), a2)
                a3 = F32x16.fma(x, F32x16(loadHighHalves: row + 16), a3)
                j &+= 1
            }
        } else if kind == CacheKind.int8 {
            while j < count {
                let w = F32x16(splat: products[j]), x = F32x16(splat: products[64 &+ j]), row = integers + (j &* headStride &+ i)
                a0 = F32x16.fma(w, F32x16(loadInt8: row), a0)
                a1 = F32x16.fma(w, F32x16(loadInt8: row + 16), a1)
                a2 = F32x16.fma(x, F32x16(loadInt8: row + 32), a2)
                a3 = F32x16.fma(x, F32x16(loadInt8: row + 48), a3)
                j &+= 1
            }
        } else {
            while j < count {
                let w = F32x16(splat: products[j]), x = F32x16(splat: products[64 &+ j])
                let row = (integers + 4 &* (j &* headStride &+ i)).assumingMemoryBound(to: Float.self)
                a0 = F32x16.fma(w, F32x16(load: row), a0)
                a1 = F32x16.fma(w, F32x16(load: row + 16), a1)
                a2 = F32x16.fma(x, F32x16(load: row + 32), a2)
                a3 = F32x16.fma(x, F32x16(load: row + 48), a3)
                j &+= 1
            }
        }
        a0.store(out + i)
        a1.store(out + (i &+ 16))
        a2.store(out + (i &+ 32))
        a3.store(out + (i &+ 48))
        i &+= 64
    }
}

/// The integers of a part to floats. apart: how far the component of a byte's high half lies behind that of its low one, and
/// how many bytes lie side by side before that repeats: a row of positions for keys, 32 components for values. A power of two.
func unpack(_ integers: UnsafeRawPointer, _ headStride: Int, _ kind: Int, apart: Int, _ out: UnsafeMutablePointer<Float>) {
    var i = 0
    if kind == CacheKind.int8 {
        while i < 64 &* headStride {
            F32x16(loadInt8: integers + i).store(out + i)
            i &+= 16
        }
        return
    }
    while i < 32 &* headStride {
        let target = out + (2 &* i &- i & (apart &- 1))
        F32x16(loadLowHalves: integers + i).store(target)
        F32x16(loadHighHalves: integers + i).store(target + apart)
        i &+= 16
    }
}
