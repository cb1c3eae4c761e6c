import Llama2Core
import Testing

@testable import Llama2Tokenizer

/// The queue of merges beside the definition: again and again the best pair of neighbours in the whole text.
@Suite struct MergeTests {
    private struct Rules: MergeRules {
        let text: [UInt8], priorities: [[UInt8]: UInt32]

        mutating func merge(
            _ left: MergeQueue.Symbol, _ right: MergeQueue.Symbol, from start: Int32, _ middle: Int32, to end: Int32
        ) -> (priority: UInt32, id: Int32)? {
            priorities[Array(text[Int(start)..<Int(end)])].map { ($0, Int32($0)) }
        }

        func earliest(from start: Int32, over end: Int32) -> UInt32? {
            (Int(end)...max(text.count, Int(end))).compactMap { priorities[Array(text[Int(start)..<$0])] }.min()
        }
    }

    /// Symbols in the end, by their lengths.
    private func merged(_ text: [UInt8], _ priorities: [[UInt8]: UInt32]) throws -> [Int] {
        var queue = try MergeQueue(), rules = Rules(text: text, priorities: priorities), lengths: [Int] = []
        try queue.clear(expecting: text.count)
        for index in text.indices { try queue.append(start: index, length: 1, id: -1) }
        _ = try queue.mergeAll(&rules)
        var index: Int32 = text.isEmpty ? -1 : 0
        while index >= 0 {
            let symbol = queue.symbols[Int(index)]
            lengths.append(Int(queue.end(symbol) - symbol.start))
            index = symbol.next
        }
        return lengths
    }

    /// The same in windows of so many symbols.
    private func merged(_ text: [UInt8], _ priorities: [[UInt8]: UInt32], window first: Int) throws -> (lengths: [Int], windows: Int) {
        var queue = try MergeQueue(), lengths: [Int] = [], start = 0, window = first, count = 0
        while start < text.count {
            var rules = Rules(text: text, priorities: priorities)
            let stop = min(text.count, start + window)
            try queue.clear(expecting: stop - start)
            for index in start..<stop { try queue.append(start: index, length: 1, id: -1) }
            let settled = try queue.mergeAll(&rules, isWhole: stop == text.count)
            count += 1
            if settled == start { window *= 2 }
            guard settled > start else { continue }
            var index: Int32 = 0
            while index >= 0 {
                let symbol = queue.symbols[Int(index)]
                lengths.append(Int(queue.end(symbol) - symbol.start))
                index = symbol.next
            }
            #expect(lengths.reduce(0, +) == settled)
            start = settled
        }
        return (lengths, count)
    }

    private func defined(_ text: [UInt8], _ priorities: [[UInt8]: UInt32]) -> [Int] {
        var pieces = text.map { [$0] }
        while true {
            var best: (priority: UInt32, at: Int)?
            for i in pieces.indices.dropLast() {
                if let priority = priorities[pieces[i] + pieces[i + 1]], priority < best?.priority ?? .max { best = (priority, i) }
            }
            guard let best else { return pieces.map(\.count) }
            pieces[best.at] += pieces.remove(at: best.at + 1)
        }
    }

    @Test func theQueueFindsWhatTheDefinitionFinds() throws {
        var random = TestRandom(state: 11), longest = 0, windows = 0
        for _ in 0..<400 {
            // few letters, and pieces that contain each other: most candidates are out of date when their turn comes
            let letters = 1 + random.next() % 3, count = Int(random.next() % 60)
            let text = (0..<count).map { _ in UInt8(97 + random.next() % letters) }
            var priorities: [[UInt8]: UInt32] = [:]
            for _ in 0..<12 {
                let piece = (0..<(2 + random.next() % 6)).map { _ in UInt8(97 + random.next() % letters) }
                priorities[piece] = UInt32(random.next() % 6)  // many of the same priority
            }
            let lengths = try merged(text, priorities)
            #expect(lengths == defined(text, priorities))
            longest = max(longest, lengths.max() ?? 0)
            let parts = try merged(text, priorities, window: 2 + Int(random.next() % 12))
            #expect(parts.lengths == lengths)
            windows += parts.windows
        }
        #expect(longest > 4 && windows > 1200)
    }

    @Test func ofEqualsTheLeftmostMergesFirst() throws {
        #expect(try merged(Array("aaaaa".utf8), [Array("aa".utf8): 1]) == [2, 2, 1])
        #expect(try merged(Array("aaaaaa".utf8), [Array("aa".utf8): 1, Array("aaa".utf8): 0]) == [3, 3])
        #expect(try merged(Array("abab".utf8), [Array("ba".utf8): 0, Array("ab".utf8): 1]) == [1, 2, 1])
    }

    @Test func whatIsPutInAsOneSymbolStaysOne() throws {
        var queue = try MergeQueue(), rules = Rules(text: Array("abab".utf8), priorities: [Array("ab".utf8): 0, Array("aba".utf8): 1])
        try queue.clear(expecting: 3)
        try queue.append(start: 0, length: 2, id: -2)
        try queue.append(start: 2, length: 1, id: -1)
        try queue.append(start: 3, length: 1, id: -1)
        _ = try queue.mergeAll(&rules)
        #expect(queue.symbols[0].next == 1 && queue.end(queue.symbols[0]) == 2 && queue.end(queue.symbols[1]) == 4)
    }
}
