internal import ArmIntrinsics

/// Four tokens with lane blocks by products of small matrices (FEAT_I8MM): an instruction multiplies two rows with two tokens over
/// eight columns. False where this module has no such instruction: then dot products do it (Body/QuantizedMatrix.swift), in the
/// same order of floating-point operations.
///
/// acc: (4, 16) running sums; q, s, c: the activations of block 0 of token 0, those of the next token and block so many blocks apart.
@inline(__always) func multiplyFourTokensFast(
    _ form: LaneForm, _ lanes: UnsafeRawPointer, _ blocks: Int, _ q: UnsafePointer<Int8>, _ s: UnsafePointer<Float>,
    _ c: UnsafePointer<Int32>, _ tokenStride: Int, _ blockStride: Int, _ acc: UnsafeMutablePointer<Float>
) -> Bool {
    if l2s_has_matrix_products() == 0 { return false }
    let x = FourTokens(q: q, s: s, c: c, tokenStride: tokenStride, blockStride: blockStride)
    switch form {
    case .symmetric4: matrixSymmetric4(lanes, blocks, x, acc)
    case .signed8: matrixSigned8(lanes, blocks, x, acc)
    case .affine: matrixAffine(lanes, blocks, x, acc)
    case .halves6: matrixHalves6(lanes, blocks, x, acc)
    case .halves8: matrixHalves8(lanes, blocks, x, acc)
    case .affineHalves: matrixAffineHalves(lanes, blocks, x, acc)
    }
    return true
}

private struct FourTokens {
    let q: UnsafePointer<Int8>, s: UnsafePointer<Float>, c: UnsafePointer<Int32>
    let tokenStride: Int, blockStride: Int

    @inline(__always) func at(_ t: Int, _ b: Int) -> Int { t &* tokenStride &+ b &* blockStride }
}

// A function a form, so that the form is a constant in each.
@inline(never) private func matrixSymmetric4(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: FourTokens, _ acc: UnsafeMutablePointer<Float>) {
    multiply(.symmetric4, lanes, blocks, x, acc)
}
@inline(never) private func matrixSigned8(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: FourTokens, _ acc: UnsafeMutablePointer<Float>) {
    multiply(.signed8, lanes, blocks, x, acc)
}
@inline(never) private func matrixAffine(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: FourTokens, _ acc: UnsafeMutablePointer<Float>) {
    multiply(.affine, lanes, blocks, x, acc)
}
@inline(never) private func matrixHalves6(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: FourTokens, _ acc: UnsafeMutablePointer<Float>) {
    multiply(.halves6, lanes, blocks, x, acc)
}
@inline(never) private func matrixHalves8(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: FourTokens, _ acc: UnsafeMutablePointer<Float>) {
    multiply(.halves8, lanes, blocks, x, acc)
}
@inline(never) private func matrixAffineHalves(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: FourTokens, _ acc: UnsafeMutablePointer<Float>) {
    multiply(.affineHalves, lanes, blocks, x, acc)
}

/// Eight rows at a time: their running sums, those of one block and the weights stay in registers.
@inline(__always) private func multiply(
    _ form: LaneForm, _ lanes: UnsafeRawPointer, _ blocks: Int, _ x: FourTokens, _ acc: UnsafeMutablePointer<Float>
) {
    var r = 0
    while r < 16 {
        var low = FourRows(load: acc + r), high = FourRows(load: acc + (r &+ 4))
        var b = 0
        while b < blocks {
            let block = lanes + (b &* laneBlockBytes &+ 4 &* r), q = UnsafeRawPointer(x.q)
            let q0 = q + 32 &* x.at(0, b), q1 = q + 32 &* x.at(1, b), q2 = q + 32 &* x.at(2, b), q3 = q + 32 &* x.at(3, b)
            var i = Products(), j = Products()
            @inline(__always) func eightColumns(_ h: Int) {
                let x01 = vreinterpretq_s8_u8(l2s_load_two(q0 + 8 &* h, q1 + 8 &* h))
                let x23 = vreinterpretq_s8_u8(l2s_load_two(q2 + 8 &* h, q3 + 8 &* h))
                i.add(block + 128 &* h, x01, x23)
                j.add(block + (128 &* h &+ 16), x01, x23)
            }
            eightColumns(0)
            eightColumns(1)
            if form.hasHalves {
                let scale = (block + 512).assumingMemoryBound(to: Float.self)
                low.add(form, scale, i, 0, x, b)
                high.add(form, scale + 4, j, 0, x, b)
                i = Products()
                j = Products()
            }
            eightColumns(2)
            eightColumns(3)
            let scale = (block + (form.hasHalves ? 576 : 512)).assumingMemoryBound(to: Float.self)
            low.add(form, scale, i, 1, x, b)
            high.add(form, scale + 4, j, 1, x, b)
            if form == .affine || form == .affineHalves {
                low.addOffsets(form, (block + 576).assumingMemoryBound(to: Float.self), x, b)
                high.addOffsets(form, (block + 592).assumingMemoryBound(to: Float.self), x, b)
            }
            b &+= 1
        }
        low.store(acc + r)
        high.store(acc + (r &+ 4))
        r &+= 8
    }
}

