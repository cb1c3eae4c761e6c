internal import KernelOperands
internal import X86Intrinsics

/// One token with a matrix of floats: four rows at a time, each with its sixteen partial sums over k in registers, converted
/// where they are used; the next rows are fetched ahead in file order. Formula and order: Llama2Kernels/Body/FloatMatrix.swift.
@inline(never) func multiplyFloats_4x1<F: FloatFormat>(_: F.Type, _ o: FloatProductOperands) {
    let columns = o.columns, rowBytes = columns &* F.bytes, last = o.end_row &- 1
    // 16 KiB ahead, so that short rows come in time too
    let ahead = 4 &* rowBytes < 16384 ? (16384 / rowBytes &+ 4) & ~3 : 4
    var row = o.first_row
    while row < o.end_row {
        // the last group repeats its last row and does not store it
        @inline(__always) func pointer(_ i: Int) -> UnsafeRawPointer {
            o.data + (row &+ i < last ? row &+ i : last) &* rowBytes
        }
        let w0 = pointer(0), w1 = pointer(1), w2 = pointer(2), w3 = pointer(3)
        let next =
            row &+ ahead < o.end_row
            ? o.data + (row &+ ahead) &* rowBytes : o.next + (row &+ ahead &- o.end_row) &* rowBytes
        var a0 = F32x16(splat: 0), a1 = a0, a2 = a0, a3 = a0
        let whole = columns & ~15
        var k = 0
        while k < whole {
            let i = k &* F.bytes, x = F32x16(load: o.x + k)
            a0 = F32x16.fma(F.load(w0 + i), x, a0)
            a1 = F32x16.fma(F.load(w1 + i), x, a1)
            a2 = F32x16.fma(F.load(w2 + i), x, a2)
            a3 = F32x16.fma(F.load(w3 + i), x, a3)
            // the next four rows are one piece: 64 columns' bytes of it
            prefetch(next + 4 &* i, 64 &* F.bytes)
            k &+= 16
        }
        if whole < columns {
            let i = whole &* F.bytes, rest = columns &- whole, x = loadTail(o.x + whole, rest)
            a0 = F32x16.fma(F.load(w0 + i, rest), x, a0)
            a1 = F32x16.fma(F.load(w1 + i, rest), x, a1)
            a2 = F32x16.fma(F.load(w2 + i, rest), x, a2)
            a3 = F32x16.fma(F.load(w3 + i, rest), x, a3)
        }
        let out = o.out + row
        out[0] = a0.sum
        if row &+ 1 < o.end_row { out[1] = a1.sum }
        if row &+ 2 < o.end_row { out[2] = a2.sum }
        if row &+ 3 < o.end_row { out[3] = a3.sum }
        row &+= 4
    }
}
