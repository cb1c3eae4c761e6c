/// One scale a superblock.

extension TQ2_0: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { Header(halves(p + 64, stride)) }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { Scales(h.d) }
}

extension TQ1_0: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { Header(halves(p + 52, stride)) }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { Scales(h.d) }
}
