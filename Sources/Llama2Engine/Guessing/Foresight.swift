internal import Llama2Core
internal import Llama2Grammar
internal import Llama2Sampling

/// What a text's sampler would draw by a draft's logits, a token behind the other. At the `end` all is as before.
///
/// Where the host has steps of its own, which are asked about the text's tokens alone, it is the most probable token.
struct Foresight {
    private let sampler: Sampler, matcher: GrammarMatcher?
    /// As `Sampler.tokensLeft`, for the next one.
    private var tokensLeft: Int?
    private var taken = 0

    /// pending: the last token of the text, where it is not accepted yet.
    init(_ sampler: Sampler, _ matcher: GrammarMatcher?, behind pending: Int32?, tokensLeft: Int?) {
        (self.sampler, self.matcher, self.tokensLeft) = (sampler, matcher, tokensLeft)
        sampler.beginForesight(behind: pending)
    }

    /// nil: none can come.
    func next(_ logits: UnsafeBufferPointer<Float>) -> (token: Int32, sureness: Sureness)? {
        do throws(Llama2Error) {
            guard !sampler.canForesee else { return try sampler.foresee(logits.span, within: tokensLeft) }
            return Foresight.best(logits, try matcher?.mask()).map { ($0, .some) }
        } catch { return nil }
    }

    /// The text goes on behind this one. False: that cannot be guessed at.
    mutating func follow(_ token: Int32) -> Bool {
        if let matcher {
            guard (try? matcher.accept(token)) == true else { return false }
            taken += 1
        }
        tokensLeft = tokensLeft.map { $0 - 1 }
        return sampler.follow(token)
    }

    mutating func end() {
        try? matcher?.withdraw(taken)
        taken = 0
        sampler.endForesight()
    }

    /// The first of the most probable tokens among those that may come; nil: there is none.
    private static func best(_ logits: UnsafeBufferPointer<Float>, _ mask: UnsafeBufferPointer<UInt32>?) -> Int32? {
        var best: Int?, most = -Float.infinity
        for token in 0..<logits.count where logits[token] > most {
            if let mask, token / 32 >= mask.count || mask[token / 32] >> UInt32(token % 32) & 1 == 0 { continue }
            (best, most) = (token, logits[token])
        }
        return best.map { Int32(truncatingIfNeeded: $0) }
    }
}
