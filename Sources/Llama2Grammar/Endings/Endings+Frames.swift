internal import Llama2Core

// One step of a shortest way: what is written, and which frame is on top then. Of what `Automaton.settle` does in all ways, one.
extension Endings {
    /// nil: there is no way on.
    func follow(_ frame: Int32) throws(Llama2Error) -> Int32? {
        let (kind, a, b, below) = automaton.frame(frame)
        switch kind {
        case Program.Frame.automaton:
            guard let step = try distances(a).step(b) else {
                guard program.automata[Int(a)].accepts(b) else { return nil }
                try link(frame)
                return below
            }
            try link(frame, byte: step.byte)
            return try automaton.frames.number(kind, a, step.to, below)
        case Program.Frame.string: return try followString(frame, a, automaton.string(b), below)
        case Program.Frame.differing:
            guard let rest = try shortest(DifferingState(automaton.tuples[b]), program.automata[Int(a)], a) else { return nil }
            try link(frame, bytes: rest)
            return below
        case Program.Frame.token:
            guard let token = token(of: a) else { return nil }
            try link(frame, token: token)
            return below
        case Program.Frame.code:
            try link(frame)
            return try follow(code: a, b, below)
        case Program.Frame.value:
            try link(frame)
            return try open(a, below)
        case Program.Frame.objectKey: return try followKey(frame, a, b, below)
        case Program.Frame.objectNext:
            let state = try standingIn(a, b)
            try link(frame)
            if state.mayClose { return try leaf(program.punctuation.closeObject, below) }
            return try leaf(program.punctuation.comma, try automaton.frames.number(Program.Frame.objectKey, a, b, below))
        case Program.Frame.arrayItem: return try followItem(frame, a, b, below)
        case Program.Frame.arrayNext:
            try link(frame)
            if ArrayState(program.arrays[Int(a)], Array(automaton.tuples[b])).mayClose { return try leaf(program.punctuation.closeArray, below) }
            return try leaf(program.punctuation.comma, try automaton.frames.number(Program.Frame.arrayItem, a, b, below))
        default: return nil  // a key without its tag
        }
    }

    func leaf(_ a: Int32, _ below: Int32) throws(Llama2Error) -> Int32 {
        try automaton.frames.number(Program.Frame.automaton, a, program.automata[Int(a)].start, below)
    }

    private func follow(code at: Int32, _ counter: Int32, _ below: Int32) throws(Llama2Error) -> Int32 {
        let i = program.code[Int(at)]
        let next = try i.next < 0 ? below : automaton.frames.number(Program.Frame.code, i.next, 0, below)
        switch i.kind {
        case .leaf: return try leaf(i.target, next)
        case .tokens: return try automaton.frames.number(Program.Frame.token, i.target, 0, next)
        case .call: return try automaton.frames.number(Program.Frame.code, i.target, 0, next)
        case .choice: return try automaton.frames.number(Program.Frame.code, bestBranch[Int(at)], 0, next)
        case .loop:
            if counter >= i.least { return next }
            return try automaton.frames.number(Program.Frame.code, i.target, 0, automaton.frames.number(Program.Frame.code, at, counter + 1, below))
        case .finish: return below
        }
    }

    /// The value that takes least.
    private func open(_ value: Int32, _ below: Int32) throws(Llama2Error) -> Int32? {
        let leaves = program.values[Int(value)].leaves
        guard values[Int(value)] < Endings.never else { return nil }
        switch leaves[Int(bestLeaf[Int(value)])] {
        case .automaton(let a): return try leaf(a, below)
        case .string(let a): return try automaton.frames.number(Program.Frame.string, a, try opened(a), below)
        case .object(let a):
            let state = try automaton.numbered(ObjectState.first(program.objects[Int(a)], program.anyOrder))
            return try leaf(program.punctuation.openObject, try automaton.frames.number(Program.Frame.objectKey, a, state, below))
        case .array(let a):
            let state = try automaton.numbered(ArrayState.first(program.arrays[Int(a)]))
            return try leaf(program.punctuation.openArray, try automaton.frames.number(Program.Frame.arrayItem, a, state, below))
        }
    }

    private func opened(_ form: Int32, allowed: Int32 = -1, alike: Alike = .none) throws(Llama2Error) -> Int32 {
        let dfa = program.automata[Int(program.strings[Int(form)].dfa)]
        return try automaton.number(
            StringState(dfa: dfa.start, count: 0, phase: StringState.Phase.quote, partial: 0, allowed: allowed, alike: alike))
    }

    // MARK: Objects

    /// The state of an object; where a free key came that is not known, as if it had been the shortest that was left: what then comes takes at
    /// least as much as what will.
    func standingIn(_ a: Int32, _ b: Int32) throws(Llama2Error) -> ObjectState {
        let form = program.objects[Int(a)], state = ObjectState(form, Array(automaton.tuples[b]), program.anyOrder)
        guard state.isPending else { return state }
        var set = state.seen
        if let key = try shortestFree(form, set) { set = try automaton.seen.adding(key.value, SeenValues.string, to: set) }
        return ObjectState(form, state.resolved(set), program.anyOrder)
    }

