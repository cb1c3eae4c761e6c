internal import Llama2Core
internal import Llama2Kernels

/// How keys and values lie in a page of 64 positions, and in which type: the one place that knows.
///
/// A page holds its positions for every layer and head: (layer, K or V, head, part), where a part is F16 or F32: keys
/// (headStride, 64), values (64, headStride), as attention reads them. headStride is the head dimension rounded up to
/// 16, the padding always zero.
struct PageFormat: BitwiseCopyable {
    static let positions = 64

    let layers: Int, heads: Int, headDimension: Int, headStride: Int
    let halfPrecision: Bool
    let elementBytes: Int, partBytes: Int
    /// Of a page.
    let bytes: Int

    init(_ h: Hyperparameters, _ c: ContextConfiguration) {
        layers = h.layerCount
        heads = h.headCountKV
        headDimension = h.headDimension
        headStride = (h.headDimension + 15) & ~15
        halfPrecision = c.halfPrecisionCache
        elementBytes = c.halfPrecisionCache ? 2 : 4
        partBytes = PageFormat.positions * headStride * elementBytes
        // at most 4096 * 2 * 2^16 * 2^6 * 2^16 * 2^2 bytes
        bytes = layers * 2 * heads * partBytes
    }

    @inline(__always) func keys(_ page: UnsafeMutableRawPointer, _ layer: Int, _ head: Int) -> UnsafeMutableRawPointer {
        page + (2 &* layer &* heads &+ head) &* partBytes
    }

    @inline(__always) func values(_ page: UnsafeMutableRawPointer, _ layer: Int, _ head: Int) -> UnsafeMutableRawPointer {
        page + ((2 &* layer &+ 1) &* heads &+ head) &* partBytes
    }

    /// Puts the rotated key and the value of one head, (headDimension) each, into column 0 ..< 64 of a page. False: one of
    /// the numbers is beyond the page's type.
    @inline(__always)
    func store(
        _ kernels: borrowing Kernels, key: UnsafePointer<Float>, value: UnsafePointer<Float>, column: Int,
        page: UnsafeMutableRawPointer, layer: Int, head: Int
    ) -> Bool {
        let offset = column &* elementBytes
        let keyFits = kernels.storeKV(
            key, headDimension, keys(page, layer, head) + offset, stride: PageFormat.positions, halfPrecision: halfPrecision)
        let valueFits = kernels.storeKV(
            value, headDimension, values(page, layer, head) + offset &* headStride, stride: 1, halfPrecision: halfPrecision)
        return keyFits && valueFits
    }

    /// Attention of some query rows over the pages at keys and values; see `attention` in the kernels.
    @inline(__always)
    func attend(
        _ kernels: borrowing Kernels, _ query: UnsafePointer<Float>, rows: Int, group: Int, length: Int,
        keys: UnsafePointer<UnsafeRawPointer>, values: UnsafePointer<UnsafeRawPointer>, out: UnsafeMutablePointer<Float>,
        scratch: UnsafeMutableRawPointer
    ) {
        kernels.attention(
            query, rows: rows, group: group, headStride: headStride, scale: 1 / Float(headDimension).squareRoot(),
            kPages: keys, vPages: values, length: length, halfPrecision: halfPrecision, out: out, scratch: scratch)
    }

    /// Copies the first `count` positions of a page; what lies behind is anything.
    func copy(_ source: UnsafeMutableRawPointer, to target: UnsafeMutableRawPointer, positions count: Int) {
        let rowBytes = PageFormat.positions * elementBytes, columnBytes = headStride * elementBytes
        for part in 0..<(layers * 2 * heads) {
            let from = source + part * partBytes, into = target + part * partBytes
            // K before V in every layer
            if part / heads % 2 == 1 {
                into.copyMemory(from: from, byteCount: count * columnBytes)
            } else {
                for d in 0..<headDimension { (into + d * rowBytes).copyMemory(from: from + d * rowBytes, byteCount: count * elementBytes) }
            }
        }
    }

    /// Moves keys and values of one head from `count` columns of a page to as many of another (or further to the front of the
    /// same), the keys turned on by `angles`: (pairs, 2) cosine and sine. rows: (headDimension, 64) floats of scratch.
    func move(
        _ kernels: borrowing Kernels, _ source: UnsafeMutableRawPointer, _ from: Int, to target: UnsafeMutableRawPointer, _ into: Int,
        count: Int, layer: Int, head: Int, angles: UnsafePointer<Float>, pairs: Int, rows: UnsafeMutablePointer<Float>
    ) {
        let p = PageFormat.positions, rowBytes = p &* elementBytes
        // 1. keys, a row of columns for each component
        let old = keys(source, layer, head) + from &* elementBytes, new = keys(target, layer, head) + into &* elementBytes
        for d in 0..<headDimension {
            kernels.dequantize(halfPrecision ? .f16 : .f32, old + d &* rowBytes, count, rows + d &* p, scratch: rows)
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
            if kernels.storeKV(row, count, target, stride: 1, halfPrecision: halfPrecision) { continue }
            // a pair at the edge of F16 that was turned beyond it: infinity would be a number's place in some scores, NaN is in none
            for c in 0..<count where row[c].magnitude >= 65520 { row[c] = .nan }
            _ = kernels.storeKV(row, count, target, stride: 1, halfPrecision: halfPrecision)
        }
        // 2. values
        let columnBytes = headStride &* elementBytes
        (values(target, layer, head) + into &* columnBytes)
            .copyMemory(from: values(source, layer, head) + from &* columnBytes, byteCount: count &* columnBytes)
    }
}
