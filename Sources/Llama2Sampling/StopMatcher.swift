/// Finds stop strings in text that comes in pieces and lets through only what can be part of none.
///
/// The stop that is complete first ends the text; of those complete at the same byte, the longest. It
/// does not depend on where the pieces are cut: bytes are looked at one by one, each stop by the
/// automaton of Knuth, Morris & Pratt (1977).
public struct StopMatcher {
    private struct Stop {
        let bytes: [UInt8]
        /// Length of the longest proper prefix that also ends at this byte, (count).
        let fallback: [Int]
        /// How many of the bytes match at the end of the text.
        var matched = 0

        init(_ bytes: [UInt8]) {
            self.bytes = bytes
            var fallback = [0], k = 0
            for i in 1..<max(bytes.count, 1) {
                while k > 0 && bytes[k] != bytes[i] { k = fallback[k - 1] }
                if bytes[k] == bytes[i] { k += 1 }
                fallback.append(k)
            }
            self.fallback = fallback
        }

        /// True when the stop is complete.
        mutating func advance(_ byte: UInt8) -> Bool {
            while matched > 0 && bytes[matched] != byte { matched = fallback[matched - 1] }
            if bytes[matched] == byte { matched += 1 }
            return matched == bytes.count
        }
    }

    private var stops: [Stop]
    private var held: [UInt8] = []

    /// Empty strings are ignored.
    public init(stops: [[UInt8]]) { self.stops = stops.filter { !$0.isEmpty }.map(Stop.init) }

    /// True when a stop is complete: the text before it has been emitted, and nothing may follow.
    public mutating func push(_ text: UnsafeRawBufferPointer, emit: (UnsafeRawBufferPointer) -> Void) -> Bool {
        guard !stops.isEmpty else {
            if text.count > 0 { emit(text) }
            return false
        }
        for byte in text {
            held.append(byte)
            var longest = 0
            for i in stops.indices where stops[i].advance(byte) { longest = max(longest, stops[i].bytes.count) }
            if longest > 0 {
                release(held.count - longest, emit)
                held = []
                for i in stops.indices { stops[i].matched = 0 }
                return true
            }
        }
        release(held.count - (stops.map(\.matched).max() ?? 0), emit)
        return false
    }

    /// Emits what was held back for a stop that did not come.
    public mutating func flush(emit: (UnsafeRawBufferPointer) -> Void) {
        release(held.count, emit)
        for i in stops.indices { stops[i].matched = 0 }
    }

    private mutating func release(_ count: Int, _ emit: (UnsafeRawBufferPointer) -> Void) {
        guard count > 0 else { return }
        held.withUnsafeBytes { emit(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        held.removeFirst(count)
    }
}
