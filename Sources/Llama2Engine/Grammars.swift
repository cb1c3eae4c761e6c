internal import Glibc
public import Llama2Core
public import Llama2Grammar
public import Llama2Sampling
internal import Llama2Tokenizer

extension GrammarMatcher: TokenConstraint {
    public var fingerprint: UInt64 { grammar.fingerprint }
    public func another() throws(Llama2Error) -> any TokenConstraint { try GrammarMatcher(grammar) }
}

extension Model {
    /// The vocabulary as grammars need it: made when it is first asked for, and kept.
    func grammarVocabulary() throws(Llama2Error) -> GrammarVocabulary {
        if let known = grammarVocabulary_.value { return known }
        let tokenizer = try tokenizer()
        // texts, and the nodes of the tree that they become
        try MemoryReserve.cover(vocabulary: 2 * tokenizer.count, for: "the vocabulary as a tree")
        // a name is that of one token, whatever its kind
        let names = Kept<TokenNames>()
        let find: @Sendable (UnsafeRawBufferPointer) -> Int32? = { name in (names.value ?? names.keep(TokenNames(tokenizer))).token(name) }
        return grammarVocabulary_.keep(
            try GrammarVocabulary(count: tokenizer.count, ends: tokenizer.endsOfGeneration, find: find) { (token, body) throws(Llama2Error) in
                body(try tokenizer.piece(Int32(truncatingIfNeeded: token), special: false))
            })
    }

    /// text: in the kind's language.
    public func grammar(
        _ kind: Grammar.Kind, _ text: UnsafeRawBufferPointer, _ options: Grammar.Options
    ) throws(Llama2Error) -> Grammar {
        // automata have budgets of states and places, which this holds; before them a text becomes a tree of at most a node a sign
        try MemoryReserve.cover(.bounded(128 << 20) + 8 * .list(text.count, of: Int.self) + 4 * .text(text.count), for: "the grammar")
        return try Grammar(kind, text, options, try grammarVocabulary())
    }
}

/// Tokens in the order of their names' bytes, whatever their kind: made when a grammar first names one.
private final class TokenNames: Sendable {
    private let tokenizer: Tokenizer
    private let order: [Int32]

    init(_ tokenizer: Tokenizer) {
        self.tokenizer = tokenizer
        order = (0..<Int32(truncatingIfNeeded: tokenizer.count)).sorted { a, b in
            let c = TokenNames.compare(TokenNames.name(a, tokenizer), TokenNames.name(b, tokenizer))
            return c != 0 ? c < 0 : a < b
        }
    }

    private static func name(_ token: Int32, _ tokenizer: Tokenizer) -> UnsafeRawBufferPointer {
        (try? tokenizer.piece(token, special: true)) ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private static func compare(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
        let count = min(a.count, b.count)
        if count > 0, let x = a.baseAddress, let y = b.baseAddress, case let c = memcmp(x, y, count), c != 0 { return Int(c) }
        return a.count - b.count
    }

    /// The first of that name.
    func token(_ name: UnsafeRawBufferPointer) -> Int32? {
        var low = 0, high = order.count
        while low < high {
            let middle = (low + high) / 2
            if TokenNames.compare(TokenNames.name(order[middle], tokenizer), name) < 0 { low = middle + 1 } else { high = middle }
        }
        guard low < order.count, TokenNames.compare(TokenNames.name(order[low], tokenizer), name) == 0 else { return nil }
        return order[low]
    }
}

extension Context {
    /// Refuses a grammar of another vocabulary, and a sampler that was told about the tokens of another one.
    func checkGrammar(_ sampler: Sampler) throws(Llama2Error) {
        if let owner = sampler.vocabularyOwner as? Model, owner !== model, try model.grammarVocabulary().differs(from: try owner.grammarVocabulary()) {
            throw Llama2Error(.invalidArgument, "the sampler was made for another vocabulary")
        }
        if let matcher = sampler.constraint as? GrammarMatcher, try model.grammarVocabulary().differs(from: matcher.grammar.vocabulary) {
            throw Llama2Error(.invalidArgument, "the sampler's grammar was made for another vocabulary")
        }
    }
}

extension GrammarVocabulary {
    fileprivate func differs(from other: GrammarVocabulary) -> Bool {
        self !== other && (fingerprint != other.fingerprint || count != other.count)
    }
}

extension Sampler {
    /// Whether the grammar's text has ended, or is complete and can neither go on nor be ended by a token of the vocabulary.
    var endsHere: Bool {
        guard let matcher = constraint as? GrammarMatcher else { return false }
        return matcher.grammar.vocabulary.ends.isEmpty && matcher.mustEnd || matcher.hasEnded
    }
}

extension Sampler {
    /// Refuses to complete what is held to nothing.
    func checkCompletes() throws(Llama2Error) {
        guard constraint is GrammarMatcher else { throw Llama2Error(.invalidArgument, "a text without a grammar cannot be made complete") }
    }
}

extension SamplerBox {
    /// nil: no grammar. The text begins anew.
    public func setGrammar(_ grammar: Grammar?) throws(Llama2Error) {
        let matcher: GrammarMatcher? = if let grammar { try GrammarMatcher(grammar) } else { nil }
        try exclusively { (sampler) throws(Llama2Error) in sampler.constraint = matcher }
    }
}
