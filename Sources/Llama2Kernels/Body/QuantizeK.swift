/// Floats to the K types' superblocks: what is fitted (FitK.swift) becomes the bytes of Formats/K.swift.
///
/// x: (256); w: (256) weights of the squared errors, or nil; out: a superblock; lanes: `FitScratch`.

extension Q2_K {
    static var quantizer: Quantizer? { quantizeQ2_K }
}

extension Q3_K {
    static var quantizer: Quantizer? { quantizeQ3_K }
}

extension Q4_K {
    static var quantizer: Quantizer? { quantizeQ4_K }
}

extension Q5_K {
    static var quantizer: Quantizer? { quantizeQ5_K }
}

extension Q6_K {
    static var quantizer: Quantizer? { quantizeQ6_K }
}

@inline(never) private func quantizeQ4_K(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer, _ lanes: UnsafeMutablePointer<Float>
) { quantizeAffineK(4, x, w, out, lanes) }

@inline(never) private func quantizeQ5_K(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer, _ lanes: UnsafeMutablePointer<Float>
) { quantizeAffineK(5, x, w, out, lanes) }

/// { d; dmin; scales[12]; (high[32];) q[128] }, eight blocks of 32.
@inline(__always) private func quantizeAffineK(
    _ bits: Int, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer,
    _ lanes: UnsafeMutablePointer<Float>
) {
    let b = FittedBlocks(x, w, 32, lanes), fit = lanes + FitScratch.fit, most: Float = bits == 5 ? 31 : 15
    fitAffine(b, most, fit)
    let d = storedHalf(greatest(fit, 8) / 63, out), dmin = storedHalf(greatest(fit + 16, 8) / 63, out + 2)
    let packed = (out + 4).assumingMemoryBound(to: UInt8.self)
    for i in 0..<12 { packed[i] = 0 }
    for lane in 0..<16 {
        fit[lane] = level(fit[lane], d, 0, 63)
        fit[16 &+ lane] = level(fit[16 &+ lane], dmin, 0, 63)
    }
    improveLevels(b, fit, d, dmin, 0, 63, 0, most)
    for lane in 0..<8 {
        let sc = UInt8(fit[lane]), mn = UInt8(fit[16 &+ lane])
        if lane < 4 {
            packed[lane] |= sc
            packed[lane &+ 4] |= mn
        } else {
            packed[lane &+ 4] = sc & 15 | (mn & 15) << 4
            packed[lane &- 4] |= (sc >> 4) << 6
            packed[lane] |= (mn >> 4) << 6
        }
    }
    chooseIntegers(b, fit, d, dmin, 0, most)
    let high = (out + 16).assumingMemoryBound(to: UInt8.self), q = (out + (bits == 5 ? 48 : 16)).assumingMemoryBound(to: UInt8.self)
    for pair in 0..<4 {
        for i in 0..<32 {
            let a = integer(b, 2 &* pair, i), c = integer(b, 2 &* pair &+ 1, i)
            q[32 &* pair &+ i] = a & 15 | (c & 15) << 4
            if bits == 5 {
                let both = (a >> 4 | (c >> 4) << 1) << UInt8(2 &* pair)
                high[i] = pair == 0 ? both : high[i] | both
            }
        }
    }
}

/// { scales[16]; q[64]; d; dmin }, sixteen blocks of 16.
@inline(never) private func quantizeQ2_K(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer, _ lanes: UnsafeMutablePointer<Float>
) {
    let b = FittedBlocks(x, w, 16, lanes), fit = lanes + FitScratch.fit
    fitAffine(b, 3, fit)
    let d = storedHalf(greatest(fit, 16) / 15, out + 80), dmin = storedHalf(greatest(fit + 16, 16) / 15, out + 82)
    let bytes = out.assumingMemoryBound(to: UInt8.self)
    for lane in 0..<16 {
        fit[lane] = level(fit[lane], d, 0, 15)
        fit[16 &+ lane] = level(fit[16 &+ lane], dmin, 0, 15)
    }
    improveLevels(b, fit, d, dmin, 0, 15, 0, 3)
    for lane in 0..<16 { bytes[lane] = UInt8(fit[lane]) | UInt8(fit[16 &+ lane]) << 4 }
    chooseIntegers(b, fit, d, dmin, 0, 3)
    packPairs(b, bytes + 16, 0)
}

