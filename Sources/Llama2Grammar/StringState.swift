/// Where a text stands in a JSON string: RFC 8259's strings as an automaton over bytes, whose characters, escaped or not,
/// are fed to the automaton of what the string may say.
///
/// A state is these numbers, kept in a `TupleTable`:
struct StringState: BitwiseCopyable {
    enum Phase {
        static let quote: Int32 = 0  // the opening quote comes
        static let body: Int32 = 1
        static let escape: Int32 = 2  // behind a backslash
        static let digits: Int32 = 3  // 3 ... 6: behind \u and 0 ... 3 digits
        static let pairBackslash: Int32 = 7, pairU: Int32 = 8  // the second half of a surrogate pair must come
        static let pairDigits: Int32 = 9  // 9 ... 12
    }

    var dfa: Int32  // state of the automaton
    var count: Int32  // characters so far, where they are counted
    var phase: Int32
    var partial: Int32  // digits so far; for a pair also the first half, 16 bits higher
    var allowed: Int32  // of a key: the set of tags that it may end with
    var alike = Alike.none  // of an item that must differ from those before: which of them begin as this one

    enum Step { case dead, inside(StringState), complete(tag: Int32) }
}

extension StringState {
    /// As `TupleTable` gives it back.
    init(_ list: UnsafeBufferPointer<Int32>) {
        self.init(dfa: list[0], count: list[1], phase: list[2], partial: list[3], allowed: list[4], alike: Alike(list, at: 5))
    }
}

/// Steps of one form of strings.
struct StringStepper {
    let form: Program.StringForm
    let dfa: DFA
    let tagSets: [[UInt64]]
    /// Of the state's key; empty for values.
    let allowed: UnsafeBufferPointer<Int32>
    let seen: SeenValues

    private func isAllowed(_ tag: Int32) -> Bool {
        allowed.isEmpty || allowed[Int(tag) / 32] >> (tag % 32) & 1 != 0
    }

    /// Whether the text may end at `s`.
    func mayEnd(_ s: StringState) -> Bool {
        let tag = dfa.tags[Int(s.dfa)]
        return tag >= 0 && isAllowed(tag) && !seen.isWhole(s.alike)
    }

    /// Whether an allowed end can be reached.
    private func isLive(_ state: Int32) -> Bool {
        guard state >= 0 else { return false }
        guard !allowed.isEmpty else { return true }
        let reach = tagSets[Int(form.reachable[Int(state)])]
        for (i, word) in allowed.enumerated() {
            if UInt32(truncatingIfNeeded: reach[i / 2] >> UInt64(i % 2 * 32)) & UInt32(bitPattern: word) != 0 { return true }
        }
        return false
    }

    /// Whether a text that may come is none of those that came before.
    func isLive(_ s: StringState) -> Bool {
        guard isLive(s.dfa) else { return false }
        guard s.alike.set >= 0 else { return true }
        var pending = [(state: s.dfa, count: s.count, alike: s.alike)]
        while let (state, count, alike) = pending.popLast() {
            let tag = dfa.tags[Int(state)]
            if tag >= 0, isAllowed(tag), !form.isAny || count >= form.least, !seen.isWhole(alike) { return true }
            for edge in dfa.edges(of: state) {
                for byte in edge.low...edge.high {
                    let begins = byte < 0x80 || byte >= 0xC0
                    if begins, form.isAny, form.most >= 0, count >= form.most { continue }
                    let next = seen.following(alike, byte)
                    if next.isNone, isLive(edge.to) { return true }
                    if !next.isNone { pending.append((edge.to, begins ? counted(count) : count, next)) }
                }
            }
        }
        return false
    }

    private var limit: Int32 { form.most >= 0 ? form.most : form.least }

    private func hasRoom(_ s: StringState) -> Bool { !form.isAny || form.most < 0 || s.count < form.most }

    /// Whether a further character can come.
    private func goesOn(_ s: StringState) -> Bool {
        if s.alike.set >= 0 { return reaches(s, 0, 0xD7FF) || reaches(s, 0xE000, 0x10FFFF) }
        if form.isAny { return hasRoom(s) }
        return dfa.edges(of: s.dfa).contains { isLive($0.to) }
    }

    /// Whether `state` lies between two characters.
    private func isBetweenCharacters(_ state: Int32) -> Bool {
        guard let first = dfa.edges(of: state).first else { return true }
        return first.low < 0x80 || first.low >= 0xC0
    }

