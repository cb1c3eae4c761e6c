internal import ArmIntrinsics

/// What the kernels of this module know of a format beside its layout.
protocol KernelFormat: BlockFormat {
    /// What is read once a superblock for its scales. p: the (super)block of row 0 of four rows that are `stride` bytes apart.
    static func header(_ p: UnsafeRawPointer, _ stride: Int) -> Header
    /// Scales (and offsets) of block b (0...7) of the superblock, lane r for row r.
    static func scales(_ h: Header, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int) -> Scales
    /// The 32 weights of block b of the row whose (super)block is at p, in order of columns, as lane blocks have them
    /// (Formats/LaneBlock.swift): signed, but with 8 or 32 added in the forms that say so.
    static func weights(_ p: UnsafeRawPointer, _ b: Int) -> Bytes32
}

extension KernelFormat {
    /// Blocks of 32 weights that begin at one address.
    @inline(__always) static var blocks: Int { elements / 32 }
}

/// What `header` keeps for `scales`, of four rows: the halves d and dmin, and 16 or 32 bytes of each.
struct Header {
    let d: float32x4_t, m: float32x4_t, x: Columns, y: Columns

    @inline(__always) init() { self.init(vdupq_n_f32(0)) }
    @inline(__always) init(_ d: float32x4_t) { self.init(d, Columns()) }
    @inline(__always) init(_ d: float32x4_t, _ x: Columns) { self.init(d, x, d, x) }
    @inline(__always) init(_ d: float32x4_t, _ x: Columns, _ m: float32x4_t, _ y: Columns) {
        self.d = d
        self.m = m
        self.x = x
        self.y = y
    }
}

/// Lane r for row r: the scale (of columns 0..<16), that of columns 16..<32, and the offsets of both.
struct Scales {
    let d0: float32x4_t, d1: float32x4_t, m0: float32x4_t, m1: float32x4_t

    @inline(__always) init(_ d: float32x4_t) { self.init(d, d, d, d) }
    /// d * w + m
    @inline(__always) init(_ d: float32x4_t, offset m: float32x4_t) { self.init(d, d, m, m) }
    @inline(__always) init(_ d0: float32x4_t, _ d1: float32x4_t) { self.init(d0, d1, d0, d0) }
    @inline(__always) init(_ d0: float32x4_t, _ d1: float32x4_t, _ m0: float32x4_t, _ m1: float32x4_t) {
        self.d0 = d0
        self.d1 = d1
        self.m0 = m0
        self.m1 = m1
    }
}

/// What is done with a format that is known by its number only; false for a number that is no format of blocks.
protocol KernelVisitor {
    func visit<F: KernelFormat>(_ format: F.Type)
}

@inline(__always) func visitKernelFormat<V: KernelVisitor>(_ number: UInt32, _ visitor: V) -> Bool {
    switch number {
    case Q4_0.number: visitor.visit(Q4_0.self)
    case Q4_1.number: visitor.visit(Q4_1.self)
    case Q5_0.number: visitor.visit(Q5_0.self)
    case Q5_1.number: visitor.visit(Q5_1.self)
    case Q8_0.number: visitor.visit(Q8_0.self)
    case Q2_K.number: visitor.visit(Q2_K.self)
    case Q3_K.number: visitor.visit(Q3_K.self)
    case Q4_K.number: visitor.visit(Q4_K.self)
    case Q5_K.number: visitor.visit(Q5_K.self)
    case Q6_K.number: visitor.visit(Q6_K.self)
    case IQ2_XXS.number: visitor.visit(IQ2_XXS.self)
    case IQ2_XS.number: visitor.visit(IQ2_XS.self)
    case IQ2_S.number: visitor.visit(IQ2_S.self)
    case IQ3_XXS.number: visitor.visit(IQ3_XXS.self)
    case IQ3_S.number: visitor.visit(IQ3_S.self)
    case IQ1_S.number: visitor.visit(IQ1_S.self)
    case IQ1_M.number: visitor.visit(IQ1_M.self)
    case IQ4_NL.number: visitor.visit(IQ4_NL.self)
    case IQ4_XS.number: visitor.visit(IQ4_XS.self)
    case TQ1_0.number: visitor.visit(TQ1_0.self)
    case TQ2_0.number: visitor.visit(TQ2_0.self)
    default: return false
    }
    return true
}
