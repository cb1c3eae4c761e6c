internal import Llama2Core

/// Makes a program of a grammar's rules. What does not refer to itself becomes an automaton as a whole; the rest becomes
/// instructions that call each other.
struct GBNFCompiler {
    private let grammar: GBNF
    private let budget = GrammarBudget(states: 600_000, "the grammar")
    private let writable: CodePointSet
    private var program = Program()
    /// (rules) of the tree that a rule is with all that it calls; nil: it refers to itself, or names a token: no automaton.
    private var sizes: [Int?] = []
    private var isProductive: [Bool] = []
    /// A part of a grammar whose automaton would be larger stays a rule.
    private static let largestLeaf = 4000
    /// Of rules in rules that become one automaton: what walks trees calls itself, on a stack that the host has chosen.
    private static let deepestLeaf = 100

    static func compile(_ text: [UInt8], _ vocabulary: GrammarVocabulary) throws(Llama2Error) -> Program {
        var compiler = GBNFCompiler(grammar: try GBNFParser.parse(text, vocabulary), writable: vocabulary.writable)
        return try compiler.run()
    }

    private init(grammar: GBNF, writable: CodePointSet) {
        self.grammar = grammar
        self.writable = writable
    }

    private mutating func run() throws(Llama2Error) -> Program {
        guard let root = grammar.names.firstIndex(of: Array("root".utf8)) else {
            throw Llama2Error(.invalidArgument, "grammar: there is no rule root")
        }
        // 1. what each rule is
        let writable = self.writable
        isProductive =
            RuleProperty(grammar.rules) { node in
                if case .set(let set) = node { return !set.intersection(writable).isEmpty }
                return true
            }.holds
        guard isProductive[root] else { throw Llama2Error(.invalidArgument, "grammar: no finite text satisfies the rule root") }
        try refuseLeftRecursion()
        findSizes()
        // 2. a place for every rule, then their instructions
        for _ in grammar.rules { program.code.append(.init(kind: .choice)) }
        var isNeeded = [Bool](repeating: false, count: grammar.rules.count), pending = [root]
        isNeeded[root] = true
        while let rule = pending.popLast() {
            let entry = try emit(grammar.rules[rule] ?? .sequence([]), next: -1)
            program.code[rule].target = Int32(truncatingIfNeeded: program.branches.count)
            program.code[rule].least = 1
            program.branches.append(entry)
            for other in called(grammar.rules[rule] ?? .sequence([])) where !isNeeded[other] && isProductive[other] {
                isNeeded[other] = true
                pending.append(other)
            }
        }
        program.start = [(Program.Frame.code, Int32(truncatingIfNeeded: root))]
        return program
    }

    // MARK: What rules are

    private func produces(_ node: GBNF.Node) -> Bool {
        switch node {
        case .set(let set): !set.intersection(writable).isEmpty
        case .rule(let rule): isProductive[rule]
        case .tokens(let ids, let isNegated): isNegated || !ids.isEmpty
        case .sequence(let parts): parts.allSatisfy { produces($0) }
        case .choice(let branches): branches.contains { produces($0) }
        case .loop(let body, let least, _): least == 0 || produces(body)
        }
    }

    private func called(_ node: GBNF.Node) -> [Int] {
        switch node {
        case .set, .tokens: []
        case .rule(let rule): [rule]
        case .sequence(let parts), .choice(let parts): parts.flatMap { called($0) }
        case .loop(let body, _, _): called(body)
        }
    }

    /// Rules that reach neither themselves nor a token.
    private mutating func findSizes() {
        // a rule is no automaton while one of those that it calls is none: what stays undecided is a cycle
        let plain = RuleProperty(grammar.rules, everyBranch: true, optional: false) { node in
            if case .set = node { return true }
            return false
        }
        sizes = [Int?](repeating: nil, count: grammar.rules.count)
        for rule in plain.order { sizes[rule] = size(grammar.rules[rule] ?? .sequence([])) }
    }

    /// Of an expression of the same language, as `regex` counts it; nil for none, `largestLeaf` for that and all that is larger.
    private func size(_ node: GBNF.Node) -> Int? {
        let most = GBNFCompiler.largestLeaf
        switch node {
        case .set: return 1
        case .tokens: return nil
        case .rule(let rule): return sizes[rule].map { min($0 + 1, most) }
        case .sequence(let parts), .choice(let parts):
            var sum = 1
            for part in parts {
                guard let size = size(part) else { return nil }
                sum = min(sum + size, most)
            }
            return sum
        case .loop(let body, let least, let maximum):
            return size(body).map { size in
                let (rounds, isTooMany) = size.multipliedReportingOverflow(by: max(1, maximum ?? least))
                return isTooMany ? most : min(rounds, most - 1) + 1
            }
        }
    }

