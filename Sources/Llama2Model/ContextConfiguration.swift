public import Llama2Core
public import Llama2Kernels

/// What a context is made for.
public struct ContextConfiguration: Sendable {
    /// Positions of all sequences together.
    public var contextLength: Int
    public var maxSequences = 1
    /// Tokens of one pass through the weights; longer evals take several passes.
    public var batchSize = 256
    public var threads = 1
    /// Each thread but the caller's stays on one CPU.
    public var pinsThreads = false
    /// Of the KV cache.
    public var keyType = CacheType.f16, valueType = CacheType.f16
    /// No logits are ever computed, only what they would be computed from.
    public var embeddingsOnly = false
    /// In place of what the file says.
    public var rope = RoPEOptions()
    /// Where the kernel counts energy; nil: it is not measured.
    public var energyPath: FilePath?
    /// nil: the best of this machine.
    public var isa: Kernels.ISA?

    public init(contextLength: Int) { self.contextLength = contextLength }

    /// The limits keep every later product far inside 63 bits.
    func check() throws(Llama2Error) {
        func limit(_ value: Int, _ range: ClosedRange<Int>, _ name: String) throws(Llama2Error) {
            guard range.contains(value) else {
                throw Llama2Error(
                    .invalidArgument, "\(name) is \(value), expected \(range.lowerBound) to \(range.upperBound)")
            }
        }
        try limit(contextLength, 1...1 << 24, "context length")
        try limit(maxSequences, 1...1024, "number of sequences")
        try limit(batchSize, 1...4096, "batch size")
        try limit(threads, 1...1024, "number of threads")
    }
}
