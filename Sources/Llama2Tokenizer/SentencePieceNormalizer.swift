import Llama2Core

/// SentencePiece's NormalizerSpec, with `treat_whitespace_as_suffix` of its TrainerSpec.
public struct SentencePieceSettings: Sendable {
    public var addsDummyPrefix = true
    public var removesExtraWhitespaces = false
    public var whitespaceIsSuffix = false
    public var escapesWhitespaces = true
    /// `precompiled_charsmap`; empty: no rules.
    public var characterMap: [UInt8] = []
    /// User-defined pieces are found in the normalized text and are part of it, as in sentencepiece; otherwise each
    /// parts the text, and what follows begins anew, as in llama.cpp.
    public var keepsUserDefined = false

    public init() {}
}

/// Changes a text as `sentencepiece`'s Normalizer does, and gives it in pieces that may be tokenized each for itself.
/// Bytes that are no UTF-8 are kept, where sentencepiece puts U+FFFD.
struct SentencePieceNormalizer: Sendable {
    let settings: SentencePieceSettings
    private let map: CharacterMap?
    private let userDefined: NameMatcher?

    init(_ settings: SentencePieceSettings, userDefined: NameMatcher?) throws(Llama2Error) {
        self.settings = settings
        self.userDefined = userDefined
        map = settings.characterMap.isEmpty ? nil : try CharacterMap(settings.characterMap)
    }

    private static let mark: [UInt8] = [0xE2, 0x96, 0x81]

    /// Calls `piece` with the pieces of the normalized text, in order; `mayCut` says where.
    func normalize(
        _ text: UnsafeBufferPointer<UInt8>, addsPrefix: Bool, mayCut: (UInt8, UInt8) -> Bool,
        _ piece: (UnsafeBufferPointer<UInt8>) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        guard !text.isEmpty else { return }
        var held = try GrowingBuffer<UInt8>(capacity: min(text.count + 16, 4096), of: "a normalized text")
        var spaces = 0  // at the end, not given out yet: they may be the text's last ones
        let strips = settings.removesExtraWhitespaces

        func put(_ byte: UInt8) throws(Llama2Error) {
            if !held.isEmpty, mayCut(held[held.count - 1], byte) {
                try piece(held.elements)
                held.removeAll()
            }
            try held.append(byte)
            guard held.count <= 1 << 30 else { throw Llama2Error(.invalidArgument, "a text that becomes more than \(1 << 30) bytes") }
        }
        func putSpace() throws(Llama2Error) {
            if settings.escapesWhitespaces { for byte in Self.mark { try put(byte) } } else { try put(0x20) }
        }
        func putSpaces() throws(Llama2Error) {
            for _ in 0..<spaces { try putSpace() }
            spaces = 0
        }

        // 1. white space at the begin
        var position = 0
        if strips {
            while position < text.count {
                let isSpace = try prefix(text, position) { (bytes, length) throws(Llama2Error) in
                    guard bytes.count == 1, bytes[0] == 0x20 else { return false }
                    position += length
                    return true
                }
                if !isSpace { break }
            }
            if position == text.count { return }
        }
        if !settings.whitespaceIsSuffix, settings.addsDummyPrefix, addsPrefix { if strips { spaces = 1 } else { try putSpace() } }
        // 2. rule by rule
        var afterSpace = strips
        while position < text.count {
            position += try prefix(text, position) { (bytes, length) throws(Llama2Error) in
                var i = 0
                while afterSpace, i < bytes.count, bytes[i] == 0x20 { i += 1 }
                if i < bytes.count { afterSpace = bytes[bytes.count - 1] == 0x20 }
                while i < bytes.count {
                    // at the end a mark that the text itself has goes like a space
                    let width = bytes[i] == 0x20 ? 1 : strips && isMark(bytes, i) ? 3 : 0
                    if width > 0 {
                        if strips { spaces += 1 } else { try putSpace() }
                    } else {
                        try putSpaces()
                        try put(bytes[i])
                    }
                    i += max(width, 1)
                }
                if !strips { afterSpace = false }
                return length
            }
        }
        // 3. at the end: white space goes (the prefix too, when nothing else is there), a suffix comes
        if settings.whitespaceIsSuffix, settings.addsDummyPrefix { try putSpace() }
        if !held.isEmpty { try piece(held.elements) }
    }

    private func isMark(_ bytes: UnsafeBufferPointer<UInt8>, _ at: Int) -> Bool {
        settings.escapesWhitespaces && at >= 0 && bytes.count - at >= 3 && bytes[at] == 0xE2 && bytes[at + 1] == 0x96 && bytes[at + 2] == 0x81
    }

    /// What the text at `position` begins with after its rule, and how much of the text that is.
    private func prefix<R>(
        _ text: UnsafeBufferPointer<UInt8>, _ position: Int, _ body: (UnsafeBufferPointer<UInt8>, Int) throws(Llama2Error) -> R
    ) throws(Llama2Error) -> R {
        if let userDefined, let found = userDefined.longest(text, position) {
            return try body(UnsafeBufferPointer(rebasing: text[position..<position + found.length]), found.length)
        }
        if let map, let rule = map.rule(text[position...]) {
            return try map.withReplacement(rule.replacement) { (bytes) throws(Llama2Error) in try body(bytes, rule.length) }
        }
        var length = 1
        if case .scalar(_, let bytes) = decodeUTF8(text, at: position) { length = bytes }
        return try body(UnsafeBufferPointer(rebasing: text[position..<position + length]), length)
    }
}
