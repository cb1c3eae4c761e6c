internal import X86Intrinsics

/// What the kernels of this module know of a format beside its layout. The weights of a block are bytes from 0 on, with
/// `bias` added; `capacity` says how far their products with int8 activations (at most 127) can be summed in 16 bits.
protocol KernelFormat: ScaledFormat {
    static var capacity: Capacity { get }
    /// What was added to each weight: 0 or a power of two. Nothing is added when `capacity` is `.signed`.
    static var bias: Int { get }
    /// For one token, the weights of `weights` without their signs, and all bits of a byte where one is negative: there the sign moves to the
    /// activation, so that products are of smaller numbers. `oneCapacity` and `oneBias`: what holds of these.
    static func parts(_ p: UnsafeRawPointer, _ b: Int, _ indexes: UnsafeRawPointer) -> (magnitudes: __m256i, negative: __m256i)
    static var oneCapacity: Capacity { get }
    static var oneBias: Int { get }
    /// Whether weights are put together from entries of tables by integer instructions: then for tiles row after row by way of memory, as
    /// those of eight rows at once need more registers than there are.
    static var usesTables: Bool { get }
    /// The 32 weights of block b of the row whose (super)block is at p, in order of columns. indexes: what `storeIndexes` stored.
    static func weights(_ p: UnsafeRawPointer, _ b: Int, _ indexes: UnsafeRawPointer) -> __m256i
    /// Whether the numbers of grid entries are put together from bytes and bits apart: then all of a superblock at once, in
    /// lanes, before its blocks take them one after the other.
    static var usesIndexes: Bool { get }
    /// The numbers of the superblock at p, 16 bits each: at most 64.
    static func storeIndexes(_ p: UnsafeRawPointer, _ out: UnsafeMutableRawPointer)
}

/// How many products of a weight and an activation one 16-bit lane holds.
enum Capacity {
    /// 16: weights up to 15
    case sixteen
    /// 8: up to 31
    case eight
    /// 4: up to 63
    case four
    /// 2: up to 127, what one `vpmaddubsw` sums
    case two
    /// 2, of signed weights: the sign moves to the activation. (Tried for Q8_0: weight + 128 as two planes of nibbles, sixteen
    /// products each; fewer products of bytes but more loads, 0.85 of the speed.)
    case signed

    /// Groups of 4 columns that a lane of a lane block holds.
    @inline(__always) var groups: Int {
        switch self {
        case .sixteen: 8
        case .eight: 4
        case .four: 2
        case .two, .signed: 1
        }
    }
}

extension KernelFormat {
    /// No signs apart: the weights as they are.
    @inline(__always) static func parts(_ p: UnsafeRawPointer, _ b: Int, _ indexes: UnsafeRawPointer) -> (magnitudes: __m256i, negative: __m256i) {
        (weights(p, b, indexes), _mm256_setzero_si256())
    }
    @inline(__always) static var oneCapacity: Capacity { capacity }
    @inline(__always) static var oneBias: Int { bias }
    @inline(__always) static var usesTables: Bool { false }
    @inline(__always) static var usesIndexes: Bool { false }
    @inline(__always) static func storeIndexes(_ p: UnsafeRawPointer, _ out: UnsafeMutableRawPointer) {}
    @inline(__always) static var hasHalves: Bool { form.hasHalves }
}

/// Scratch of eight rows of formats with tables: (8, 32) weights, and behind them (8, 64) numbers of grid entries.
enum TableScratch {
    static var indexes: Int { 8 &* 32 }
    static var indexStride: Int { 2 &* 64 }
    static var end: Int { indexes &+ 8 &* indexStride }
}

/// What the blocks of the superblocks of eight rows from p on need: before the first `storeRows` of them.
@inline(never) func storeIndexes<F: KernelFormat>(_: F.Type, _ p: UnsafeRawPointer, _ stride: Int, _ scratch: UnsafeMutableRawPointer) {
    var r = 0
    while r < 8 {
        F.storeIndexes(p + r &* stride, scratch + (TableScratch.indexes &+ r &* TableScratch.indexStride))
        r &+= 1
    }
}

/// Block b of eight rows from p on, biased as `weights` gives them.
@inline(never) func storeRows<F: KernelFormat>(
    _: F.Type, _ p: UnsafeRawPointer, _ stride: Int, _ b: Int, _ scratch: UnsafeMutableRawPointer
) {
    var r = 0
    while r < 8 {
        let indexes = scratch + (TableScratch.indexes &+ r &* TableScratch.indexStride)
        store32(F.weights(p + r &* stride, b, indexes), scratch + 32 &* r)
        r &+= 1
    }
}
