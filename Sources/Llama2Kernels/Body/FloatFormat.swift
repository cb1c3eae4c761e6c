/// How floats of a type become lanes.
protocol FloatFormat: NumberFormat {
    static func load(_ p: UnsafeRawPointer) -> F32x16
}

extension F32: FloatFormat {
    @inline(__always) static func load(_ p: UnsafeRawPointer) -> F32x16 { F32x16(load: p.assumingMemoryBound(to: Float.self)) }
}

extension F16: FloatFormat {
    @inline(__always) static func load(_ p: UnsafeRawPointer) -> F32x16 { F32x16(loadHalf: p) }
}

extension BF16: FloatFormat {
    @inline(__always) static func load(_ p: UnsafeRawPointer) -> F32x16 { F32x16(loadBF16: p) }
}

extension FloatFormat {
    /// The first `count` (0...15), zero beyond, without reading past them.
    @inline(__always) static func load(_ p: UnsafeRawPointer, _ count: Int) -> F32x16 {
        var lanes = SIMD64<UInt8>(repeating: 0)
        for i in 0..<count &* bytes { lanes[i] = byte(p, i) }
        return withUnsafePointer(to: &lanes) { load(UnsafeRawPointer($0)) }
    }
}
