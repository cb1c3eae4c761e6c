/// Finds the first of several stop strings in text that arrives in pieces, and passes on what
/// comes before it.
///
/// The match that starts first wins, wherever the pieces are cut. Text is held back only while it
/// may still turn out to be part of a match: from the start of the longest end of the text that
/// is the beginning of a stop string. Where two stop strings cross ("abcd" and "bc" in "abc") the
/// later start is complete before the earlier one is decided; then the text is held until it is.
///
/// Every stop string runs its own automaton (Knuth, Morris and Pratt, "Fast Pattern Matching in
/// Strings", 1977): the work is linear in the text for each of them.
public struct StopMatcher: Sendable {
    private var patterns: [Pattern] = []
    /// The text not yet emitted.
    private var held: [UInt8] = []
    /// Where in `held` the earliest complete match starts, as long as an earlier one may follow.
    private var match: Int?
    private var isComplete = false

    /// Empty stop strings are ignored. Pieces of up to `longestPiece` bytes are taken without a further allocation.
    public init(stops: [[UInt8]], longestPiece: Int = 0) {
        for stop in stops where !stop.isEmpty { patterns.append(Pattern(stop)) }
        // what can be held: a stop string that is not complete, and one that crosses it
        held.reserveCapacity(2 * (patterns.map(\.length).max() ?? 0) + longestPiece)
    }

    /// Takes the next piece of text. `emit` is called at most once, with text that is certain not
    /// to belong to a stop string, and never with a part of a UTF-8 character of which the rest
    /// may follow; the memory is valid during the call.
    ///
    /// Returns true if a stop string is complete: all text before its first byte has been
    /// emitted, and nothing of it or after it ever is. All later calls do nothing and return true.
    public mutating func push(_ bytes: RawSpan, emit: (UnsafeRawBufferPointer) -> Void) -> Bool {
        if isComplete { return true }
        var position = held.count
        bytes.withUnsafeBytes { held.append(contentsOf: $0) }

        var partial = position
        for place in bytes.byteOffsets {
            let byte = bytes.unsafeLoad(fromByteOffset: place, as: UInt8.self)
            position &+= 1
            // 1. Each automaton takes the byte: where does the longest partial match start now?
            partial = position
            for index in patterns.indices {
                if patterns[index].step(byte) {
                    let start = position &- patterns[index].length
                    match = min(match ?? start, start)
                }
                partial = min(partial, position &- patterns[index].matched)
            }
            // 2. A match that no partial one precedes has won.
            if let match, match <= partial {
                isComplete = true
                self.emit(match, emit)
                held = []
                return true
            }
        }
        guard !bytes.isEmpty else { return false }

        // 3. What no partial match holds is certain.
        self.emit(characterBoundary(partial), emit)
        return false
    }

    /// The end of the text: emits what was held back, up to a complete stop string if there is
    /// one, and returns whether there is. The matcher then stands at the start of a new text,
    /// unless a stop string was found.
    @discardableResult
    public mutating func flush(emit: (UnsafeRawBufferPointer) -> Void) -> Bool {
        if isComplete { return true }
        isComplete = match != nil
        self.emit(match ?? held.count, emit)
        held = []
        match = nil
        for index in patterns.indices { patterns[index].restart() }
        return isComplete
    }

    /// Emits and forgets the first `count` held bytes.
    private mutating func emit(_ count: Int, _ emit: (UnsafeRawBufferPointer) -> Void) {
        guard count > 0 else { return }
        held.withUnsafeBytes { emit(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        held.removeFirst(count)
        if let match { self.match = match &- count }
    }

    /// `end`, or the start of the character in `held` that a cut at `end` would divide.
    private func characterBoundary(_ end: Int) -> Int {
        var start = end
        while start > 0, end &- start < 4 {
            start &-= 1
            if held[start] & 0xC0 == 0x80 { continue }  // not the first byte of a character
            let length =
                switch held[start] {
                case 0xC2...0xDF: 2
                case 0xE0...0xEF: 3
                case 0xF0...0xF4: 4
                default: 1
                }
            return start &+ length > end ? start : end
        }
        return end
    }
}

/// One stop string and how much of it the text ends with.
private struct Pattern: Sendable {
    private let bytes: [UInt8]
    /// (length + 1) by matched bytes: the longest proper prefix that is also an end of them.
    private let fallback: [Int]
    private(set) var matched = 0

    var length: Int { bytes.count }

    /// `bytes` is not empty.
    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        var fallback = [0, 0]
        fallback.reserveCapacity(bytes.count &+ 1)
        var border = 0
        for byte in bytes.dropFirst() {
            while border > 0, bytes[border] != byte { border = fallback[border] }
            if bytes[border] == byte { border &+= 1 }
            fallback.append(border)
        }
        self.fallback = fallback
    }

    /// Takes one byte; true if the string ends with it. Then `matched` is already what can
    /// become the next match.
    mutating func step(_ byte: UInt8) -> Bool {
        while matched > 0, bytes[matched] != byte { matched = fallback[matched] }
        if bytes[matched] == byte { matched &+= 1 }
        guard matched == bytes.count else { return false }
        matched = fallback[matched]
        return true
    }

    mutating func restart() { matched = 0 }
}
