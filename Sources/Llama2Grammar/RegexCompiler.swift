internal import Llama2Core

/// Turns an expression into an automaton.
///
/// The ends of the text are two bytes that UTF-8 does not have, so that ^ and $ are characters like others while the
/// automaton is built; they are taken off at the end. An expression that looks ahead is the intersection of what follows
/// with what was asked of it, which is exact as long as the look-ahead is in no loop.
struct RegexCompiler {
    private let budget: GrammarBudget
    private let allowed: CodePointSet  // characters outside it are never written
    /// Whatever may follow a match: up to the mark of the end, or nothing when a $ has consumed the mark. (Nothing without
    /// the mark is no text either: `framed` keeps only what ends in it.)
    private let anyRest: DFA

    /// Whether automata are made as small as they can be, which costs more than making them.
    private let minimizes: Bool

    init(_ budget: GrammarBudget, allowed: CodePointSet = .all, minimizes: Bool = true) throws(Llama2Error) {
        self.budget = budget
        self.minimizes = minimizes
        self.allowed = allowed
        var nfa = NFA()
        let start = nfa.add(), loop = nfa.add(), end = nfa.add()
        nfa.add(from: start, to: loop)
        nfa.add(from: start, to: end)
        nfa.add(.all, from: loop, to: loop)
        nfa.add(NFA.textEnds, from: loop, to: end)
        anyRest = try nfa.determinized(start: start, accept: end, budget)
    }

    /// The texts that match as a whole (RE2's FullMatch).
    func anchored(_ regex: Regex) throws(Llama2Error) -> DFA {
        var nfa = NFA()
        let a = nfa.add(), b = nfa.add()
        nfa.add(NFA.textEnds, from: a, to: b)
        nfa.add(from: a, to: b)
        return try framed(try language(regex, then: try nfa.determinized(start: a, accept: b, budget)), regex)
    }

    /// The texts in which it matches somewhere, as JSON Schema's `pattern` asks.
    func searched(_ regex: Regex) throws(Llama2Error) -> DFA {
        try framed(try language(regex, then: anyRest), regex, anythingBefore: true)
    }

    /// Takes off the ends: `core` may have consumed them or not.
    private func framed(_ core: DFA, _ regex: Regex, anythingBefore: Bool = false) throws(Llama2Error) -> DFA {
        var nfa = NFA()
        let start = nfa.add(), inside = nfa.add(), end = nfa.add()
        nfa.add(from: start, to: inside)  // core begins with ^ itself
        if anythingBefore {
            let before = nfa.add()
            nfa.add(NFA.textBegins, from: start, to: before)
            nfa.add(.all, from: before, to: before)
            nfa.add(from: before, to: inside)
        } else {
            nfa.add(NFA.textBegins, from: start, to: inside)
        }
        nfa.add(core, from: inside, to: end)
        let whole = try nfa.determinized(start: start, accept: end, budget)
        // Texts are FE ... FF with characters between. ^^ and $$ take several of either, which are one place; what a look-ahead
        // forbids is one mark alone.
        guard !whole.isEmpty else { return .none }
        let most = regex.looksAhead ? 1 : Int.max
        let firsts = RegexCompiler.behind(whole.start, NFA.textBegins, whole, most)
        guard let first = firsts.first else { return .none }
        if firsts.count > 1 { return try beginning(whole, firsts) }
        var builder = DFABuilder()
        for state in 0..<whole.count { _ = builder.add(tag: RegexCompiler.endsAt(Int32(truncatingIfNeeded: state), whole, most) ? 0 : -1) }
        for state in 0..<whole.count {
            for edge in whole.edges(of: Int32(truncatingIfNeeded: state)) where edge.low < NFA.textBegins {
                builder.connect(Int32(truncatingIfNeeded: state), edge.low, min(edge.high, 0xF4), edge.to)
            }
        }
        let dfa = builder.finished(start: first)
        return minimizes ? try dfa.minimized() : dfa
    }

    /// The states behind one mark after another, at most so many.
    private static func behind(_ state: Int32, _ mark: UInt8, _ dfa: DFA, _ most: Int) -> [Int32] {
        var found: [Int32] = [], at = dfa.next(state, mark)
        while at >= 0, found.count < most, !found.contains(at) {
            found.append(at)
            at = dfa.next(at, mark)
        }
        return found
    }

