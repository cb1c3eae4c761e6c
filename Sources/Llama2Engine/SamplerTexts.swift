internal import Llama2Core
internal import Llama2Sampling
internal import Llama2Tokenizer

/// What a sampler is told in texts, before a vocabulary makes tokens of them.
public struct SamplerTexts: Sendable {
    /// nil: llama.cpp's.
    public var dryBreakers: [[UInt8]]?
    /// Each token of the text gets the bias.
    public var bias: [(text: [UInt8], bias: Float)] = []

    /// What no text may contain.
    public var banned: [[UInt8]] = []

    public init() {}

    private static let usualBreakers: [[UInt8]] = [Array("\n".utf8), Array(":".utf8), Array("\"".utf8), Array("*".utf8)]
    /// Tokens of a breaker behind the first one, as llama.cpp has it.
    private static let longestTail = 20

    func resolve(_ options: inout SamplerOptions, _ model: Model?) throws(Llama2Error) {
        let breakers = options.dryMultiplier > 0 ? dryBreakers ?? SamplerTexts.usualBreakers : []
        guard options.minTokens > 0 || !bias.isEmpty || !banned.isEmpty || !breakers.isEmpty else { return }
        guard let model else {
            let what: StaticString =
                options.minTokens > 0 ? "min_tokens" : !bias.isEmpty ? "text_bias" : !banned.isEmpty ? "banned_texts" : "DRY with sequence breakers"
            throw Llama2Error(.invalidArgument, "\(what) needs the model whose tokens are meant")
        }
        let tokenizer = try model.tokenizer()
        if options.minTokens > 0 { options.ends = tokenizer.endsOfGeneration }
        for (text, bias) in bias {
            let tokens = try text.withRawBytes { (text) throws(Llama2Error) in try tokenizer.tokenize(text, bos: false, parseSpecial: false) }
            for token in tokens.elements { options.logitBias.append((token, bias)) }
            withExtendedLifetime(tokens) {}
        }
        if !banned.isEmpty {
            options.banned = try BannedTexts(banned, vocabularySize: tokenizer.count) { token in
                (try? tokenizer.piece(token, special: false)) ?? UnsafeRawBufferPointer(start: nil, count: 0)
            }
        }
        for breaker in breakers { try SamplerTexts.add(breaker, tokenizer, &options.dryBreakers) }
    }

    /// Every token that the breaker lies in, or begins in: then with the tokens of its rest.
    private static func add(_ breaker: [UInt8], _ tokenizer: Tokenizer, _ table: inout [Int32: [[Int32]]]) throws(Llama2Error) {
        guard let head = breaker.first else { return }
        var tails: [Int: [Int32]] = [:]  // by the bytes that the token has of it
        for token in 0..<Int32(truncatingIfNeeded: tokenizer.count) {
            let piece = try tokenizer.piece(token, special: true)
            for place in piece.indices where piece[place] == head {
                let shared = zip(piece[place...], breaker).prefix { $0 == $1 }.count
                guard shared == min(breaker.count, piece.count - place) else { continue }
                let tail: [Int32]
                if let known = tails[shared] {
                    tail = known
                } else {
                    let rest = try Array(breaker.dropFirst(shared)).withRawBytes { (rest) throws(Llama2Error) in try tokenizer.tokenizeRest(rest.bytes) }
                    tail = Array(rest.elements.prefix(longestTail))
                    withExtendedLifetime(rest) {}
                    tails[shared] = tail
                }
                if !(table[token]?.contains(tail) ?? false) { table[token, default: []].append(tail) }
            }
        }
    }
}
