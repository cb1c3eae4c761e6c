internal import Llama2Core

// One automaton after the other in the same memory.
extension Automaton {
    /// Forgets all and runs another program, in the memory that is there.
    func restart(_ program: Program) throws(Llama2Error) {
        self.program = program
        frames.removeAll()
        states.removeAll()
        strings.removeAll()
        tuples.removeAll()
        try seen.removeAll()
        rows.removeAll()
        locals.removeAll()
        localRows.removeAll()
        outcomes.removeAll()
        completions.removeAll()
        behindCompletion.removeAll()
        visited.removeAll()
        step = 0
        try enterStart()
    }

    func letGo() { program = Program() }

    func enterStart() throws(Llama2Error) {
        var frame = try frames.number(Program.Frame.end, 0, 0, -1)
        for (kind, a) in program.start.dropLast() { frame = try frames.number(kind, a, 0, frame) }
        guard let top = program.start.last else { throw Llama2Error(.invalidArgument, "the grammar is empty") }
        begin()
        try push(top.0, top.1, 0, frame)
        start = try settle()
    }

    /// Bytes of what grows with the states that are met.
    var bytes: Int { frames.bytes + states.bytes + strings.bytes + tuples.bytes + rows.bytes + locals.bytes + localRows.bytes + completions.bytes }
}
