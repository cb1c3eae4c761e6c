import Llama2Core

/// Repetition (Keskar et al. 2019, CTRL), frequency and presence penalty, for every token of the history once:
///
///     l = l > 0 ? l / repetition : l * repetition
///     l = l - (count * frequency + presence)
struct PenaltiesStep: Step {
    private let repetition, frequency, presence: Float
    private let lastN: Int

    init?(_ o: borrowing SamplerOptions) throws(Llama2Error) {
        try check("repetition_penalty", o.repetitionPenalty, atLeast: .leastNormalMagnitude)
        try check("frequency_penalty", o.frequencyPenalty)
        try check("presence_penalty", o.presencePenalty)
        try checkLength("penalty_last_n", o.penaltyLastN)
        guard o.isPenalizing else { return nil }
        (repetition, frequency, presence) = (o.repetitionPenalty, o.frequencyPenalty, o.presencePenalty)
        lastN = SamplerOptions.historyLength(o.penaltyLastN)
    }

    func apply(_ candidates: inout Candidates, _ state: inout SamplerState) {
        let seen = min(state.history.filled, lastN)
        guard seen > 0 else { return }
        candidates.edit()
        let counts = candidates.counts.pointer, size = candidates.vocabularySize
        // A token that is not of this vocabulary has no logit to lower.
        for age in 0..<seen {
            let token = state.history[age]
            if token >= 0, Int(token) < size { counts[Int(token)] &+= 1 }
        }
        for age in 0..<seen {
            let token = state.history[age]
            guard token >= 0, Int(token) < size else { continue }
            // Clearing the count leaves the array zero, and later occurrences without effect.
            let count = counts[Int(token)]
            guard count > 0 else { continue }
            counts[Int(token)] = 0
            candidates.change(token) { $0 > 0 ? $0 / repetition : $0 * repetition }
            candidates.change(token) { $0 - (Float(count) * frequency + presence) }
        }
    }
}
