public import Llama2Core

/// A language of texts that a model is held to, made ready for one vocabulary. Immutable; any number of matchers and threads
/// share it.
public final class Grammar: Sendable {
    public enum Kind: UInt32, Sendable, CaseIterable { case gbnf = 1, jsonSchema, regex, choices }

    public struct Options: Sendable {
        /// JSON without any white space; otherwise as much as anybody likes.
        public var isCompact = false
        /// Members of objects in any order, not the schema's.
        public var anyOrder = false
        /// Keywords of a schema that cannot be followed are left out and listed, instead of being refused.
        public var ignoresUnsupported = false
        public init() {}
    }

    let program: Program
    public let vocabulary: GrammarVocabulary
    /// A hash over kind, text, options and vocabulary: what makes the language the same.
    public let fingerprint: UInt64
    /// What was left out of a schema, one line each: path and keyword.
    public let ignored: [[UInt8]]
    /// What matchers found out and left behind for the next ones.
    private let left = LeftCaches()

    public convenience init(
        _ kind: Kind, _ text: UnsafeRawBufferPointer, _ options: Options, _ vocabulary: GrammarVocabulary
    ) throws(Llama2Error) {
        var program = Program(), ignored: [[UInt8]] = []
        program.anyOrder = options.anyOrder
        switch kind {
        case .gbnf: program = try GBNFCompiler.compile(Array(text), vocabulary)
        case .jsonSchema: (program, ignored) = try SchemaCompiler.compile(text, options, vocabulary)
        case .regex:
            let regex = try RegexParser.parse(Array(text), .re2)
            let compiler = RegexCompiler(GrammarBudget("the expression"), allowed: vocabulary.writable)
            program = try Grammar.of(try compiler.anchored(regex))
        case .choices: program = try Grammar.of(try Grammar.choices(text, vocabulary))
        }
        var hash = WordHash()
        for word in [
            UInt64(kind.rawValue), options.isCompact ? 1 : 0, options.anyOrder ? 1 : 0, options.ignoresUnsupported ? 1 : 0, UInt64(text.count),
            UInt64(vocabulary.count), vocabulary.fingerprint,
        ] { hash.add(word) }
        for end in vocabulary.ends { hash.add(UInt64(UInt32(bitPattern: end))) }
        hash.add(text.bytes)
        try self.init(program, ignored, vocabulary, hash.value)
    }

    private init(_ program: Program, _ ignored: [[UInt8]], _ vocabulary: GrammarVocabulary, _ fingerprint: UInt64) throws(Llama2Error) {
        self.fingerprint = fingerprint
        self.program = program
        self.ignored = ignored
        self.vocabulary = vocabulary
        let cache = try newCache()
        guard cache.automaton.start >= 0 else { throw Llama2Error(.invalidArgument, "no text satisfies the grammar") }
        giveBack(cache)
    }

    deinit {
        while let cache = left.take() { vocabulary.spare(cache) }
    }

    private static func of(_ dfa: DFA) throws(Llama2Error) -> Program {
        guard !dfa.isEmpty else { throw Llama2Error(.invalidArgument, "no text satisfies the grammar") }
        var program = Program()
        program.automata = [dfa]
        program.start = [(Program.Frame.automaton, 0)]
        return program
    }

    /// A JSON array of strings.
    private static func choices(_ text: UnsafeRawBufferPointer, _ vocabulary: GrammarVocabulary) throws(Llama2Error) -> DFA {
        let json = try JSON.parse(argument: text, "the list of choices")
        guard let elements = json.array, !elements.isEmpty else {
            throw Llama2Error(.invalidArgument, "the list of choices is no JSON array of strings")
        }
        var texts: [[UInt8]] = []
        for (index, element) in elements.enumerated() {
            guard let bytes = element.bytes else { throw Llama2Error(.invalidArgument, "choice \(index) is no string") }
            guard bytes.allSatisfy({ vocabulary.singleBytes[Int($0)] }) else {
                throw Llama2Error(.unsupported, "choice \(index) has a byte that the vocabulary cannot always write")
            }
            texts.append(bytes)
        }
        return try DFA.texts(texts, GrammarBudget(states: 4_000_000, "the list of choices"))
    }

    /// Whether `text` as a whole is of the language.
    public func accepts(_ text: RawSpan) throws(Llama2Error) -> Bool { try GrammarMatcher(self).accepts(text) }

    // MARK: What was found out

    /// A cache that nobody uses, or a new one.
    func cache() throws(Llama2Error) -> GrammarCache {
        if let cache = left.take() { return cache }
        return try newCache()
    }

    /// Nothing is known in it. Its memory may be that of a grammar that is gone: the system gives fresh memory page by page, each the first
    /// time that it is touched, which is a third of what a slow mask takes.
    private func newCache() throws(Llama2Error) -> GrammarCache {
        guard let spare = vocabulary.takeSpare() else { return try GrammarCache(program, vocabulary) }
        try spare.restart(program)
        return spare
    }

    func giveBack(_ cache: GrammarCache) {
        if !left.put(cache) { vocabulary.spare(cache) }
    }
}
