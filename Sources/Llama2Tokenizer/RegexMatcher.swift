import Llama2Core

/// Finds the matches of a `RegexProgram`, as Oniguruma does: leftmost, then by the order of alternatives.
///
/// Steps with a stack of what else could be tried. Two things keep it linear: of each run of a class the places are
/// remembered from which all that follows has failed; and who needs more than a fixed number of steps a byte is refused.
struct RegexMatcher: ~Copyable {
    struct Frame: BitwiseCopyable {
        var step: Int32  // where to go on
        var run: Int32  // of a run: its number; else -1
        var position: Int32  // of a run: the end that is to be given up next
        var least: Int32  // of a run: the smallest end
        var more: UInt64  // of a choice: the alternatives that are left; of a run: its largest end
    }

    /// Of a run: every place in it from which what follows was tried in vain. Empty when first > last.
    struct Vain: BitwiseCopyable { var first: Int32, last: Int32 }

    private let program: RegexProgram
    private var stack: GrowingBuffer<Frame>
    private var vain: GrowingBuffer<Vain>
    private var budget = 0

    init(_ program: RegexProgram) throws(Llama2Error) {
        self.program = program
        let stack = try GrowingBuffer<Frame>(capacity: 32, of: "states of an expression")
        vain = try GrowingBuffer(capacity: program.runs, of: "runs of an expression")
        self.stack = stack
    }

    /// Calls `found` with each match in order. Of empty matches those that touch the match before are none.
    mutating func matches(
        in text: UnsafeBufferPointer<UInt8>, _ found: (Range<Int>) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        budget = 1000 * text.count + 100_000  // a text has at most 2^29 bytes
        vain.removeAll()
        for _ in 0..<program.runs { try vain.append(Vain(first: 1, last: 0)) }
        var position = 0, last = -1
        while position <= text.count {
            while position < text.count, !program.begins[Int(text[position])] { position += 1 }
            if position == text.count, !program.begins[256] { return }
            if position < text.count, position > 0, text[position] & 0xC0 == 0x80, !isStart(text, position) {
                position += 1
                continue
            }
            let end = try match(text, 0, position)
            if end < 0 || end == position && position == last {
                position += position < text.count ? length(text, position) : 1
                continue
            }
            try found(position..<end)
            last = end
            position = end
        }
    }

