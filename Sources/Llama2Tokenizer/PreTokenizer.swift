import Llama2Core

/// What becomes of the places where a text is split: `tokenizers`' SplitDelimiterBehavior.
enum SplitBehavior: Sendable { case removed, isolated, mergedWithPrevious, mergedWithNext, contiguous }

/// The steps that cut a text into words, inside of which tokens are made: those of `tokenizers`, under their names.
enum PreTokenizerStep: Sendable {
    /// inverted: what lies between the matches counts as a match, and the matches as what lies between.
    case split(RegexProgram, SplitBehavior, inverted: Bool)
    /// Each character of a kind is a match: Digits, Punctuation, WhitespaceSplit, CharDelimiterSplit, BertPreTokenizer.
    case characters(CharacterKind, SplitBehavior)
    /// `Whitespace`: runs of word characters, and runs of what is neither word nor white space.
    case words
    case fixedLength(Int)
    case metaspace(replacement: [UInt8], PrependScheme, splits: Bool)
    /// Bytes become the characters that stand for them; `expression` is GPT-2's when it is wanted.
    case byteLevel(addsPrefixSpace: Bool, RegexProgram?)

    enum CharacterKind: Sendable { case numeric, punctuation, whiteSpace, scalar(UInt32) }
    enum PrependScheme: Sendable { case always, first, never }
}

/// A list of steps; each cuts the pieces that the one before it left.
struct PreTokenizer: Sendable {
    let steps: [PreTokenizerStep]
    /// Whether the last step is byte-level and its words are bytes, not yet the characters that stand for them.
    let givesBytes: Bool

    /// spells: words are characters, whatever the last step.
    init(_ steps: [PreTokenizerStep], spells: Bool = false) {
        self.steps = steps
        if case .byteLevel? = steps.last { givesBytes = !spells } else { givesBytes = false }
    }

    /// The matchers of one call, used again for every piece.
    final class Scratch {
        fileprivate final class Box {
            var matcher: RegexMatcher
            init(_ program: RegexProgram) throws(Llama2Error) { matcher = try RegexMatcher(program) }
        }
        fileprivate var boxes: [Box?] = []

        init(_ pre: PreTokenizer) throws(Llama2Error) {
            for step in pre.steps {
                switch step {
                case .split(let program, _, _): boxes.append(try Box(program))
                case .byteLevel(_, let program?): boxes.append(try Box(program))
                case .characters, .words, .fixedLength, .metaspace, .byteLevel: boxes.append(nil)
                }
            }
        }
    }

    typealias Word = (UnsafeBufferPointer<UInt8>) throws(Llama2Error) -> Void

    /// Calls `word` with each word, in order. isFirst: the text begins where the whole text began.
    func split(_ text: UnsafeBufferPointer<UInt8>, isFirst: Bool, _ scratch: Scratch, _ word: Word) throws(Llama2Error) {
        try split(text, from: 0, isFirst, scratch, word)
    }

    private func split(
        _ text: UnsafeBufferPointer<UInt8>, from index: Int, _ isFirst: Bool, _ scratch: Scratch, _ word: Word
    ) throws(Llama2Error) {
        guard !text.isEmpty else { return }
        guard text.count <= 1 << 30 else { throw Llama2Error(.invalidArgument, "a text that becomes \(text.count) bytes; the limit is \(1 << 30)") }
        guard index < steps.count else { return try word(text) }
        func piece(_ range: Range<Int>) throws(Llama2Error) {
            guard !range.isEmpty else { return }
            try split(UnsafeBufferPointer(rebasing: text[range]), from: index + 1, isFirst && range.lowerBound == 0, scratch, word)
        }
        switch steps[index] {
        case .split(_, let behavior, let inverted):
            guard let box = scratch.boxes[index] else { return }
            var pieces = SplitPieces(behavior), end = 0
            try box.matcher.matches(in: text) { (range) throws(Llama2Error) in
                if end < range.lowerBound { try pieces.take(end..<range.lowerBound, isMatch: inverted, piece) }
                try pieces.take(range, isMatch: !inverted, piece)
                end = range.upperBound
            }
            if end < text.count { try pieces.take(end..<text.count, isMatch: inverted, piece) }
            try pieces.finish(piece)
        case .characters(let kind, let behavior):
            var pieces = SplitPieces(behavior), end = 0, position = 0
            while position < text.count {
                var length = 1, scalar: UInt32 = 0xFFFD
                if case .scalar(let c, let bytes) = decodeUTF8(text, at: position) { (scalar, length) = (c, bytes) }
                if kind.contains(scalar) {
                    if end < position { try pieces.take(end..<position, isMatch: false, piece) }
                    try pieces.take(position..<position + length, isMatch: true, piece)
                    end = position + length
                }
                position += length
            }
            if end < text.count { try pieces.take(end..<text.count, isMatch: false, piece) }
            try pieces.finish(piece)
        case .words:
            // 0 white space, 1 word, 2 other
            var start = 0, position = 0, kind = 0
            while position < text.count {
                var length = 1, scalar: UInt32 = 0xFFFD
                if case .scalar(let c, let bytes) = decodeUTF8(text, at: position) { (scalar, length) = (c, bytes) }
                let here = isRegexWord(scalar) ? 1 : isWhiteSpace(scalar) ? 0 : 2
                if here != kind {
                    if kind != 0 { try piece(start..<position) }
                    (start, kind) = (position, here)
                }
                position += length
            }
            if kind != 0 { try piece(start..<text.count) }
        case .fixedLength(let wanted):
            var start = 0, position = 0, count = 0
            while position < text.count {
                var length = 1
                if case .scalar(_, let bytes) = decodeUTF8(text, at: position) { length = bytes }
                position += length
                count += 1
                if count == wanted {
                    try piece(start..<position)
                    (start, count) = (position, 0)
                }
            }
            try piece(start..<text.count)
        case .metaspace(let mark, let scheme, let splits):
            try metaspace(text, mark, scheme, splits, from: index, isFirst, scratch, word)
        case .byteLevel(let addsPrefixSpace, let program):
            if addsPrefixSpace, text[0] != 0x20 {
                var longer = try GrowingBuffer<UInt8>(capacity: text.count + 1, of: "a text with a space before it")
                try longer.append(0x20)
                try longer.append(contentsOf: text)
                try byteLevel(longer.elements, program, from: index, isFirst, scratch, word)
            } else {
                try byteLevel(text, program, from: index, isFirst, scratch, word)
            }
        }
    }