    private static func endsAt(_ state: Int32, _ dfa: DFA, _ most: Int) -> Bool {
        behind(state, NFA.textEnds, dfa, most).contains { dfa.accepts($0) }
    }

    /// The texts that begin in any of these states.
    private func beginning(_ whole: DFA, _ firsts: [Int32]) throws(Llama2Error) -> DFA {
        var nfa = NFA()
        let start = nfa.add(), end = nfa.add(), states = (0..<whole.count).map { _ in nfa.add() }
        for first in firsts { nfa.add(from: start, to: states[Int(first)]) }
        for (index, state) in states.enumerated() {
            for edge in whole.edges(of: Int32(truncatingIfNeeded: index)) where edge.low < NFA.textBegins {
                nfa.add(edge.low, min(edge.high, 0xF4), from: state, to: states[Int(edge.to)])
            }
            if RegexCompiler.endsAt(Int32(truncatingIfNeeded: index), whole, .max) { nfa.add(from: state, to: end) }
        }
        let dfa = try nfa.determinized(start: start, accept: end, budget)
        return minimizes ? try dfa.minimized() : dfa
    }

    /// What is left of a text that goes on with a match of `regex` and then as `next` says.
    private func language(_ regex: Regex, then next: DFA) throws(Llama2Error) -> DFA {
        switch regex {
        case .ahead(let body, let isNegative):
            let asked = try language(body, then: anyRest)
            return isNegative ? try next.subtracting(asked, budget) : try next.intersection(asked, budget)
        case .sequence(let parts) where regex.looksAhead:
            var rest = next
            for part in parts.reversed() { rest = try language(part, then: rest) }
            return rest
        case .choice(let branches) where regex.looksAhead:
            var out = DFA.none
            for branch in branches { out = try out.union(try language(branch, then: next), budget) }
            return out
        case .loop(let body, let least, let most) where regex.looksAhead:
            // few rounds can be written out
            guard let most, most <= 8 else { throw RegexCompiler.looksAheadInLoop }
            var rounds = next, out = least == 0 ? next : DFA.none
            for count in 1...max(1, most) where count <= most {
                rounds = try language(body, then: rounds)
                if count >= least { out = try out.union(rounds, budget) }
            }
            return out
        default:
            var nfa = NFA()
            let start = nfa.add(), middle = nfa.add(), end = nfa.add()
            try add(regex, to: &nfa, from: start, to: middle)
            nfa.add(next, from: middle, to: end)
            return try nfa.determinized(start: start, accept: end, budget)
        }
    }

    private static let looksAheadInLoop = Llama2Error(
        .unsupported, "regular expression: a look-ahead inside a loop cannot be followed by an automaton")

    private func add(_ regex: Regex, to nfa: inout NFA, from: Int32, to: Int32) throws(Llama2Error) {
        try budget.take()
        switch regex {
        case .set(let set): try budget.take(nfa.add(set.intersection(allowed), from: from, to: to) / 8)
        case .begin: nfa.add(NFA.textBegins, from: from, to: to)
        case .end: nfa.add(NFA.textEnds, from: from, to: to)
        case .ahead: throw RegexCompiler.looksAheadInLoop
        case .sequence(let parts):
            var at = from
            for part in parts {
                let next = nfa.add()
                try add(part, to: &nfa, from: at, to: next)
                at = next
            }
            nfa.add(from: at, to: to)
        case .choice(let branches):
            for branch in branches {
                let inside = nfa.add()
                nfa.add(from: from, to: inside)
                try add(branch, to: &nfa, from: inside, to: to)
            }
        case .loop(let body, let least, let most):
            var at = from
            for _ in 0..<least {
                let next = nfa.add()
                try add(body, to: &nfa, from: at, to: next)
                at = next
            }
            if let most {
                for _ in 0..<max(0, most - least) {
                    let next = nfa.add()
                    nfa.add(from: at, to: to)
                    try add(body, to: &nfa, from: at, to: next)
                    at = next
                }
                nfa.add(from: at, to: to)
            } else {
                let loop = nfa.add()
                nfa.add(from: at, to: loop)
                let inside = nfa.add()
                nfa.add(from: loop, to: inside)
                try add(body, to: &nfa, from: inside, to: loop)
                nfa.add(from: loop, to: to)
            }
        }
    }
}
