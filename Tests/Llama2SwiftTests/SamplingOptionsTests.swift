import Llama2Core
import Llama2Sampling
import Testing

/// Penalties by their arithmetic, logit bias, and the values that are refused.
@Suite struct SamplingOptionsTests {
    /// `logits` after penalties are seen through a second token: greedy takes token 0 exactly if
    /// its logit is at least that of token 1.
    private func penalized(
        _ logit: Float, isAtLeast other: Float, accepted: [Int32], _ change: (inout SamplerOptions) -> Void
    ) throws -> Bool {
        let sampler = try Sampler(
            options {
                $0.temperature = 0; change(&$0)
            }, vocabularySize: 2)
        for token in accepted { sampler.accept(token) }
        return try sampler.sample([logit, other]) == 0
    }

    private func expectPenalized(
        _ logit: Float, gives expected: Float, accepted: [Int32], _ change: (inout SamplerOptions) -> Void
    ) throws {
        #expect(try penalized(logit, isAtLeast: expected, accepted: accepted, change))
        #expect(try !penalized(logit, isAtLeast: expected.nextUp, accepted: accepted, change))
    }

    @Test func repetitionPenaltyDividesPositiveLogitsAndMultipliesOthers() throws {
        try expectPenalized(6, gives: 3, accepted: [0]) { $0.repetitionPenalty = 2 }
        try expectPenalized(-6, gives: -12, accepted: [0]) { $0.repetitionPenalty = 2 }
        try expectPenalized(6, gives: 3, accepted: [0, 0, 0]) { $0.repetitionPenalty = 2 }
    }

    @Test func frequencyPenaltyCountsAndPresencePenaltyDoesNot() throws {
        try expectPenalized(6, gives: 4.5, accepted: [0, 0, 0]) { $0.frequencyPenalty = 0.5 }
        try expectPenalized(6, gives: 5.5, accepted: [0, 0, 0]) { $0.presencePenalty = 0.5 }
        try expectPenalized(6, gives: 6, accepted: []) { $0.presencePenalty = 0.5 }
    }

    @Test func repetitionComesBeforeFrequencyAndPresence() throws {
        try expectPenalized(6, gives: 1.75, accepted: [0, 0]) {
            $0.repetitionPenalty = 2
            $0.frequencyPenalty = 0.5
            $0.presencePenalty = 0.25
        }
    }

    @Test func penaltiesSeeOnlyTheLastNTokens() throws {
        try expectPenalized(6, gives: 5, accepted: [0, 0, 8, 9]) {
            $0.frequencyPenalty = 1; $0.penaltyLastN = 3
        }
        try expectPenalized(6, gives: 6, accepted: [0, 0, 9, 9, 9]) {
            $0.frequencyPenalty = 1; $0.penaltyLastN = 3
        }
        try expectPenalized(6, gives: 6, accepted: [0, 0]) {
            $0.frequencyPenalty = 1; $0.penaltyLastN = 0
        }
        let many = [Int32](repeating: 0, count: 100)
        try expectPenalized(6, gives: -94, accepted: many) {
            $0.frequencyPenalty = 1; $0.penaltyLastN = -1
        }
        try expectPenalized(6, gives: -94, accepted: many) {
            $0.frequencyPenalty = 1; $0.penaltyLastN = .max
        }
    }

    @Test func acceptedTokensOutsideTheVocabularyHaveNoEffect() throws {
        try expectPenalized(6, gives: 6, accepted: [-1, .min, .max, 2]) { $0.frequencyPenalty = 1 }
    }