    private func metaspace(
        _ text: UnsafeBufferPointer<UInt8>, _ mark: [UInt8], _ scheme: PreTokenizerStep.PrependScheme, _ splits: Bool, from index: Int,
        _ isFirst: Bool, _ scratch: Scratch, _ word: Word
    ) throws(Llama2Error) {
        var marked = try GrowingBuffer<UInt8>(capacity: text.count + text.count / 4 + mark.count, of: "a text with its spaces marked")
        let begins = text[0] == 0x20 || text.count >= mark.count && mark.indices.allSatisfy { text[$0] == mark[$0] }
        if !begins, scheme == .always || scheme == .first && isFirst { for byte in mark { try marked.append(byte) } }
        for byte in text {
            if byte == 0x20 { for byte in mark { try marked.append(byte) } } else { try marked.append(byte) }
        }
        let all = marked.elements
        func piece(_ range: Range<Int>) throws(Llama2Error) {
            guard !range.isEmpty else { return }
            try split(UnsafeBufferPointer(rebasing: all[range]), from: index + 1, isFirst && range.lowerBound == 0, scratch, word)
        }
        guard splits else { return try piece(0..<all.count) }
        var start = 0, position = 1
        while position < all.count {  // a mark begins a piece
            if all[position] == mark[0], all.count - position >= mark.count, mark.indices.allSatisfy({ all[position + $0] == mark[$0] }) {
                try piece(start..<position)
                start = position
            }
            position += 1
        }
        try piece(start..<all.count)
    }

    private func byteLevel(
        _ text: UnsafeBufferPointer<UInt8>, _ program: RegexProgram?, from index: Int, _ isFirst: Bool, _ scratch: Scratch, _ word: Word
    ) throws(Llama2Error) {
        let isWord = givesBytes && index + 1 == steps.count
        func piece(_ range: Range<Int>) throws(Llama2Error) {
            let bytes = UnsafeBufferPointer(rebasing: text[range])
            if isWord { return try word(bytes) }
            var spelled = try GrowingBuffer<UInt8>(capacity: 2 * bytes.count, of: "a word in byte characters")
            for byte in bytes { for character in ByteCharacters.of[Int(byte)] { try spelled.append(character) } }
            try split(spelled.elements, from: index + 1, isFirst && range.lowerBound == 0, scratch, word)
        }
        guard program != nil, let box = scratch.boxes[index] else { return try piece(0..<text.count) }
        var end = 0
        try box.matcher.matches(in: text) { (range) throws(Llama2Error) in
            if end < range.lowerBound { try piece(end..<range.lowerBound) }
            if !range.isEmpty { try piece(range) }
            end = range.upperBound
        }
        if end < text.count { try piece(end..<text.count) }
    }
}

extension PreTokenizerStep.CharacterKind {
    fileprivate func contains(_ scalar: UInt32) -> Bool {
        switch self {
        case .numeric: scalar < 0x80 ? (0x30...0x39).contains(scalar) : UnicodeCategory.bit(scalar) & UnicodeClass.numbers != 0
        case .punctuation: ScalarSet.punctuation.contains(scalar)
        case .whiteSpace: isWhiteSpace(scalar)
        case .scalar(let wanted): scalar == wanted
        }
    }
}

/// Puts matches and what lies between them together to pieces, as a behavior wants it.
private struct SplitPieces {
    private let behavior: SplitBehavior
    private var held: Range<Int>?
    private var heldIsMatch = false

    init(_ behavior: SplitBehavior) { self.behavior = behavior }

    mutating func take(
        _ range: Range<Int>, isMatch: Bool, _ give: (Range<Int>) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        switch behavior {
        case .isolated: try give(range)
        case .removed: if !isMatch { try give(range) }
        case .contiguous, .mergedWithPrevious, .mergedWithNext:
            let joins =
                switch behavior {
                case .contiguous: isMatch == heldIsMatch
                case .mergedWithPrevious: isMatch && !heldIsMatch
                default: !isMatch && heldIsMatch
                }
            if let before = held, joins {
                held = before.lowerBound..<range.upperBound
            } else {
                if let before = held { try give(before) }
                held = range
            }
            heldIsMatch = isMatch
        }
    }

    mutating func finish(_ give: (Range<Int>) throws(Llama2Error) -> Void) throws(Llama2Error) {
        if let held { try give(held) }
        held = nil
    }
}
