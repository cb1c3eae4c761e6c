public import Llama2Core

/// A text on its way through a grammar: which tokens may come, and how it goes on when one is taken. One thread at a time.
public final class GrammarMatcher {
    public let grammar: Grammar
    var cache: GrammarCache
    private(set) var state: Int32
    /// States before each token taken, so that tokens can be given back; `tokens` to take them anew in a fresh cache.
    private var before: GrowingBuffer<Int32>
    private var tokens: GrowingBuffer<Int32>
    /// Behind each token taken: how many in a row were nothing but white space between symbols of JSON.
    private var spaces: GrowingBuffer<Int32>
    /// What was written, where items of arrays must differ: they are read from it. Else empty.
    var text: GrowingBuffer<UInt8>
    /// So many in a row, and no more white space is offered: a model that is unsure writes line breaks for ever.
    private static let mostSpaces: Int32 = 8
    /// Taken by the end token: nothing can come any more.
    private static let ended: Int32 = -3

    public init(_ grammar: Grammar) throws(Llama2Error) {
        self.grammar = grammar
        before = try GrowingBuffer(capacity: 256, of: "tokens of a grammar")
        spaces = try GrowingBuffer(capacity: 256, of: "tokens of a grammar")
        tokens = try GrowingBuffer(capacity: 256, of: "tokens of a grammar")
        text = try GrowingBuffer(capacity: grammar.program.remembers ? 1024 : 0, of: "tokens of a grammar")
        cache = try grammar.cache()
        state = cache.automaton.start
    }

    deinit { grammar.giveBack(cache) }

    /// Whether the text may end here.
    public var isComplete: Bool { state == GrammarMatcher.ended || state >= 0 && cache.automaton.canEnd(state) }
    /// Whether the end token was taken.
    public var hasEnded: Bool { state == GrammarMatcher.ended }
    /// All that lead from the beginning to here; valid until the next call.
    public var taken: UnsafeBufferPointer<Int32> { tokens.elements }
    /// Whether the text is complete and nothing can follow.
    public var mustEnd: Bool { state == GrammarMatcher.ended || state >= 0 && cache.automaton.canEnd(state) && cache.automaton.mustEnd(state) }

    /// Words of 32 bits, bit t for token t; valid until the next call of the matcher.
    public func mask() throws(Llama2Error) -> UnsafeBufferPointer<UInt32> {
        guard state >= 0 else { throw Llama2Error(.forbidden, "the grammar's text has ended: no token may follow") }
        try forgetIfFull()
        let run = spaces.count > 0 ? spaces[spaces.count - 1] : 0
        return run < GrammarMatcher.mostSpaces ? try cache.mask(state) : try cache.maskWithoutSpace(state)
    }

    /// Whether a token that led from `state` to `next` was white space between symbols.
    private func isSpace(_ token: Int32, _ next: Int32) -> Bool {
        next == state && grammar.program.punctuation.space >= 0 && cache.automaton.plainRoom(state) == 0
            && grammar.vocabulary.text(of: token).allSatisfy { GrammarVocabulary.isSpace($0) }
    }

    public func allows(_ token: Int32) throws(Llama2Error) -> Bool {
        guard state >= 0, token >= 0, Int(token) < grammar.vocabulary.count else { return false }
        return try following(token) != Automaton.dead
    }

    /// Takes a token; false, and nothing has changed, when the grammar does not allow it.
    public func accept(_ token: Int32) throws(Llama2Error) -> Bool {
        guard token >= 0, Int(token) < grammar.vocabulary.count else {
            throw Llama2Error(.invalidToken, "token \(token) is not in the vocabulary of \(grammar.vocabulary.count)")
        }
        guard state >= 0 else { return false }
        try forgetIfFull()
        var next = try following(token)
        guard next != Automaton.dead else { return false }
        if grammar.program.remembers, next >= 0 {
            next = try remembering(token)
            guard next != Automaton.dead else { return false }
        }
        let run = spaces.count > 0 ? spaces[spaces.count - 1] : 0
        try spaces.append(isSpace(token, next) ? run + 1 : 0)
        try before.append(state)
        try tokens.append(token)
        state = next
        return true
    }

