internal import Llama2Core

// States of one automaton in another.
extension Automaton {
    /// The stacks of a state, for another automaton of the same program.
    func copy(_ state: Int32, to other: Automaton) throws(Llama2Error) -> Int32 {
        var known: [Int32: Int32] = [-1: -1]
        func moved(_ frame: Int32) throws(Llama2Error) -> Int32 {
            var path: [Int32] = [], at = frame
            while known[at] == nil {
                path.append(at)
                at = self.frame(at).3
            }
            for frame in path.reversed() {
                let (kind, a, b, below) = self.frame(frame)
                known[frame] = try other.frames.number(kind, a, try payload(kind, a, b, to: other), known[below] ?? -1)
            }
            return known[frame] ?? -1
        }
        other.begin()
        other.mayEnd = canEnd(state)
        other.isPending = isPending(state)
        for leaf in states[state].dropFirst() { try other.leaves.append(try moved(leaf)) }
        return try other.settle()
    }

    /// Operand b as the other automaton numbers it.
    private func payload(_ kind: Int32, _ a: Int32, _ b: Int32, to other: Automaton) throws(Llama2Error) -> Int32 {
        switch kind {
        case Program.Frame.string:
            var s = string(b)
            if s.allowed >= 0 { s.allowed = try copyTuple(s.allowed, to: other) }
            if s.alike.set >= 0 { s.alike.set = try seen.copy(s.alike.set, to: other.seen) }
            return try other.number(s)
        case Program.Frame.objectKey, Program.Frame.objectKeyed, Program.Frame.objectNext:
            guard program.objects[Int(a)].watch != nil else { return try copyTuple(b, to: other) }
            var list = Array(tuples[b])
            list[3] = try seen.copy(list[3], to: other.seen)
            return try other.numbered(list)
        case Program.Frame.arrayItem, Program.Frame.arrayNext:
            guard program.arrays[Int(a)].differing != nil else { return try copyTuple(b, to: other) }
            var list = Array(tuples[b])
            list[1] = try seen.copy(list[1], to: other.seen)
            return try other.numbered(list)
        case Program.Frame.differing:
            var s = DifferingState(tuples[b])
            if s.alike.set >= 0 { s.alike.set = try seen.copy(s.alike.set, to: other.seen) }
            return try other.numbered(s.numbers)
        default: return b
        }
    }

    private func copyTuple(_ tuple: Int32, to other: Automaton) throws(Llama2Error) -> Int32 {
        let list = Array(tuples[tuple])
        return try other.numbered(list)
    }
}
