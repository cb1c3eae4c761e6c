import Glibc
import Llama2Core
import Llama2Sampling
import Testing

/// The filters, penalties and the draw, against `SlowChain`, and by what a user can observe.
@Suite struct SamplingTests {
    // MARK: - Greedy

    @Test func greedyTakesTheHighestLogit() throws {
        #expect(try draw([0, 3, -1, 2.9]) { $0.temperature = 0 } == 1)
    }

    @Test func greedyTakesTheLowestIdOnATie() throws {
        #expect(try draw([1, 7, 7, 7]) { $0.temperature = 0 } == 1)
        #expect(try draw([-0.0, 0.0, -1]) { $0.temperature = 0 } == 0)
    }

    @Test func greedyFollowsBiasAndPenalties() throws {
        let sampler = try Sampler(
            options {
                $0.temperature = 0
                $0.logitBias = [(token: 2, bias: 5)]
                $0.presencePenalty = 10
            }, vocabularySize: 3)
        #expect(try sampler.sample([1, 2, 0]) == 2)
        sampler.accept(2)
        #expect(try sampler.sample([1, 2, 0]) == 1)
    }

    // MARK: - Filters

    /// At a temperature of 10^6 all survivors are equally likely, so that draws show who they are.
    @Test func topKKeepsTheKHighestLogits() throws {
        let logits = randomLogits(1000, seed: 1)
        #expect(try survivors(logits) { $0.topK = 7 } == Set(byRank(logits).prefix(7)))
    }

    @Test func topKOnATieKeepsTheLowestIds() throws {
        #expect(try survivors([5, 1, 5, 5, 1, 5]) { $0.topK = 3 } == [0, 2, 3])
    }

    @Test func topKBeyondTheVocabularyKeepsAll() throws {
        #expect(try survivors([1, 2, 3]) { $0.topK = Int.max } == [0, 1, 2])
    }

    @Test func topPKeepsTheFewestTokensThatReachIt() throws {
        // Probabilities 0.5, 0.25, 0.125, 0.0625, 0.0625.
        let logits: [Float] = [-3, -1, -2, -4, -4].map { $0 * Float(log(2.0)) }
        #expect(try survivors(logits) { $0.topP = 0 } == [1])
        #expect(try survivors(logits) { $0.topP = 0.49 } == [1])
        #expect(try survivors(logits) { $0.topP = 0.6 } == [1, 2])
        #expect(try survivors(logits) { $0.topP = 0.9 } == [0, 1, 2, 3])
        #expect(try survivors(logits) { $0.topP = 1 } == [0, 1, 2, 3, 4])
    }

