import Llama2Core

/// How the texts of tokens become a text again: `tokenizers`' decoders, of which most work on each token for itself.
struct TokenDecoder: Sendable {
    enum Step: Sendable {
        case replace(RegexProgram, with: [UInt8])
        case replaceText([UInt8], with: [UInt8])
        /// Marks become spaces; drops: those of the first token become nothing.
        case marks([UInt8], drops: Bool)
        case strip([UInt8], start: Int, stop: Int)
        case byteLevel
    }

    /// What goes at the begin of a text.
    enum Start: Sendable, Equatable {
        case nothing
        /// So many spaces, if they are there.
        case spaces(Int)
        /// The first token has another text: Metaspace's marks in it are no spaces.
        case marksOfFirstToken
        /// sentencepiece with remove_extra_whitespaces: a space of each token, as long as there is no text.
        case oneSpaceOfEach
    }

    private var steps: [Step] = []
    private(set) var start = Start.nothing
    private var fallsBackToBytes = false
    /// Between tokens: a space when the file names no decoder.
    private(set) var separator: [UInt8] = []
    /// Behind an added token, where a Prepend puts a space too. `tokenizers` takes Metaspace's marks of the first token of all only.
    var startAfterNames: Start { start == .marksOfFirstToken ? .nothing : start }
    var isByteLevel: Bool { steps.contains { if case .byteLevel = $0 { true } else { false } } }

    init() {}

    /// SentencePiece's own.
    init(sentencePiece settings: SentencePieceSettings) {
        steps = [.replaceText([0xE2, 0x96, 0x81], with: [0x20])]
        start = settings.removesExtraWhitespaces ? .oneSpaceOfEach : settings.addsDummyPrefix ? .spaces(1) : .nothing
    }

    static let byteLevel = {
        var decoder = TokenDecoder(); decoder.steps = [.byteLevel]; return decoder
    }()

    init(_ json: JSON?) throws(Llama2Error) {
        guard let json, !json.isNull else {
            separator = [0x20]
            return
        }
        var isWhole = false
        try add(json, &isWhole, depth: 0)
    }

    /// isWhole: the tokens have become one text.
    private mutating func add(_ json: JSON, _ isWhole: inout Bool, depth: Int) throws(Llama2Error) {
        let names: [StaticString] = ["Sequence", "ByteLevel", "Metaspace", "Replace", "ByteFallback", "Fuse", "Strip"]
        let kind = try json.kind("decoder", names)
        if kind != 0, kind != 5, kind != 6, isWhole || fallsBackToBytes {
            throw unknown("behind Fuse, ByteFallback or ByteLevel: decoder", json["type"] ?? .null)
        }
        switch kind {
        case 0:
            try check(json, "decoder Sequence", ["type", "decoders"])
            guard depth < 8, steps.count < 64 else { throw Llama2Error(.unsupported, "more decoders, or deeper ones, than are read") }
            for step in json["decoders"]?.array ?? [] { try add(step, &isWhole, depth: depth + 1) }
        case 1:
            try check(json, "decoder ByteLevel", ["type", "add_prefix_space", "trim_offsets", "use_regex"])
            steps.append(.byteLevel)
            isWhole = true
        case 2:
            let (mark, scheme) = try PreTokenizerReader.metaspace(json)
            steps.append(.marks(mark, drops: scheme != .never))
            if scheme != .never { start = .marksOfFirstToken }
        case 3:
            try check(json, "decoder Replace", ["type", "pattern", "content"])
            let content = try text(json, "content") ?? []
            switch try TextPattern(json["pattern"]) {
            case .text(let bytes): steps.append(.replaceText(bytes, with: content))
            case .expression(let program): steps.append(.replace(program, with: content))
            }
        case 4: fallsBackToBytes = true
        case 5: isWhole = true
        default:
            try check(json, "decoder Strip", ["type", "content", "start", "stop"])
            let content = try character(json, "content")
            guard let begin = json["start"]?.integer, let stop = json["stop"]?.integer, begin >= 0, stop >= 0, begin < 1 << 20, stop < 1 << 20 else {
                throw Llama2Error(.corrupt, "decoder Strip without start and stop")
            }
            if isWhole {
                guard stop == 0, content == [0x20], start == .nothing else {
                    throw Llama2Error(.unsupported, "decoder Strip at the end of a text, or of what is no space")
                }
                start = begin > 0 ? .spaces(begin) : .nothing
            } else {
                guard !fallsBackToBytes else { throw Llama2Error(.unsupported, "decoder Strip between ByteFallback and Fuse") }
                steps.append(.strip(content, start: begin, stop: stop))
            }
        }
    }

    /// Whether a token without a text counts as one: what comes behind it is not the first, and a separator stands between.
    var countsEmptyTokens: Bool { start == .marksOfFirstToken || !separator.isEmpty }

