import Llama2Sampling
import Testing

/// `StopMatcher` against a search through the whole text, and by what reaches the reader.
@Suite struct SamplingStopTests {
    @Test func textBeforeTheStopIsEmittedAndNothingElse() {
        #expect(run(["<end>"], ["Hello ", "wor", "ld<e", "nd> more"]) == Result("Hello world", true))
        #expect(run(["<end>"], ["Hello <en", "d"]) == Result("Hello <end", false))
    }

    @Test func aStopThatOverlapsWithItselfIsFound() {
        #expect(run(["aab"], ["aaab"]) == Result("a", true))
        #expect(run(["aab"], ["a", "a", "a", "a", "b", "x"]) == Result("aa", true))
        #expect(run(["abab"], ["abaabab"]) == Result("aba", true))
    }

    @Test func theMatchThatStartsFirstWins() {
        #expect(run(["bc", "abcd"], ["xabcd"]) == Result("x", true))
        #expect(run(["bc", "abcd"], ["xabc", "e"]) == Result("xa", true))
        #expect(run(["ab", "abc"], ["xab"]) == Result("x", true))
    }

    @Test func aCompleteStopWithinAnUndecidedLongerOneCountsAtTheEnd() {
        var matcher = StopMatcher(stops: [Array("bc".utf8), Array("abcd".utf8)])
        var text: [UInt8] = []
        #expect(!push(&matcher, Array("xabc".utf8), into: &text))
        #expect(text == Array("x".utf8))
        #expect(matcher.flush { text.append(contentsOf: $0) })
        #expect(text == Array("xa".utf8))
    }

    @Test func onlyAPossibleStopIsHeldBack() {
        var matcher = StopMatcher(stops: [Array("stop".utf8)])
        var text: [UInt8] = []
        _ = push(&matcher, Array("abc st".utf8), into: &text)
        #expect(text == Array("abc ".utf8))
        _ = push(&matcher, Array("ar".utf8), into: &text)
        #expect(text == Array("abc star".utf8))
    }

    @Test func emptyStopsAndNoStopsPassTheTextThrough() {
        #expect(run([""], ["abc", "", "d"]) == Result("abcd", false))
        #expect(run([], ["abc"]) == Result("abc", false))
        #expect(run(["", "c"], ["abc"]) == Result("ab", true))
    }

    @Test func afterTheStopNothingIsEmitted() {
        var matcher = StopMatcher(stops: [Array("x".utf8)])
        var text: [UInt8] = []
        #expect(push(&matcher, Array("axb".utf8), into: &text))
        #expect(push(&matcher, Array("cdx".utf8), into: &text))
        #expect(matcher.flush { text.append(contentsOf: $0) })
        #expect(text == Array("a".utf8))
    }

    @Test func nullPiecesAreFine() {
        var matcher = StopMatcher(stops: [[1]])
        #expect(!matcher.push(UnsafeRawBufferPointer(start: nil, count: 0).bytes) { _ in Issue.record("nothing to emit") })
        matcher.flush { _ in Issue.record("nothing to emit") }
    }

    /// Every split of short texts into pieces, small alphabets, up to three stops.
    @Test func allSplitsGiveTheResultOfASearchThroughTheWholeText() {
        var random = Xoshiro256StarStar(seed: 17)
        for trial in 0..<1500 {
            let alphabet = 2 + random.next() % 2
            func word(_ length: UInt64) -> [UInt8] { (0..<length).map { _ in UInt8(97 + random.next() % alphabet) } }
            let text = word(1 + random.next() % 9)
            let stops = (0...(random.next() % 3)).map { _ in word(random.next() % 5) }
            let expected = search(text, stops)
            for cuts in 0..<(1 << (text.count - 1)) {
                var matcher = StopMatcher(stops: stops)
                var out: [UInt8] = []
                var isComplete = false
                var start = 0
                for end in 1...text.count where end == text.count || cuts >> (end - 1) & 1 == 1 {
                    isComplete = push(&matcher, Array(text[start..<end]), into: &out)
                    start = end
                }
                // Before the end only text that is certain may be out, and after a stop all of it.
                #expect(expected.text.starts(with: out))
                if isComplete { #expect(out == expected.text) }
                isComplete = matcher.flush { out.append(contentsOf: $0) }
                guard out == expected.text, isComplete == expected.found else {
                    Issue.record("trial \(trial): \(text) \(stops) cuts \(cuts) gave \(out), expected \(expected)")
                    return
                }
            }
        }
    }

    @Test func noCharacterIsSplitBetweenTwoEmissions() {
        let text = Array("añ€😀é…€x😀ñ€end".utf8)
        let stops = ["€x😃", "ñ€!", "😀é…é", "never"].map { Array($0.utf8) }
        for size in 1...9 {
            var matcher = StopMatcher(stops: stops)
            var all: [UInt8] = []
            var start = 0
            while start < text.count {
                let end = min(start + size, text.count)
                let isComplete = Array(text[start..<end]).withUnsafeBytes {
                    matcher.push($0.bytes) { piece in
                        #expect(String(validating: piece, as: UTF8.self) != nil, "pieces of \(size)")
                        all.append(contentsOf: piece)
                    }
                }
                #expect(!isComplete)
                start = end
            }
            matcher.flush { all.append(contentsOf: $0) }
            #expect(all == text)
        }
    }

    @Test func textThatIsNotUTF8IsNotLost() {
        #expect(
            run(bytes: [[0x62]], [[0xE2], [0x61], [0xFF, 0x80, 0x80, 0x80, 0x80], [0xF0], [0x62]]).text
                == [0xE2, 0x61, 0xFF, 0x80, 0x80, 0x80, 0x80, 0xF0])
    }

    @Test func aLongTextOfNearMatchesTakesLinearTime() {
        // A quadratic search would need 10^10 steps.
        let stop = [UInt8](repeating: 97, count: 100_000) + [98]
        let text = [UInt8](repeating: 97, count: 400_000)
        let result = run(bytes: [stop], [text, [98]])
        #expect(result.found && result.text.count == 300_000)
    }

    // MARK: - Helpers

    private struct Result: Equatable {
        var text: [UInt8]
        var found: Bool
        init(_ text: String, _ found: Bool) { self.init(Array(text.utf8), found) }
        init(_ text: [UInt8], _ found: Bool) { (self.text, self.found) = (text, found) }
    }

    private func run(_ stops: [String], _ pieces: [String]) -> Result {
        run(bytes: stops.map { Array($0.utf8) }, pieces.map { Array($0.utf8) })
    }

    private func run(bytes stops: [[UInt8]], _ pieces: [[UInt8]]) -> Result {
        var matcher = StopMatcher(stops: stops)
        var text: [UInt8] = []
        for piece in pieces where push(&matcher, piece, into: &text) { return Result(text, true) }
        let found = matcher.flush { text.append(contentsOf: $0) }
        return Result(text, found)
    }

    private func push(_ matcher: inout StopMatcher, _ piece: [UInt8], into text: inout [UInt8]) -> Bool {
        piece.withUnsafeBytes { matcher.push($0.bytes) { text.append(contentsOf: $0) } }
    }

    private func search(_ text: [UInt8], _ stops: [[UInt8]]) -> Result {
        for start in text.indices {
            for stop in stops where !stop.isEmpty && text[start...].starts(with: stop) {
                return Result(Array(text[..<start]), true)
            }
        }
        return Result(text, false)
    }
}