    @Test func topPSeesTheProbabilitiesThatTopKLeaves() throws {
        // Of three equal tokens two are left; each has a half then, no longer a third.
        #expect(
            try survivors([1, 1, 1]) {
                $0.topK = 2; $0.topP = 0.5
            } == [0])
    }

    @Test func minPKeepsWhatIsProbableEnoughRelativeToTheBest() throws {
        let logits: [Float] = [0, 1, 2, 3, 4]  // relative probabilities 0.018, 0.050, 0.135, 0.37, 1
        #expect(try survivors(logits) { $0.minP = 0.1 } == [2, 3, 4])
        #expect(try survivors(logits) { $0.minP = 0.04 } == [1, 2, 3, 4])
        #expect(try survivors(logits) { $0.minP = 1 } == [4])
        #expect(try survivors([2, 2, 1]) { $0.minP = 1 } == [0, 1])
    }

    @Test func everyChainEqualsASlowPlainOne() throws {
        var random = Xoshiro256StarStar(seed: 99)
        for trial in 0..<600 as Range<UInt64> {
            let count = 1 + Int(random.next() % (trial % 20 == 0 ? 20_000 : 400))
            var logits = randomLogits(count, seed: trial, scale: [0.01, 1, 4, 20][Int(trial % 4)])
            if trial % 5 == 0 { logits = logits.map { $0.rounded() } }  // many ties
            if trial % 7 == 0 { for id in 1..<max(count, 2) where id % 3 != 0 && id < count { logits[id] = -.infinity } }

            var options = SamplerOptions()
            options.seed = trial
            options.temperature = [0, 0.5, 0.8, 1, 1.7][Int(random.next() % 5)]
            options.topK = [0, 1, 40, 300, 5000][Int(random.next() % 5)]
            options.topP = [0, 0.3, 0.95, 0.999, 1][Int(random.next() % 5)]
            options.minP = [0, 0.05, 0.5, 1][Int(random.next() % 4)]
            options.repetitionPenalty = [1, 1.3, 0.7][Int(random.next() % 3)]
            options.frequencyPenalty = [0, 0.4, -0.2][Int(random.next() % 3)]
            options.presencePenalty = [0, 0.9][Int(random.next() % 2)]
            options.penaltyLastN = [0, 1, 8, 64, -1][Int(random.next() % 5)]
            if trial % 3 == 0 {
                options.logitBias = [(token: 0, bias: 1.5), (token: Int32(count / 2), bias: -2), (token: 0, bias: 0.25)]
            }

            let sampler = try Sampler(options, vocabularySize: trial % 2 == 0 ? count : nil)
            var slow = SlowChain(options)
            for step in 0..<12 {
                let token = try sampler.sample(logits)
                #expect(token == slow.sample(logits), "trial \(trial), step \(step), \(options)")
                sampler.accept(token)
                slow.history.append(token)
            }
        }
    }

    @Test func minusInfinityIsNeverChosen() throws {
        let logits: [Float] = [-.infinity, 1, -.infinity, 1, -.infinity]
        #expect(try survivors(logits) { $0.topK = 4 } == [1, 3])
        #expect(try survivors(logits) { _ in } == [1, 3])
    }

    @Test func aVocabularyOfOneGivesItsToken() throws {
        for temperature in [0, 0.8, 100] as [Float] {
            #expect(try draw([-5]) { $0.temperature = temperature } == 0)
        }
    }

    @Test func extremeLogitsAndTemperaturesGiveAToken() throws {
        let large = Float.greatestFiniteMagnitude
        for temperature in [.leastNonzeroMagnitude, 1, large] as [Float] {
            let token = try draw([-large, large, 0]) {
                $0.temperature = temperature; $0.minP = 0; $0.topK = 0
            }
            #expect((0..<3).contains(token))
        }
        let sampler = try Sampler(
            options {
                $0.repetitionPenalty = .leastNormalMagnitude
                $0.frequencyPenalty = large
                $0.presencePenalty = -large
                $0.logitBias = [(token: 0, bias: large)]
            }, vocabularySize: nil)
        for token in [0, 0, 1, -7, .max] as [Int32] { sampler.accept(token) }
        #expect((0..<2).contains(try sampler.sample([large, -large])))
    }

    // MARK: - Distribution

    @Test func frequenciesFollowTheSoftmaxAtTheTemperature() throws {
        let logits: [Float] = [0.5, -1, 2, 0, 1.25, -0.5]
        for temperature in [0.7, 1, 2] as [Float] {
            let expected = softmax(logits.map { Double($0) / Double(temperature) })
            #expect(try chiSquare(logits, expected) { $0.temperature = temperature } < 20.5)
        }
    }

    @Test func equalLogitsAreEquallyLikely() throws {
        let logits = [Float](repeating: 3, count: 6)
        #expect(try chiSquare(logits, [Double](repeating: 1 / 6, count: 6)) { $0.temperature = 0.3 } < 20.5)
    }

    // MARK: - Generator

    /// From an independent implementation in Python of the published algorithm
    /// (https://prng.di.unimi.it/xoshiro256starstar.c, seeded by splitmix64.c).
    @Test func theGeneratorGivesThePublishedSequence() {
        var fromState = Xoshiro256StarStar(state: (1, 2, 3, 4))
        let first: [UInt64] = [
            11520, 0, 1_509_978_240, 1_215_971_899_390_074_240, 1_216_172_134_540_287_360, 607_988_272_756_665_600,
            16_172_922_978_634_559_625, 8_476_171_486_693_032_832,
        ]
        #expect(first.map { _ in fromState.next() } == first)

        var fromSeed = Xoshiro256StarStar(seed: 42)
        let second: [UInt64] = [
            0x1578_0b2e_0c2e_c716, 0x6104_d986_6d11_3a7e, 0xae17_5332_39e4_99a1, 0xecb8_ad47_03b3_60a1,
            0xfde6_dc7f_e2ec_5e64, 0xc50d_a531_0179_5238, 0xb821_5485_5a65_ddb2, 0xd99a_2743_ebe6_0087,
        ]
        #expect(second.map { _ in fromSeed.next() } == second)

        var counter: UInt64 = 1_234_567
        #expect(splitMix64(&counter) == 6_457_827_717_110_365_317)
    }

    @Test func unitDrawsLieInTheHalfOpenInterval() {
        var random = Xoshiro256StarStar(seed: 5)
        let draws = (0..<10_000).map { _ in random.nextUnit() }
        #expect(draws.allSatisfy { $0 >= 0 && $0 < 1 })
        #expect(abs(draws.reduce(0, +) / 10_000 - 0.5) < 0.015)
    }

    @Test func theExponentialIsWithinTwoUlpOfTheLibrarys() {
        var random = Xoshiro256StarStar(seed: 6)
        for _ in 0..<100_000 {
            let x = -708 * random.nextUnit() * random.nextUnit()
            let expected = exp(x)
            #expect(abs(exponential(x) - expected) <= 2 * expected.ulp, "\(x)")
        }
        #expect(exponential(0) == 1 && exponential(-0.0) == 1)
        #expect(exponential(-.infinity) == 0 && exponential(-1e300) == 0 && exponential(-708) > 0)
    }

    @Test func theSameSeedGivesTheSameTokens() throws {
        let logits = randomLogits(500, seed: 3)
        #expect(try tokens(logits, seed: 11) == tokens(logits, seed: 11))
        #expect(try tokens(logits, seed: 11) != tokens(logits, seed: 12))
    }

    @Test func aGreedySampleAndAFailedOneTakeNoRandomNumber() throws {
        let sampler = try Sampler(options { $0.seed = 4 }, vocabularySize: 500)
        var bad = randomLogits(500, seed: 3)
        bad[499] = .nan
        #expect(throws: Llama2Error.self) { try sampler.sample(bad) }
        let logits = randomLogits(500, seed: 3)
        #expect(try (0..<50).map { _ in try sampler.sample(logits) } == tokens(logits, seed: 4, accepting: false))
    }

    @Test func resetReturnsToTheSeedAndForgetsTheHistory() throws {
        let logits = randomLogits(200, seed: 8)
        let sampler = try Sampler(
            options {
                $0.seed = 21; $0.presencePenalty = 1
            }, vocabularySize: 200)
        func run() throws -> [Int32] {
            try (0..<40).map { _ in
                let token = try sampler.sample(logits)
                sampler.accept(token)
                return token
            }
        }
        let first = try run()
        #expect(try run() != first)
        sampler.reset()
        #expect(try run() == first)
    }

    // MARK: - Helpers

    private func draw(_ logits: [Float], _ change: (inout SamplerOptions) -> Void) throws -> Int32 {
        try Sampler(options(change), vocabularySize: logits.count).sample(logits)
    }

    private func survivors(_ logits: [Float], _ change: (inout SamplerOptions) -> Void) throws -> Set<Int32> {
        var options = SamplerOptions()
        (options.temperature, options.topK, options.topP, options.minP) = (1e6, 0, 1, 0)
        change(&options)
        let sampler = try Sampler(options, vocabularySize: logits.count)
        return Set(try (0..<500).map { _ in try sampler.sample(logits) })
    }

    private func tokens(_ logits: [Float], seed: UInt64, accepting: Bool = true) throws -> [Int32] {
        let sampler = try Sampler(options { $0.seed = seed }, vocabularySize: nil)
        return try (0..<50).map { _ in
            let token = try sampler.sample(logits)
            if accepting { sampler.accept(token) }
            return token
        }
    }

    /// Pearson's statistic of 60 000 draws. With 6 tokens, 5 degrees of freedom, a correct
    /// sampler exceeds 20.5 for one seed in a thousand; the seed is fixed.
    private func chiSquare(
        _ logits: [Float], _ expected: [Double], _ change: (inout SamplerOptions) -> Void
    ) throws -> Double {
        var options = SamplerOptions()
        (options.seed, options.topK, options.topP, options.minP) = (2024, 0, 1, 0)
        change(&options)
        let sampler = try Sampler(options, vocabularySize: logits.count)
        var counts = [Double](repeating: 0, count: logits.count)
        for _ in 0..<60_000 { counts[Int(try sampler.sample(logits))] += 1 }
        return zip(counts, expected).reduce(0) { $0 + ($1.0 - 60_000 * $1.1) * ($1.0 - 60_000 * $1.1) / (60_000 * $1.1) }
    }
}
