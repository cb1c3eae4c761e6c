internal import Llama2Core

/// Leaves that are a state of an automaton and nothing else: punctuation, numbers, and the inside of a string between two escapes. Their
/// tokens are found by going from state to state, without a number for each leaf on the way.
extension LeafMasks {
    struct Place {
        let dfa: DFA
        let state: Int32
        /// The string form, -1 for what is no string.
        let string: Int32
    }

    func place(of local: Int32) -> Place? {
        let list = automaton.locals[local], kind = list[0], a = list[1], program = automaton.program
        if kind == Program.Frame.automaton { return Place(dfa: program.automata[Int(a)], state: list[2], string: -1) }
        guard kind == Program.Frame.string, !program.strings[Int(a)].isAny else { return nil }
        let s = automaton.string(list[2])
        guard s.phase == StringState.Phase.body, s.allowed < 0, s.alike.isNone else { return nil }
        return Place(dfa: program.automata[Int(program.strings[Int(a)].dfa)], state: s.dfa, string: a)
    }

    /// Whether any text may come in that state of a string: found once.
    private func isFree(_ place: Place, _ state: Int32) throws(Llama2Error) -> Bool {
        guard place.string >= 0, automaton.program.anyText >= 0 else { return false }
        while firstState.count <= Int(place.string) { try firstState.append(-1) }
        if firstState[Int(place.string)] < 0 {
            firstState[Int(place.string)] = Int32(truncatingIfNeeded: isFreeState.count)
            for _ in 0..<place.dfa.count { try isFreeState.append(2) }
        }
        let index = Int(firstState[Int(place.string)] + state)
        if isFreeState[index] == 2 {
            let anyText = automaton.program.automata[Int(automaton.program.anyText)]
            isFreeState[index] = place.dfa.accepts(state) && place.dfa.holds(anyText, at: state) ? 1 : 0
        }
        return isFreeState[index] == 1
    }

    /// Where more plain tokens begin with a character behind which any text may come than with one that leads nowhere: what such a text
    /// reaches and is. All is as in free text then but for what is found to differ.
    func mostlyFree(_ local: Int32) throws(Llama2Error) -> (reach: Int32, tag: Int32)? {
        if let place = place(of: local) { return try mostlyFree(place) }
        let tree = vocabulary.plainTree
        var free: Int32 = 0, dead: Int32 = 0, node = 0, found: (reach: Int32, tag: Int32)?
        while node < tree.count {
            let after = Int(tree.after.pointer[node]), tokens = tree.rank.pointer[after] - tree.rank.pointer[node]
            let to = try automaton.localStep(local, tree.byte.pointer[node])
            if to == Automaton.dead {
                dead += tokens
            } else if to >= 0, automaton.localTakesAnyText(to), found == nil || found?.reach == automaton.reach(to) {
                if found == nil {
                    let list = automaton.locals[to], dfa = automaton.program.automata[Int(automaton.program.strings[Int(list[1])].dfa)]
                    found = (automaton.reach(to), dfa.tags[Int(automaton.string(list[2]).dfa)])
                }
                free += tokens
            }
            node = after
        }
        return free > dead ? found : nil
    }

    private func mostlyFree(_ place: Place) throws(Llama2Error) -> (reach: Int32, tag: Int32)? {
        guard place.string >= 0 else { return nil }
        let tree = vocabulary.plainTree, reachable = automaton.program.strings[Int(place.string)].reachable
        var free: Int32 = 0, dead: Int32 = 0, node = 0, found: (reach: Int32, tag: Int32)?
        while node < tree.count {
            let after = Int(tree.after.pointer[node]), tokens = tree.rank.pointer[after] - tree.rank.pointer[node]
            let to = place.dfa.next(place.state, tree.byte.pointer[node])
            if to < 0 {
                dead += tokens
            } else if try isFree(place, to) {
                let reach = reachable.isEmpty ? 0 : reachable[Int(to)]
                if found == nil { found = (reach, place.dfa.tags[Int(to)]) }
                if found?.reach == reach { free += tokens }
            }
            node = after
        }
        return free > dead ? found : nil
    }

    /// As `walkLeaves`, with states in `path`.
    func walkStates(
        _ tree: VocabularyTree, _ place: Place, from first: Int, to count: Int, isPlain: Bool, _ mask: Mask, isFree: Bool
    ) throws(Llama2Error) {
        let path = path.pointer, dfa = place.dfa, isString = place.string >= 0, freeText = vocabulary.freeText
        let reachable = isString ? automaton.program.strings[Int(place.string)].reachable : []
        var node = first
        while node < count {
            let depth = Int(tree.depth.pointer[node]), from = path[depth &- 1], byte = tree.byte.pointer[node], after = tree.after.pointer[node]
            if isString, byte == 0x5C {  // an escape is more than a state
                let inside = StringState(dfa: from, count: 0, phase: StringState.Phase.body, partial: 0, allowed: -1)
                path[depth &- 1] = try automaton.numberedLocal(Program.Frame.string, place.string, try automaton.number(inside))
                try walkLeaves(tree, from: node, to: Int(after), isPlain: isPlain, mask, isFree: isFree, changes: false)
                path[depth &- 1] = from
                node = Int(after)
                continue
            }
            var to = DFA.dead, tag: Int32 = -1
            if !isString {
                to = dfa.next(from, byte)
                if to >= 0 {
                    tag = dfa.tags[Int(to)]
                    if dfa.offsets[Int(to)] == dfa.offsets[Int(to) + 1] { to = DFA.dead }
                }
            } else if byte == 0x22 {
                tag = dfa.tags[Int(from)]
            } else if byte >= 0x20 {
                to = dfa.next(from, byte)
            }
            if tag >= 0 { try ends.append(End(tag: tag, node: Int32(truncatingIfNeeded: node), isPlain: isPlain)) }
            guard to >= 0 else {
                if isFree { try removed.append(contentsOf: tree.tokens(below: node)) }
                node = Int(after)
                continue
            }
            let reach = reachable.isEmpty ? 0 : reachable[Int(to)]
            if isPlain || isFree && freeText.isSelf.pointer[node] != 0, try self.isFree(place, to) {
                if isFree, reach == mask.reach {
                    if !isPlain { try keep(node, after, mask) }
                    node = Int(after)
                    continue
                }
                if isPlain {
                    for token in tree.tokens(below: node) { try take(token, reach, mask, isFree) }
                    node = Int(after)
                    continue
                }
            }
            path[depth] = to
            var token = tree.first.pointer[node]
            while token >= 0 {
                try take(token, reach, mask, isFree)
                token = vocabulary.sameBytes.pointer[Int(token)]
            }
            node &+= 1
        }
    }
}
