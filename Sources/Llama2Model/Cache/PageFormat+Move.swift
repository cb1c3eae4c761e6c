internal import Llama2Core
internal import Llama2Kernels

extension PageFormat {
    /// Moves keys and values of one head from `count` columns of a page to as many of another (or further to the front of the
    /// same), the keys turned on by `angles`: (pairs, 2) cosine and sine. rows: (headDimension, 64) floats of scratch.
    func move(
        _ kernels: borrowing Kernels, _ source: UnsafeMutableRawPointer, _ from: Int, to target: UnsafeMutableRawPointer, _ into: Int,
        count: Int, layer: Int, head: Int, angles: UnsafePointer<Float>, pairs: Int, rows: UnsafeMutablePointer<Float>
    ) {
        let old = keys(source, layer, head), new = keys(target, layer, head)
        if keyType.isQuantized {
            moveQuantizedKeys(kernels, old, from, to: new, into, count: count, angles: angles, pairs: pairs, rows)
        } else {
            moveKeys(kernels, old, from, to: new, into, count: count, angles: angles, pairs: pairs, rows)
        }
        let oldValues = values(source, layer, head), newValues = values(target, layer, head)
        let columnBytes = headStride &* valueType.bits / 8, scales = valueType.isQuantized ? headStride / 32 : 0
        for b in 0..<scales { (newValues + 128 &* b + 2 &* into).copyMemory(from: oldValues + 128 &* b + 2 &* from, byteCount: 2 &* count) }
        (newValues + 128 &* scales + into &* columnBytes)
            .copyMemory(from: oldValues + 128 &* scales + from &* columnBytes, byteCount: count &* columnBytes)
    }

    /// A row of columns for each component.
    private func moveKeys(
        _ kernels: borrowing Kernels, _ source: UnsafeMutableRawPointer, _ from: Int, to target: UnsafeMutableRawPointer, _ into: Int,
        count: Int, angles: UnsafePointer<Float>, pairs: Int, _ rows: UnsafeMutablePointer<Float>
    ) {
        let p = PageFormat.positions, elementBytes = keyType.bits / 8, rowBytes = p &* elementBytes, isHalf = keyType == .f16
        let old = source + from &* elementBytes, new = target + into &* elementBytes
        for d in 0..<headDimension {
            kernels.dequantize(isHalf ? .f16 : .f32, old + d &* rowBytes, count, rows + d &* p, scratch: rows)
        }
        for i in 0..<pairs {
            let cosine = angles[2 &* i], sine = angles[2 &* i &+ 1], even = rows + 2 &* i &* p, odd = even + p
            for c in 0..<count {
                let a = even[c], b = odd[c]
                even[c] = a * cosine - b * sine
                odd[c] = a * sine + b * cosine
            }
        }
        for d in 0..<headDimension {
            let row = rows + d &* p, target = new + d &* rowBytes
            if kernels.table.storeCache(row, count, target, 1, isHalf) { continue }
            // a pair at the edge of F16 that was turned beyond it: infinity would be a number's place in some scores, NaN is in none
            for c in 0..<count where row[c].magnitude >= 65520 { row[c] = .nan }
            _ = kernels.table.storeCache(row, count, target, 1, isHalf)
        }
    }

    /// Column by column: out of the integers, turned back, rotated, turned and quantized anew.
    private func moveQuantizedKeys(
        _ kernels: borrowing Kernels, _ source: UnsafeMutableRawPointer, _ from: Int, to target: UnsafeMutableRawPointer, _ into: Int,
        count: Int, angles: UnsafePointer<Float>, pairs: Int, _ key: UnsafeMutablePointer<Float>
    ) {
        for c in 0..<count {
            Kernels.loadKey(source, column: from &+ c, key, headDimension, headStride: headStride, keyType)
            Kernels.hadamard(key, headDimension)
            kernels.table.rotatePairs(key, 1, headDimension, pairs, angles)
            Kernels.hadamard(key, headDimension)
            // a block with a number beyond its scale has an infinite one, which makes NaN of the scores: rather than a wrong number
            _ = Kernels.storeKey(key, headDimension, target, column: into &+ c, headStride: headStride, keyType)
        }
    }
}
