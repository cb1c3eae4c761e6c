/// How the scales of some rows come into lanes, a row a lane: written once for AVX2 (eight rows) and NEON (four), over what Registers.swift of each module
/// gives: `Words` (a lane's 32 bits), `RowFloats`, `Columns`, and a few functions over them that are one instruction or two. (Links in the
/// modules that share it, as generics of other modules may not run here: Package.swift. The weights of a row are each module's own: bytes are moved
/// by other instructions, and biased for AVX2's products.)
protocol ScaledFormat: BlockFormat {
    /// What is read once a superblock for its scales. p: the (super)block of row 0 of the rows, which are `stride` bytes apart.
    static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header
    /// Scales (and offsets) of block b (0...7) of the superblock, lane r for row r.
    static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales
}

extension ScaledFormat {
    /// Blocks of 32 weights that begin at one address.
    @inline(__always) static var blocks: Int { elements / 32 }
}

/// What `header` keeps for `scales`: the halves d and dmin, and 16 or 32 bytes of each row. One type for every
/// format: a type of each would have functions of the standard's names (to copy it) in this module.
struct Header {
    let d: RowFloats, m: RowFloats, x: Columns, y: Columns

    @inline(__always) init() { self.init(splat(0)) }
    @inline(__always) init(_ d: RowFloats) { self.init(d, Columns()) }
    @inline(__always) init(_ d: RowFloats, _ x: Columns) { self.init(d, x, d, x) }
    @inline(__always) init(_ d: RowFloats, _ x: Columns, _ m: RowFloats, _ y: Columns) {
        self.d = d
        self.m = m
        self.x = x
        self.y = y
    }
}

/// Lane r for row r: the scale (of columns 0..<16), that of columns 16..<32, and the offsets of both. Floats: a register of lanes, of which
/// AVX-512 has two kinds.
struct LaneScales<Floats> {
    let d0: Floats, d1: Floats, m0: Floats, m1: Floats

    @inline(__always) init(_ d: Floats) { self.init(d, d, d, d) }
    /// d * w + m
    @inline(__always) init(_ d: Floats, offset m: Floats) { self.init(d, d, m, m) }
    @inline(__always) init(_ d0: Floats, _ d1: Floats) { self.init(d0, d1, d0, d0) }
    @inline(__always) init(_ d0: Floats, _ d1: Floats, _ m0: Floats, _ m1: Floats) {
        self.d0 = d0
        self.d1 = d1
        self.m0 = m0
        self.m1 = m1
    }
}

typealias Scales = LaneScales<RowFloats>

/// The scales of a lane block of F's form (Formats/LaneBlock.swift), of the rows whose first is at `out`.
@inline(__always) func storeScales<F: ScaledFormat>(_: F.Type, _ s: Scales, _ out: UnsafeMutableRawPointer) {
    @inline(__always) func store(_ x: RowFloats, _ index: Int) {
        storeFloats(x, (out + (512 &+ 64 &* index)).assumingMemoryBound(to: Float.self))
    }
    store(s.d0, 0)
    switch F.form {
    case .symmetric4, .signed8: break
    case .affine: store(s.m0, 1)
    case .halves6, .halves8: store(s.d1, 1)
    case .affineHalves:
        store(s.d1, 1)
        store(s.m0, 2)
        store(s.m1, 3)
    }
}

/// -x, and +0 for 0, as the reference subtracts from zero.
@inline(__always) func negative(_ x: RowFloats) -> RowFloats { minus(splat(0), x) }

/// d times the integer n
@inline(__always) func scaled(_ d: RowFloats, _ n: Words) -> RowFloats { times(d, floats(n)) }
