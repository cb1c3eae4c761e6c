/// No fast unpacking here yet: the plain one serves.
@inline(__always) func unpackFast(
    _ type: UInt32, _ base: UnsafeRawPointer, _ stride: Int, _ first: Int, _ count: Int, _ out: UnsafeMutableRawPointer
) -> Bool { false }
