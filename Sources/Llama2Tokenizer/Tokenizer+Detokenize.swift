import Llama2Core

extension Tokenizer {
    /// Gives the bytes of one token to `emit`. Control and unknown tokens are empty unless `special`.
    public func piece(
        _ token: Int32, special: Bool, into emit: (UnsafeRawBufferPointer) -> Void
    ) throws(Llama2Error) {
        let range = try pieceRange(token, special: special)
        pieces.withUnsafeBytes { emit(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// The text of `tokens`: `detokenize(tokenize(x))` is `x`, byte for byte.
    ///
    /// SentencePiece's added space is taken away where `tokenize` adds it: at the beginning, and
    /// after a special token that is part of the text. (A U+2581 in a SentencePiece text comes
    /// back as a space: the vocabulary does not tell them apart.)
    public func detokenize(
        _ tokens: UnsafeBufferPointer<Int32>, special: Bool
    ) throws(Llama2Error) -> [UInt8] {
        var out: [UInt8] = []
        var afterAddedSpace = addsSpacePrefix
        for token in tokens {
            var range = try pieceRange(token, special: special)
            if range.isEmpty { continue }
            if isFoundByName(token) {
                afterAddedSpace = addsSpacePrefix
            } else {
                if afterAddedSpace, pieces[range.lowerBound] == 0x20 {
                    range = range.lowerBound + 1..<range.upperBound
                }
                afterAddedSpace = false
            }
            out += pieces[range]
        }
        return out
    }

    func checked(_ token: Int32) throws(Llama2Error) -> Int {
        guard token >= 0, Int(token) < count else {
            throw Llama2Error(.invalidToken, "token \(token) is not in the vocabulary of \(count)")
        }
        return Int(token)
    }

    /// Where the token's bytes lie in `pieces`.
    func pieceRange(_ token: Int32, special: Bool) throws(Llama2Error) -> Range<Int> {
        let index = try checked(token)
        let start = pieceOffsets[index]
        switch types[index] {
        case .control where !special, .unknown where !special: return start..<start
        default: return start..<pieceOffsets[index + 1]
        }
    }

    /// Whether `tokenize` finds this token by its name, so that a new run of text begins after it.
    func isFoundByName(_ token: Int32) -> Bool {
        switch types[Int(token)] {
        case .control, .unknown, .userDefined: true
        default: false
        }
    }
}
