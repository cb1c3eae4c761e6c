import Llama2Core

/// A token that is found in a text by its name, before words are cut: an added token of `tokenizers`, or one of GGUF's
/// types control, unknown and user-defined.
public struct AddedToken: Sendable, Equatable {
    public var id: Int32
    /// UTF-8.
    public var name: [UInt8]
    /// A control token: given by its name only on demand, and found only in trusted text.
    public var isSpecial: Bool
    /// White space on that side belongs to it.
    public var stripsLeft = false, stripsRight = false
    /// Not inside of a word.
    public var isSingleWord = false
    /// Looked for in the normalized text, by its normalized name.
    public var isNormalized = false

    public init(id: Int32, name: [UInt8], isSpecial: Bool) {
        self.id = id
        self.name = name
        self.isSpecial = isSpecial
    }
}

/// The tokens that are found in a text by their names.
struct AddedTokens: Sendable {
    /// Which of two names counts that overlap in a text.
    enum Order {
        /// The leftmost, then the longest, as in `tokenizers`. What is not parsed still ends what it would have begun: the whole
        /// name is passed over.
        case leftmost
        /// The longest wherever it stands, as llama.cpp has it.
        case longest
    }

    enum Parsing {
        case userDefined
        case all
        /// Nothing that looks like a marker.
        case text
        /// By byte of the text whether it is a chat template's own. The rest is a message's text, in which nothing is found
        /// that looks like a marker: it must not make the frame.
        case trusted(UnsafeBufferPointer<Bool>)
    }

    private let tokens: [AddedToken]
    private let matcher: NameMatcher
    private let isMarker: [Bool]
    private let isPlain: Bool
    private let order: Order

    init(_ list: [AddedToken], names: [[UInt8]]? = nil, _ order: Order) throws(Llama2Error) {
        // the order in which llama.cpp looks for them; it leaves open which of equal length comes first
        let tokens = order == .longest ? list.sorted { ($1.name.count, $0.id) < ($0.name.count, $1.id) } : list
        self.tokens = tokens
        self.order = order
        isMarker = tokens.map { Self.isMarker($0.name) }
        isPlain = tokens.allSatisfy { !$0.stripsLeft && !$0.stripsRight && !$0.isSingleWord }
        matcher = try NameMatcher(tokens.indices.map { (names?[$0] ?? tokens[$0].name, Int32($0)) })
    }

    var isEmpty: Bool { tokens.isEmpty }

    /// A name like `<|im_start|>` or `[INST]`: in brackets of any kind.
    static func isMarker(_ name: [UInt8]) -> Bool {
        guard name.count > 2, let first = name.first, let last = name.last else { return false }
        return first == UInt8(ascii: "<") && last == UInt8(ascii: ">")
            || first == UInt8(ascii: "[") && last == UInt8(ascii: "]")
    }

    private func isWanted(_ index: Int32, _ parsing: Parsing, _ place: Range<Int>) -> Bool {
        switch parsing {
        case .all: true
        case .userDefined: !tokens[Int(index)].isSpecial
        case .text: !tokens[Int(index)].isSpecial && !isMarker[Int(index)]
        case .trusted(let bytes): !tokens[Int(index)].isSpecial && !isMarker[Int(index)] || bytes[place].allSatisfy { $0 }
        }
    }

    /// Calls `run` with each piece of text between the tokens and `found` with each token, in order.
    func split(
        _ text: UnsafeBufferPointer<UInt8>, _ parsing: Parsing, run: (Range<Int>) throws(Llama2Error) -> Void,
        found: (AddedToken) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        var start = 0, position = 0  // start: of the text that is not given out yet
        if order == .longest { return try splitLongest(text, parsing, run: run, found: found) }
        while position < text.count, !matcher.isEmpty {
            guard matcher.mayBegin(text[position]), let (length, index) = matcher.longest(text, position) else {
                position += 1
                continue
            }
            let token = tokens[Int(index)]
            var first = position, end = position + length
            position = end
            if !isWanted(index, parsing, first..<end) { continue }
            if !isPlain {
                if token.isSingleWord, isWordBefore(text, first) || isWordAfter(text, end) { continue }
                if token.stripsLeft { first = max(start, startOfSpace(text, first, from: start)) }
                if token.stripsRight { end = endOfSpace(text, end) }
                // it lies in the space that the one before it took, of which nothing is left to take
                if token.stripsLeft, first >= end { continue }
            }
            if start < first { try run(start..<first) }
            try found(token)
            start = end
            // and goes on behind the name itself: what a right strip took may hold another
        }
        if start < text.count { try run(start..<text.count) }
    }

