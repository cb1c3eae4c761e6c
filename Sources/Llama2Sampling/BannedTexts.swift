public import Llama2Core

/// Texts that must not come, however the tokens lie that would write them.
///
/// An automaton (Aho and Corasick 1975) knows from what the text ends with which of them have begun; a token is forbidden where
/// one of its bytes would complete one. What is forbidden in a state is found when the state is first reached, by a walk
/// over the vocabulary, and kept as long as there is room.
///
///     next      (states, 256)  where a byte leads
///     isWhole   (states)       a text is complete here
///     lists     tokens that are forbidden, state by state: starts[s] ..< starts[s] + counts[s]
public final class BannedTexts: @unchecked Sendable {
    public typealias Pieces = (Int32) -> UnsafeRawBufferPointer

    public static let mostTexts = 1024, longestText = 256, mostBytes = 1 << 14
    /// Tokens that are kept in all lists together.
    private static let mostKept = 1 << 22

    private let next: AlignedBuffer<UInt16>
    private let isWhole: AlignedBuffer<Bool>
    private let starts: AlignedBuffer<Int32>  // (states) -1: not looked for yet
    private let counts: AlignedBuffer<Int32>
    private var lists: GrowingBuffer<Int32>
    private let vocabularySize: Int
    private let pieces: Pieces
    /// Which texts they are, in their order: what a state of the automaton means follows from that.
    let fingerprint: UInt64

    /// texts: not empty, at most `mostBytes` together. pieces: what a token writes; lives as long as this. One sampler uses it at a time.
    public init(_ texts: [[UInt8]], vocabularySize: Int, pieces: @escaping Pieces) throws(Llama2Error) {
        let most = texts.reduce(1) { $0 &+ $1.count }
        guard texts.count <= BannedTexts.mostTexts, most <= BannedTexts.mostBytes &+ 1 else {
            throw Llama2Error(
                .invalidArgument,
                "\(texts.count) banned texts of \(most &- 1) bytes, expected at most \(BannedTexts.mostTexts) of \(BannedTexts.mostBytes)")
        }
        let next = try AlignedBuffer<UInt16>(count: most &* 256, of: "banned texts")  // at most 2^22
        let isWhole = try AlignedBuffer<Bool>(count: most, of: "banned texts")
        let starts = try AlignedBuffer<Int32>(count: most, of: "banned texts")
        let counts = try AlignedBuffer<Int32>(count: most, of: "banned texts")
        let queue = try AlignedBuffer<UInt16>(count: most, of: "banned texts")
        let back = try AlignedBuffer<UInt16>(count: most, of: "banned texts")
        // 1. A tree of the texts; 0 is its root, and means none below it.
        var states: UInt16 = 1
        for text in texts {
            var state = 0
            for byte in text {
                let slot = next.pointer + (state &* 256 &+ Int(byte))
                if slot.pointee == 0 {
                    slot.pointee = states
                    states &+= 1
                }
                state = Int(slot.pointee)
            }
            if !text.isEmpty { isWhole.pointer[state] = true }
        }
        // 2. By depth: where a byte leads that does not go on, after the longest end that has begun a text.
        var read = 0, written = 0
        for byte in 0..<256 where next.pointer[byte] != 0 {
            queue.pointer[written] = next.pointer[byte]
            written &+= 1
        }
        while read < written {
            let state = Int(queue.pointer[read]), shorter = Int(back.pointer[state])
            read &+= 1
            if isWhole.pointer[shorter] { isWhole.pointer[state] = true }
            for byte in 0..<256 {
                let slot = next.pointer + (state &* 256 &+ byte), other = next.pointer[shorter &* 256 &+ byte]
                if slot.pointee == 0 {
                    slot.pointee = other
                } else {
                    back.pointer[Int(slot.pointee)] = other
                    queue.pointer[written] = slot.pointee
                    written &+= 1
                }
            }
        }
        for state in 0..<most { starts.pointer[state] = -1 }
        self.next = next
        self.isWhole = isWhole
        self.starts = starts
        self.counts = counts
        lists = try GrowingBuffer(of: "forbidden tokens")
        self.vocabularySize = vocabularySize
        self.pieces = pieces
        var hash = WordHash()
        hash.add(UInt64(vocabularySize))
        for text in texts {
            hash.add(UInt64(text.count))
            for byte in text { hash.add(UInt64(byte)) }
        }
        fingerprint = hash.value
    }

    /// States that the automaton has room for.
    var states: Int { isWhole.count }

    /// Where the text stands behind `token`.
    func after(_ state: Int32, _ token: Int32) -> Int32 {
        guard token >= 0, Int(token) < vocabularySize else { return state }
        var now = Int(state)
        for byte in pieces(token) { now = Int(next.pointer[now &* 256 &+ Int(byte)]) }
        return Int32(truncatingIfNeeded: now)
    }

    private func completes(_ state: Int, _ token: Int32) -> Bool {
        var now = state
        for byte in pieces(token) {
            now = Int(next.pointer[now &* 256 &+ Int(byte)])
            if isWhole.pointer[now] { return true }
        }
        return false
    }

    func apply(_ candidates: inout Candidates, _ state: Int32) throws(Llama2Error) {
        let state = Int(state)
        if starts.pointer[state] < 0 {
            let start = lists.count
            for token in 0..<Int32(truncatingIfNeeded: vocabularySize) where completes(state, token) {
                candidates.forbid(token)
                if lists.count < BannedTexts.mostKept { try lists.append(token) }
            }
            // one that did not fit is looked for again
            if lists.count < BannedTexts.mostKept {
                starts.pointer[state] = Int32(truncatingIfNeeded: start)
                counts.pointer[state] = Int32(truncatingIfNeeded: lists.count &- start)
            } else {
                lists.truncate(to: start)
            }
            return
        }
        let list = UnsafeBufferPointer(rebasing: lists.elements[Int(starts.pointer[state])..<Int(starts.pointer[state] &+ counts.pointer[state])])
        for token in list { candidates.forbid(token) }
    }
}