    private func following(_ token: Int32) throws(Llama2Error) -> Int32 {
        if grammar.vocabulary.ends.contains(token) {
            if cache.automaton.canEnd(state) { return GrammarMatcher.ended }
        }
        let text = grammar.vocabulary.text(of: token)
        var next = text.isEmpty ? Automaton.dead : state
        for byte in text where next >= 0 { next = try cache.automaton.next(next, byte) }
        return try cache.automaton.union(next, try cache.automaton.next(state, token: token))
    }

    /// The same byte by byte: items that must differ are remembered when they are complete.
    private func remembering(_ token: Int32) throws(Llama2Error) -> Int32 {
        var next = state
        let length = text.count
        for byte in grammar.vocabulary.text(of: token) where next >= 0 {
            try text.append(byte)
            next = try cache.automaton.resolved(try cache.automaton.next(next, byte), text.elements)
        }
        if next < 0 { text.truncate(to: length) }
        return next
    }

    /// Gives back the last `count` tokens.
    public func withdraw(_ count: Int) throws(Llama2Error) {
        guard count >= 0, count <= tokens.count else {
            throw Llama2Error(.outOfRange, "\(count) tokens cannot be given back: \(tokens.count) were taken")
        }
        guard count > 0 else { return }
        state = before[tokens.count - count]
        for _ in 0..<count {
            _ = before.popLast()
            _ = spaces.popLast()
            if let token = tokens.popLast(), grammar.program.remembers {
                text.truncate(to: max(0, text.count - grammar.vocabulary.text(of: token).count))
            }
        }
    }

    public func reset() {
        state = cache.automaton.start
        before.removeAll()
        spaces.removeAll()
        tokens.removeAll()
        text.removeAll()
    }

    /// The bytes that must come next: as long as there is only one way to go on, at most `limit`.
    public func forced(limit: Int) throws(Llama2Error) -> [UInt8] {
        var out: [UInt8] = [], at = state
        while at >= 0, out.count < limit, !cache.automaton.canEnd(at), cache.automaton.tokenSets(at).isEmpty {
            var only: (byte: UInt8, to: Int32)?
            for byte in UInt8.min...UInt8.max {
                let to = try cache.automaton.next(at, byte)
                guard to >= 0 else { continue }
                // what follows an item that must differ depends on it
                guard only == nil, !cache.automaton.isPending(to) else { return out }
                only = (byte, to)
            }
            guard let only else { return out }
            out.append(only.byte)
            at = only.to
        }
        return out
    }

    /// Whether `text` as a whole, from the beginning, is of the language. Changes nothing.
    public func accepts(_ text: RawSpan) throws(Llama2Error) -> Bool {
        try text.withUnsafeBytes { (text) throws(Llama2Error) in try accepts(bytes: text) }
    }

    private func accepts(bytes text: UnsafeRawBufferPointer) throws(Llama2Error) -> Bool {
        try forgetIfFull()
        var at = cache.automaton.start
        for (index, byte) in text.enumerated() {
            at = try cache.automaton.next(at, byte)
            if at < 0 { return false }
            if cache.automaton.isPending(at) {
                at = try cache.automaton.resolved(at, UnsafeRawBufferPointer(rebasing: text[...index]).assumingMemoryBound(to: UInt8.self))
            }
            if cache.automaton.isFull { (cache, at) = try fresh(at) }
        }
        return cache.automaton.canEnd(at)
    }

    // MARK: Forgetting

    func forgetIfFull() throws(Llama2Error) {
        if cache.automaton.isFull { (cache, state) = try fresh(state) }
    }

    /// A new cache, and `other` in it. The states in use are found again: all tokens are taken anew.
    private func fresh(_ other: Int32) throws(Llama2Error) -> (GrammarCache, Int32) {
        let new = try GrammarCache(grammar.program, grammar.vocabulary)
        let moved = other >= 0 ? try cache.automaton.copy(other, to: new.automaton) : other
        for i in 0..<before.count { before[i] = try cache.automaton.copy(before[i], to: new.automaton) }
        if state >= 0, state != other { state = try cache.automaton.copy(state, to: new.automaton) }
        return (new, moved)
    }
}
