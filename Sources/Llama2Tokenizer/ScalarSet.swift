internal import Llama2Core
internal import UnicodeData

/// A set of code points: ascending ranges that neither touch nor overlap, and a bit for each of ASCII.
struct ScalarSet: Sendable, Equatable {
    private(set) var ranges: [ClosedRange<UInt32>]
    private var low: UInt64 = 0, high: UInt64 = 0  // code points 0 to 63 and 64 to 127

    static let all: ClosedRange<UInt32> = 0...0x10FFFF

    init(_ list: [ClosedRange<UInt32>] = []) {
        ranges = []
        for range in list.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = ranges.last, range.lowerBound <= last.upperBound + 1 {
                ranges[ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                ranges.append(range)
            }
        }
        for range in ranges where range.lowerBound < 128 {
            for scalar in range.lowerBound...min(range.upperBound, 127) {
                if scalar < 64 { low |= 1 << UInt64(scalar) } else { high |= 1 << UInt64(scalar - 64) }
            }
        }
    }

    var isEmpty: Bool { ranges.isEmpty }

    @inline(__always)
    func contains(_ scalar: UInt32) -> Bool {
        if scalar < 64 { return low >> UInt64(scalar) & 1 == 1 }
        if scalar < 128 { return high >> UInt64(scalar &- 64) & 1 == 1 }
        return finds(scalar)
    }

    private func finds(_ scalar: UInt32) -> Bool {
        var first = 0, last = ranges.count  // the ranges before `first` end before `scalar`
        while first < last {
            let middle = (first + last) / 2
            if ranges[middle].upperBound < scalar { first = middle + 1 } else { last = middle }
        }
        return first < ranges.count && ranges[first].lowerBound <= scalar
    }

    var inverted: ScalarSet {
        var list: [ClosedRange<UInt32>] = [], next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { list.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= ScalarSet.all.upperBound { list.append(next...ScalarSet.all.upperBound) }
        return ScalarSet(list)
    }

    func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

    func intersection(_ other: ScalarSet) -> ScalarSet { inverted.union(other.inverted).inverted }

    static func categories(_ mask: UInt32) -> ScalarSet { ScalarSet(UnicodeClass.ranges(mask)) }

    static let whiteSpace = ScalarSet([
        0x09...0x0D, 0x20...0x20, 0x85...0x85, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F, 0x205F...0x205F,
        0x3000...0x3000,
    ])
    static let digits = categories(1 << 8)
    /// Oniguruma's `\w`: Alphabetic, marks, decimal digits, connector punctuation, and Latin-1's small digits and fractions.
    static let word = ScalarSet(l2s_unicode_word())
    static let wordInBrackets = word.intersection(ScalarSet([0xB2...0xB3, 0xB9...0xB9, 0xBC...0xBE]).inverted)
    /// Uppercase and Lowercase: the categories, and Unicode's lists Other_Uppercase and Other_Lowercase.
    static let upper = categories(1).union(
        ScalarSet([0x2160...0x216F, 0x24B6...0x24CF, 0x1F130...0x1F149, 0x1F150...0x1F169, 0x1F170...0x1F189]))
    static let lower = categories(2).union(
        ScalarSet([
            0xAA...0xAA, 0xBA...0xBA, 0x2B0...0x2B8, 0x2C0...0x2C1, 0x2E0...0x2E4, 0x345...0x345, 0x37A...0x37A, 0x10FC...0x10FC, 0x1D2C...0x1D6A,
            0x1D78...0x1D78, 0x1D9B...0x1DBF, 0x2071...0x2071, 0x207F...0x207F, 0x2090...0x209C, 0x2170...0x217F, 0x24D0...0x24E9, 0x2C7C...0x2C7D,
            0xA69C...0xA69D, 0xA770...0xA770, 0xA7F2...0xA7F4, 0xA7F8...0xA7F9, 0xAB5C...0xAB5F, 0xAB69...0xAB69, 0x10780...0x10780, 0x10783...0x10785,
            0x10787...0x107B0, 0x107B2...0x107BA, 0x1E030...0x1E06D,
        ]))
    /// What `tokenizers` takes for a combining mark (StripAccents), a nonspacing one (BertNormalizer) and punctuation.
    static let marks = ScalarSet(l2s_unicode_mark()), nonspacingMarks = ScalarSet(l2s_unicode_nonspacing())
    static let punctuation = ScalarSet(l2s_unicode_punctuation())

    private init(_ table: l2s_unicode_table32) {
        self.init(stride(from: 0, to: table.count, by: 2).map { table.start[$0]...table.start[$0 + 1] })
    }
}
