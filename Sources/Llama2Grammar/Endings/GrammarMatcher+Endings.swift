public import Llama2Core

extension GrammarMatcher {
    /// A shortest text that completes what is written, and how many tokens are enough to write it, the end token not counted. Refused where it is
    /// longer than 256 KiB.
    public func shortestEnd() throws(Llama2Error) -> (text: [UInt8], tokens: Int) {
        guard state >= 0 else { return ([], 0) }
        try forgetIfFull()
        let endings = try cache.endings()
        var node = try endings.node(ofState: state), out: [UInt8] = []
        guard node != Endings.none else { throw tooFar }
        try MemoryReserve.cover(.text(2 * Int(endings.nodes[Int(node)].length)), for: "the end of a grammar's text")
        let tokens = Int(endings.nodes[Int(node)].tokens)
        guard grammar.program.remembers else {
            while node > 0 {
                let one = endings.nodes[Int(node)]
                if one.token < 0 { out.append(one.byte) } else { out += grammar.vocabulary.text(of: one.token) }
                node = one.next
            }
            return (out, tokens)
        }
        // which items came is known of the text alone: step by step
        var at = state
        let length = text.count
        defer { text.truncate(to: length) }
        while node > 0 {
            let byte = endings.nodes[Int(node)].byte
            out.append(byte)
            try text.append(byte)
            at = try cache.automaton.resolved(try cache.automaton.next(at, byte), text.elements)
            guard at >= 0 else { throw tooFar }
            node = try endings.node(ofState: at)
            guard node != Endings.none else { throw tooFar }
        }
        return (out, out.count)
    }

    private var tooFar: Llama2Error {
        Llama2Error(.unsupported, "the grammar's text has no end within \(Endings.mostBytes) bytes")
    }

    /// `mask` where the text must be complete within so many tokens, the end token among them: of the tokens that may come those behind which it
    /// still can be. Where so many are not enough, those that bring the end nearest.
    public func mask(within tokens: Int?) throws(Llama2Error) -> UnsafeBufferPointer<UInt32> {
        let all = try mask()
        guard let tokens else { return all }
        let endings = try cache.endings(), need = try endings.need(state), vocabulary = grammar.vocabulary
        guard need < Endings.never else { return all }
        let left = Int32(clamping: min(tokens, Int(Endings.never)) - 1 - (vocabulary.ends.isEmpty ? 0 : 1)), limit = max(left, need - 1)
        // 1. whether all fit
        if try bound(endings) <= limit { return all }
        // 2. those that do
        let row = endings.row.pointer
        row.update(repeating: 0, count: endings.row.count)
        _ = try fit(endings, limit, row)
        if cache.automaton.canEnd(state) {
            for end in vocabulary.ends { row[Int(end) / 32] |= 1 << UInt32(end & 31) }
        }
        // 3. white space only where nothing else brings the end nearer
        let fits = (0..<endings.row.count).contains { row[$0] & all[$0] != 0 }, allowed = try fits ? all : cache.mask(state)
        for i in 0..<endings.row.count { row[i] &= allowed[i] }
        return UnsafeBufferPointer(start: row, count: endings.row.count)
    }

    /// What the texts behind the tokens that may come need at most.
    private func bound(_ endings: Endings) throws(Llama2Error) -> Int32 {
        guard !grammar.program.remembers else { return Endings.never }  // it depends on the text
        while endings.bounds.count <= Int(state) { try endings.bounds.append(-1) }
        if endings.bounds[Int(state)] < 0 { endings.bounds[Int(state)] = try fit(endings, Endings.never - 1, nil) }
        return endings.bounds[Int(state)]
    }

