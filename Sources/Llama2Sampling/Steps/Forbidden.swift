import Llama2Core

/// What must not come, whatever its logit: ends before the least number of tokens, what would complete a banned text, and what would make an n-gram of the
/// history come again (Paulus et al. 2017).
struct Forbidden: Sendable {
    private static let longestNgram = 1024
    private let ngram, minTokens: Int
    private let ends: [Int32]
    let banned: BannedTexts?

    init(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        guard (0...Forbidden.longestNgram).contains(o.noRepeatNgram) else {
            throw Llama2Error(.invalidArgument, "no_repeat_ngram is \(o.noRepeatNgram); it must lie in 0...\(Forbidden.longestNgram)")
        }
        (ngram, minTokens, ends, banned) = (o.noRepeatNgram, o.minTokens, o.ends, o.banned)
    }

    func apply(_ candidates: inout Candidates, _ state: borrowing SamplerState) throws(Llama2Error) {
        if let banned { try banned.apply(&candidates, state.draws.banned) }
        if state.draws.chosen < minTokens { for end in ends { candidates.forbid(end) } }
        // Where the last n - 1 tokens stood before, what followed them.
        guard ngram > 0 else { return }
        let known = ngram &- 1
        for age in 1..<max(1, state.history.filled &- known &+ 1) {
            var length = 0
            while length < known, state.history[age &+ length] == state.history[length] { length &+= 1 }
            if length == known { candidates.forbid(state.history[age &- 1]) }
        }
    }
}
