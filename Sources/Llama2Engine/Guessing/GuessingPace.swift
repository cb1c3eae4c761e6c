/// Whether what a grammar leaves no choice about is guessed: it is written in the longest tokens that there are, which a model may spell otherwise. Where
/// none came true there is no guess for a while, which doubles each time.
struct GuessingPace {
    /// Guessed at once, at most: fewer than `KVCache` finds worth to keep when they are withdrawn.
    static let most = 15
    private static let longestPause = 128

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
        guard right == 0 else { return nextPause = 2 }
        pause = nextPause
        nextPause = min(2 &* nextPause, GuessingPace.longestPause)
    }
}
