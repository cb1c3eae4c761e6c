internal import Llama2Core

/// Guesses what comes next: what came after the same tokens before (Saxena, "Prompt Lookup Decoding", 2023). How much of that is tried is
/// for `LookupPace` to say.
enum PromptLookup {
    /// How far back it looks.
    private static let reach = 8192

    /// Writes `GuessingPace.most` guesses of what follows `tokens` to `out`; returns how many tokens are the same before: 0, there are no guesses.
    static func guess(_ tokens: UnsafeBufferPointer<Int32>, _ out: UnsafeMutablePointer<Int32>) -> Int {
        let end = tokens.count
        guard end > 1 else { return 0 }
        // the place with the longest common past, of these the latest
        let last = tokens[end &- 1]
        var best = 0, place = 0
        var at = end &- 1
        let first = max(1, end &- reach)
        while at >= first, best < GuessingPace.most {
            if tokens[at &- 1] == last {
                var common = 1
                while common < at, common < GuessingPace.most, tokens[at &- 1 &- common] == tokens[end &- 1 &- common] { common &+= 1 }
                if common > best { (best, place) = (common, at) }
            }
            at &-= 1
        }
        guard best > 0 else { return 0 }
        // what repeats itself goes on with its own guesses
        for i in 0..<GuessingPace.most {
            let from = place &+ i
            out[i] = from < end ? tokens[from] : out[from &- end]
        }
        return best
    }
}
