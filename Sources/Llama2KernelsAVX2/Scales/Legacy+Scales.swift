/// Blocks with scales of their own.

extension Q4_0: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { Header() }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { Scales(halves(p, stride)) }
}

extension Q4_1: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { Header() }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        Scales(halves(p, stride), offset: halves(p + 2, stride))
    }
}

extension Q5_0: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { Header() }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { Scales(halves(p, stride)) }
}

extension Q5_1: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { Header() }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales {
        Scales(halves(p, stride), offset: halves(p + 2, stride))
    }
}

extension Q8_0: ScaledFormat {
    @inline(__always) static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header { Header() }
    @inline(__always) static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales { Scales(halves(p, stride)) }
}
