import Llama2Core

/// Tokens to text as they come: emits only whole UTF-8 characters.
///
/// Bytes that begin a character are held back until it is complete. Bytes that can never become
/// one are emitted as U+FFFD, so what is emitted is always valid UTF-8.
public struct StreamingDecoder {
    private let tokenizer: Tokenizer
    private let special: Bool
    private var atTextStart: Bool
    private var pending: [UInt8] = []  // at most 3 bytes between calls

    /// - Parameter atTextStart: the tokens begin a text, so SentencePiece's added space is taken away.
    /// - Parameter special: control tokens are emitted by their names.
    public init(tokenizer: Tokenizer, atTextStart: Bool = false, special: Bool = false) {
        self.tokenizer = tokenizer
        self.special = special
        self.atTextStart = atTextStart && tokenizer.addsSpacePrefix
    }

    public mutating func append(
        _ token: Int32, into emit: (UnsafeRawBufferPointer) -> Void
    ) throws(Llama2Error) {
        var range = try tokenizer.pieceRange(token, special: special)
        if range.isEmpty { return }
        if atTextStart {
            atTextStart = false
            if !tokenizer.isFoundByName(token), tokenizer.pieces[range.lowerBound] == 0x20 {
                range = range.lowerBound + 1..<range.upperBound
            }
        }
        pending += tokenizer.pieces[range]
        release(isLast: false, into: emit)
    }

    /// Emits what is held back: U+FFFD if a character was left unfinished.
    public mutating func finish(into emit: (UnsafeRawBufferPointer) -> Void) {
        release(isLast: true, into: emit)
    }

    private mutating func release(isLast: Bool, into emit: (UnsafeRawBufferPointer) -> Void) {
        var whole: [UInt8] = []
        var position = 0
        pending.withUnsafeBufferPointer { pending in
            loop: while position < pending.count {
                switch decodeUTF8(pending, at: position) {
                case .scalar(_, let length):
                    whole += pending[position..<position + length]
                    position += length
                case .invalid(let length):
                    appendUTF8(0xFFFD, to: &whole)
                    position += length
                case .incomplete:
                    guard isLast else { break loop }
                    appendUTF8(0xFFFD, to: &whole)
                    position = pending.count
                }
            }
        }
        pending.removeFirst(position)
        if !whole.isEmpty { whole.withUnsafeBytes { emit($0) } }
    }
}