    /// Sets the bits of the tokens behind which at most `limit` tokens are needed; the most that is needed.
    private func fit(_ endings: Endings, _ limit: Int32, _ row: UnsafeMutablePointer<UInt32>?) throws(Llama2Error) -> Int32 {
        let vocabulary = grammar.vocabulary
        var most: Int32 = 0
        // where characters are only counted each of them brings the end nearer
        if let length = try endings.countedLength(state), length <= limit {
            most = length
            if let row {
                let plain = vocabulary.plain[GrammarVocabulary.mostPlain + 1]
                for i in 0..<endings.row.count { row[i] |= plain[i] }
            }
        } else {
            most = try walk(vocabulary.plainTree, isPlain: true, endings, limit, row)
        }
        most = max(most, try walk(vocabulary.special, isPlain: false, endings, limit, row))
        // tokens that the grammar names
        for index in 1..<max(1, cache.automaton.states[state].count) {
            let (kind, set, _, below) = cache.automaton.frame(cache.automaton.states[state][index])
            guard kind == Program.Frame.token else { continue }
            let node = try endings.node(of: below), need = node == Endings.none ? Endings.never : endings.nodes[Int(node)].tokens
            most = max(most, need)
            guard need <= limit, let row else { continue }
            for token in 0..<Int32(truncatingIfNeeded: vocabulary.count) where cache.automaton.contains(set, token) {
                row[Int(token) / 32] |= 1 << UInt32(token & 31)
            }
        }
        return most
    }

    private func walk(
        _ tree: VocabularyTree, isPlain: Bool, _ endings: Endings, _ limit: Int32, _ row: UnsafeMutablePointer<UInt32>?
    ) throws(Llama2Error) -> Int32 {
        let automaton = cache.automaton, steps = endings.steps.pointer, remembers = grammar.program.remembers, length = text.count
        defer { text.truncate(to: length) }
        var most: Int32 = 0, node = 0
        steps[0] = state
        while node < tree.count {
            let depth = Int(tree.depth.pointer[node]), byte = tree.byte.pointer[node]
            var to = try automaton.next(steps[depth - 1], byte)
            if to >= 0, remembers {
                text.truncate(to: length + depth - 1)
                try text.append(byte)
                to = try automaton.resolved(to, text.elements)
            }
            guard to >= 0 else {
                node = Int(tree.after.pointer[node])
                continue
            }
            if isPlain, automaton.takesAnyText(to), case let text = try endings.behindAnyText(to), text.need <= limit || text.isExact {
                most = max(most, text.need)
                if let row, text.need <= limit { for token in tree.tokens(below: node) { row[Int(token) / 32] |= 1 << UInt32(token & 31) } }
                node = Int(tree.after.pointer[node])
                continue
            }
            var token = tree.first.pointer[node]
            if token >= 0 {
                let need = try endings.need(to)
                most = max(most, need)
                while need <= limit, token >= 0 {
                    if let row { row[Int(token) / 32] |= 1 << UInt32(token & 31) }
                    token = grammar.vocabulary.sameBytes.pointer[Int(token)]
                }
            }
            steps[depth] = to
            node += 1
        }
        return most
    }
}

extension Endings {
    /// What is enough behind any characters of a string where any may come, and whether it is what is needed.
    fileprivate func behindAnyText(_ state: Int32) throws(Llama2Error) -> (need: Int32, isExact: Bool) {
        while behindText.count <= Int(state) { try behindText.append(-1) }
        let isAlone = automaton.states[state].count == 2
        if behindText[Int(state)] < 0 { behindText[Int(state)] = try isAlone && !isCounting(state) ? need(state) : lengthBehindAnyText(state) }
        return (behindText[Int(state)], isAlone && !isCounting(state))
    }

    /// Whether characters of a string of any are counted.
    private func isCounting(_ state: Int32) -> Bool {
        let (kind, a, _, _) = automaton.frame(automaton.states[state][1])
        return kind == Program.Frame.string && program.strings[Int(a)].isAny && program.strings[Int(a)].least > 0
    }

    private func lengthBehindAnyText(_ state: Int32) throws(Llama2Error) -> Int32 {
        var least = Endings.never
        for index in 1..<max(1, automaton.states[state].count) {
            let leaf = automaton.states[state][index], (kind, a, b, _) = automaton.frame(leaf)
            guard kind == Program.Frame.string, automaton.stringTakesAnyText(a, b) else { continue }
            let node = try node(of: leaf)
            if node != Endings.none { least = min(least, nodes[Int(node)].length) }
        }
        return least
    }

    /// Bytes that are enough where nothing but a string of counted characters may go on.
    fileprivate func countedLength(_ state: Int32) throws(Llama2Error) -> Int32? {
        guard automaton.states[state].count == 2, automaton.plainRoom(state) > 0 else { return nil }
        let node = try node(of: automaton.states[state][1])
        return node == Endings.none ? nil : nodes[Int(node)].length
    }
}
