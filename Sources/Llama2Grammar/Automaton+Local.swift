internal import Llama2Core

/// The topmost frame of a stack without what is below it. What a leaf does until it is complete does not depend on where it stands: it
/// is found out once for all stacks (Dong et al. 2024, XGrammar, call such tokens independent of the context).
///
/// A key's state is taken without the set of keys that may come: who asks restricts what was found by that set.
extension Automaton {
    /// Where a byte leads: to a leaf of the same kind, to completion with a tag, or both.
    struct Outcome: BitwiseCopyable { var inside, tag: Int32 }

    /// Outcomes in a row of `localRows`: a leaf without completion is its own number; `dead`, `unknown`; what completes is `completes - i`,
    /// i a place in `outcomes`.
    static let completes: Int32 = -3

    /// A leaf as it is looked up: its number, and the set of keys that may come (-1: any).
    func local(of leaf: Int32) throws(Llama2Error) -> (local: Int32, allowed: Int32) {
        let (kind, a, b, _) = frame(leaf)
        guard kind == Program.Frame.string else { return (try numberedLocal(kind, a, b), -1) }
        var s = string(b)
        guard s.allowed >= 0, s.alike.isNone else { return (try numberedLocal(kind, a, b), -1) }
        let allowed = s.allowed
        s.allowed = -1
        return (try numberedLocal(kind, a, try number(s)), allowed)
    }

    func numberedLocal(_ kind: Int32, _ a: Int32, _ b: Int32) throws(Llama2Error) -> Int32 {
        let local = try locals.number(kind, a, b, 0)
        while localRows.count < locals.count { try localRows.append(repeating: Automaton.unknown) }
        return local
    }

    /// (locals, width); valid until one is added.
    var localRowsSoFar: UnsafePointer<Int32> { UnsafePointer(localRows.start) }

    func localStep(_ local: Int32, _ byte: UInt8) throws(Llama2Error) -> Int32 {
        let known = localRows[Int(local)][Int(byte)]
        return known != Automaton.unknown ? known : try exploreLocal(local, byte)
    }

    @inline(never)
    func exploreLocal(_ local: Int32, _ byte: UInt8) throws(Llama2Error) -> Int32 {
        let list = locals[local], kind = list[0], a = list[1], b = list[2]
        var inside = Automaton.dead, tag: Int32 = -1, alike = byte...byte, onlyPlain = false
        switch kind {
        case Program.Frame.automaton:
            let dfa = program.automata[Int(a)], target = dfa.next(b, byte)
            alike = dfa.alike(b, byte)
            if target >= 0 {
                tag = dfa.tags[Int(target)]
                if dfa.offsets[Int(target)] < dfa.offsets[Int(target) + 1] { inside = try numberedLocal(kind, a, target) }
            }
        case Program.Frame.string:
            let s = string(b)
            if s.phase == StringState.Phase.body, s.alike.isNone, s.allowed < 0, StringStepper.isPlain(byte) {
                // what a character is depends on its bytes alone, but for the quote and the backslash, which are JSON's
                if let next = plainStep(a, s, byte) { inside = try numberedLocal(kind, a, try number(next)) }
                alike = program.automata[Int(program.strings[Int(a)].dfa)].alike(s.dfa, byte)
                onlyPlain = true
            } else {
                switch stepper(a, b).next(s, byte) {
                case .dead: break
                case .inside(let next): inside = try numberedLocal(kind, a, try number(next))
                case .complete(let end): tag = end
                }
            }
        case Program.Frame.differing:
            let dfa = program.automata[Int(a)]
            if let next = DifferingState(tuples[b]).next(byte, dfa, seen) {
                if dfa.offsets[Int(next.state)] < dfa.offsets[Int(next.state) + 1] { inside = try numberedLocal(kind, a, try numbered(next.numbers)) }
                if next.mayEnd(dfa, seen) { tag = 0 }
            }
        default: break  // a token, taken whole
        }
        var result = inside
        if tag >= 0 {
            result = Automaton.completes - Int32(truncatingIfNeeded: outcomes.count)
            try outcomes.append(Outcome(inside: inside, tag: tag))
        }
        let row = localRows[Int(local)]
        for other in alike where !onlyPlain || StringStepper.isPlain(other) && beginsCharacter(other) == beginsCharacter(byte) { row[Int(other)] = result }
        return result
    }

