internal import Llama2Core

// Places inside of JSON strings where any characters may come.
extension Automaton {
    /// Whether any characters of a JSON string may come next, and any number of them.
    @inline(__always)
    func takesAnyText(_ state: Int32) -> Bool {
        let known = rows[Int(state)][Automaton.anyText]
        return known == Automaton.unknown ? findAnyText(state) : known == 1
    }

    @inline(never)
    private func findAnyText(_ state: Int32) -> Bool {
        var takes = false
        for leaf in states[state].dropFirst() where program.anyText >= 0 {
            let (kind, a, b, _) = frame(leaf)
            if kind == Program.Frame.string, stringTakesAnyText(a, b) { takes = true }
        }
        rows[Int(state)][Automaton.anyText] = takes ? 1 : 0
        return takes
    }

    func stringTakesAnyText(_ a: Int32, _ b: Int32) -> Bool {
        let form = program.strings[Int(a)], s = string(b), dfa = program.automata[Int(form.dfa)]
        guard s.phase == StringState.Phase.body, s.alike.isNone else { return false }
        if form.isAny { return s.dfa == dfa.start && form.most < 0 }
        return stepper(a, b).mayEnd(s) && dfa.holds(program.automata[Int(program.anyText)], at: s.dfa)
    }

    /// Inside a JSON string where any characters may come: how many, Int.max for no limit; 0 elsewhere, and where something
    /// else could take more of them.
    func plainRoom(_ state: Int32) -> Int {
        var room = 0
        for leaf in states[state].dropFirst() {
            let (kind, a, b, _) = frame(leaf)
            guard kind == Program.Frame.string else { continue }
            let form = program.strings[Int(a)], s = string(b)
            guard form.isAny, s.phase == StringState.Phase.body, s.alike.isNone, s.dfa == program.automata[Int(form.dfa)].start else { continue }
            room = max(room, form.most < 0 ? Int.max : Int(form.most - s.count))
        }
        return room == Int.max || states[state].count == 2 ? room : 0
    }
}
