internal import Llama2Core

/// A grammar's program being run, with all that was found out on the way: which sets of stacks there were (states), where
/// each byte led, which tokens each allowed. What was seen before costs a look into a table. One thread at a time.
///
///     frames      (kind, a, b, frame below), each once
///     states      (may end, leaves ascending), each once: the stacks by their topmost frames
///     rows        (states, 257): the state behind a byte, `dead`, or `unknown`; behind them whether any text may come
final class Automaton {
    static let dead: Int32 = -1
    static let unknown: Int32 = -2
    /// Beyond it everything is forgotten but the state that is in use: some 40 MiB of rows.
    private static let mostStates = 40_000
    private static let mostFrames = 3_000_000
    /// Stacks side by side.
    private static let mostLeaves = 20_000
    /// Values in sets of items that must differ.
    private static let mostSeen = 2_000_000
    /// Frames that one step may go through: a loop whose body may be nothing goes round without a byte.
    private static let mostVisits = 200_000

    var program: Program
    var frames: TupleTable
    var states: TupleTable
    var strings: TupleTable
    var tuples: TupleTable  // states of objects and arrays, sets of tags
    let seen: SeenValues
    var rows: RowTable<Int32>
    /// Numbers of a row.
    static let width = 257
    static let anyText = 256
    /// Behind them, of a leaf alone: what it reaches.
    static let localWidth = 258, reached = 257

    // work of one step
    private struct Pending: BitwiseCopyable { var frame, tag: Int32 }
    private var pending: GrowingBuffer<Pending>
    // leaves alone, see Automaton+Local
    var locals: TupleTable
    var localRows: RowTable<Int32>  // (locals, localWidth)
    var outcomes: GrowingBuffer<Outcome>
    var completions: TupleTable  // (frame below, tag), each once
    var behindCompletion: GrowingBuffer<Int32>  // (completions) the state behind each
    var leaves: GrowingBuffer<Int32>
    var visited: GrowingBuffer<Int32>  // (frames) the step in which each was last met
    var step: Int32 = 0
    var mayEnd = false, isPending = false

    /// Below every frame's number, so that they come first in a sorted list.
    private static let endsFirst: Int32 = -2, goesOnFirst: Int32 = -1

    var start: Int32 = Automaton.dead

    init(_ program: Program) throws(Llama2Error) {
        self.program = program
        frames = try TupleTable(1024)
        states = try TupleTable(1024)
        strings = try TupleTable(256)
        tuples = try TupleTable(64)
        seen = try SeenValues()
        rows = try RowTable(width: Automaton.width, capacity: 16)
        pending = try GrowingBuffer(capacity: 64, of: "states of a grammar")
        locals = try TupleTable(64)
        localRows = try RowTable(width: Automaton.localWidth, capacity: 16)
        outcomes = try GrowingBuffer(capacity: 64, of: "states of a grammar")
        completions = try TupleTable(64)
        behindCompletion = try GrowingBuffer(capacity: 64, of: "states of a grammar")
        leaves = try GrowingBuffer(capacity: 64, of: "states of a grammar")
        visited = try GrowingBuffer(capacity: 1024, of: "states of a grammar")
        try enterStart()
    }

    /// Whether so much is known that starting anew is better.
    var isFull: Bool { states.count + localRows.count > Automaton.mostStates || frames.count > Automaton.mostFrames || seen.size > Automaton.mostSeen }

    // bits of a state's first number
    private static let ends: Int32 = 1, pends: Int32 = 2

    func canEnd(_ state: Int32) -> Bool { states[state][0] & Automaton.ends != 0 }
    /// Whether an item is complete that later ones must differ from: `resolved` goes on.
    func isPending(_ state: Int32) -> Bool { state >= 0 && states[state][0] & Automaton.pends != 0 }
    /// Whether nothing but the end can come.
    func mustEnd(_ state: Int32) -> Bool { states[state].count == 1 }

    // MARK: Steps

    /// The state behind `byte`.
    @inline(__always)
    func next(_ state: Int32, _ byte: UInt8) throws(Llama2Error) -> Int32 {
        let known = rows[Int(state)][Int(byte)]
        return known != Automaton.unknown ? known : try explore(state, byte)
    }

    /// (states, width); valid until a state is added.
    var rowsSoFar: UnsafePointer<Int32> { UnsafePointer(rows.start) }

