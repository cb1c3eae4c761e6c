internal import Llama2Core

/// A set of Unicode scalar values as ranges, ascending, disjoint and not touching. Surrogates are in no set.
struct CodePointSet: Equatable, Sendable {
    struct Range: Equatable, Sendable { var low, high: UInt32 }

    private(set) var ranges: [Range]

    static let empty = CodePointSet(ranges: [])
    static let all = CodePointSet(ranges: [Range(low: 0, high: 0xD7FF), Range(low: 0xE000, high: 0x10FFFF)])

    private init(ranges: [Range]) { self.ranges = ranges }

    /// Ranges in any order, overlapping as they like; what is no scalar value is left out.
    init(_ list: [(UInt32, UInt32)]) {
        var sorted = list.filter { $0.0 <= $0.1 }
        sorted.sort { $0.0 < $1.0 }
        ranges = []
        for (low, high) in sorted {
            if let last = ranges.last, low <= last.high || low == last.high + 1 {
                ranges[ranges.count - 1].high = max(last.high, high)
            } else {
                ranges.append(Range(low: low, high: high))
            }
        }
        self = intersection(.all)
    }

    init(_ scalar: UInt32) { self.init([(scalar, scalar)]) }

    var isEmpty: Bool { ranges.isEmpty }

    func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.low <= scalar && scalar <= $0.high } }

    func union(_ other: CodePointSet) -> CodePointSet {
        CodePointSet(ranges.map { ($0.low, $0.high) } + other.ranges.map { ($0.low, $0.high) })
    }

    func intersection(_ other: CodePointSet) -> CodePointSet {
        var out: [Range] = [], i = 0, j = 0
        while i < ranges.count, j < other.ranges.count {
            let a = ranges[i], b = other.ranges[j], low = max(a.low, b.low), high = min(a.high, b.high)
            if low <= high { out.append(Range(low: low, high: high)) }
            if a.high < b.high { i += 1 } else { j += 1 }
        }
        return CodePointSet(ranges: out)
    }

    var complement: CodePointSet {
        var out: [(UInt32, UInt32)] = [], next: UInt32 = 0
        for range in ranges {
            if range.low > next { out.append((next, range.low - 1)) }
            next = range.high + 1
        }
        if next <= 0x10FFFF { out.append((next, 0x10FFFF)) }
        return CodePointSet(out)
    }

    /// With the other case of every letter (RE2's (?i)): of those of ASCII, and of the two beyond it that fold to one; nil where letters
    /// beyond are in it and not all of them, so that others would have to come.
    var ignoringCase: CodePointSet? {
        for group in CodePointSet.casedBeyondASCII {
            let part = intersection(group)
            guard part.isEmpty || part == group else { return nil }
        }
        var out = ranges.map { ($0.low, $0.high) }
        for letter in UInt32(0x41)...0x5A {
            if contains(letter) || contains(letter + 32) { out += [(letter, letter), (letter + 32, letter + 32)] }
        }
        for (folded, letter) in [(UInt32(0x212A), UInt32(0x6B)), (0x17F, 0x73)] where contains(folded) || contains(letter) || contains(letter - 32) {
            out += [(folded, folded), (letter, letter), (letter - 32, letter - 32)]
        }
        // a single letter beyond ASCII stands for all of them here
        if contains(0x3B9) { out.append((CodePointSet.iotaBelow, CodePointSet.iotaBelow)) } else if contains(CodePointSet.iotaBelow) { return nil }
        return CodePointSet(out)
    }

    /// What folds to each other, and nothing else to them: letters with case, without the long s and the Kelvin sign; the iota below a
    /// letter, which folds to one of them; Roman numbers; letters in circles.
    private static let casedBeyondASCII: [CodePointSet] = {
        let letters = categories(UnicodeClass.casedLetters).intersection(CodePointSet([(0, 0x7F), (0x17F, 0x17F), (0x212A, 0x212A)]).complement)
        return [letters, CodePointSet([(0x2160, 0x217F)]), CodePointSet([(0x24B6, 0x24E9)])]
    }()
    private static let iotaBelow: UInt32 = 0x345
}

/// UTF-8 as ranges of bytes (Thompson's way): every scalar of a range is one path, and every path one scalar.
enum UTF8Ranges {
    typealias Bytes = (low: UInt8, high: UInt8)

    /// Calls `emit` with sequences of one to four ranges of bytes that together are `low ... high`.
    static func split(_ low: UInt32, _ high: UInt32, _ emit: ([Bytes]) -> Void) {
        var pending = [(low, high)]
        while let (low, high) = pending.popLast() {
            guard low <= high else { continue }
            // 1. cut where the length changes
            if let limit = [0x7F, 0x7FF, 0xFFFF].first(where: { low <= $0 && $0 < high }) {
                pending.append((limit + 1, high))
                pending.append((low, limit))
                continue
            }
            if high <= 0x7F {
                emit([(UInt8(low), UInt8(high))])
                continue
            }
            // 2. cut where a continuation byte would not run through all its values
            let length = high <= 0x7FF ? 2 : high <= 0xFFFF ? 3 : 4
            var isCut = false
            for i in 1..<length {
                let mask = UInt32(1) << UInt32(6 * i) - 1
                guard low & ~mask != high & ~mask else { continue }
                if low & mask != 0 {
                    pending.append(((low | mask) + 1, high))
                    pending.append((low, low | mask))
                    isCut = true
                } else if high & mask != mask {
                    pending.append((high & ~mask, high))
                    pending.append((low, high & ~mask - 1))
                    isCut = true
                }
                if isCut { break }
            }
            if isCut { continue }
            // 3. what is left is one range a byte
            let first = encoded(low, length), last = encoded(high, length)
            emit((0..<length).map { (first[$0], last[$0]) })
        }
    }

    private static func encoded(_ scalar: UInt32, _ length: Int) -> [UInt8] {
        let marks: [UInt32] = [0, 0, 0xC0, 0xE0, 0xF0]
        var out = [UInt8(truncatingIfNeeded: scalar >> UInt32(6 * (length - 1)) | marks[length])]
        for i in (0..<length - 1).reversed() { out.append(UInt8(truncatingIfNeeded: scalar >> UInt32(6 * i) & 0x3F | 0x80)) }
        return out
    }

    /// The scalar that bytes of UTF-8 begin with, nil at their end.
    static func scalar(_ bytes: some Sequence<UInt8>) -> UInt32? {
        var iterator = bytes.makeIterator()
        guard let first = iterator.next() else { return nil }
        let more = first < 0xC0 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3
        var scalar = more == 0 ? UInt32(first) : UInt32(first) & (0x3F >> UInt32(more))
        for _ in 0..<more { scalar = scalar << 6 | UInt32(iterator.next() ?? 0) & 0x3F }
        return scalar
    }

    /// The UTF-8 of one scalar.
    static func bytes(_ scalar: UInt32) -> [UInt8] {
        scalar <= 0x7F ? [UInt8(scalar)] : encoded(scalar, scalar <= 0x7FF ? 2 : scalar <= 0xFFFF ? 3 : 4)
    }
}
