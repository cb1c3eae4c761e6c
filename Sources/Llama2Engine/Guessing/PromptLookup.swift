internal import Llama2Core

/// How much is guessed follows from what came true: all of it, and the next guess is twice as long; nothing, and there is none for a
/// while, which doubles each time. So guessing that does not pay costs next to nothing.
struct GuessingPace {
    /// Guessed at once, at most: fewer than `KVCache` finds worth to keep when they are withdrawn.
    static let most = 15
    private static let longestPause = 128

    private(set) var length = 4
    private var pause = 0, nextPause = 2

    /// Asked once before each guess: false where none is to be made.
    mutating func isOn() -> Bool {
        guard pause > 0 else { return true }
        pause -= 1
        return false
    }

    /// So many of the guesses came true.
    mutating func learn(_ right: Int, of guessed: Int) {
        guard guessed > 0 else { return }
        if right == 0 {
            length = max(2, length / 2)
            pause = nextPause
            nextPause = min(2 &* nextPause, GuessingPace.longestPause)
        } else {
            length = right == guessed ? min(2 &* length, GuessingPace.most) : max(2, right &+ 1)
            nextPause = 2
        }
    }
}

/// Guesses what comes next: what came after the same tokens before (Saxena, "Prompt Lookup Decoding", 2023).
enum PromptLookup {
    /// So many tokens must be the same before.
    private static let least = 3
    /// How far back it looks.
    private static let reach = 8192

    /// Writes `wanted` guesses (at most `GuessingPace.most`) of what follows `tokens` to `out`; returns how many.
    static func guess(_ tokens: UnsafeBufferPointer<Int32>, _ wanted: Int, _ out: UnsafeMutablePointer<Int32>) -> Int {
        let end = tokens.count
        guard wanted > 0, end > least else { return 0 }
        // the place with the longest common past, of these the latest
        var best = 0, place = 0
        var at = end &- 1
        let first = max(least, end &- reach)
        while at >= first, best < GuessingPace.most {
            var common = 0
            while common < at, common < GuessingPace.most, tokens[at &- 1 &- common] == tokens[end &- 1 &- common] { common &+= 1 }
            if common > best { (best, place) = (common, at) }
            at &-= 1
        }
        guard best >= least else { return 0 }
        // what repeats itself goes on with its own guesses
        for i in 0..<wanted {
            let from = place &+ i
            out[i] = from < end ? tokens[from] : out[from &- end]
        }
        return wanted
    }
}
