internal import X86Intrinsics

/// Full panels to lane blocks. Same result as the plain `unpackRow` functions. Nothing is fetched ahead here: the tiles that multiply do.
@inline(__always) func unpackFast(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ first: Int, _ count: Int, _: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer
) -> Bool {
    visitColumnFormat(type, ColumnStorer(base: base, stride: stride, first: first, count: count, out: out))
        || unpackOther(type, base, stride, first, count, out)
}

private struct ColumnStorer: ColumnVisitor {
    let base: UnsafeRawPointer, stride: Int, first: Int, count: Int, out: UnsafeMutableRawPointer

    @inline(__always) func visit<F: ColumnFormat>(_: F.Type) -> Bool {
        storeColumns(F.self, base + F.offset(first), stride, count, out)
        return true
    }
}

@inline(never) private func storeColumns<F: ColumnFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ stride: Int, _ count: Int, _ out: UnsafeMutableRawPointer
) {
    var stored = Stored(out: out)
    walk(F.self, p, stride, count, nil, once: false, &stored)
}

private struct Stored: LaneBlockUser {
    let out: UnsafeMutableRawPointer

    @inline(__always) init(out: UnsafeMutableRawPointer) { self.out = out }

    @inline(__always) mutating func use<F: ColumnFormat>(_: F.Type, _ b: Int, _: Int, _: Int, _ block: LaneBlock) {
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