    @inline(never)
    func explore(_ state: Int32, _ byte: UInt8) throws(Llama2Error) -> Int32 {
        begin()
        for index in 1..<max(1, states[state].count) {
            let leaf = states[state][index]
            let (kind, a, b, below) = frame(leaf)
            switch kind {
            case Program.Frame.automaton:
                let target = program.automata[Int(a)].next(b, byte)
                if target >= 0 { try push(kind, a, target, below) }
            case Program.Frame.string:
                let s = string(b)
                if s.phase == StringState.Phase.body, s.alike.isNone, StringStepper.isPlain(byte) {
                    if let next = plainStep(a, s, byte), s.allowed < 0 || isReached(program.strings[Int(a)].reachable[Int(next.dfa)], s.allowed) {
                        try push(kind, a, try number(next), below)
                    }
                    continue
                }
                switch stepper(a, b).next(s, byte) {
                case .dead: break
                case .inside(let s): try push(kind, a, try number(s), below)
                case .complete(let tag): try pending.append(Pending(frame: below, tag: tag))
                }
            case Program.Frame.differing:
                if let next = DifferingState(tuples[b]).next(byte, program.automata[Int(a)], seen) { try push(kind, a, try numbered(next.numbers), below) }
            default: break  // a token, taken whole
            }
        }
        let target = try settle(), row = rows[Int(state)]
        row[Int(byte)] = target
        learn(row, state, byte, target)
        return target
    }

    /// The state behind a token that the grammar names.
    func next(_ state: Int32, token: Int32) throws(Llama2Error) -> Int32 {
        begin()
        for index in 1..<max(1, states[state].count) {
            let (kind, a, _, below) = frame(states[state][index])
            if kind == Program.Frame.token, contains(a, token) { try pending.append(Pending(frame: below, tag: 0)) }
        }
        return try settle()
    }

    func contains(_ set: Int32, _ token: Int32) -> Bool {
        let list = program.tokenSets[Int(set)]
        return list.first == -1 ? !list.contains(token) : list.contains(token)
    }

    /// The sets of tokens that may come whole.
    func tokenSets(_ state: Int32) -> [Int32] {
        states[state].dropFirst().compactMap { leaf in
            let (kind, a, _, _) = frame(leaf)
            return kind == Program.Frame.token ? a : nil
        }
    }

    /// What both states are together.
    func union(_ first: Int32, _ second: Int32) throws(Llama2Error) -> Int32 {
        guard first >= 0, second >= 0 else { return max(first, second) }
        begin()
        mayEnd = canEnd(first) || canEnd(second)
        isPending = isPending(first) || isPending(second)
        for leaf in states[first].dropFirst() { try leaves.append(leaf) }
        for leaf in states[second].dropFirst() { try leaves.append(leaf) }
        return try settle()
    }

    // MARK: Frames

    func frame(_ index: Int32) -> (Int32, Int32, Int32, Int32) {
        let list = frames[index]
        return (list[0], list[1], list[2], list[3])
    }

    func string(_ index: Int32) -> StringState {
        StringState(strings[index])
    }

    func number(_ s: StringState) throws(Llama2Error) -> Int32 { try strings.number(s) }

    func stepper(_ form: Int32, _ state: Int32) -> StringStepper {
        let f = program.strings[Int(form)], allowed = strings[state][4]
        return StringStepper(
            form: f, dfa: program.automata[Int(f.dfa)], tagSets: program.tagSets,
            allowed: allowed >= 0 ? tuples[allowed] : UnsafeBufferPointer(start: nil, count: 0), seen: seen)
    }

    func numbered(_ list: [Int32]) throws(Llama2Error) -> Int32 {
        var result: Result<Int32, Llama2Error> = .success(0)
        list.withUnsafeBufferPointer { buffer in
            do throws(Llama2Error) { result = .success(try tuples.number(buffer)) } catch { result = .failure(error) }
        }
        return try result.get()
    }

    func append(_ frame: Int32, _ tag: Int32) throws(Llama2Error) { try pending.append(Pending(frame: frame, tag: tag)) }

    func push(_ kind: Int32, _ a: Int32, _ b: Int32, _ below: Int32, tag: Int32 = 0) throws(Llama2Error) {
        try pending.append(Pending(frame: try frames.number(kind, a, b, below), tag: tag))
    }