    func next(_ s: StringState, _ byte: UInt8) -> StringState.Step {
        var t = s
        if s.alike.isUnknown, s.phase != StringState.Phase.quote { return .dead }
        switch s.phase {
        case StringState.Phase.quote:
            guard byte == 0x22 else { return .dead }
            t.phase = StringState.Phase.body
            return .inside(t)
        case StringState.Phase.body:
            if byte == 0x22 {
                let tag = dfa.tags[Int(s.dfa)]
                guard mayEnd(s), !form.isAny || s.count >= form.least else { return .dead }
                return .complete(tag: tag)
            }
            if byte == 0x5C {
                guard isBetweenCharacters(s.dfa), goesOn(s) else { return .dead }
                t.phase = StringState.Phase.escape
                return .inside(t)
            }
            guard byte >= 0x20 else { return .dead }
            if byte < 0x80 || byte >= 0xC0 {
                guard hasRoom(s) else { return .dead }
                t.count = counted(s.count)
            }
            t.dfa = dfa.next(s.dfa, byte)
            t.alike = seen.following(s.alike, byte)
            return isLive(t) ? .inside(t) : .dead
        case StringState.Phase.escape:
            if byte == UInt8(ascii: "u") {
                t.phase = StringState.Phase.digits
                t.partial = 0
                return .inside(t)
            }
            guard let scalar = StringStepper.escapes.first(where: { $0.0 == byte })?.1 else { return .dead }
            return taking(scalar, t)
        case StringState.Phase.pairBackslash:
            guard byte == 0x5C else { return .dead }
            t.phase = StringState.Phase.pairU
            return .inside(t)
        case StringState.Phase.pairU:
            guard byte == UInt8(ascii: "u") else { return .dead }
            t.phase = StringState.Phase.pairDigits
            return .inside(t)
        default: return digit(t, byte)
        }
    }

    private func digit(_ s: StringState, _ byte: UInt8) -> StringState.Step {
        let value: UInt32
        switch byte {
        case 0x30...0x39: value = UInt32(byte - 0x30)
        case 0x41...0x46, 0x61...0x66: value = UInt32(byte | 0x20) - 0x57
        default: return .dead
        }
        var t = s
        let isSecond = s.phase >= StringState.Phase.pairDigits
        let first = isSecond ? UInt32(bitPattern: s.partial) >> 16 : 0
        let digits = (isSecond ? UInt32(bitPattern: s.partial) & 0xFFFF : UInt32(bitPattern: s.partial)) << 4 | value
        let left = UInt32(isSecond ? 12 - s.phase : 6 - s.phase)  // digits that are still to come
        let low = digits << (4 * left), high = low | ((UInt32(1) << (4 * left)) - 1)
        if isSecond {
            // the second half lies in DC00 ... DFFF
            let from = max(low, 0xDC00), to = min(high, 0xDFFF)
            guard from <= to else { return .dead }
            func scalar(_ half: UInt32) -> UInt32 { 0x10000 + (first - 0xD800) << 10 + (half - 0xDC00) }
            guard reaches(s, scalar(from), scalar(to)) else { return .dead }
            if left == 0 { return taking(scalar(digits), t) }
            t.partial = Int32(bitPattern: first << 16 | digits)
        } else {
            let plain = reaches(s, low, min(high, 0xD7FF)) || reaches(s, max(low, 0xE000), high)
            let from = max(low, 0xD800), to = min(high, 0xDBFF)
            let paired = from <= to && reaches(s, 0x10000 + (from - 0xD800) << 10, 0x10000 + (to - 0xD800) << 10 + 0x3FF)
            guard plain || paired else { return .dead }
            if left == 0 {
                guard paired else { return taking(digits, t) }
                t.phase = StringState.Phase.pairBackslash
                t.partial = Int32(bitPattern: digits << 16)
                return .inside(t)
            }
            t.partial = Int32(bitPattern: digits)
        }
        t.phase += 1
        return .inside(t)
    }

    /// Whether a byte stands for itself between quotes.
    static func isPlain(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x22 && byte != 0x5C }

    static let escapes: [(UInt8, UInt32)] = [
        (0x22, 0x22), (0x5C, 0x5C), (0x2F, 0x2F), (0x62, 0x08), (0x66, 0x0C), (0x6E, 0x0A), (0x72, 0x0D), (0x74, 0x09),
    ]

    private func counted(_ count: Int32) -> Int32 { form.isAny && count < limit ? count + 1 : count }

    /// The state behind a character that an escape stands for.
    private func taking(_ scalar: UInt32, _ s: StringState) -> StringState.Step {
        guard hasRoom(s) else { return .dead }
        var t = StringState(dfa: s.dfa, count: counted(s.count), phase: StringState.Phase.body, partial: 0, allowed: s.allowed, alike: s.alike)
        for byte in UTF8Ranges.bytes(scalar) {
            t.dfa = dfa.next(t.dfa, byte)
            t.alike = seen.following(t.alike, byte)
            if t.dfa < 0 { return .dead }
        }
        return isLive(t) ? .inside(t) : .dead
    }

    /// Whether some character of `low ... high` can come next.
    private func reaches(_ s: StringState, _ low: UInt32, _ high: UInt32) -> Bool {
        guard low <= high, hasRoom(s) else { return false }
        if s.alike.set >= 0 {
            // characters that go on as values before did are looked at one by one
            var free = s, from = low
            free.alike = .none
            for scalar in seen.nextScalars(s.alike) where scalar >= low && scalar <= high {
                if case .inside = taking(scalar, s) { return true }
                if from < scalar, reaches(free, from, scalar - 1) { return true }
                from = scalar + 1
            }
            return reaches(free, from, high)
        }
        if form.isAny { return true }
        var found = false
        UTF8Ranges.split(low, high) { ranges in
            guard !found else { return }
            var states: Set<Int32> = [s.dfa]
            for range in ranges {
                var following: Set<Int32> = []
                for state in states {
                    for edge in dfa.edges(of: state) where edge.low <= range.high && range.low <= edge.high { following.insert(edge.to) }
                }
                states = following
            }
            found = states.contains { isLive($0) }
        }
        return found
    }
}
