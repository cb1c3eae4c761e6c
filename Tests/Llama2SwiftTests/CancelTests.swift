import Llama2Core
import Llama2Formats
import Llama2Sampling
import Testing

@testable import Llama2Model

/// What a cancelled eval leaves behind, by the raw bytes of the cache and of the logits.
@Suite struct CancelTests {
    /// Everything that a later eval can see of a context: what `goBack` has to give back.
    struct State: Equatable {
        var lengths: [Int] = [], pages: [[Int32]] = [], unusedPages: [Int32] = [], keysAndValues: [UInt8] = []
        var logits: [UInt32] = [], rows = 0, used = 0

        init(_ inference: Inference) {
            let cache = inference.cache, layout = cache.layout.format, p = PageFormat.positions
            for sequence in 0..<inference.configuration.maxSequences {
                let length = cache.length(sequence), table = cache.table(sequence)
                lengths.append(length)
                pages.append((0..<((length + p - 1) / p)).map { table[$0] })
                for (index, first) in stride(from: 0, to: length, by: p).enumerated() {
                    let page = cache.store.base + Int(table[index]) * layout.bytes
                    layout.forEachPiece(min(p, length - first)) { offset, bytes in
                        keysAndValues += UnsafeRawBufferPointer(start: page + offset, count: bytes)
                    }
                }
            }
            unusedPages = Array(cache.store.freePages)
            rows = inference.logitsRows
            for row in 0..<rows { logits += inference.logits(row)!.map(\.bitPattern) }
            used = cache.used
        }
    }

    /// Asked so often before it cancels; -1: never.
    private final class Countdown { var left = -1 }

    private func made(_ c: ContextConfiguration) throws -> Inference {
        let fixtures = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/fixtures"
        return try Inference(weights: Weights(file: ModelFile.open(path: FilePath(fixtures + "/stories260K.bin"))), configuration: c)
    }

    /// Runs of three sequences, about a third of which want logits.
    private func entries(_ count: Int, seed: Int) -> [BatchEntry] {
        (0..<count).map { BatchEntry(token: Int32(($0 * 37 + seed) % 512), sequence: Int32(($0 / 5 + seed) % 3), wantsLogits: $0 % 3 == 1) }
    }

    private func eval(_ inference: Inference, _ entries: [BatchEntry]) throws(Llama2Error) {
        try inference.eval(count: entries.count) { entries[$0] }
    }

    @Test(arguments: [true, false], [1, 3])
    func aCancelAtAnyLayerOfAnyPassLeavesCachePagesAndLogitsByteByByte(halfPrecision: Bool, threads: Int) throws {
        var c = ContextConfiguration(contextLength: 400)
        c.maxSequences = 3
        c.batchSize = 64
        c.threads = threads
        c.keyType = halfPrecision ? .f16 : .f32
        c.valueType = c.keyType
        let inference = try made(c), undisturbed = try made(c), countdown = Countdown()
        inference.cancelData = Unmanaged.passUnretained(countdown).toOpaque()
        inference.cancel = { data in
            let countdown = Unmanaged<Countdown>.fromOpaque(data!).takeUnretainedValue()
            countdown.left -= 1
            return countdown.left == 0 ? 1 : 0
        }
        // pages were taken, given back and taken again
        for inference in [inference, undisturbed] {
            try eval(inference, entries(150, seed: 1))
            try inference.truncate(1, to: 3)
            try eval(inference, entries(90, seed: 2))
        }
        let before = State(inference)
        #expect(before == State(undisturbed))
        #expect(before.keysAndValues.contains { $0 != 0 } && before.rows == 30)

        let added = entries(150, seed: 3), asked = 5 * 3  // layers, passes
        for left in 1...asked {
            countdown.left = left
            do {
                try eval(inference, added)
                Issue.record("not cancelled at \(left)")
            } catch { #expect(error.kind == .cancelled) }
            #expect(State(inference) == before, "cancelled at \(left) of \(asked)")
        }
        for inference in [inference, undisturbed] { try eval(inference, added) }
        #expect(State(inference) == State(undisturbed))
        #expect(State(inference) != before)
    }

    @Test func aSampleThatIsWithdrawnIsChosenAgain() throws {
        var options = SamplerOptions()
        options.seed = 4
        options.repetitionPenalty = 1.3
        let sampler = try Sampler(options, vocabularySize: nil), undisturbed = try Sampler(options, vocabularySize: nil)
        var random = TestRandom(state: 1)
        for _ in 0..<100 {
            let logits = (0..<200).map { _ in 4 * random.float() }
            _ = try sampler.sample(logits.span)
            sampler.withdraw()
            sampler.withdraw()
            let token = try undisturbed.sample(logits.span)
            #expect(try sampler.sample(logits.span) == token)
            sampler.accept(token)
            undisturbed.accept(token)
        }
    }
}