    @Test func penaltiesActOnOneStepAndDoNotAddUpOverSteps() throws {
        let sampler = try Sampler(
            options {
                $0.temperature = 0; $0.frequencyPenalty = 1
            }, vocabularySize: 2)
        sampler.accept(0)
        for _ in 0..<10 { #expect(try sampler.sample([6, 4.5]) == 0) }
    }

    @Test func aBiasOfMinusInfinityBansTheToken() throws {
        let sampler = try Sampler(
            options { $0.logitBias = [(token: 1, bias: -.infinity), (token: 1, bias: 100)] }, vocabularySize: 3)
        for _ in 0..<200 { #expect(try sampler.sample([0, 50, 0]) != 1) }
    }

    @Test func biasesOfOneTokenAddUp() throws {
        let biased = options {
            $0.temperature = 0; $0.logitBias = [(token: 1, bias: 1), (token: 1, bias: 1.5)]
        }
        #expect(try Sampler(biased, vocabularySize: 2).sample([2, 0]) == 1)
    }

    @Test func everyBadOptionIsRefusedByName() {
        let cases: [(name: String, change: (inout SamplerOptions) -> Void)] = [
            ("temperature", { $0.temperature = -0.1 }), ("temperature", { $0.temperature = .nan }),
            ("temperature", { $0.temperature = .infinity }),
            ("top_k", { $0.topK = -1 }), ("top_k", { $0.topK = .min }),
            ("top_p", { $0.topP = 1.01 }), ("top_p", { $0.topP = -0.01 }), ("top_p", { $0.topP = .nan }),
            ("min_p", { $0.minP = 2 }), ("min_p", { $0.minP = -1 }), ("min_p", { $0.minP = .nan }),
            ("repetition_penalty", { $0.repetitionPenalty = 0 }), ("repetition_penalty", { $0.repetitionPenalty = -1 }),
            ("repetition_penalty", { $0.repetitionPenalty = .nan }),
            ("repetition_penalty", { $0.repetitionPenalty = .infinity }),
            ("frequency_penalty", { $0.frequencyPenalty = .nan }),
            ("frequency_penalty", { $0.frequencyPenalty = -.infinity }),
            ("presence_penalty", { $0.presencePenalty = .infinity }),
            ("penalty_last_n", { $0.penaltyLastN = -2 }), ("penalty_last_n", { $0.penaltyLastN = .min }),
            ("logit_bias[0]", { $0.logitBias = [(token: 0, bias: .nan)] }),
            ("logit_bias[1]", { $0.logitBias = [(token: 0, bias: 0), (token: 0, bias: .infinity)] }),
            ("logit_bias[0]", { $0.logitBias = [(token: -1, bias: 0)] }),
            ("logit_bias[0]", { $0.logitBias = [(token: 10, bias: 0)] }),
        ]
        for (name, change) in cases {
            let error = #expect(throws: Llama2Error.self) { try Sampler(options(change), vocabularySize: 10) }
            #expect(error?.message.hasPrefix(name + " is ") == true, "\(error?.message ?? "")")
            #expect(error?.kind == .invalidArgument || error?.kind == .outOfRange)
        }
        for size in [0, -1, .min, .max] {
            #expect(throws: Llama2Error.self) { try Sampler(SamplerOptions(), vocabularySize: size) }
        }
    }

    @Test func badLogitsAreRefusedWithTheirIndex() throws {
        let sampler = try Sampler(SamplerOptions(), vocabularySize: 3)
        for (logits, message) in [
            ([0, .nan, 0], "logit 1 is nan"), ([0, 0, .infinity], "logit 2 is inf"),
            ([Float](repeating: -.infinity, count: 3), "all 3 logits"), ([0, 0], "2 logits"), ([], "0 logits"),
        ] as [([Float], String)] {
            let error = #expect(throws: Llama2Error.self) { try sampler.sample(logits) }
            #expect(error?.kind == .invalidArgument)
            #expect(error?.message.hasPrefix(message) == true, "\(error?.message ?? "")")
        }
        #expect(throws: Llama2Error.self) { try sampler.sample([]) }
        #expect((0..<3).contains(try sampler.sample([0, 0, 0])))
    }

    @Test func withoutAVocabularySizeItFollowsTheLogits() throws {
        let sampler = try Sampler(
            options {
                $0.temperature = 0; $0.logitBias = [(token: 2, bias: 9)]
            }, vocabularySize: nil)
        #expect(try sampler.sample([0, 0, 0, 1]) == 2)
        #expect(try sampler.sample([0, 0, 0]) == 2)
        let error = #expect(throws: Llama2Error.self) { try sampler.sample([0, 0]) }
        #expect(error?.kind == .outOfRange)
        #expect(try sampler.sample([0, 0, 0, 0, 10]) == 4)
    }
}
