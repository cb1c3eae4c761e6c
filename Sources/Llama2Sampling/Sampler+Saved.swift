public import Llama2Core

// A sampler in the midst of a text, to go on elsewhere: STATE.md says every byte. What it is told by its options is not saved,
// but known by a hash; the seed is no part of it, as the generator's state stands in its place.
extension Sampler {
    private static let kind = SavedKind("L2SAMPL", "sampler")

    /// All that the next `sample` depends on beside options and logits.
    public func save() throws(Llama2Error) -> GrowingBuffer<UInt8> {
        let taken = constraint?.taken
        let history = state.history.filled, tokens = taken?.count ?? 0
        var record = try RecordWriter(content: 88 + 4 * (history + tokens))
        try record.begin(Sampler.kind)
        try record.put(options.fingerprint)
        try record.put(constraint?.fingerprint ?? 0)
        let generator = state.draws.generator.state
        for word in [generator.0, generator.1, generator.2, generator.3] { try record.put(word) }
        try record.put(state.draws.mu.bitPattern)
        try record.put(UInt64(state.draws.chosen))
        try record.put(UInt64(state.draws.banned))
        try record.put(UInt64(history))
        // 0: no constraint
        try record.put(UInt64(taken == nil ? 0 : tokens + 1))
        for i in 0..<history { try record.put(state.history[history - 1 - i]) }
        if let taken { for token in taken { try record.put(token) } }
        return try record.finish()
    }

    /// Goes on where `save` was called. After an error nothing has changed.
    public func load(_ bytes: RawSpan) throws(Llama2Error) {
        try bytes.withUnsafeBytes { (bytes) throws(Llama2Error) in try load(record: bytes) }
    }

    private func load(record bytes: UnsafeRawBufferPointer) throws(Llama2Error) {
        // 1. it is whole, and of such a sampler
        var record = try RecordReader(bytes, Sampler.kind)
        guard try record.take() == options.fingerprint else {
            throw Llama2Error(.invalidArgument, "the sampler that was saved has other options than this one")
        }
        let constraintPrint: UInt64 = try record.take()
        let generator: (UInt64, UInt64, UInt64, UInt64) = (try record.take(), try record.take(), try record.take(), try record.take())
        guard generator != (0, 0, 0, 0) else { throw record.refused("a generator of zeros") }
        var draws = Draws(generator: Xoshiro256StarStar(state: generator), mu: Double(bitPattern: try record.take()))
        guard draws.mu.isFinite else { throw record.refused("mu \(draws.mu)") }
        let chosen: UInt64 = try record.take(), banned: UInt64 = try record.take()
        guard chosen <= 1 << 62 else { throw record.refused("\(chosen) chosen tokens") }
        guard banned < UInt64(forbidden.banned?.states ?? 1) else { throw record.refused("banned texts in state \(banned)") }
        (draws.chosen, draws.banned) = (Int(chosen), Int32(banned))
        let remembered: UInt64 = try record.take(), taken: UInt64 = try record.take()
        guard remembered <= UInt64(options.historyCapacity) else { throw record.refused("\(remembered) tokens remembered") }
        // 2. what it remembers
        let known = try record.takeTokens(remembered)
        var history = try TokenHistory(capacity: options.historyCapacity)
        for i in 0..<known.count { history.append(known[i]) }
        // 3. what holds it
        var moved: (any TokenConstraint)?
        if taken == 0 {
            guard constraint == nil else { throw Llama2Error(.invalidArgument, "the sampler that was saved had no grammar, this one has") }
            guard constraintPrint == 0 else { throw record.refused("a grammar that took nothing") }
        } else {
            guard let constraint else { throw Llama2Error(.invalidArgument, "the sampler that was saved had a grammar: set it first") }
            guard constraintPrint == constraint.fingerprint else {
                throw Llama2Error(.invalidArgument, "the sampler that was saved had another grammar than this one")
            }
            let next = try constraint.another(), tokens = try record.takeTokens(taken - 1)
            for i in 0..<tokens.count {
                do throws(Llama2Error) {
                    guard try next.accept(tokens[i]) else { throw record.refused("token \(tokens[i]), which the grammar does not allow there") }
                } catch {
                    throw error.kind == .invalidToken ? record.refused("token \(tokens[i]), which is not in the vocabulary") : error
                }
            }
            moved = next
        }
        try record.finish()
        // 4. nothing can fail any more
        constraint = moved
        state.history = history
        state.draws = draws
        before = draws
        isHeld = false
    }
}
