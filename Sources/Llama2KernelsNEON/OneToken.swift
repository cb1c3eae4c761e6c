internal import ArmIntrinsics

/// One token: four rows at a time, each row's weights multiplied where they were loaded, along the row, by its own
/// activations; three additions of neighbours bring the sums of four rows into lanes (integers, so their order is free). From
/// there on a lane is a row: the same fused multiply-adds in the same order as everywhere (Llama2Kernels/Body/QuantizedMatrix.swift).
/// More tokens take the general way, over lane blocks.
@inline(__always) func multiplyFewTokens(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ blocks: Int, _ q: UnsafePointer<Int8>,
    _ s: UnsafePointer<Float>, _ c: UnsafePointer<Int32>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>,
    _ outStride: Int, _ next: UnsafeRawPointer, _ scratch: UnsafeMutableRawPointer
) -> Bool {
    if tokens != 1 { return false }
    return visitKernelFormat(
        type, PanelByToken(base: base, token: OneToken(q: q, s: s, c: c, blocks: blocks, stride: stride), out: out, next: next))
}

private struct PanelByToken: KernelVisitor {
    let base: UnsafeRawPointer, token: OneToken, out: UnsafeMutablePointer<Float>, next: UnsafeRawPointer

    @inline(__always) func visit<F: KernelFormat>(_: F.Type) { multiplyOnePanel(F.self, base, token, out, next) }
}

private struct OneToken {
    let q: UnsafePointer<Int8>, s: UnsafePointer<Float>, c: UnsafePointer<Int32>
    let blocks: Int, stride: Int
}

@inline(never) private func multiplyOnePanel<F: KernelFormat>(
    _: F.Type, _ base: UnsafeRawPointer, _ x: OneToken, _ out: UnsafeMutablePointer<Float>, _ next: UnsafeRawPointer
) {
    var r = 0
    while r < 16 {
        let rows = base + r &* x.stride
        l2s_store_floats(out + r, multiplyOne(F.self, rows, x, r < 12 ? rows + 4 &* x.stride : next))
        r &+= 4
    }
}

/// Rows from p on: their four results. next: four rows that will be read later, fetched ahead.
@inline(__always) private func multiplyOne<F: KernelFormat>(
    _: F.Type, _ rows: UnsafeRawPointer, _ x: OneToken, _ next: UnsafeRawPointer
) -> float32x4_t {
    var acc = vdupq_n_f32(0)
    var b = 0
    while b < x.blocks {
        let p = rows + F.offset(b), header = F.header(p, x.stride), ahead = next + 4 &* F.offset(b)
        @inline(__always) func step(_ i: Int) {
            acc = add(F.self, p, header, x, b &+ i, i, acc)
            let share = F.bytes &* 4 / F.blocks
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
    _: F.Type, _ p: UnsafeRawPointer, _ header: Header, _ x: OneToken, _ block: Int, _ i: Int, _ acc: float32x4_t
) -> float32x4_t {
    let q = Bytes32(x.q + 32 &* block), c = x.c + 4 &* block, s = x.s[block]
    let q0 = vreinterpretq_s8_u8(q.a), q1 = vreinterpretq_s8_u8(q.b), zero = vdupq_n_s32(0)
    /// Sums of row r: over all columns, or over the first and the last sixteen, spread over the lanes.
    @inline(__always) func row(_ r: Int) -> (int32x4_t, int32x4_t) {
        let w = F.weights(p + r &* x.stride, i)
        let first = l2s_dot_anywhere(zero, vreinterpretq_s8_u8(w.a), q0), second = vreinterpretq_s8_u8(w.b)
        return F.form.hasHalves ? (first, l2s_dot_anywhere(zero, second, q1)) : (l2s_dot_anywhere(first, second, q1), zero)
    }
    /// Lane r for row r.
    @inline(__always) func lanes(_ a: int32x4_t, _ b: int32x4_t, _ c: int32x4_t, _ d: int32x4_t) -> int32x4_t {
        vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d))
    }
    @inline(__always) func step(_ acc: float32x4_t, _ d: float32x4_t, _ sum: int32x4_t) -> float32x4_t {
        vfmaq_f32(acc, d, vmulq_f32(vdupq_n_f32(s), floats(sum)))
    }
    let r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3), scales = F.scales(header, p, x.stride, i)
    let first = lanes(r0.0, r1.0, r2.0, r3.0)
    switch F.form {
    case .symmetric4: return step(acc, scales.d0, vaddq_s32(first, vdupq_n_s32(c[0])))
    case .signed8: return step(acc, scales.d0, first)
    case .affine:
        return vfmaq_f32(
            step(acc, scales.d0, first), scales.m0, vdupq_n_f32(Float(bitPattern: UInt32(bitPattern: c[1]))))
    case .halves6, .halves8, .affineHalves:
        let second = lanes(r0.1, r1.1, r2.1, r3.1)
        if F.form == .halves6 {
            return step(
                step(acc, scales.d0, vaddq_s32(first, vdupq_n_s32(c[2]))), scales.d1, vaddq_s32(second, vdupq_n_s32(c[3])))
        }
        let both = step(step(acc, scales.d0, first), scales.d1, second)
        if F.form == .halves8 { return both }
        // c[2] and c[3] are -32 times the sums of the halves
        let withFirst = vfmaq_f32(both, scales.m0, vdupq_n_f32(s * (Float(c[2]) * -0.031_25)))
        return vfmaq_f32(withFirst, scales.m1, vdupq_n_f32(s * (Float(c[3]) * -0.031_25)))
    }
}
