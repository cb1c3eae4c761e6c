public import Llama2Core

/// What a sampler remembers while it looks ahead: what it had, to be put back.
struct Foreseen {
    let draws: Draws
    /// Of the history: how much there was, and what stood where tokens were written, the last at `count` - 1.
    let filled: Int
    var stood = SIMD16<Int32>(), count = 0
}

/// How far a choice lies from another one: the chance that by logits that differ a little it would be the same.
public enum Sureness: Int, Sendable, CaseIterable {
    case low, some, high, full

    /// Of a number that was drawn, how far it is from those that give another token.
    init(distance: Double) { self = distance < 0.03 ? .low : distance < 0.08 ? .some : distance < 0.2 ? .high : .full }

    /// Of the highest logit, how much higher than the next it is.
    init(lead: Float) { self = lead < 0.25 ? .low : lead < 1 ? .some : lead < 2 ? .high : .full }
}

/// What the sampler would choose, a token behind the other, if logits of somebody else's were the model's. It draws with the numbers that it will
/// draw with: where the logits are alike, so are the tokens, at any temperature (common random numbers; Daliri, Musco, Suresh,
/// "Coupling without Communication and Drafter-Invariant Speculative Decoding", 2024). Whatever is chosen in this way, nothing has changed
/// at the end of it.
///
///     beginForesight    behind what is certain
///     foresee, follow   by turns
///     endForesight      as before
extension Sampler {
    /// Tokens that are followed, at most.
    public static let longestForesight = 16

    /// The host's own steps would be asked about tokens that may never come: with them nobody looks ahead.
    public var canForesee: Bool { options.ownSteps.isEmpty }

    /// pending: was held and not accepted yet.
    public func beginForesight(behind pending: Int32?) {
        foreseen = Foreseen(draws: state.draws, filled: state.history.filled)
        if let pending { remember(pending) }
    }

    /// As `sample`, and nobody is told. within: as `tokensLeft`.
    public func foresee(_ logits: Span<Float>, within tokens: Int?) throws(Llama2Error) -> (token: Int32, sureness: Sureness) {
        try prepare(logits.count)
        let others = tokensLeft
        tokensLeft = tokens
        defer { tokensLeft = others }
        try candidates.load(logits)
        try filter()
        return chooser.foresee(&candidates, &state.draws)
    }

    /// As `hold` and `accept`, but that the constraint is the caller's to move. False: that is as far as it goes.
    public func follow(_ token: Int32) -> Bool {
        guard let foreseen, foreseen.count < Sampler.longestForesight else { return false }
        state.draws.chosen &+= 1
        if let banned = forbidden.banned { state.draws.banned = banned.after(state.draws.banned, token) }
        remember(token)
        return true
    }

    private func remember(_ token: Int32) {
        guard var seen = foreseen else { return }
        seen.stood[seen.count] = state.history.replace(token)
        seen.count &+= 1
        foreseen = seen
    }

    public func endForesight() {
        guard let seen = foreseen else { return }
        for index in (0..<seen.count).reversed() { state.history.putBack(seen.stood[index]) }
        state.history.forgetBeyond(seen.filled)
        state.draws = seen.draws
        foreseen = nil
    }
}