    /// `StringStepper.next` for a byte that stands for itself where nothing restricts what may come.
    func plainStep(_ a: Int32, _ s: StringState, _ byte: UInt8) -> StringState? {
        var t = s
        t.dfa = program.automata[Int(program.strings[Int(a)].dfa)].next(s.dfa, byte)
        guard t.dfa >= 0 else { return nil }
        if program.strings[Int(a)].isAny, beginsCharacter(byte) {
            let least = program.strings[Int(a)].least, most = program.strings[Int(a)].most
            guard most < 0 || s.count < most else { return nil }
            if s.count < (most >= 0 ? most : least) { t.count += 1 }
        }
        return t
    }

    private func beginsCharacter(_ byte: UInt8) -> Bool { byte < 0x80 || byte >= 0xC0 }

    /// Where one automaton alone decides, what was found for a byte holds for all that it does not tell apart: in the keys of an object nearly all.
    func learn(_ row: UnsafeMutablePointer<Int32>, _ state: Int32, _ byte: UInt8, _ target: Int32) {
        guard states[state].count == 2 else { return }
        let (kind, a, b, _) = frame(states[state][1])
        if kind == Program.Frame.automaton {
            for other in program.automata[Int(a)].alike(b, byte) { row[Int(other)] = target }
        } else if kind == Program.Frame.string {
            let form = program.strings[Int(a)], s = string(b)
            // the quote, the backslash and what must be escaped are JSON's
            guard !form.isAny, s.phase == StringState.Phase.body, s.alike.isNone, StringStepper.isPlain(byte) else { return }
            for other in program.automata[Int(form.dfa)].alike(s.dfa, byte) where StringStepper.isPlain(other) { row[Int(other)] = target }
        }
    }

    /// Of a key, which tags can still be reached, a set of `Program.tagSets`; 0 for what is no key; -1 inside of an escape, where the automaton
    /// does not tell.
    @inline(__always)
    func reach(_ local: Int32) -> Int32 {
        let known = localRows[Int(local)][Automaton.reached]
        return known == Automaton.unknown ? findReach(local) : known
    }

    @inline(never)
    private func findReach(_ local: Int32) -> Int32 {
        let reach = computedReach(local)
        localRows[Int(local)][Automaton.reached] = reach
        return reach
    }

    private func computedReach(_ local: Int32) -> Int32 {
        let list = locals[local]
        guard list[0] == Program.Frame.string else { return 0 }
        let form = program.strings[Int(list[1])]
        guard !form.reachable.isEmpty else { return 0 }
        let s = string(list[2])
        guard s.allowed < 0, s.alike.isNone else { return 0 }  // looked at with all that restricts it
        return s.phase == StringState.Phase.body ? form.reachable[Int(s.dfa)] : -1
    }

    /// Whether a key that can reach `set` can become one that may come.
    func isReached(_ set: Int32, _ allowed: Int32) -> Bool {
        guard allowed >= 0 else { return true }
        let words = tuples[allowed]
        return program.tagSets[Int(set)].withUnsafeBufferPointer { reach in
            words.indices.contains { UInt32(truncatingIfNeeded: reach[$0 / 2] >> UInt64($0 % 2 * 32)) & UInt32(bitPattern: words[$0]) != 0 }
        }
    }

    /// Whether a key of that tag may come.
    func mayEnd(_ tag: Int32, _ allowed: Int32) -> Bool {
        guard allowed >= 0 else { return true }
        let words = tuples[allowed]
        return words.isEmpty || words[Int(tag) / 32] >> (tag % 32) & 1 != 0
    }

    /// Whether any characters of a JSON string may come next, and any number of them.
    @inline(__always)
    func localTakesAnyText(_ local: Int32) -> Bool {
        let known = localRows[Int(local)][Automaton.anyText]
        return known == Automaton.unknown ? findLocalAnyText(local) : known == 1
    }

    @inline(never)
    private func findLocalAnyText(_ local: Int32) -> Bool {
        let list = locals[local]
        let takes = list[0] == Program.Frame.string && program.anyText >= 0 && stringTakesAnyText(list[1], list[2])
        localRows[Int(local)][Automaton.anyText] = takes ? 1 : 0
        return takes
    }

    /// The state behind leaves that are complete with a tag: given by the frames below them.
    func behind(_ below: UnsafeBufferPointer<Int32>, _ tag: Int32) throws(Llama2Error) -> Int32 {
        guard below.count == 1 else {
            begin()
            for frame in below { try append(frame, tag) }
            return try settle()
        }
        let known = try completions.number(below[0], tag, 0, 0)
        while behindCompletion.count < completions.count { try behindCompletion.append(Automaton.unknown) }
        if behindCompletion[Int(known)] == Automaton.unknown {
            begin()
            try append(below[0], tag)
            behindCompletion[Int(known)] = try settle()
        }
        return behindCompletion[Int(known)]
    }
}
