/// How numbers of a tensor are stored. A type a format, everything known of it in its type; the files beside this one hold
/// a family each. They are sources of Core, of the kernels and of each instruction set's module (links), so that what is
/// generic over a format is compiled in the module that uses it and nothing of another module's instructions gets in.
protocol NumberFormat {
    /// ggml's number, as GGUF files have it.
    static var number: UInt32 { get }
    /// ggml's name, as GGUF tools print it.
    static var name: StaticString { get }
    /// Weights of a block.
    static var elements: Int { get }
    /// Bytes of a block.
    static var bytes: Int { get }
}

/// A format of quantized blocks of 32 or 256 weights.
protocol BlockFormat: NumberFormat {
    /// What a lane block of it means.
    static var form: LaneForm { get }

    /// The reference: `count` (at most 8) blocks of 32 weights of one row, from the block or superblock at `row`, to lane r
    /// of the lane blocks at `out` (LaneBlock.swift).
    static func unpackRow(_ row: UnsafeRawPointer, _ r: Int, _ count: Int, _ out: UnsafeMutableRawPointer)
}

extension BlockFormat {
    /// Where block `first` (of 32 weights, a multiple of 8 in superblocks) of a row begins.
    @inline(__always) static func offset(_ first: Int) -> Int { first &* 32 / elements &* bytes }
}

/// What is done with a format that is known by its number only.
protocol FormatVisitor {
    associatedtype Result
    func visit<F: BlockFormat>(_ format: F.Type) -> Result
}

/// nil for a number that is no format of blocks.
@inline(__always) func visitBlockFormat<V: FormatVisitor>(_ number: UInt32, _ visitor: V) -> V.Result? {
    visitLegacy(number, visitor) ?? visitK(number, visitor) ?? visitIQ(number, visitor) ?? visitTernary(number, visitor)
}
