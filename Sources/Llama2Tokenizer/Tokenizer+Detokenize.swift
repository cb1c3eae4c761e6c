import Llama2Core

extension Tokenizer {
    /// The bytes of one token, which live as long as the tokenizer. None for control and unknown tokens unless `special`.
    public func piece(_ token: Int32, special: Bool) throws(Llama2Error) -> UnsafeRawBufferPointer {
        texts[try pieceRange(token, special: special)]
    }

    /// The text of `tokens`, as the file's decoder makes it: `detokenize(tokenize(x))` is `x`, byte for byte, where
    /// nothing that the file wants was changed on the way.
    ///
    /// SentencePiece's added space is taken away where `tokenize` adds it: at the beginning, and
    /// after a special token that is part of the text. (A U+2581 in a SentencePiece text comes
    /// back as a space: the vocabulary does not tell them apart.)
    public func detokenize(
        _ tokens: UnsafeBufferPointer<Int32>, special: Bool
    ) throws(Llama2Error) -> GrowingBuffer<UInt8> {
        var out = try GrowingBuffer<UInt8>(of: "text of the tokens")
        let decoder = pipeline.decoder
        var trim = TokenDecoder.Trim(decoder.start), hasBegun = false
        for token in tokens {
            let range = try pieceRange(token, special: special), isLeftOut = try isLeftOut(token, special: special)
            if isLeftOut || range.isEmpty && !decoder.countsEmptyTokens { continue }
            if hasBegun { for byte in decoder.separator { try out.append(byte) } }
            hasBegun = true
            if trim.takeFirst() {
                try out.append(firstPiece(token))
            } else if isFoundByName(token) {
                trim = TokenDecoder.Trim(pipeline.addsSpaceAfterNames ? decoder.startAfterNames : .nothing)
                try out.append(texts[range])
            } else {
                try out.append(trim.trim(texts[range], hasOwnSpace: hasOwnSpace(token)))
            }
        }
        return out
    }

    /// Whether the space that it may begin with is none that was added: of SentencePiece's a byte, and a piece whose own text has a space where an
    /// added one is a mark. (`tokenizers` strips these as well.)
    func hasOwnSpace(_ token: Int32) -> Bool { isSentencePiece && (types[Int(token)] == .byte || ownSpaces.contains(token)) }

    func checked(_ token: Int32) throws(Llama2Error) -> Int {
        guard token >= 0, Int(token) < count else {
            throw Llama2Error(.invalidToken, "token \(token) is not in the vocabulary of \(count)")
        }
        return Int(token)
    }

    /// Where the token's bytes lie in `texts`.
    func pieceRange(_ token: Int32, special: Bool) throws(Llama2Error) -> Range<Int> {
        let index = try checked(token)
        let range = texts.range(index)
        return try isLeftOut(token, special: special) ? range.lowerBound..<range.lowerBound : range
    }

    /// Whether a text without special tokens does not have it.
    func isLeftOut(_ token: Int32, special: Bool) throws(Llama2Error) -> Bool {
        switch types[try checked(token)] {
        case .control, .unknown: !special
        case .undefined, .normal, .userDefined, .unused, .byte: false
        }
    }

    /// The bytes of a token where it is the first of a text, as a decoder wants them whose `start` is `marksOfFirstToken`.
    func firstPiece(_ token: Int32) -> UnsafeRawBufferPointer { texts[texts.rangeOfFirst(Int(token))] }

    /// Whether `tokenize` finds this token by its name, so that a new run of text begins after it.
    func isFoundByName(_ token: Int32) -> Bool { isName[Int(token)] }
}
