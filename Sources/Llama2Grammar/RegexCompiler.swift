internal import Llama2Core

/// Turns an expression into an automaton.
///
/// ^ and $ are ways without a byte that are open at some places of a text only. An expression that looks ahead is the
/// intersection of what follows with what was asked of it, which is exact as long as the look-ahead is in no loop.
struct RegexCompiler {
    private let budget: GrammarBudget
    private let allowed: CodePointSet  // characters outside it are never written
    /// Whether automata are made as small as they can be, which costs more than making them.
    private let minimizes: Bool

    init(_ budget: GrammarBudget, allowed: CodePointSet = .all, minimizes: Bool = true) {
        self.budget = budget
        self.minimizes = minimizes
        self.allowed = allowed
    }

    /// The texts that match as a whole (RE2's FullMatch).
    func anchored(_ regex: Regex) throws(Llama2Error) -> DFA {
        try whole(regex, then: Rest(both: .emptyText))
    }

    /// The texts in which it matches somewhere, as JSON Schema's `pattern` asks.
    func searched(_ regex: Regex) throws(Llama2Error) -> DFA {
        let text = regex.beginsText ? regex : .sequence([.loop(.set(.all), least: 0, most: nil), regex])
        return try whole(text, then: Rest(both: .anyText))
    }

    private func whole(_ regex: Regex, then rest: Rest) throws(Llama2Error) -> DFA {
        let dfa = try language(regex, then: rest, needsBehind: false).begin
        return minimizes ? try dfa.minimized() : dfa
    }

    /// How a text goes on from a place at its beginning, and from one behind its first byte, where ^ does not match.
    private struct Rest {
        let begin, behind: DFA

        init(_ begin: DFA, _ behind: DFA) {
            self.begin = begin
            self.behind = behind
        }
        init(both: DFA) { self.init(both, both) }

        func with(_ other: Rest, _ body: (DFA, DFA) throws(Llama2Error) -> DFA) throws(Llama2Error) -> Rest {
            let first = try body(begin, other.begin)
            return begin === behind && other.begin === other.behind ? Rest(both: first) : Rest(first, try body(behind, other.behind))
        }
    }

    /// How a text goes on that goes on with a match of `regex` and then as `next` says.
    private func language(_ regex: Regex, then next: Rest, needsBehind: Bool = true) throws(Llama2Error) -> Rest {
        switch regex {
        case .begin: return Rest(next.begin, .none)
        case .end: return try next.with(next) { rest, _ in rest.contains([UInt8]()) ? .emptyText : .none }
        case .ahead(let body, let isNegative):
            return try next.with(try language(body, then: Rest(both: .anyText))) { next, asked throws(Llama2Error) in
                isNegative ? try next.subtracting(asked, budget) : try next.intersection(asked, budget)
            }
        case .sequence(let parts) where regex.looksAhead:
            var rest = next
            for (index, part) in parts.enumerated().reversed() { rest = try language(part, then: rest, needsBehind: needsBehind || index > 0) }
            return rest
        case .choice(let branches) where regex.looksAhead:
            var out = Rest(both: .none)
            for branch in branches {
                out = try out.with(try language(branch, then: next)) { a, b throws(Llama2Error) in try a.union(b, budget) }
            }
            return out
        case .loop(let body, let least, let most) where regex.looksAhead:
            // few rounds can be written out
            guard let most, most <= 8 else { throw RegexCompiler.looksAheadInLoop }
            var rounds = next, out = least == 0 ? next : Rest(both: .none)
            for count in 1...max(1, most) where count <= most {
                rounds = try language(body, then: rounds)
                if count >= least { out = try out.with(rounds) { a, b throws(Llama2Error) in try a.union(b, budget) } }
            }
            return out
        default:
            var nfa = NFA()
            let start = nfa.add(), middle = nfa.add(), end = nfa.add()
            try add(regex, to: &nfa, from: start, to: middle)
            if next.begin === next.behind {
                nfa.add(next.begin, from: middle, to: end)
            } else {
                for (rest, place) in [(next.begin, NFA.Place.begin), (next.behind, .behind)] {
                    let first = nfa.add()
                    nfa.add(from: middle, to: first, at: place)
                    nfa.add(rest, from: first, to: end)
                }
            }
            let begin = try nfa.determinized(start: start, accept: end, budget)
            guard nfa.dependsOnPlace, needsBehind else { return Rest(both: begin) }
            return Rest(begin, try nfa.determinized(start: start, accept: end, isBehind: true, budget))
        }
    }

    private static let looksAheadInLoop = Llama2Error(
        .unsupported, "regular expression: a look-ahead inside a loop cannot be followed by an automaton")

    private func add(_ regex: Regex, to nfa: inout NFA, from: Int32, to: Int32) throws(Llama2Error) {
        try budget.take()
        switch regex {
        case .set(let set): try budget.take(nfa.add(set.intersection(allowed), from: from, to: to) / 8)
        case .begin: nfa.add(from: from, to: to, at: .begin)
        case .end: nfa.add(from: from, to: to, at: .end)
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
