public import Llama2Core

// What can be done with the sequences of a context beside evaluating tokens.
extension Inference {
    /// Positions that are left for all sequences together. What sequences share counts once.
    public var freePositions: Int { cache.free }

    /// Whether one more token of `sequence`, which is in range, fits.
    public func fits(_ sequence: Int) -> Bool { cache.fits(sequence) }

    public func length(_ sequence: Int) throws(Llama2Error) -> Int {
        try checkSequence(sequence)
        return cache.length(sequence)
    }

    /// Shortens `sequence` to `length` positions and forgets the logits.
    public func truncate(_ sequence: Int, to length: Int) throws(Llama2Error) {
        try checkLength(sequence, length, "it cannot be cut to \(length)")
        cache.truncate(sequence, to: length)
        logitsRows = 0
    }

    /// `target` becomes the first `length` positions of `source`, which share their pages until one of them goes on, with
    /// the adapters of `source`. The logits are forgotten if `target` had positions.
    public func copy(_ source: Int, to target: Int, length: Int) throws(Llama2Error) {
        try checkSequence(target)
        try checkLength(source, length, "\(length) cannot be copied")
        guard source != target else {
            throw Llama2Error(.invalidArgument, "sequence \(source) cannot be copied onto itself; llama2_sequence_remove shortens it")
        }
        if cache.length(target) > 0 { logitsRows = 0 }
        cache.copy(source, to: target, length: length)
        adapters.copy(source, to: target)
    }

    /// Starts `sequence`, which is empty, with the longest beginning of `tokens` that is stored anywhere in the context,
    /// but for the last token. Returns its length.
    public func adopt(_ sequence: Int, _ tokens: UnsafeBufferPointer<Int32>) throws(Llama2Error) -> Int {
        try checkSequence(sequence)
        guard cache.length(sequence) == 0 else {
            throw Llama2Error(
                .invalidArgument, "sequence \(sequence) has \(cache.length(sequence)) positions; only an empty one can adopt a beginning")
        }
        guard let first = tokens.baseAddress, tokens.count > 0 else { throw Llama2Error(.invalidArgument, "no tokens to look for") }
        let vocabulary = weights.hyperparameters.vocabularySize
        for (index, token) in tokens.enumerated() where token < 0 || Int(token) >= vocabulary {
            throw Llama2Error(.invalidToken, "token \(token) at index \(index) is not in the vocabulary of \(vocabulary)")
        }
        return cache.adopt(sequence, first, limit: tokens.count - 1)
    }

    /// Withdraws what `sequence` has from `length` on; row `row` of the logits becomes the only one.
    public func settle(_ sequence: Int, to length: Int, row: Int) {
        cache.truncate(sequence, to: length)
        keepRow(row)
    }

    /// The tokens of `sequence`, as far as they are known, in order.
    public func readTokens(_ sequence: Int, _ body: (UnsafeBufferPointer<Int32>) -> Void) {
        let length = cache.length(sequence)
        for index in 0..<KVCache.pages(length) {
            let page = cache.table(sequence)[index], count = min(PageFormat.positions, length - index * PageFormat.positions)
            body(UnsafeBufferPointer(start: cache.store.index.tokens(page), count: count))
        }
    }

    /// Gives back what `adopt` found.
    public func disown(_ sequence: Int) { cache.truncate(sequence, to: 0) }

    public func reset() {
        for sequence in 0..<configuration.maxSequences { cache.truncate(sequence, to: 0) }
        logitsRows = 0
    }

    /// A text may stand in any sequence: then all have the same adapters.
    public func checkAdaptersAreTheSame() throws(Llama2Error) {
        for sequence in 0..<configuration.maxSequences where adapters.set(sequence)?.key != adapters.set(0)?.key {
            throw Llama2Error(.invalidArgument, "sequences 0 and \(sequence) have different adapters; texts to embed stand in any of them")
        }
    }

    /// Positions of a page: what is shared, and found again, is whole pages.
    public static var pagePositions: Int { PageFormat.positions }

    /// Pages of so many positions.
    public struct Pages: Sendable {
        /// In all; with an owner; with several; without, but still known to `adopt`.
        public var all, used, shared, cached: Int
    }

    public var pages: Pages {
        Pages(
            all: cache.store.count, used: cache.store.count - cache.store.spare, shared: cache.store.sharedCount,
            cached: cache.store.cachedCount)
    }

    func checkSequence(_ sequence: Int) throws(Llama2Error) {
        guard sequence >= 0, sequence < configuration.maxSequences else {
            throw Llama2Error(.outOfRange, "sequence \(sequence); this context has 0 to \(configuration.maxSequences - 1)")
        }
    }

    private func checkLength(_ sequence: Int, _ length: Int, _ refusal: @autoclosure () -> String) throws(Llama2Error) {
        try checkSequence(sequence)
        guard length >= 0, length <= cache.length(sequence) else {
            throw Llama2Error(.outOfRange, "sequence \(sequence) has \(cache.length(sequence)) positions; \(refusal())")
        }
    }

    /// Sequences that the sentence below names; the others are added up.
    private static let named = 8

    /// That `count` more tokens have no room, and who has it.
    public func full(_ count: Int) -> Llama2Error {
        var text = "\(count) more tokens do not fit: \(cache.used) of \(configuration.contextLength) positions are in use"
        var sum = 0, others = 0, separator = ": "
        for sequence in 0..<configuration.maxSequences where cache.length(sequence) > 0 {
            sum += cache.length(sequence)
            others += 1
        }
        // the longest first, those of the same length by number
        var last = (length: Int.max, sequence: -1)
        for _ in 0..<min(Inference.named, others) {
            var next = (length: 0, sequence: -1)
            for sequence in 0..<configuration.maxSequences {
                let length = cache.length(sequence)
                let comes = length < last.length || (length == last.length && sequence > last.sequence)
                if comes && length > next.length { next = (length, sequence) }
            }
            text += "\(separator)sequence \(next.sequence) holds \(next.length)"
            (last, separator) = (next, ", ")
            others -= 1
        }
        if others > 0 { text += " and \(others) others the rest" }
        if sum > cache.used { text += "; what they share counts once, but who goes on alone has a copy of what its last page of 64 holds" }
        return Llama2Error(.contextFull, text)
    }
}