    /// Appends the bytes that a token's text stands for. isName: it is an added token that no merge makes, found in a text as it is. isFirst: no
    /// token stands before it.
    func append(
        _ text: UnsafeBufferPointer<UInt8>, isName: Bool, isFirst: Bool = false, to out: inout [UInt8]
    ) throws(Llama2Error) {
        let begin = out.count
        try appendSteps(text, isName, isFirst, &out)
        // a byte's name is what the steps before left of a text
        guard fallsBackToBytes, out.count - begin == 6,
            let byte = out.withUnsafeBufferPointer({ SentencePieceBPE.byteValue(UnsafeBufferPointer(rebasing: $0[begin...])) })
        else { return }
        out.removeLast(6)
        out.append(byte)
    }

    private func appendSteps(_ text: UnsafeBufferPointer<UInt8>, _ isName: Bool, _ isFirst: Bool, _ out: inout [UInt8]) throws(Llama2Error) {
        // the common cases without a copy
        if steps.isEmpty { return out.append(contentsOf: text) }
        if steps.count == 1, case .byteLevel = steps[0] {
            if isName { out.append(contentsOf: text) } else { ByteCharacters.appendDecoded(text, to: &out) }
            return
        }
        if steps.count == 1, case .replaceText(let wanted, let content) = steps[0] {
            return TokenDecoder.replace(text, wanted, content, &out)
        }
        if steps.count == 1, case .marks(let mark, let drops) = steps[0] {
            return TokenDecoder.replace(text, mark, isFirst && drops ? [] : [0x20], &out)
        }
        var current = Array(text)
        for step in steps {
            var next: [UInt8] = []
            switch step {
            case .byteLevel:
                if isName { next = current } else { current.withUnsafeBufferPointer { ByteCharacters.appendDecoded($0, to: &next) } }
            case .replaceText(let wanted, let content): current.withUnsafeBufferPointer { TokenDecoder.replace($0, wanted, content, &next) }
            case .marks(let mark, let drops):
                current.withUnsafeBufferPointer { TokenDecoder.replace($0, mark, isFirst && drops ? [] : [0x20], &next) }
            case .replace(let program, let content):
                var matcher = try RegexMatcher(program), ranges: [Range<Int>] = []
                let copy = try owned(current)
                try matcher.matches(in: copy.elements) { (range) throws(Llama2Error) in ranges.append(range) }
                var position = 0
                for range in ranges {
                    next += current[position..<range.lowerBound]
                    next += content
                    position = range.upperBound
                }
                next += current[position...]
            case .strip(let content, let start, let stop):
                var first = 0, last = current.count, count = 0
                while count < start, last - first >= content.count, current[first..<first + content.count].elementsEqual(content) {
                    first += content.count
                    count += 1
                }
                count = 0
                while count < stop, last - first >= content.count, current[last - content.count..<last].elementsEqual(content) {
                    last -= content.count
                    count += 1
                }
                next = Array(current[first..<last])
            }
            current = next
        }
        out += current
    }

    private func owned(_ bytes: [UInt8]) throws(Llama2Error) -> GrowingBuffer<UInt8> {
        var copy = try GrowingBuffer<UInt8>(capacity: bytes.count, of: "a token")
        for byte in bytes { try copy.append(byte) }
        return copy
    }

    private static func replace(_ text: UnsafeBufferPointer<UInt8>, _ wanted: [UInt8], _ content: [UInt8], _ out: inout [UInt8]) {
        var i = 0
        while i < text.count {
            if text[i] == wanted[0], text.count - i >= wanted.count, wanted.indices.allSatisfy({ text[i + $0] == wanted[$0] }) {
                out += content
                i += wanted.count
            } else {
                out.append(text[i])
                i += 1
            }
        }
    }

    /// Where a text begins: what of each token goes. A value, so that a step can be taken back.
    struct Trim: Sendable {
        private(set) var start: Start
        private(set) var isFirst: Bool

        init(_ start: Start, isFirst: Bool = true) { (self.start, self.isFirst) = (start, isFirst) }

        /// Whether the next token is the first, whose text is another; it is none afterwards.
        mutating func takeFirst() -> Bool {
            guard start == .marksOfFirstToken else { return false }
            defer { (start, isFirst) = (.nothing, false) }
            return isFirst
        }

        /// hasOwnSpace: a space at its begin is none that was added.
        mutating func trim(_ piece: UnsafeRawBufferPointer, hasOwnSpace: Bool) -> UnsafeRawBufferPointer {
            guard !piece.isEmpty else { return piece }
            defer { isFirst = false }
            switch start {
            case .nothing, .marksOfFirstToken: return piece
            case .spaces(let left):
                var count = 0
                if !hasOwnSpace { while count < left, count < piece.count, piece[count] == 0x20 { count += 1 } }
                start = count == piece.count && count < left ? .spaces(left - count) : .nothing
                return UnsafeRawBufferPointer(rebasing: piece.dropFirst(count))
            case .oneSpaceOfEach:
                let count = !hasOwnSpace && piece[0] == 0x20 ? 1 : 0
                if count < piece.count { start = .nothing }
                return UnsafeRawBufferPointer(rebasing: piece.dropFirst(count))
            }
        }
    }
}