/// Two bits each: in each half of 128, four runs of 32 share 32 bytes. `bias` is added first.
@inline(__always) private func packPairs(_ b: FittedBlocks, _ q: UnsafeMutablePointer<UInt8>, _ bias: UInt8) {
    for side in 0..<2 {
        for i in 0..<32 {
            var byte: UInt8 = 0
            for run in 0..<4 {
                let lane = 8 &* side &+ 2 &* run &+ i >> 4
                byte |= ((integer(b, lane, i & 15) &+ bias) & 3) << UInt8(2 &* run)
            }
            q[32 &* side &+ i] = byte
        }
    }
}

/// { high[32]; q[64]; scales[12]; d }, sixteen blocks of 16, integers -4...3.
@inline(never) private func quantizeQ3_K(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer, _ lanes: UnsafeMutablePointer<Float>
) {
    let b = FittedBlocks(x, w, 16, lanes), fit = lanes + FitScratch.fit, bytes = out.assumingMemoryBound(to: UInt8.self)
    fitSymmetric(b, 4, fit)
    let d = storedHalf(greatestMagnitude(fit) / -32, out + 108), scales = bytes + 96
    for i in 0..<12 { scales[i] = 0 }
    for lane in 0..<16 { fit[lane] = level(fit[lane], d, -32, 31) }
    improveLevels(b, fit, d, nil, -32, 31, -4, 3)
    for lane in 0..<16 {
        let sc = UInt8(truncatingIfNeeded: Int(fit[lane]) &+ 32)
        scales[lane & 7] |= (sc & 15) << (lane < 8 ? 0 : 4)
        scales[8 &+ (lane & 3)] |= (sc >> 4) << UInt8(2 &* (lane >> 2))
    }
    chooseIntegers(b, fit, d, nil, -4, 3)
    for i in 0..<32 {
        var byte: UInt8 = 0
        for block in 0..<8 {
            // the third bit of integer + 4
            let q = integer(b, 2 &* block &+ i >> 4, i & 15) &+ 4
            byte |= (q >> 2) << UInt8(block)
        }
        bytes[i] = byte
    }
    packPairs(b, bytes + 32, 4)
}

/// { low[128]; high[64]; scales[16]; d }, sixteen blocks of 16, integers -32...31.
@inline(never) private func quantizeQ6_K(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer, _ lanes: UnsafeMutablePointer<Float>
) {
    let b = FittedBlocks(x, w, 16, lanes), fit = lanes + FitScratch.fit, bytes = out.assumingMemoryBound(to: UInt8.self)
    fitSymmetric(b, 32, fit)
    let d = storedHalf(greatestMagnitude(fit) / -128, out + 208)
    for lane in 0..<16 { fit[lane] = level(fit[lane], d, -128, 127) }
    improveLevels(b, fit, d, nil, -128, 127, -32, 31)
    for lane in 0..<16 { bytes[192 &+ lane] = UInt8(truncatingIfNeeded: Int(fit[lane])) }
    chooseIntegers(b, fit, d, nil, -32, 31)
    for side in 0..<2 {
        for i in 0..<32 {
            @inline(__always) func q(_ run: Int) -> UInt8 { integer(b, 8 &* side &+ 2 &* run &+ i >> 4, i & 15) &+ 32 }
            let q0 = q(0), q1 = q(1), q2 = q(2), q3 = q(3)
            bytes[64 &* side &+ i] = q0 & 15 | (q2 & 15) << 4
            bytes[64 &* side &+ 32 &+ i] = q1 & 15 | (q3 & 15) << 4
            bytes[128 &+ 32 &* side &+ i] = q0 >> 4 | (q1 >> 4) << 2 | (q2 >> 4) << 4 | (q3 >> 4) << 6
        }
    }
}
