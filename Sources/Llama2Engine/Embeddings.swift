public import Llama2Core
internal import Llama2Model

/// How the rows of a text become one.
public enum Pooling: UInt32, Sendable {
    /// They do not: each token has its own.
    case none = 0
    case mean, last, first

    /// Whether the row of a token is needed.
    fileprivate func wants(isFirst: Bool, isLast: Bool) -> Bool {
        switch self {
        case .none, .mean: true
        case .last: isLast
        case .first: isFirst
        }
    }
}

/// Texts as tokens, one behind the other: the host's, read once and checked for their sizes.
public struct TextsToEmbed: ~Copyable {
    fileprivate let lengths: GrowingBuffer<Int>
    fileprivate let tokens: GrowingBuffer<Int32>

    /// tokens: the host's, so many. A text that `context` has no room for is refused before its tokens are read.
    public init(
        _ given: UnsafeBufferPointer<Int>, for context: Context, _ tokens: (Int) throws(Llama2Error) -> UnsafeBufferPointer<Int32>
    ) throws(Llama2Error) {
        let limit = context.inference.configuration.contextLength
        guard given.count > 0 else { throw Llama2Error(.invalidArgument, "no texts to embed") }
        var lengths = try GrowingBuffer<Int>(capacity: given.count, of: "lengths of texts")
        try lengths.append(contentsOf: given)
        var total = 0
        for (index, length) in lengths.elements.enumerated() {
            guard length > 0 else {
                throw Llama2Error(.invalidArgument, "text \(index) has \(UInt(bitPattern: length)) tokens, expected 1 or more, as many as memory can hold")
            }
            guard length <= limit else {
                throw Llama2Error(.contextFull, "text \(index) has \(length) tokens; this context has \(limit) positions")
            }
            total = try checkedAdd(total, length, "tokens of texts", .invalidArgument)
        }
        let given = try tokens(total)
        var copy = try GrowingBuffer<Int32>(capacity: total, of: "a copy of tokens")
        try copy.append(contentsOf: given)
        self.lengths = lengths
        self.tokens = copy
    }
}

extension Context {
    /// Numbers that `embed` gives: (rows, embedding). Refuses what it would refuse.
    public func embeddingsSize(_ texts: borrowing TextsToEmbed, _ pooling: Pooling) throws(Llama2Error) -> Int {
        try inference.checkAdaptersAreTheSame()
        try check(texts.tokens.elements)
        let rows = pooling == .none ? texts.tokens.count : texts.lengths.count
        return try checkedMultiply(rows, try model.weights.hyperparameters.embeddingLength, "embeddings", .noMemory)
    }

    /// What the logits would be computed from, the residual stream after its last norm, of each token of each text or pooled
    /// over the text; out: (rows, embedding) as `embeddingsSize` counts them. Texts are evaluated beside each other as far as the
    /// context has sequences and positions. Uses the whole context, which is empty afterwards.
    ///
    /// A mean is summed in double in the order of the tokens, so that it is the same bits for every batch and split.
    public func embed(
        _ texts: borrowing TextsToEmbed, _ pooling: Pooling, normalized: Bool, to out: UnsafeMutablePointer<Float>
    ) throws(Llama2Error) {
        let e = try model.weights.hyperparameters.embeddingLength, c = inference.configuration
        let most = min(c.batchSize, texts.tokens.count)
        let rows = try AlignedBuffer<Float>(count: try checkedMultiply(most, e, "embeddings", .noMemory), of: "embeddings")
        let sum = try AlignedBuffer<Double>(count: e, of: "the mean of embeddings")
        let lengths = texts.lengths.elements, tokens = texts.tokens.elements
        reset()
        defer { reset() }
        // the texts whose tokens are in the context, and where the next one begins; a text is one sequence from 0 on
        var text = 0, first = 0, target = out
        while text < lengths.count {
            var end = text, count = 0
            while end < lengths.count, end - text < c.maxSequences, lengths[end] <= c.contextLength - count {
                count += lengths[end]
                end += 1
            }
            // tokens of these texts, `most` at a time
            var done = 0, given = (text: text, token: 0), taken = given
            while done < count {
                let chunk = min(most, count - done), start = first + done
                try eval(count: chunk, embeddings: rows.pointer) { i in
                    let isLast = given.token == lengths[given.text] - 1
                    let entry = BatchEntry(
                        token: tokens[start + i], sequence: Int32(given.text - text),
                        wantsLogits: pooling.wants(isFirst: given.token == 0, isLast: isLast))
                    given = isLast ? (given.text + 1, 0) : (given.text, given.token + 1)
                    return entry
                }
                var row = UnsafePointer(rows.pointer)
                for _ in 0..<chunk {
                    let isFirst = taken.token == 0, length = lengths[taken.text], isLast = taken.token == length - 1
                    taken = isLast ? (taken.text + 1, 0) : (taken.text, taken.token + 1)
                    switch pooling {
                    case .none: target.update(from: row, count: e)
                    case .mean:
                        for i in 0..<e { sum.pointer[i] = (isFirst ? 0 : sum.pointer[i]) + Double(row[i]) }
                        if isLast { for i in 0..<e { target[i] = Float(sum.pointer[i] / Double(length)).oneNaN } }
                    case .last: if isLast { target.update(from: row, count: e) }
                    case .first: if isFirst { target.update(from: row, count: e) }
                    }
                    if pooling.wants(isFirst: isFirst, isLast: isLast) { row += e }
                    if pooling == .none || isLast {
                        if normalized { normalize(target, e) }
                        target += e
                    }
                }
                done += chunk
            }
            (text, first) = (end, first + count)
            reset()
        }
        withExtendedLifetime(rows) {}
        withExtendedLifetime(sum) {}
    }

    /// To the length 1; zeros stay zeros.
    private func normalize(_ x: UnsafeMutablePointer<Float>, _ count: Int) {
        var squares = 0.0
        for i in 0..<count { squares += Double(x[i]) * Double(x[i]) }
        guard squares != 0 else { return }
        let length = squares.squareRoot()
        for i in 0..<count { x[i] = Float(Double(x[i]) / length).oneNaN }
    }
}

extension Float {
    /// NaN with one bit pattern, whichever operation made it.
    fileprivate var oneNaN: Float { isNaN ? .nan : self }
}