/// Integer sums of four rows with four tokens: of rows 0, 1 and 2, 3 with tokens 0, 1 and 2, 3; of each (row, token) in the order
/// 00, 01, 10, 11.
private struct Products {
    var a = vdupq_n_s32(0), b = vdupq_n_s32(0), c = vdupq_n_s32(0), d = vdupq_n_s32(0)

    /// w: a group of four columns of four rows; the next four columns lie 64 bytes behind.
    @inline(__always) mutating func add(_ w: UnsafeRawPointer, _ x01: int8x16_t, _ x23: int8x16_t) {
        let g = vreinterpretq_s32_u8(l2s_load(w)), h = vreinterpretq_s32_u8(l2s_load(w + 64))
        let r01 = vreinterpretq_s8_s32(vzip1q_s32(g, h)), r23 = vreinterpretq_s8_s32(vzip2q_s32(g, h))
        a = l2s_multiply_2x2(a, r01, x01)
        b = l2s_multiply_2x2(b, r23, x01)
        c = l2s_multiply_2x2(c, r01, x23)
        d = l2s_multiply_2x2(d, r23, x23)
    }
}

/// Running sums of four rows with four tokens, lane r for row r.
private struct FourRows {
    var t0: float32x4_t, t1: float32x4_t, t2: float32x4_t, t3: float32x4_t

    /// acc: (4, 16), from the first of these rows on.
    @inline(__always) init(load acc: UnsafePointer<Float>) {
        t0 = l2s_load_floats(acc)
        t1 = l2s_load_floats(acc + 16)
        t2 = l2s_load_floats(acc + 32)
        t3 = l2s_load_floats(acc + 48)
    }

    @inline(__always) func store(_ acc: UnsafeMutablePointer<Float>) {
        l2s_store_floats(acc, t0)
        l2s_store_floats(acc + 16, t1)
        l2s_store_floats(acc + 32, t2)
        l2s_store_floats(acc + 48, t3)
    }

    /// index: 0 or 1, which half; 1 for all columns.
    @inline(__always) mutating func add(
        _ form: LaneForm, _ scale: UnsafePointer<Float>, _ sums: Products, _ index: Int, _ x: FourTokens, _ b: Int
    ) {
        let d = l2s_load_floats(scale)
        @inline(__always) func next(_ acc: float32x4_t, _ sum: int32x4_t, _ t: Int) -> float32x4_t {
            let o = x.at(t, b), c = x.c + 4 &* o
            let whole: int32x4_t =
                switch form {
                case .symmetric4: vaddq_s32(sum, vdupq_n_s32(c[0]))
                case .halves6: vaddq_s32(sum, vdupq_n_s32(c[2 &+ index]))
                case .signed8, .affine, .halves8, .affineHalves: sum
                }
            return vfmaq_f32(acc, d, vmulq_f32(vdupq_n_f32(x.s[o]), floats(whole)))
        }
        t0 = next(t0, vuzp1q_s32(sums.a, sums.b), 0)
        t1 = next(t1, vuzp2q_s32(sums.a, sums.b), 1)
        t2 = next(t2, vuzp1q_s32(sums.c, sums.d), 2)
        t3 = next(t3, vuzp2q_s32(sums.c, sums.d), 3)
    }

    /// offset: of `affine`; those of `affineHalves` lie 64 and 128 bytes behind.
    @inline(__always) mutating func addOffsets(_ form: LaneForm, _ offset: UnsafePointer<Float>, _ x: FourTokens, _ b: Int) {
        @inline(__always) func next(_ acc: float32x4_t, _ t: Int) -> float32x4_t {
            let o = x.at(t, b), c = x.c + 4 &* o
            if form == .affine { return vfmaq_f32(acc, l2s_load_floats(offset), vdupq_n_f32(Float(bitPattern: UInt32(bitPattern: c[1])))) }
            // c[2] and c[3] are -32 times the sums of the halves
            let first = vfmaq_f32(acc, l2s_load_floats(offset + 16), vdupq_n_f32(x.s[o] * (Float(c[2]) * -0.031_25)))
            return vfmaq_f32(first, l2s_load_floats(offset + 32), vdupq_n_f32(x.s[o] * (Float(c[3]) * -0.031_25)))
        }
        t0 = next(t0, 0)
        t1 = next(t1, 1)
        t2 = next(t2, 2)
        t3 = next(t3, 3)
    }
}