    /// Whether a continuation byte stands for itself because it belongs to no character.
    private func isStart(_ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> Bool {
        before(text, position + 1) == position
    }

    @inline(__always)
    private func length(_ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> Int {
        if text[position] < 0x80 { return 1 }
        if case .scalar(_, let length) = decodeUTF8(text, at: position) { return length }
        return 1
    }

    /// A byte that is no UTF-8 is U+FFFD.
    @inline(__always)
    private func scalar(_ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> (UInt32, Int) {
        let byte = text[position]
        if byte < 0x80 { return (UInt32(byte), 1) }
        if case .scalar(let scalar, let length) = decodeUTF8(text, at: position) { return (scalar, length) }
        return (0xFFFD, 1)
    }

    /// Where the character before `position` begins.
    private func before(_ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> Int {
        var start = position - 1
        if text[start] < 0x80 { return start }
        while start > 0, position - start < 4, text[start] & 0xC0 == 0x80 { start -= 1 }
        if case .scalar(_, let length) = decodeUTF8(text, at: start), start + length == position { return start }
        return position - 1
    }

    /// The end of the match that begins at `start` with the steps from `first` to their `accept`; -1: none.
    private mutating func match(_ text: UnsafeBufferPointer<UInt8>, _ first: Int, _ start: Int) throws(Llama2Error) -> Int {
        let bottom = stack.count
        var step = first, position = start
        while true {
            budget -= 1
            guard budget > 0 else {
                throw Llama2Error(.unsupported, "the tokenizer's expression takes more than 1000 steps a byte on this text")
            }
            var failed = false
            switch program.steps[step] {
            case .one(let set):
                if position < text.count {
                    let (c, length) = scalar(text, position)
                    if program.sets[set].contains(c) { position += length } else { failed = true }
                } else {
                    failed = true
                }
                step += 1
            case .run(let set, let least, let most, let possessive, let number):
                failed = try !run(text, set, least, most, possessive, number, &position, next: step + 1)
                step += 1
            case .fork(let one, let other):
                try stack.append(Frame(step: Int32(other), run: -1, position: Int32(position), least: 0, more: 0))
                step = one
            case .choose(let number):
                let possible = program.choices[number].possible[position < text.count ? Int(text[position]) : 256]
                failed = try !choose(number, possible, &step, position)
            case .jump(let to): step = to
            case .look(let body, let next, let wanted):
                failed = try (match(text, body, position) >= 0) != wanted
                step = next
            case .behind(let set, let wanted):
                let isThere = position > 0 && program.sets[set].contains(scalar(text, before(text, position)).0)
                failed = isThere != wanted
                step += 1
            case .atomic(let body, let next):
                let end = try match(text, body, position)
                if end < 0 { failed = true } else { position = end }
                step = next
            case .assertion(let assertion):
                failed = !holds(assertion, text, position)
                step += 1
            case .accept:
                stack.truncate(to: bottom)
                return position
            case .fail: failed = true
            }
            while failed {
                guard stack.count > bottom else { return -1 }
                failed = try !retry(text, &step, &position)
            }
        }
    }

    private mutating func choose(_ number: Int, _ possible: UInt64, _ step: inout Int, _ position: Int) throws(Llama2Error) -> Bool {
        guard possible != 0 else { return false }
        let first = possible.trailingZeroBitCount
        let rest = possible & (possible &- 1)
        if rest != 0 {
            try stack.append(Frame(step: Int32(number), run: -2, position: Int32(position), least: 0, more: rest))
        }
        step = program.choices[number].starts[first]
        return true
    }

    /// Takes as much of the set as there is, and leaves on the stack what it would give up.
    private mutating func run(
        _ text: UnsafeBufferPointer<UInt8>, _ set: Int, _ least: Int, _ most: Int, _ possessive: Bool, _ number: Int, _ position: inout Int, next: Int
    ) throws(Llama2Error) -> Bool {
        var count = 0, end = position, smallest = position
        let vain = vain[number]
        let all = text.count
        // without a limit above, a place from which all failed before need not be passed
        let stop = most == .max && !possessive && vain.first <= vain.last ? Int(vain.first) : Int.max
        let last = Int(vain.last)
        let wanted = program.sets[set]
        while end < all, count < most {
            if count >= least, end >= stop, end <= last { break }
            let (c, length) = scalar(text, end)
            guard wanted.contains(c) else { break }
            end += length
            count += 1
            if count <= least { smallest = end }
        }
        budget -= count / 8
        guard count >= least else { return false }
        if possessive {
            position = end
            return true
        }
        var largest = end
        if count >= least, end >= stop, end <= last {
            largest = last
            // here it was tried in vain; one place before it is the largest that is left
            guard end > smallest else { return false }
            end = before(text, end)
        }
        if end > smallest || most == .max {
            try stack.append(
                Frame(step: Int32(next), run: Int32(most == .max ? number : -3), position: Int32(end), least: Int32(smallest), more: UInt64(largest)))
        }
        position = end
        return true
    }

    /// Goes back to what was left to be tried last. False: that was nothing.
    private mutating func retry(_ text: UnsafeBufferPointer<UInt8>, _ step: inout Int, _ position: inout Int) throws(Llama2Error) -> Bool {
        guard let frame = stack.popLast() else { return false }
        budget -= 1
        switch frame.run {
        case -1:
            step = Int(frame.step)
            position = Int(frame.position)
            return true
        case -2:
            position = Int(frame.position)
            return try choose(Int(frame.step), frame.more, &step, position)
        default:  // a run gives up its last character
            guard frame.position > frame.least else {
                if frame.run >= 0 { vain[Int(frame.run)] = Vain(first: frame.least, last: Int32(frame.more)) }
                return false
            }
            let end = before(text, Int(frame.position))
            var smaller = frame
            smaller.position = Int32(end)
            if smaller.position > frame.least || frame.run >= 0 { try stack.append(smaller) }
            step = Int(frame.step)
            position = end
            return true
        }
    }

    private func holds(_ assertion: RegexNode.Assertion, _ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> Bool {
        func isWord(_ place: Int) -> Bool { ScalarSet.word.contains(scalar(text, place).0) }
        switch assertion {
        case .textStart: return position == 0
        case .textEnd: return position == text.count
        case .textEndOrNewline: return position == text.count || position == text.count - 1 && text[position] == 0x0A
        // Ruby's anchors are those of lines; a line feed at the end begins no line
        case .lineStart: return position == 0 || text[position - 1] == 0x0A && position < text.count
        case .lineEnd: return position == text.count || text[position] == 0x0A
        case .wordBoundary, .notWordBoundary:
            let left = position > 0 && isWord(before(text, position)), right = position < text.count && isWord(position)
            return (left != right) == (assertion == .wordBoundary)
        }
    }
}
