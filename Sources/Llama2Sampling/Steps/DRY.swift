import Llama2Core

/// DRY, "don't repeat yourself" (p-e-w, text-generation-webui #5677, 2024): a token that would go on with what the text has had before
/// is the less likely the longer the repetition is.
///
///     l = l - multiplier * base^(n - allowed)     n: the longest end of the text that stood before this token before; n >= allowed
///
/// Sequence breakers end what counts as a repetition, and are never made less likely if they are one token. How often
/// the end of the text occurs before is found by the Z algorithm (Main and Lorentz 1984), in time linear in the history.
final class DRYStep: Step {
    private let multiplier: Float, base: Double
    private let allowed, lastN, highestExponent: Int
    private let breakers: [Int32: [[Int32]]]
    /// By age: how long the text before that token is the same as its end. One sampler uses it at a time.
    private let lengths: AlignedBuffer<Int32>

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        try check("dry_multiplier", o.dryMultiplier, atLeast: 0)
        try check("dry_base", o.dryBase, atLeast: 1)
        guard o.dryAllowedLength >= 0 else {
            throw Llama2Error(.outOfRange, "dry_allowed_length is \(o.dryAllowedLength); it must be at least 0")
        }
        try checkLength("dry_last_n", o.dryLastN)
        guard o.isDRY else { return nil }
        multiplier = o.dryMultiplier
        base = Double(o.dryBase)
        allowed = o.dryAllowedLength
        lastN = SamplerOptions.historyLength(o.dryLastN)
        breakers = o.dryBreakers
        // so that the power stays a Float
        highestExponent = o.dryBase > 1.000001 ? Int(88.7228391 / logarithm(base)) : 0
        lengths = try AlignedBuffer(count: lastN, of: "lengths of repetitions")
    }

    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) {
        let count = min(state.history.filled, lastN)
        guard count > allowed else { return }
        let limit = beforeBreaker(state.history, count)
        guard limit >= allowed else { return }
        measure(state.history, count)

        // 1. For each token the longest repetition that it would go on with, plus one.
        let counts = candidates.counts.pointer, size = candidates.vocabularySize
        for age in 1..<max(count, 1) {
            let length = min(Int(lengths.pointer[age]), limit), token = state.history[age &- 1]
            guard length >= allowed, token >= 0, Int(token) < size else { continue }
            counts[Int(token)] = max(counts[Int(token)], UInt32(truncatingIfNeeded: length &+ 1))
        }
        // 2. Their logits.
        candidates.edit()
        for age in 1..<max(count, 1) {
            let token = state.history[age &- 1]
            guard token >= 0, Int(token) < size, counts[Int(token)] > 0 else { continue }
            let length = Int(counts[Int(token)]) &- 1
            counts[Int(token)] = 0
            if let tails = breakers[token], tails.contains(where: \.isEmpty) { continue }
            var exponent = length &- allowed
            if highestExponent > 0 { exponent = min(exponent, highestExponent) }
            let penalty = multiplier * Float(min(power(base, Double(exponent)), Double(Float.greatestFiniteMagnitude)))
            candidates.change(token) { $0 - penalty }
        }
    }

    /// How many of the newest tokens stand behind the last sequence breaker; all if there is none.
    private func beforeBreaker(_ history: borrowing TokenHistory, _ count: Int) -> Int {
        guard !breakers.isEmpty else { return count }
        for age in 0..<count {
            guard let tails = breakers[history[age]] else { continue }
            var longest = -1
            for tail in tails where tail.count > longest && tail.count <= age {
                var matches = true
                for (offset, token) in tail.enumerated() where history[age &- offset &- 1] != token { matches = false }
                if matches { longest = tail.count }
            }
            if longest >= 0 { return age &- longest }
        }
        return count
    }

    /// lengths[age]: of the longest common beginning of the history from the newest token back, and of that from `age` back.
    private func measure(_ history: borrowing TokenHistory, _ count: Int) {
        let lengths = lengths.pointer
        var left = 0, right = 0  // the match that reaches farthest back: left ..< right
        for age in 1..<max(count, 1) {
            var length = age < right ? min(Int(lengths[age &- left]), right &- age) : 0
            while age &+ length < count, history[length] == history[age &+ length] { length &+= 1 }
            lengths[age] = Int32(truncatingIfNeeded: length)  // at most 2^20
            if age &+ length > right { (left, right) = (age, age &+ length) }
        }
    }
}