    private func splitLongest(
        _ text: UnsafeBufferPointer<UInt8>, _ parsing: Parsing, run: (Range<Int>) throws(Llama2Error) -> Void,
        found: (AddedToken) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        var start = 0  // of the text that is not given out yet
        var cluster = try NameCluster()
        /// The longest name at a place within the first `end` bytes of the text.
        func longest(_ position: Int, _ end: Int) -> (length: Int, value: Int32)? {
            matcher.longest(UnsafeBufferPointer(rebasing: text[..<end]), position) { isWanted($0, parsing, position..<position + $1) }
        }
        func give() throws(Llama2Error) {
            try cluster.choose(longest) { (name, place, isFree) in
                var place = place
                let token = tokens[Int(name)]
                if token.stripsLeft {
                    let space = startOfSpace(text, place.lowerBound, from: 0)
                    while place.lowerBound > space, isFree(place.lowerBound - 1) { place = place.lowerBound - 1..<place.upperBound }
                }
                if token.stripsRight {
                    let space = endOfSpace(text, place.upperBound)
                    while place.upperBound < space, isFree(place.upperBound) { place = place.lowerBound..<place.upperBound + 1 }
                }
                return place
            }
            for index in 0..<cluster.count {
                guard let (name, place) = cluster.chosen(index) else { continue }
                if start < place.lowerBound { try run(start..<place.lowerBound) }
                try found(tokens[Int(name)])
                start = place.upperBound
            }
            cluster.clear()
        }
        for position in text.indices where matcher.mayBegin(text[position]) {
            guard let (length, name) = longest(position, text.count) else { continue }
            // what lies apart is chosen apart, but for white space, which reaches further
            if isPlain, position >= cluster.end { try give() }
            try cluster.append(name, position..<position + length)
        }
        if !isPlain { cluster.widen(to: text.indices) }
        try give()
        if start < text.count { try run(start..<text.count) }
    }

    private func isWordBefore(_ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> Bool {
        guard position > 0 else { return false }
        var start = position - 1
        while start > 0, position - start < 4, text[start] & 0xC0 == 0x80 { start -= 1 }
        guard case .scalar(let scalar, let length) = decodeUTF8(text, at: start), start + length == position else { return false }
        return isRegexWord(scalar)
    }

    private func isWordAfter(_ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> Bool {
        guard position < text.count, case .scalar(let scalar, _) = decodeUTF8(text, at: position) else { return false }
        return isRegexWord(scalar)
    }

    /// llama.cpp takes C's.
    private func isSpace(_ scalar: UInt32) -> Bool { order == .leftmost ? isWhiteSpace(scalar) : (9...13).contains(scalar) || scalar == 0x20 }

    private func startOfSpace(_ text: UnsafeBufferPointer<UInt8>, _ position: Int, from least: Int) -> Int {
        var start = position
        while start > least {
            var before = start - 1
            while before > least, start - before < 4, text[before] & 0xC0 == 0x80 { before -= 1 }
            guard case .scalar(let scalar, let length) = decodeUTF8(text, at: before), before + length == start, isSpace(scalar) else { break }
            start = before
        }
        return start
    }

    private func endOfSpace(_ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> Int {
        var end = position
        while end < text.count, case .scalar(let scalar, let length) = decodeUTF8(text, at: end), isSpace(scalar) { end += length }
        return end
    }
}