    func begin() {
        if step == .max {  // after years of tokens: numbers begin anew
            for i in 0..<visited.count { visited[i] = 0 }
            step = 0
        }
        step += 1
        pending.removeAll()
        leaves.removeAll()
        mayEnd = false
        isPending = false
    }

    /// Follows what takes no byte until leaves are on top of every stack; the state that they are.
    func settle() throws(Llama2Error) -> Int32 {
        var visits = 0
        while let top = pending.popLast() {
            visits += 1
            guard visits <= Automaton.mostVisits else { throw tooManyWays(Automaton.mostVisits) }
            let frame = top.frame, tag = top.tag
            let (kind, a, b, below) = self.frame(frame)
            if kind != Program.Frame.objectKeyed {
                while visited.count <= Int(frame) { try visited.append(0) }
                if visited[Int(frame)] == step { continue }
                visited[Int(frame)] = step
            }
            switch kind {
            case Program.Frame.end: mayEnd = true
            case Program.Frame.automaton:
                let dfa = program.automata[Int(a)]
                if dfa.offsets[Int(b)] < dfa.offsets[Int(b) + 1] { try leaves.append(frame) }
                if dfa.tags[Int(b)] >= 0 { try pending.append(Pending(frame: below, tag: dfa.tags[Int(b)])) }
            case Program.Frame.differing:
                let dfa = program.automata[Int(a)], s = DifferingState(tuples[b])
                if dfa.offsets[Int(s.state)] < dfa.offsets[Int(s.state) + 1] { try leaves.append(frame) }
                if s.mayEnd(dfa, seen) { try pending.append(Pending(frame: below, tag: 0)) }
            case Program.Frame.string, Program.Frame.token: try leaves.append(frame)
            case Program.Frame.code: try run(a, b, below)
            case Program.Frame.value: try enter(a, below)
            case Program.Frame.objectKey: try enterKey(a, b, below)
            case Program.Frame.objectKeyed: try keyed(a, b, tag, below)
            case Program.Frame.objectNext: try member(a, b, below)
            case Program.Frame.arrayItem: try enterItem(a, b, below)
            default: try item(a, b, below)
            }
        }
        guard !leaves.isEmpty || mayEnd else { return Automaton.dead }
        guard leaves.count <= Automaton.mostLeaves else { throw tooManyWays(Automaton.mostLeaves) }
        // in order and each once, behind whether the text may end
        try leaves.append(mayEnd ? Automaton.endsFirst : Automaton.goesOnFirst)
        var list = UnsafeMutableBufferPointer(mutating: leaves.elements)
        list.sort()
        var unique = 1
        for i in list.indices.dropFirst() where list[i] != list[unique - 1] {
            list[unique] = list[i]
            unique += 1
        }
        list[0] = (mayEnd ? Automaton.ends : 0) | (isPending ? Automaton.pends : 0)
        let state = try states.number(UnsafeBufferPointer(rebasing: UnsafeBufferPointer(list)[..<unique]))
        while rows.count < states.count { try rows.append(repeating: Automaton.unknown) }
        return state
    }

    private func tooManyWays(_ most: Int) -> Llama2Error {
        Llama2Error(.unsupported, "the grammar can be read in more than \(most) ways at once")
    }

    // MARK: Rules

    private func run(_ at: Int32, _ counter: Int32, _ below: Int32) throws(Llama2Error) {
        let i = program.code[Int(at)]
        /// What goes on behind this instruction: nothing more than what is below when the rule ends with it.
        func following() throws(Llama2Error) -> Int32 {
            i.next < 0 ? below : try frames.number(Program.Frame.code, i.next, 0, below)
        }
        switch i.kind {
        case .leaf: try push(Program.Frame.automaton, i.target, program.automata[Int(i.target)].start, try following())
        case .tokens: try push(Program.Frame.token, i.target, 0, try following())
        case .call: try push(Program.Frame.code, i.target, 0, try following())
        case .choice:
            for branch in Int(i.target)..<Int(i.target + i.least) { try push(Program.Frame.code, program.branches[branch], 0, try following()) }
        case .loop:
            if counter >= i.least { try pending.append(Pending(frame: try following(), tag: 0)) }
            if i.most < 0 || counter < i.most {
                let rounds = counter < max(i.most, i.least) ? counter + 1 : counter
                try push(Program.Frame.code, i.target, 0, try frames.number(Program.Frame.code, at, rounds, below))
            }
        case .finish: try pending.append(Pending(frame: below, tag: 0))
        }
    }
}
