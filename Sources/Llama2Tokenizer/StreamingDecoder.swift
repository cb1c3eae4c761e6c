public import Llama2Core

/// Tokens to text as they come: gives only whole UTF-8 characters, and allocates nothing after its creation.
///
/// Bytes that begin a character are held back until it is complete. Bytes that can never become
/// one are given as U+FFFD, so what is given is always valid UTF-8.
public final class StreamingDecoder {
    /// All that changes; who refuses a step puts it back.
    public struct State: Sendable {
        var trim: TokenDecoder.Trim
        var hasBegun = false
        var held: (UInt8, UInt8, UInt8) = (0, 0, 0)
        var heldCount = 0
    }

    public var state: State
    let tokenizer: Tokenizer
    let special: Bool
    private let input: AlignedBuffer<UInt8>  // what was held back, then a token: (3 + longest token)
    private let output: AlignedBuffer<UInt8>  // each byte of it as U+FFFD at most: (3, 3 + longest token)

    /// - Parameter atTextStart: the tokens begin a text, so SentencePiece's added space is taken away.
    /// - Parameter special: control tokens are given by their names.
    public init(tokenizer: Tokenizer, atTextStart: Bool = false, special: Bool = false) throws(Llama2Error) {
        let longest = tokenizer.longestPiece + 3
        input = try AlignedBuffer(count: longest, of: "a token of the decoder")
        output = try AlignedBuffer(count: try checkedMultiply(longest, 3, "text of the decoder"), of: "text of the decoder")
        self.tokenizer = tokenizer
        self.special = special
        state = State(trim: TokenDecoder.Trim(atTextStart ? tokenizer.pipeline.decoder.start : .nothing), hasBegun: !atTextStart)
    }

    /// The most that one step can give, in bytes.
    public var longestText: Int { output.count }

    /// The characters that `token` completes, possibly none; valid until the next step.
    public func append(_ token: Int32) throws(Llama2Error) -> UnsafeRawBufferPointer {
        var piece = try tokenizer.piece(token, special: special)
        let isLeftOut = try tokenizer.isLeftOut(token, special: special)
        if isLeftOut || piece.isEmpty && !tokenizer.pipeline.decoder.countsEmptyTokens { return piece }
        if state.trim.takeFirst() {
            piece = tokenizer.firstPiece(token)
        } else if tokenizer.isFoundByName(token) {
            state.trim = TokenDecoder.Trim(.nothing)
        } else {
            piece = state.trim.trim(piece, hasOwnSpace: tokenizer.hasOwnSpace(token))
        }
        defer { state.hasBegun = true }
        return release(piece, separator: state.hasBegun ? tokenizer.pipeline.decoder.separator : [], isLast: false)
    }

    /// What is held back: U+FFFD if a character was left unfinished.
    public func finish() -> UnsafeRawBufferPointer {
        release(UnsafeRawBufferPointer(start: nil, count: 0), separator: [], isLast: true)
    }

    private func release(_ piece: UnsafeRawBufferPointer, separator: [UInt8], isLast: Bool) -> UnsafeRawBufferPointer {
        // 1. the held bytes and the piece in one run
        let start = input.pointer
        var count = state.heldCount
        (start[0], start[1], start[2]) = state.held
        for byte in separator {
            start[count] = byte
            count += 1
        }
        for byte in piece {
            start[count] = byte
            count += 1
        }
        let bytes = UnsafeBufferPointer(start: start, count: count)
        // 2. its characters
        var position = 0, written = 0
        func give(_ byte: UInt8) {
            output.pointer[written] = byte
            written += 1
        }
        func giveReplacement() {
            give(0xEF)
            give(0xBF)
            give(0xBD)
        }
        loop: while position < count {
            switch decodeUTF8(bytes, at: position) {
            case .scalar(_, let length):
                for i in position..<position + length { give(bytes[i]) }
                position += length
            case .invalid(let length):
                giveReplacement()
                position += length
            case .incomplete:
                guard isLast else { break loop }
                giveReplacement()
                position = count
            }
        }
        // 3. what stays, at most three bytes
        state.heldCount = count - position
        func held(_ i: Int) -> UInt8 { position + i < count ? bytes[position + i] : 0 }
        state.held = (held(0), held(1), held(2))
        return UnsafeRawBufferPointer(start: output.pointer, count: written)
    }
}
