public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

/// A matcher behind a handle.
final class GrammarState {
    private let matcher: GrammarMatcher
    private let gate = Gate()

    init(_ grammar: Grammar) throws(Llama2Error) { matcher = try GrammarMatcher(grammar) }

    func exclusively(_ body: (GrammarMatcher) throws(Llama2Error) -> Void) throws(Llama2Error) {
        try gate.enter("state of a grammar")
        defer { gate.leave() }
        try body(matcher)
    }
}

/// Bytes of a grammar's text.
private let longestGrammar = 16 << 20

@c @implementation
public func llama2_grammar_options_init(_ options: UnsafeMutablePointer<llama2_grammar_options>?) { initialize(options) }

@c @implementation
public func llama2_grammar_create(
    _ model: OpaquePointer?, _ kind: UInt32, _ input: UnsafePointer<CChar>?, _ length: Int,
    _ options: UnsafePointer<llama2_grammar_options>?, _ grammar: UnsafeMutablePointer<OpaquePointer?>?,
    _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    call(error, capacity) { () throws(Llama2Error) in
        let grammar = try required(grammar, "grammar")
        grammar.pointee = nil
        let model = try Handles.model(model)
        guard let kind = Grammar.Kind(rawValue: kind) else { throw Llama2Error(.invalidArgument, "there is no kind of grammars \(kind)") }
        guard (0...longestGrammar).contains(length) else {
            throw Llama2Error(.invalidArgument, "a grammar of \(UInt(bitPattern: length)) bytes, expected at most \(longestGrammar)")
        }
        let o = try llama2swiftOptions(options)
        let text = try text(input, length, "text")
        grammar.pointee = try Handles.make(try model.grammar(kind, UnsafeRawBufferPointer(text), o), .grammar)
    }
}

private func llama2swiftOptions(_ given: UnsafePointer<llama2_grammar_options>?) throws(Llama2Error) -> Grammar.Options {
    let o = try options(given, zero: llama2_grammar_options(), "llama2_grammar_options")
    let compact = UInt32(LLAMA2_GRAMMAR_COMPACT), anyOrder = UInt32(LLAMA2_GRAMMAR_ANY_ORDER), ignore = UInt32(LLAMA2_GRAMMAR_IGNORE_UNSUPPORTED)
    try checkFlags(o.flags, compact | anyOrder | ignore, "llama2_grammar_options")
    var out = Grammar.Options()
    out.isCompact = o.flags & compact != 0
    out.anyOrder = o.flags & anyOrder != 0
    out.ignoresUnsupported = o.flags & ignore != 0
    return out
}

@c @implementation
public func llama2_grammar_free(_ grammar: OpaquePointer?) { Handles.free(grammar, .grammar) }

@c @implementation
public func llama2_grammar_accepts(
    _ grammar: OpaquePointer?, _ input: UnsafePointer<CChar>?, _ length: Int, _ accepts: UnsafeMutablePointer<Int32>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let grammar = try Handles.grammar(grammar), accepts = try required(accepts, "accepts")
        accepts.pointee = try grammar.accepts(UnsafeRawBufferPointer(try text(input, length, "text")).bytes) ? 1 : 0
    }
}

@c @implementation
public func llama2_grammar_ignored(
    _ grammar: OpaquePointer?, _ text: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let lines: [UInt8] = try Handles.grammar(grammar).ignored.flatMap { $0 + [UInt8(0x0A)] }
        try give(lines, to: text, capacity, needed)
    }
}

@c @implementation
public func llama2_sampler_set_grammar(_ sampler: OpaquePointer?, _ grammar: OpaquePointer?) -> Int32 {
    call { () throws(Llama2Error) in
        let sampler = try Handles.sampler(sampler)
        try sampler.setGrammar(grammar == nil ? nil : try Handles.grammar(grammar))
    }
}

// MARK: - States

@c @implementation
public func llama2_grammar_start(
    _ grammar: OpaquePointer?, _ state: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
    call(error, capacity) { () throws(Llama2Error) in
        let state = try required(state, "state")
        state.pointee = nil
        state.pointee = try Handles.make(try GrammarState(try Handles.grammar(grammar)), .grammarState)
    }
}

@c @implementation
public func llama2_grammar_state_free(_ state: OpaquePointer?) { Handles.free(state, .grammarState) }

@c @implementation
public func llama2_grammar_state_allowed(
    _ state: OpaquePointer?, _ mask: UnsafeMutablePointer<UInt32>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        try Handles.grammarState(state).exclusively { (matcher) throws(Llama2Error) in
            try give(try matcher.mask(), to: mask, capacity, needed)
        }
    }
}

@c @implementation
public func llama2_grammar_state_accept(_ state: OpaquePointer?, _ token: Int32) -> Int32 {
    call { () throws(Llama2Error) in
        try Handles.grammarState(state).exclusively { (matcher) throws(Llama2Error) in
            guard try matcher.accept(token) else { throw Llama2Error(.forbidden, "the grammar does not allow token \(token) here") }
        }
    }
}

@c @implementation
public func llama2_grammar_state_withdraw(_ state: OpaquePointer?, _ count: Int) -> Int32 {
    call { () throws(Llama2Error) in
        try Handles.grammarState(state).exclusively { (matcher) throws(Llama2Error) in try matcher.withdraw(count) }
    }
}

@c @implementation
public func llama2_grammar_state_reset(_ state: OpaquePointer?) -> Int32 {
    call { () throws(Llama2Error) in
        try Handles.grammarState(state).exclusively { (matcher) throws(Llama2Error) in matcher.reset() }
    }
}

@c @implementation
public func llama2_grammar_state_complete(_ state: OpaquePointer?, _ complete: UnsafeMutablePointer<Int32>?) -> Int32 {
    call { () throws(Llama2Error) in
        let complete = try required(complete, "complete")
        try Handles.grammarState(state).exclusively { (matcher) throws(Llama2Error) in complete.pointee = matcher.isComplete ? 1 : 0 }
    }
}

@c @implementation
public func llama2_grammar_state_allowed_within(
    _ state: OpaquePointer?, _ tokens: UInt64, _ mask: UnsafeMutablePointer<UInt32>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        try Handles.grammarState(state).exclusively { (matcher) throws(Llama2Error) in
            try give(try matcher.mask(within: Int(clamping: tokens)), to: mask, capacity, needed)
        }
    }
}

@c @implementation
public func llama2_grammar_state_shortest(
    _ state: OpaquePointer?, _ tokens: UnsafeMutablePointer<UInt64>?, _ text: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let tokens = try required(tokens, "tokens")
        try Handles.grammarState(state).exclusively { (matcher) throws(Llama2Error) in
            let end = try matcher.shortestEnd()
            try give(end.text, to: text, capacity, needed)
            tokens.pointee = UInt64(end.tokens)
        }
    }
}

@c @implementation
public func llama2_grammar_state_forced(
    _ state: OpaquePointer?, _ text: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        try Handles.grammarState(state).exclusively { (matcher) throws(Llama2Error) in
            try give(try matcher.forced(limit: 4096), to: text, capacity, needed)
        }
    }
}
