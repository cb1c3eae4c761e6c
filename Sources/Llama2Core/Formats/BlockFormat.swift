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
    /// Plain numbers, multiplied as such; all others are multiplied as integers.
    static var isFloat: Bool { get }

    /// How a block is made of floats; nil: the format is read, not written.
    static var quantizer: Quantizer? { get }
    /// Whether `quantizer` weighs the errors of columns by their importance.
    static var weighsColumns: Bool { get }
    /// The number (llama_ftype) of a file whose matrices have this format; nil: there is none, or its files are mixes (FileType.swift).
    static var fileType: UInt32? { get }
    /// The number of the format of 32 weights that a mix takes where rows are no whole number of blocks.
    static var standIn: UInt32 { get }
}

/// x: (elements) finite floats; importance: (elements), or nil; out: a block; scratch: 8 KiB.
typealias Quantizer = (
    _ x: UnsafePointer<Float>, _ importance: UnsafePointer<Float>?, _ out: UnsafeMutableRawPointer, _ scratch: UnsafeMutablePointer<Float>
) -> Void

extension NumberFormat {
    static var quantizer: Quantizer? { nil }
    static var weighsColumns: Bool { false }
    static var fileType: UInt32? { nil }
    static var standIn: UInt32 { Q4_0.number }
}

/// A format whose blocks are one number.
protocol PlainFormat: NumberFormat {
    static func load(_ p: UnsafeRawPointer) -> Float
    static func store(_ x: Float, _ p: UnsafeMutableRawPointer)
}

extension PlainFormat {
    static var elements: Int { 1 }
    static var isFloat: Bool { true }
    static var quantizer: Quantizer? { { x, _, out, _ in store(x[0], out) } }
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
    static var isFloat: Bool { false }

    /// Where block `first` (of 32 weights, a multiple of 8 in superblocks) of a row begins.
    @inline(__always) static func offset(_ first: Int) -> Int { first &* 32 / elements &* bytes }
}

/// What is done with a format of blocks that is known by its number only.
protocol FormatVisitor {
    associatedtype Result
    func visit<F: BlockFormat>(_ format: F.Type) -> Result
}

/// The same with a format of floats.
protocol PlainVisitor {
    associatedtype Result
    func visit<F: PlainFormat>(_ format: F.Type) -> Result
}

/// The same with any format.
protocol NumberVisitor: FormatVisitor, PlainVisitor {
    associatedtype Result
    func visit<F: NumberFormat>(any format: F.Type) -> Result
}

extension NumberVisitor {
    @inline(__always) func visit<F: BlockFormat>(_ format: F.Type) -> Result { visit(any: format) }
    @inline(__always) func visit<F: PlainFormat>(_ format: F.Type) -> Result { visit(any: format) }
}

/// nil for a number that is no format of blocks.
@inline(__always) func visitBlockFormat<V: FormatVisitor>(_ number: UInt32, _ visitor: V) -> V.Result? {
    visitLegacy(number, visitor) ?? visitK(number, visitor) ?? visitIQ(number, visitor) ?? visitTernary(number, visitor)
}

/// nil for a number that is no format.
@inline(__always) func visitFormat<V: NumberVisitor>(_ number: UInt32, _ visitor: V) -> V.Result? {
    visitPlain(number, visitor) ?? visitBlockFormat(number, visitor)
}
