internal import Llama2Core

/// One token to evaluate, at the end of its sequence.
public struct BatchEntry: BitwiseCopyable, Sendable {
    public var token: Int32
    public var sequence: Int32
    public var wantsLogits: Bool

    public init(token: Int32, sequence: Int32 = 0, wantsLogits: Bool = false) {
        self.token = token
        self.sequence = sequence
        self.wantsLogits = wantsLogits
    }
}

/// The tokens of one pass and all that a pass has to know of them: what goes down from `Inference` to the forward pass.
struct Batch: BitwiseCopyable {
    struct Token: BitwiseCopyable {
        var token: Int
        var sequence: Int
        /// Where its key and value go: number 0 ... of its sequence in the cache.
        var slot: Int
        /// What its query and key are rotated by.
        var position: Int
        /// The page table of its sequence.
        var pages: UnsafePointer<Int32>
        /// Its row of logits, or -1 when none is wanted.
        var row: Int
    }

    /// Consecutive tokens of one sequence, whose attention is one job: pages of keys and values are then read once.
    struct Block: BitwiseCopyable {
        var first: Int
        var count: Int

        /// Tokens of a block at most: about 64 query rows a key-value head.
        static func tokens(_ h: Hyperparameters) -> Int { max(1, 64 / (h.headCount / h.headCountKV)) }

        /// Query rows of a block at most.
        static func rows(_ h: Hyperparameters) -> Int { tokens(h) * (h.headCount / h.headCountKV) }
    }

    /// Consecutive tokens with the same adapters.
    struct Run: BitwiseCopyable {
        var first: Int
        var count: Int
        var adapters: UnsafePointer<AdapterTable>
    }

    let tokens: UnsafeMutablePointer<Token>  // (batch size)
    let blocks: UnsafeMutablePointer<Block>  // (batch size)
    let runs: UnsafeMutablePointer<Run>  // (batch size): of those tokens that have adapters
    private(set) var count = 0, blockCount = 0, runCount = 0
    /// Whether a run has a control vector.
    private(set) var isSteered = false
    /// Tokens that want logits.
    private(set) var rows = 0

    init(tokens: UnsafeMutablePointer<Token>, blocks: UnsafeMutablePointer<Block>, runs: UnsafeMutablePointer<Run>) {
        self.tokens = tokens
        self.blocks = blocks
        self.runs = runs
    }

    mutating func removeAll() { (count, blockCount, runCount, rows, isSteered) = (0, 0, 0, 0, false) }

    /// The caller sees to it that there are at most as many as the batch size. blockTokens: `Block.tokens`.
    mutating func append(
        _ token: Int, sequence: Int, slot: Int, position: Int, pages: UnsafePointer<Int32>, wantsLogits: Bool, blockTokens: Int
    ) {
        if count > 0, tokens[count &- 1].sequence == sequence, blocks[blockCount &- 1].count < blockTokens {
            blocks[blockCount &- 1].count &+= 1
        } else {
            blocks[blockCount] = Block(first: count, count: 1)
            blockCount &+= 1
        }
        tokens[count] = Token(
            token: token, sequence: sequence, slot: slot, position: position, pages: pages, row: wantsLogits ? rows : -1)
        count &+= 1
        if wantsLogits { rows &+= 1 }
    }
    /// The token that was appended last has these adapters.
    mutating func attach(_ adapters: UnsafePointer<AdapterTable>) {
        let last = count &- 1
        if adapters.pointee.directions != nil { isSteered = true }
        if runCount > 0, runs[runCount &- 1].adapters == adapters, runs[runCount &- 1].first &+ runs[runCount &- 1].count == last {
            runs[runCount &- 1].count &+= 1
        } else {
            runs[runCount] = Run(first: last, count: 1, adapters: adapters)
            runCount &+= 1
        }
    }
}
