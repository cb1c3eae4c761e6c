internal import Llama2Core

// Strings, byte by byte; keys and items that must be none that came as a whole.
extension Endings {
    func followString(_ frame: Int32, _ form: Int32, _ s: StringState, _ below: Int32) throws(Llama2Error) -> Int32? {
        func on(_ t: StringState) throws(Llama2Error) -> Int32 {
            try automaton.frames.number(Program.Frame.string, form, try automaton.number(t), below)
        }
        var t = s
        let f = program.strings[Int(form)]
        guard !s.alike.isUnknown else { return nil }
        // 1. outside of the text
        if s.phase == StringState.Phase.quote {
            t.phase = StringState.Phase.body
            try link(frame, byte: 0x22)
            return try on(t)
        }
        if s.phase != StringState.Phase.body {
            guard let (byte, next) = escaped(s, form) else { return nil }
            try link(frame, byte: byte)
            return try on(next)
        }
        // 2. a text that must differ, as a whole
        if s.alike.set >= 0 {
            guard let (content, tag) = try differing(s, form, below) else { return nil }
            try link(frame, bytes: Endings.quoted(content).dropFirst().map { $0 })
            return try behindString(tag, below)
        }
        // 3. byte by byte
        let distances = try distances(f.dfa, isString: true)
        let tag = try goal(form, s, below, distances)
        if f.isAny, distances.nearest[Int(s.dfa)] == 0, s.count < f.least {
            guard let (byte, to) = character(distances.dfa, s.dfa) else { return nil }
            (t.dfa, t.count) = (to, s.count + 1)
            try write(frame, byte)
            return try on(t)
        }
        guard tag != Endings.none else { return nil }
        if let (byte, to) = try distances.step(s.dfa, tag: f.reachable.isEmpty ? -1 : tag) {
            t.dfa = to
            if f.isAny, byte < 0x80 || byte >= 0xC0 { t.count = min(s.count + 1, max(f.least, f.most)) }
            try write(frame, byte)
            return try on(t)
        }
        guard distances.dfa.accepts(s.dfa) else { return nil }
        try link(frame, byte: 0x22)
        return try behindString(distances.dfa.tags[Int(s.dfa)], below)
    }

    private func write(_ frame: Int32, _ byte: UInt8) throws(Llama2Error) { try link(frame, bytes: Endings.escape(byte)) }

    /// The tags of keys that may come and can still be reached.
    private func tags(_ form: Int32, _ s: StringState, _ object: Program.ObjectForm) -> [Int32] {
        let allowed = s.allowed >= 0 ? Array(automaton.tuples[s.allowed]) : [], f = program.strings[Int(form)]
        let reach = f.reachable.isEmpty ? [] : program.tagSets[Int(f.reachable[Int(s.dfa)])]
        return (0..<Int32(truncatingIfNeeded: object.members.count + object.free.count)).filter { tag in
            (allowed.isEmpty || allowed[Int(tag) / 32] >> (tag % 32) & 1 != 0) && (reach.isEmpty || reach[Int(tag) / 64] >> UInt64(tag % 64) & 1 != 0)
        }
    }

    /// The key, of those that may come, with which the object is soonest at its end; any end of what is no key. `none`: there is none.
    private func goal(_ form: Int32, _ s: StringState, _ below: Int32, _ distances: EndDistances) throws(Llama2Error) -> Int32 {
        let (kind, a, b, _) = automaton.frame(below)
        guard kind == Program.Frame.objectKeyed else { return 0 }
        let state = try standingIn(a, b), tags = tags(form, s, state.form)
        guard tags.count > 1 else { return tags.first ?? Endings.none }
        if s.dfa == distances.dfa.start, let tag = try plan(a, state).tag, tags.contains(tag) { return tag }
        var best = Endings.none, least = Endings.never
        for tag in tags {
            let cost = Endings.plus(try distances.distance(s.dfa, tag: tag), try behind(a, state, tag)?.cost ?? Endings.never)
            if cost < least { (best, least) = (tag, cost) }
        }
        return best
    }

    /// The same where keys, or items, must be none that came: what is still to come of the text, and its tag.
    private func differing(_ s: StringState, _ form: Int32, _ below: Int32) throws(Llama2Error) -> (content: [UInt8], tag: Int32)? {
        let (kind, a, b, _) = automaton.frame(below)
        guard kind == Program.Frame.objectKeyed else { return try shortest(s, form).map { ($0.content, $0.tag) } }
        let state = try standingIn(a, b), tags = tags(form, s, state.form)
        let planned = try s.dfa == program.automata[Int(program.strings[Int(form)].dfa)].start ? plan(a, state).tag : nil
        var best: (content: [UInt8], tag: Int32)?, least = Endings.never
        for tag in tags where planned == nil || planned == tag || !tags.contains(planned ?? tag) {
            var words = [Int32](repeating: 0, count: (state.form.members.count + state.form.free.count + 31) / 32), only = s
            words[Int(tag) / 32] |= 1 << (tag % 32)
            only.allowed = try automaton.numbered(words)
            guard let (content, cost, _) = try shortest(only, form) else { continue }
            let whole = Endings.plus(cost, try behind(a, state, tag)?.cost ?? Endings.never)
            if whole < least { (best, least) = ((content, tag), whole) }
        }
        return best
    }

    /// The next byte of an escape that has begun.
    private func escaped(_ s: StringState, _ form: Int32) -> (byte: UInt8, next: StringState)? {
        let f = program.strings[Int(form)], allowed = s.allowed >= 0 ? automaton.tuples[s.allowed] : UnsafeBufferPointer(start: nil, count: 0)
        let stepper = StringStepper(
            form: f, dfa: program.automata[Int(f.dfa)], tagSets: program.tagSets, allowed: allowed, seen: automaton.seen)
        for byte in Array("nrt\"\\/bfu0123456789ABCDEF\\".utf8) {
            if case .inside(let next) = stepper.next(s, byte) { return (byte, next) }
        }
        return nil
    }

    /// A character from `state` back to it, of one byte if there is one.
    private func character(_ dfa: DFA, _ state: Int32) -> (byte: UInt8, to: Int32)? {
        var best: (byte: UInt8, to: Int32, weight: Int32)?
        for edge in dfa.edges(of: state) {
            let (byte, cost) = EndDistances.byte(edge, isString: true), weight = cost + (byte < 0x80 ? 0 : 8)
            if weight < best?.weight ?? .max { best = (byte, edge.to, weight) }
        }
        return best.map { ($0.byte, $0.to) }
    }

    static func escape(_ byte: UInt8) -> [UInt8] {
        guard EndDistances.cost(byte) > 1 else { return [byte] }
        if let short = StringStepper.escapes.first(where: { $0.1 == UInt32(byte) })?.0 { return [0x5C, short] }
        let digits = Array("0123456789abcdef".utf8)
        return Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }

    static func quoted(_ content: [UInt8]) -> [UInt8] { [0x22] + content.flatMap { escape($0) } + [0x22] }
}
