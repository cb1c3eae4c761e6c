internal import X86Intrinsics

/// Full panels to lane blocks. Same result as the plain `unpackRow` functions.
@inline(__always) func unpackFast(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ first: Int, _ count: Int, _ next: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer
) -> Bool {
    @inline(__always) func panel<F: ColumnFormat>(_: F.Type) {
        storeColumns(F.self, base + F.offset(first), stride, count, next + 16 &* F.offset(first), out)
    }
    switch type {
    case Q4_0.number: panel(Q4_0.self)
    case Q4_1.number: panel(Q4_1.self)
    case Q5_0.number: panel(Q5_0.self)
    case Q5_1.number: panel(Q5_1.self)
    case Q8_0.number: panel(Q8_0.self)
    case Q2_K.number: panel(Q2_K.self)
    case Q3_K.number: panel(Q3_K.self)
    case Q4_K.number: panel(Q4_K.self)
    case Q5_K.number: panel(Q5_K.self)
    case Q6_K.number: unpackQ6_K(base, stride, first >> 3, count, next, out)
    case IQ4_NL.number: panel(IQ4_NL.self)
    case IQ4_XS.number: panel(IQ4_XS.self)
    case TQ2_0.number: panel(TQ2_0.self)
    default: return unpackByRows(type, base, stride, first, count, next, out)
    }
    return true
}

@inline(never) private func storeColumns<F: ColumnFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ stride: Int, _ count: Int, _ next: UnsafeRawPointer, _ out: UnsafeMutableRawPointer
) {
    var stored = Stored(out: out)
    walk(F.self, p, stride, count, next, &stored)
}

private struct Stored: LaneBlockUser {
    let out: UnsafeMutableRawPointer

    @inline(__always) init(out: UnsafeMutableRawPointer) { self.out = out }

    @inline(__always) mutating func use<F: ColumnFormat>(_: F.Type, _ b: Int, _: Int, _ block: LaneBlock) {
        let p = out + b &* laneBlockBytes
        @inline(__always) func store(_ x: __m512i, _ g: Int) {
            // 128 more in signed ones, as `addSignedDot` expects
            let more = F.form.isSigned ? 128 &- F.columnBias : 0
            _mm512_storeu_si512(p + 64 &* g, more == 0 ? x : _mm512_add_epi8(x, _mm512_set1_epi8(Int8(truncatingIfNeeded: more))))
        }
        store(block.w.a.c0, 0)
        store(block.w.a.c1, 1)
        store(block.w.a.c2, 2)
        store(block.w.a.c3, 3)
        store(block.w.b.c0, 4)
        store(block.w.b.c1, 5)
        store(block.w.b.c2, 6)
        store(block.w.b.c3, 7)
        @inline(__always) func store(_ x: __m512, _ index: Int) {
            _mm512_storeu_ps((p + (512 &+ 64 &* index)).assumingMemoryBound(to: Float.self), x)
        }
        store(block.s.d0, 0)
        switch F.form {
        case .symmetric4, .signed8: break
        case .affine: store(block.s.m0, 1)
        case .halves6, .halves8: store(block.s.d1, 1)
        case .affineHalves:
            store(block.s.d1, 1)
            store(block.s.m0, 2)
            store(block.s.m1, 3)
        }
    }
}
