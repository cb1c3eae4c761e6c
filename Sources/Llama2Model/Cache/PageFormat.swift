internal import KernelOperands
internal import Llama2Core
internal import Llama2Kernels

/// How keys and values lie in a page of 64 positions, and in which types: the one place that knows.
///
/// A page holds its positions for every layer: (layer, K or V, head, part). A part of floats has keys as (headStride, 64), values as
/// (64, headStride), as attention reads them; one of quantized types is told in the kernels' Body/QuantizedAttention.swift.
/// headStride is the head dimension rounded up to 16, or with a quantized type to 64, the padding always zero. What is
/// quantized is turned before, see `Kernels.hadamard`.
struct PageFormat: BitwiseCopyable {
    static let positions = 64

    let layers: Int, heads: Int, headDimension: Int, headStride: Int
    let keyType: CacheType, valueType: CacheType
    /// Of a part, and of a page.
    let keyBytes: Int, valueBytes: Int, bytes: Int

    init(_ h: Hyperparameters, _ c: ContextConfiguration) {
        layers = h.layerCount
        heads = h.headCountKV
        headDimension = h.headDimension
        (keyType, valueType) = (c.keyType, c.valueType)
        headStride = keyType.isQuantized || valueType.isQuantized ? (h.headDimension + 63) & ~63 : (h.headDimension + 15) & ~15
        keyBytes = keyType.partBytes(headStride: headStride)
        valueBytes = valueType.partBytes(headStride: headStride)
        // at most 4096 * 2 * 2^16 * 2^6 * 2^16 * 2^2 bytes
        bytes = layers * heads * (keyBytes + valueBytes)
    }

    @inline(__always) func keys(_ page: UnsafeMutableRawPointer, _ layer: Int, _ head: Int) -> UnsafeMutableRawPointer {
        page + (layer &* heads &* (keyBytes &+ valueBytes) &+ head &* keyBytes)
    }

    @inline(__always) func values(_ page: UnsafeMutableRawPointer, _ layer: Int, _ head: Int) -> UnsafeMutableRawPointer {
        page + (layer &* heads &* (keyBytes &+ valueBytes) &+ heads &* keyBytes &+ head &* valueBytes)
    }

    /// What queries and keys, (count, headDimension), are turned by beside their rotation.
    @inline(__always) func turnKeys(_ x: UnsafeMutablePointer<Float>, _ count: Int) {
        guard keyType.isQuantized else { return }
        for i in 0..<count { Kernels.hadamard(x + i &* headDimension, headDimension) }
    }

    /// The same for a value, and for what attention makes of values.
    @inline(__always) func turnValues(_ x: UnsafeMutablePointer<Float>) {
        if valueType.isQuantized { Kernels.hadamard(x, headDimension) }
    }

    /// Puts the key and the value of one head, (headDimension) each, rotated and turned, into column 0 ..< 64 of a page. False: one of
    /// the numbers is beyond the page's type.
    @inline(__always)
    func store(
        _ kernels: borrowing Kernels, key: UnsafePointer<Float>, value: UnsafePointer<Float>, column: Int,
        page: UnsafeMutableRawPointer, layer: Int, head: Int
    ) -> Bool {
        let keyFits = storeKey(kernels, key, column, keys(page, layer, head)), part = values(page, layer, head)
        let valueFits: Bool
        if valueType.isQuantized {
            valueFits = Kernels.storeValue(value, headDimension, part, column: column, headStride: headStride, valueType)
        } else {
            valueFits = kernels.table.storeCache(value, headDimension, part + column &* headStride &* valueType.bits / 8, 1, valueType == .f16)
        }
        return keyFits && valueFits
    }

    @inline(__always)
    private func storeKey(_ kernels: borrowing Kernels, _ key: UnsafePointer<Float>, _ column: Int, _ part: UnsafeMutableRawPointer) -> Bool {
        if keyType.isQuantized { return Kernels.storeKey(key, headDimension, part, column: column, headStride: headStride, keyType) }
        return kernels.table.storeCache(key, headDimension, part + column &* keyType.bits / 8, PageFormat.positions, keyType == .f16)
    }

    /// What scores are multiplied by.
    var scoreScale: Float { 1 / Float(headDimension).squareRoot() }

    /// Attention of some query rows over the pages at keys and values; see `attention` in the kernels.
    @inline(__always)
    func attend(
        _ kernels: borrowing Kernels, _ query: UnsafePointer<Float>, rows: Int, group: Int, length: Int,
        keys: UnsafePointer<UnsafeRawPointer>, values: UnsafePointer<UnsafeRawPointer>, out: UnsafeMutablePointer<Float>,
        scratch: UnsafeMutableRawPointer
    ) {
        let operands = AttentionOperands(
            q: query, rows: rows, group: group, head_stride: headStride, scale: scoreScale, k_pages: keys,
            v_pages: values, length: length, k_type: keyType.rawValue, v_type: valueType.rawValue, out: out, scratch: scratch)
        let attention = kernels.table.attention
        withUnsafePointer(to: operands) { attention($0) }
    }

    /// Copies the first `count` positions of a page; what lies behind is anything.
    func copy(_ source: UnsafeMutableRawPointer, to target: UnsafeMutableRawPointer, positions count: Int) {
        forEachPiece(count) { offset, bytes in (target + offset).copyMemory(from: source + offset, byteCount: bytes) }
    }

    /// (where in a page, bytes) of each contiguous piece of the first `count` positions, without padding: for each layer and head the
    /// keys, then for each head the values; of quantized ones first the scales, block by block.
    func forEachPiece(_ count: Int, _ body: (Int, Int) -> Void) {
        let blocks = (headDimension + 31) / 32, scales = headStride / 32 * 128
        for layer in 0..<layers {
            let start = layer * heads * (keyBytes + valueBytes)
            for head in 0..<heads {
                let part = start + head * keyBytes
                if keyType.isQuantized {
                    for b in 0..<blocks { body(part + 128 * b, 2 * count) }
                    for row in 0..<(keyType == .q4_0 ? (headDimension + 1) / 2 : headDimension) { body(part + scales + 64 * row, count) }
                } else {
                    for d in 0..<headDimension { body(part + 8 * keyType.bits * d, count * keyType.bits / 8) }
                }
            }
            for head in 0..<heads {
                let part = start + heads * keyBytes + head * valueBytes, columnBytes = headStride * valueType.bits / 8
                if valueType.isQuantized {
                    for b in 0..<blocks { body(part + 128 * b, 2 * count) }
                }
                let first = part + (valueType.isQuantized ? scales : 0)
                for column in 0..<count { body(first + column * columnBytes, bytesOfValue) }
            }
        }
    }

    /// Bytes of a value's components in one position of one head, without padding: of 64 components in halves of bytes the first 32 lie in
    /// the low ones.
    private var bytesOfValue: Int {
        valueType == .q4_0 ? headDimension / 64 * 32 + min(headDimension % 64, 32) : headDimension * valueType.bits / 8
    }

    /// Bytes of a position's keys and values, without padding.
    var bytesOfPosition: Int {
        let scales = 2 * ((headDimension + 31) / 32)
        let key = keyType == .q4_0 ? (headDimension + 1) / 2 : headDimension * keyType.bits / 8
        return layers * heads * (key + (keyType.isQuantized ? scales : 0) + bytesOfValue + (valueType.isQuantized ? scales : 0))
    }
}
