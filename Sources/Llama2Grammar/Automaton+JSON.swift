internal import Llama2Core

// Frames of JSON: values, objects, arrays, items that must differ.
extension Automaton {
    func enter(_ value: Int32, _ below: Int32) throws(Llama2Error) {
        for leaf in program.values[Int(value)].leaves {
            switch leaf {
            case .automaton(let a): try push(Program.Frame.automaton, a, program.automata[Int(a)].start, below)
            case .string(let a): try push(Program.Frame.string, a, try openString(a, allowed: -1), below)
            case .object(let a):
                let state = try numbered(ObjectState.first(program.objects[Int(a)], program.anyOrder))
                try push(Program.Frame.automaton, program.punctuation.openObject, 0, try frames.number(Program.Frame.objectKey, a, state, below))
            case .array(let a):
                let state = try numbered(ArrayState.first(program.arrays[Int(a)]))
                try push(Program.Frame.automaton, program.punctuation.openArray, 0, try frames.number(Program.Frame.arrayItem, a, state, below))
            }
        }
    }

    private func openString(_ form: Int32, allowed: Int32, alike: Alike = .none) throws(Llama2Error) -> Int32 {
        let dfa = program.automata[Int(program.strings[Int(form)].dfa)]
        return try number(StringState(dfa: dfa.start, count: 0, phase: StringState.Phase.quote, partial: 0, allowed: allowed, alike: alike))
    }

    /// Objects: state is (members so far, first member of the schema that may still come, which have come (any order)).
    func enterKey(_ a: Int32, _ b: Int32, _ below: Int32) throws(Llama2Error) {
        let state = ObjectState(program.objects[Int(a)], Array(tuples[b]), program.anyOrder)
        if state.count == 0, state.mayClose {
            try push(Program.Frame.automaton, program.punctuation.closeEmptyObject, 0, below)
        }
        guard let allowed = state.allowedKeys else { return }
        let alike = state.isPending ? Alike.unknown : state.form.watch != nil ? seen.all(SeenValues.string, of: state.seen) : .none
        let key = try openString(state.form.keys, allowed: try numbered(allowed), alike: alike)
        try push(Program.Frame.string, state.form.keys, key, try frames.number(Program.Frame.objectKeyed, a, b, below))
    }

    func keyed(_ a: Int32, _ b: Int32, _ tag: Int32, _ below: Int32) throws(Llama2Error) {
        let state = ObjectState(program.objects[Int(a)], Array(tuples[b]), program.anyOrder)
        for (value, next) in state.choices(tag) {
            let rest = try frames.number(Program.Frame.objectNext, a, try numbered(next), below)
            try push(Program.Frame.automaton, program.punctuation.colon, 0, try frames.number(Program.Frame.value, value, 0, rest))
            if ObjectState(state.form, next, program.anyOrder).isPending { isPending = true }
        }
    }

    func member(_ a: Int32, _ b: Int32, _ below: Int32) throws(Llama2Error) {
        let state = ObjectState(program.objects[Int(a)], Array(tuples[b]), program.anyOrder)
        if state.mayClose { try push(Program.Frame.automaton, program.punctuation.closeObject, 0, below) }
        if state.allowedKeys != nil {
            try push(Program.Frame.automaton, program.punctuation.comma, 0, try frames.number(Program.Frame.objectKey, a, b, below))
        }
    }

    func enterItem(_ a: Int32, _ b: Int32, _ below: Int32) throws(Llama2Error) {
        let state = ArrayState(program.arrays[Int(a)], Array(tuples[b]))
        if state.index == 0, state.mayClose { try push(Program.Frame.automaton, program.punctuation.closeEmptyArray, 0, below) }
        if let differing = program.arrays[Int(a)].differing {
            if state.mayGoOn { try enterDiffering(differing, a, state, below) }
            return
        }
        for (choice, next) in state.choices {
            let rest = try frames.number(Program.Frame.arrayNext, a, try numbered(next), below)
            try push(Program.Frame.value, choice.value, 0, rest)
        }
    }

    func item(_ a: Int32, _ b: Int32, _ below: Int32) throws(Llama2Error) {
        let state = ArrayState(program.arrays[Int(a)], Array(tuples[b]))
        if state.mayClose { try push(Program.Frame.automaton, program.punctuation.closeArray, 0, below) }
        if state.mayGoOn {
            if state.isPending { isPending = true }
            try push(Program.Frame.automaton, program.punctuation.comma, 0, try frames.number(Program.Frame.arrayItem, a, b, below))
        }
    }

    // MARK: Items that must differ

    private func enterDiffering(_ form: Program.Differing, _ a: Int32, _ state: ArrayState, _ below: Int32) throws(Llama2Error) {
        let rest = try frames.number(Program.Frame.arrayNext, a, try numbered(state.pending), below)
        if let string = form.string {
            if state.isPending {
                if form.hasEndlessStrings { try push(Program.Frame.string, string, try openString(string, allowed: -1, alike: .unknown), rest) }
            } else {
                let open = try openString(string, allowed: -1, alike: seen.all(SeenValues.string, of: state.seen))
                if stepper(string, open).isLive(self.string(open)) { try push(Program.Frame.string, string, open, rest) }
            }
        }
        if let plain = form.plain, !state.isPending {
            let dfa = program.automata[Int(plain)], first = DifferingState(state: dfa.start, alike: seen.all(SeenValues.plain, of: state.seen))
            if first.isLive(dfa, seen) { try push(Program.Frame.differing, plain, try numbered(first.numbers), rest) }
        }
    }

    /// The state when the item, or the key, that is complete at the end of `text` is among those that later ones must differ from.
    func resolved(_ state: Int32, _ text: UnsafeBufferPointer<UInt8>) throws(Llama2Error) -> Int32 {
        guard isPending(state) else { return state }
        let (value, isString) = LastScalar.read(text), letter = isString ? SeenValues.string : SeenValues.plain
        begin()
        mayEnd = canEnd(state)
        for leaf in states[state].dropFirst() {
            let (kind, a, b, below) = frame(leaf)
            var target = leaf
            if below >= 0, frame(below).0 == Program.Frame.arrayItem {
                let (_, array, tuple, outside) = frame(below), items = ArrayState(program.arrays[Int(array)], Array(tuples[tuple]))
                if items.isPending {
                    let set = try seen.adding(value, letter, to: items.seen)
                    let item = try frames.number(Program.Frame.arrayItem, array, try numbered(items.resolved(set)), outside)
                    target = try frames.number(kind, a, b, item)
                }
            } else if below >= 0, frame(below).0 == Program.Frame.value, frame(below).3 >= 0, frame(frame(below).3).0 == Program.Frame.objectNext {
                let (_, form, _, member) = frame(below), (_, object, tuple, outside) = frame(member)
                let state = ObjectState(program.objects[Int(object)], Array(tuples[tuple]), program.anyOrder)
                if state.isPending {
                    let set = try seen.adding(value, letter, to: state.seen)
                    let next = try frames.number(Program.Frame.objectNext, object, try numbered(state.resolved(set)), outside)
                    target = try frames.number(kind, a, b, try frames.number(Program.Frame.value, form, 0, next))
                }
            }
            try leaves.append(target)
        }
        return try settle()
    }
}