    /// The shortest free key that did not come; of one tag, or of all.
    private func shortestFree(_ form: Program.ObjectForm, _ set: Int32, tag: Int32 = -1) throws(Llama2Error) -> (value: [UInt8], cost: Int32)? {
        var words = [Int32](repeating: 0, count: (form.members.count + form.free.count + 31) / 32)
        for t in form.members.count..<form.members.count + form.free.count where tag < 0 || t == Int(tag) { words[t / 32] |= 1 << Int32(t % 32) }
        var state = automaton.string(
            try opened(form.keys, allowed: try automaton.numbered(words), alike: automaton.seen.all(SeenValues.string, of: set)))
        state.phase = StringState.Phase.body
        return try shortest(state, form.keys).map { ($0.content, $0.cost) }
    }

    private func followKey(_ frame: Int32, _ a: Int32, _ b: Int32, _ below: Int32) throws(Llama2Error) -> Int32? {
        let state = try standingIn(a, b)
        if state.count == 0, state.mayClose {
            try link(frame)
            return try leaf(program.punctuation.closeEmptyObject, below)
        }
        guard let tag = try plan(a, state).tag else { return nil }
        if state.form.watch != nil, Int(tag) >= state.form.members.count {
            // whole, so that it is known what came
            guard let key = try shortestFree(state.form, state.seen, tag: tag), let (_, value, next) = try behind(a, state, tag) else { return nil }
            try link(frame, bytes: Endings.quoted(key.value))
            let set = try automaton.seen.adding(key.value, SeenValues.string, to: state.seen)
            let then = ObjectState(state.form, next, program.anyOrder).resolved(set)
            let rest = try automaton.frames.number(Program.Frame.objectNext, a, try automaton.numbered(then), below)
            return try leaf(program.punctuation.colon, try automaton.frames.number(Program.Frame.value, value, 0, rest))
        }
        var words = [Int32](repeating: 0, count: (state.form.members.count + state.form.free.count + 31) / 32)
        words[Int(tag) / 32] |= 1 << (tag % 32)
        let key = try opened(state.form.keys, allowed: try automaton.numbered(words))
        try link(frame)
        return try automaton.frames.number(
            Program.Frame.string, state.form.keys, key, try automaton.frames.number(Program.Frame.objectKeyed, a, b, below))
    }

    /// What is on top behind a string that ends with a tag.
    func behindString(_ tag: Int32, _ below: Int32) throws(Llama2Error) -> Int32? {
        let (kind, a, b, outside) = automaton.frame(below)
        guard kind == Program.Frame.objectKeyed else { return below }
        guard let (_, value, next) = try behind(a, try standingIn(a, b), tag) else { return nil }
        let rest = try automaton.frames.number(Program.Frame.objectNext, a, try automaton.numbered(next), outside)
        return try leaf(program.punctuation.colon, try automaton.frames.number(Program.Frame.value, value, 0, rest))
    }

    // MARK: Arrays

    private func followItem(_ frame: Int32, _ a: Int32, _ b: Int32, _ below: Int32) throws(Llama2Error) -> Int32? {
        let form = program.arrays[Int(a)]
        var state = ArrayState(form, Array(automaton.tuples[b]))
        if state.index == 0, state.mayClose {
            try link(frame)
            return try leaf(program.punctuation.closeEmptyArray, below)
        }
        guard let differing = form.differing else {
            guard let (choice, next) = state.soonest(values) else { return nil }
            try link(frame)
            let rest = try automaton.frames.number(Program.Frame.arrayNext, a, try automaton.numbered(next), below)
            return try automaton.frames.number(Program.Frame.value, choice.value, 0, rest)
        }
        if state.isPending {  // as in `standingIn`
            var set = state.seen
            if let item = try shortestItem(differing, set) { set = try automaton.seen.adding(item.value, item.letter, to: set) }
            state = ArrayState(form, state.resolved(set))
        }
        guard let item = try shortestItem(differing, state.seen) else { return nil }
        try link(frame, bytes: item.letter == SeenValues.string ? Endings.quoted(item.value) : item.value)
        let set = try automaton.seen.adding(item.value, item.letter, to: state.seen)
        return try automaton.frames.number(Program.Frame.arrayNext, a, try automaton.numbered([state.index + 1, set, 0]), below)
    }

    private func shortestItem(_ form: Program.Differing, _ set: Int32) throws(Llama2Error) -> (value: [UInt8], letter: Int32)? {
        var best: (value: [UInt8], letter: Int32)?, least = Endings.never
        if let string = form.string {
            var state = automaton.string(try opened(string, alike: automaton.seen.all(SeenValues.string, of: set)))
            state.phase = StringState.Phase.body
            if let (text, cost, _) = try shortest(state, string) { (best, least) = ((text, SeenValues.string), cost + 2) }
        }
        if let plain = form.plain {
            let dfa = program.automata[Int(plain)], first = DifferingState(state: dfa.start, alike: automaton.seen.all(SeenValues.plain, of: set))
            if let text = try shortest(first, dfa, plain), text.count < least { best = (text, SeenValues.plain) }
        }
        return best
    }
}