    private func refuseLeftRecursion() throws(Llama2Error) {
        let isNullable = RuleProperty(grammar.rules) { _ in false }.holds
        func nullable(_ node: GBNF.Node) -> Bool {
            switch node {
            case .set, .tokens: false
            case .rule(let rule): isNullable[rule]
            case .sequence(let parts): parts.allSatisfy { nullable($0) }
            case .choice(let branches): branches.contains { nullable($0) }
            case .loop(let body, let least, _): least == 0 || nullable(body)
            }
        }
        /// Rules that may come first.
        func first(_ node: GBNF.Node) -> [Int] {
            switch node {
            case .set, .tokens: return []
            case .rule(let rule): return [rule]
            case .sequence(let parts):
                var out: [Int] = []
                for part in parts {
                    out += first(part)
                    if !nullable(part) { break }
                }
                return out
            case .choice(let branches): return branches.flatMap { first($0) }
            case .loop(let body, _, _): return first(body)
            }
        }
        let firsts = grammar.rules.map { first($0 ?? .sequence([])) }
        // a walk that meets a rule it is inside of; with a list of its own, since rules may be many
        var color = [UInt8](repeating: 0, count: firsts.count)
        for start in firsts.indices where color[start] == 0 {
            var path = [(rule: start, next: 0)]
            color[start] = 1
            while let (rule, next) = path.last {
                guard next < firsts[rule].count else {
                    color[rule] = 2
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let other = firsts[rule][next]
                if color[other] == 1 {
                    throw Llama2Error(
                        .invalidArgument,
                        "grammar: the rule \(String(decoding: grammar.names[other].prefix(100), as: UTF8.self)) begins with itself (left recursion)")
                }
                if color[other] == 0 {
                    color[other] = 1
                    path.append((other, 0))
                }
            }
        }
    }

    // MARK: Instructions

    /// An expression of the same language; nil when it would refer to itself, name tokens or be very large or deep.
    private func regex(_ node: GBNF.Node, _ depth: Int = 0) -> Regex? {
        if depth == 0 { guard let size = size(node), size < GBNFCompiler.largestLeaf else { return nil } }
        switch node {
        case .set(let set): return .set(set)
        case .tokens: return nil
        case .rule(let rule):
            guard depth < GBNFCompiler.deepestLeaf, let definition = grammar.rules[rule] else { return nil }
            return regex(definition, depth + 1)
        case .sequence(let parts), .choice(let parts):
            var out: [Regex] = []
            for part in parts {
                guard let regex = regex(part, depth + 1) else { return nil }
                out.append(regex)
            }
            if case .choice = node { return .choice(out) }
            return .sequence(out)
        case .loop(let body, let least, let most): return regex(body, depth + 1).map { .loop($0, least: least, most: most) }
        }
    }

    private mutating func add(_ i: Program.Instruction) -> Int32 {
        program.code.append(i)
        return Int32(truncatingIfNeeded: program.code.count - 1)
    }

    /// Instructions for `node`, then `next`; where they begin.
    private mutating func emit(_ node: GBNF.Node, next: Int32) throws(Llama2Error) -> Int32 {
        try budget.take()
        if let regex = regex(node) {
            let small = GrammarBudget(states: GBNFCompiler.largestLeaf, "a part of the grammar")
            // what is large is a list of literals as a rule, which has nothing to make smaller
            let isSmall = size(node).map { $0 < GBNFCompiler.largestLeaf / 10 } ?? false
            if let dfa = try? RegexCompiler(small, allowed: writable, minimizes: isSmall).anchored(regex) {
                try budget.take(dfa.count)
                program.automata.append(dfa)
                return add(.init(kind: .leaf, target: Int32(truncatingIfNeeded: program.automata.count - 1), next: next))
            }
        }
        switch node {
        case .set(let set):
            program.automata.append(try RegexCompiler(budget, allowed: writable).anchored(.set(set)))
            return add(.init(kind: .leaf, target: Int32(truncatingIfNeeded: program.automata.count - 1), next: next))
        case .rule(let rule):
            guard isProductive[rule] else { return try impossible() }
            return add(.init(kind: .call, target: Int32(truncatingIfNeeded: rule), next: next))
        case .tokens(let ids, let isNegated):
            program.tokenSets.append(isNegated ? [-1] + ids.sorted() : ids.sorted())
            return add(.init(kind: .tokens, target: Int32(truncatingIfNeeded: program.tokenSets.count - 1), next: next))
        case .sequence(let parts):
            guard parts.allSatisfy({ produces($0) }) else { return try impossible() }
            var at = next
            for run in runs(parts).reversed() { at = try emit(run.count == 1 ? parts[run.lowerBound] : .sequence(Array(parts[run])), next: at) }
            // nothing at all, at the end of a rule
            return at >= 0 ? at : add(.init(kind: .finish))
        case .choice(let branches):
            var entries: [Int32] = []
            let branches = branches.filter { produces($0) }
            for run in runs(branches) { entries.append(try emit(run.count == 1 ? branches[run.lowerBound] : .choice(Array(branches[run])), next: -1)) }
            let first = Int32(truncatingIfNeeded: program.branches.count)
            program.branches += entries
            return add(.init(kind: .choice, target: first, least: Int32(truncatingIfNeeded: entries.count), next: next))
        case .loop(let body, let least, let most):
            guard produces(body) else {
                guard least == 0 else { return try impossible() }
                return next >= 0 ? next : add(.init(kind: .finish))
            }
            let entry = try emit(body, next: -1)
            return add(
                .init(
                    kind: .loop, target: entry, least: Int32(clamping: least), most: most.map { Int32(clamping: $0) } ?? -1, next: next))
        }
    }

    /// Neighbours that are one automaton together; never all of them, which were tried before.
    private func runs(_ parts: [GBNF.Node]) -> [Range<Int>] {
        var out: [Range<Int>] = [], start = 0, sum = 0
        for (index, part) in parts.enumerated() {
            let size = size(part) ?? GBNFCompiler.largestLeaf
            if index > start, sum + size >= GBNFCompiler.largestLeaf / 2 {
                out.append(start..<index)
                (start, sum) = (index, 0)
            }
            sum += size
        }
        if start < parts.count { out.append(start..<parts.count) }
        return out.count == 1 ? parts.indices.map { $0..<$0 + 1 } : out
    }

    /// An instruction from which nothing goes on.
    private mutating func impossible() throws(Llama2Error) -> Int32 {
        add(.init(kind: .choice, target: 0, least: 0))
    }
}
