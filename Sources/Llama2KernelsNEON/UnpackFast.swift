internal import ArmIntrinsics

/// Whole panels to lane blocks: the weights of four rows in registers, transposed there. Operands: `unpack` in
/// Llama2Kernels/Body/Unpack.swift; false for a number that is no format of blocks.
@inline(__always) func unpackFast(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ first: Int, _ count: Int, _ next: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer
) -> Bool {
    visitKernelFormat(type, PanelUnpacker(base: base, stride: stride, first: first, count: count, next: next, out: out))
}

private struct PanelUnpacker: KernelVisitor {
    let base: UnsafeRawPointer, stride: Int, first: Int, count: Int, next: UnsafeRawPointer, out: UnsafeMutableRawPointer

    @inline(__always) func visit<F: KernelFormat>(_: F.Type) {
        unpackPanel(F.self, base + F.offset(first), stride, count, next + 16 &* F.offset(first), out)
    }
}

@inline(never) private func unpackPanel<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ stride: Int, _ count: Int, _ next: UnsafeRawPointer, _ out: UnsafeMutableRawPointer
) {
    var r = 0
    while r < 16 {
        let rows = p + r &* stride, lanes = out + 4 &* r
        var b = 0
        while b < count {
            let q = rows + F.offset(b), header = F.header(q, stride)
            @inline(__always) func step(_ i: Int) {
                let o = lanes + (b &+ i) &* laneBlockBytes, share = F.bytes &* 4 / F.blocks
                storeScales(F.self, F.scales(header, q, stride, i), o)
                storeWeights(F.self, q, stride, i, o)
                prefetch(next + share &* ((r >> 2) &* count &+ b &+ i), share)
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
        r &+= 4
    }
}

/// Block i of four rows: eight groups of four columns of each.
@inline(__always) private func storeWeights<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ stride: Int, _ i: Int, _ out: UnsafeMutableRawPointer
) {
    let a = F.weights(p, i), b = F.weights(p + stride, i), c = F.weights(p + 2 &* stride, i), d = F.weights(p + 3 &* stride, i)
    let low = Columns(a.a, b.a, c.a, d.a), high = Columns(a.b, b.b, c.b, d.b)
    @inline(__always) func store(_ x: uint32x4_t, _ g: Int) { l2s_store(out + 64 &* g, vreinterpretq_u8_u32(x)) }
    store(low.c0, 0)
    store(low.c1, 1)
    store(low.c2, 2)
    store(low.c3, 3)
    store(high.c0, 4)
    store(high.c1, 5)
    store(high.c2, 6)
    store(high.c3, 7)
}
