internal import Llama2Core

/// A byte of a text, and where it came from:
///
///     bits 0-7 the byte    bit 8: it is from the caller's messages    bit 9: the mark where a message is to be continued
///
/// Slices, joins and every other way of making texts out of texts copy units, so that the origin of each byte
/// survives all that a template does; comparing looks at the bytes only.
typealias Unit = UInt16

extension Unit {
    static let message: Unit = 0x100
    static let mark: Unit = 0x200
    @inline(__always) var byte: UInt8 { UInt8(truncatingIfNeeded: self) }
    /// Whether a character begins here.
    @inline(__always) var isStart: Bool { self & 0xc0 != 0x80 }
    /// The same origin with another byte.
    func with(_ byte: UInt8) -> Unit { self & ~0xff | Unit(byte) }
}

func units(_ literal: StaticString) -> [Unit] {
    UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount).map { Unit($0) }
}

func units(_ string: String) -> [Unit] { string.utf8.map { Unit($0) } }

/// UTF-8 of a template or a message; a Python `str` to the template. What is not UTF-8 is kept.
final class Text: @unchecked Sendable {
    let units: [Unit]
    /// Made by `safe` or `escape`: what is added to it is escaped, as markupsafe does.
    let isMarkup: Bool
    private let heap: Heap?

    static func cost(_ count: Int) -> Int { 96 + 2 * count }

    /// Counted by `heap`; of a template's own code, or short-lived, by none.
    init(_ units: [Unit], markup: Bool = false, _ heap: Heap? = nil) {
        self.units = units
        isMarkup = markup
        self.heap = heap
    }

    deinit { heap?.give(Text.cost(units.count)) }

    var isEmpty: Bool { units.isEmpty }
    var bytes: [UInt8] { units.map(\.byte) }
    var shown: String { Failure.shown(units.lazy.map(\.byte)) }

    func equals(_ literal: StaticString) -> Bool {
        guard literal.utf8CodeUnitCount == units.count else { return false }
        for i in 0..<units.count where units[i].byte != literal.utf8Start[i] { return false }
        return true
    }

    static func equal(_ a: ArraySlice<Unit>, _ b: ArraySlice<Unit>) -> Bool {
        guard a.count == b.count else { return false }
        var i = a.startIndex, j = b.startIndex
        while i < a.endIndex {
            if a[i].byte != b[j].byte { return false }
            i += 1
            j += 1
        }
        return true
    }

    func equals(_ other: Text) -> Bool { self === other || Text.equal(units[...], other.units[...]) }

    /// By code points, which is the order of UTF-8's bytes.
    func isBefore(_ other: Text) -> Bool {
        units.lexicographicallyPrecedes(other.units) { $0.byte < $1.byte }
    }

    /// Characters.
    var count: Int { units.reduce(0) { $1.isStart ? $0 + 1 : $0 } }

    /// Where character `index` begins, from the start; the end when there are fewer.
    func offset(_ index: Int) -> Int {
        var left = index
        for (i, unit) in units.enumerated() where unit.isStart {
            if left == 0 { return i }
            left -= 1
        }
        return units.count
    }

    /// The ranges of its characters.
    var characters: [Range<Int>] {
        var out: [Range<Int>] = [], start = 0
        guard !units.isEmpty else { return [] }
        for i in 1..<units.count where units[i].isStart {
            out.append(start..<i)
            start = i
        }
        out.append(start..<units.count)
        return out
    }
}

/// Finding one text in another. Work is counted as it is done: hostile texts make it a product.
struct Finder {
    let needle: [Unit]
    let heap: Heap

    func first(in hay: [Unit], from start: Int, to end: Int? = nil) throws(Llama2Error) -> Int? {
        let end = end ?? hay.count
        guard start <= end, needle.count <= end - start else { return nil }
        guard let head = needle.first?.byte else { return start }
        var i = start, looked = 0
        let last = end - needle.count
        while i <= last {
            if hay[i].byte == head {
                var j = 1
                while j < needle.count, hay[i + j].byte == needle[j].byte { j += 1 }
                if j == needle.count {
                    try heap.work(looked + j)
                    return i
                }
                looked += j
            }
            i += 1
            looked += 1
            if looked >= 4096 {
                try heap.work(looked)
                looked = 0
            }
        }
        try heap.work(looked)
        return nil
    }

    func last(in hay: [Unit], from start: Int, to end: Int) throws(Llama2Error) -> Int? {
        guard start <= end, needle.count <= end - start else { return nil }
        var i = end - needle.count
        while i >= start {
            var j = 0
            while j < needle.count, hay[i + j].byte == needle[j].byte { j += 1 }
            try heap.work(j)
            if j == needle.count { return i }
            i -= 1
        }
        return nil
    }

    /// Where it begins, apart; at most `limit` (nil: all). Not for an empty one.
    func all(in hay: [Unit], limit: Int? = nil) throws(Llama2Error) -> [Int] {
        var out: [Int] = [], from = 0
        while limit.map({ out.count < $0 }) ?? true, let found = try first(in: hay, from: from) {
            out.append(found)
            from = found + needle.count
        }
        return out
    }
}
