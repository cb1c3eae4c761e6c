internal import Llama2Core

// The shortest text that is none of those that came. Where it has begun otherwise than all of them the automaton alone says the rest.
extension Endings {
    /// Places that a search looks at.
    private static let mostPlaces = 200_000

    private struct Way<State> { var state: State, from: Int32, byte: UInt8, cost: Int32 }

    private static func bytes<State>(_ ways: [Way<State>], _ last: Int32) -> [UInt8] {
        var out: [UInt8] = [], at = last
        while ways[Int(at)].from >= 0 {
            out.append(ways[Int(at)].byte)
            at = ways[Int(at)].from
        }
        return out.reversed()
    }

    /// What is still to come of a string's text; what it takes between the quotes; the tag that it ends with.
    func shortest(_ begin: StringState, _ form: Int32) throws(Llama2Error) -> (content: [UInt8], cost: Int32, tag: Int32)? {
        let f = program.strings[Int(form)], distances = try distances(f.dfa, isString: true), dfa = distances.dfa, seen = automaton.seen
        let stepper = StringStepper(
            form: f, dfa: dfa, tagSets: program.tagSets,
            allowed: begin.allowed >= 0 ? automaton.tuples[begin.allowed] : UnsafeBufferPointer(start: nil, count: 0), seen: seen)
        let tags: [Int32] =
            f.reachable.isEmpty
            ? [-1]
            : (0..<Int32(truncatingIfNeeded: stepper.allowed.count * 32)).filter { tag in
                stepper.allowed[Int(tag) / 32] >> (tag % 32) & 1 != 0
            }
        /// How far the end is where nothing is alike any more, and the tag that is nearest.
        func rest(_ s: StringState) throws(Llama2Error) -> (cost: Int32, tag: Int32) {
            var best: (cost: Int32, tag: Int32) = (Endings.never, -1)
            for tag in tags {
                var cost = try tag < 0 ? distances.nearest[Int(s.dfa)] : distances.distance(s.dfa, tag: tag)
                if f.isAny { cost = Endings.plus(cost, max(0, f.least - s.count)) }
                if cost < best.cost { best = (cost, tag) }
            }
            return best
        }
        var ways = [Way(state: begin, from: -1, byte: 0, cost: 0)], queue = try CostQueue()
        // the number of a way, doubled; odd: with what is left
        try queue.push(0, 0)
        while let (cost, number) = queue.pop() {
            let way = ways[Int(number / 2)], s = way.state
            if number % 2 == 1 {
                var content = Endings.bytes(ways, number / 2), at = s.dfa, count = s.count
                let (_, tag) = try rest(s)
                while let (byte, to) = try distances.step(at, tag: tag) {
                    content.append(byte)
                    if f.isAny, byte < 0x80 || byte >= 0xC0 { count += 1 }
                    at = to
                }
                while f.isAny, count < f.least {
                    guard let edge = dfa.edges(of: at).first(where: { $0.to == at && $0.high >= 0x20 }) else { return nil }
                    content.append(EndDistances.byte(edge, isString: true).byte)
                    count += 1
                }
                return (content, cost, dfa.tags[Int(at)])
            }
            if s.alike.isNone {
                let (left, _) = try rest(s)
                if left < Endings.never { try queue.push(cost + left, number + 1) }
                continue
            }
            if stepper.mayEnd(s), !f.isAny || s.count >= f.least {
                return (Endings.bytes(ways, number / 2), cost, dfa.tags[Int(s.dfa)])
            }
            guard ways.count < Endings.mostPlaces else { return nil }
            for edge in dfa.edges(of: s.dfa) {
                var isOther = false
                for byte in edge.low...edge.high {
                    var next = s
                    next.dfa = edge.to
                    next.alike = seen.following(s.alike, byte)
                    // of the bytes with which nothing goes on, one that takes least
                    if next.alike.isNone {
                        if isOther || EndDistances.cost(byte) > EndDistances.byte(edge, isString: true).weight { continue }
                        isOther = true
                    }
                    if f.isAny, byte < 0x80 || byte >= 0xC0 {
                        if f.most >= 0, s.count >= f.most { continue }
                        next.count += 1
                    }
                    try queue.push(cost + EndDistances.cost(byte), Int32(truncatingIfNeeded: 2 * ways.count))
                    ways.append(Way(state: next, from: number / 2, byte: byte, cost: 0))
                }
            }
        }
        return nil
    }

    /// What is still to come of a number or word.
    func shortest(_ begin: DifferingState, _ dfa: DFA, _ automaton: Int32) throws(Llama2Error) -> [UInt8]? {
        let distances = try distances(automaton), seen = self.automaton.seen
        var ways = [Way(state: begin, from: -1, byte: 0, cost: 0)], queue = try CostQueue(), visited: Set<[Int32]> = []
        try queue.push(0, 0)
        while let (cost, number) = queue.pop() {
            let s = ways[Int(number / 2)].state
            if number % 2 == 1 {
                var text = Endings.bytes(ways, number / 2), at = s.state
                while let (byte, to) = try distances.step(at) {
                    text.append(byte)
                    at = to
                }
                return text
            }
            if s.isNew(seen) {
                try queue.push(cost + distances.nearest[Int(s.state)], number + 1)
                continue
            }
            if s.mayEnd(dfa, seen) { return Endings.bytes(ways, number / 2) }
            guard visited.insert(s.numbers).inserted, ways.count < Endings.mostPlaces else { continue }
            for edge in dfa.edges(of: s.state) {
                var isOther = false
                for byte in edge.low...edge.high {
                    let next = s.following(byte, edge.to, seen)
                    if next.isNew(seen) {
                        if isOther { continue }
                        isOther = true
                    }
                    try queue.push(cost + 1, Int32(truncatingIfNeeded: 2 * ways.count))
                    ways.append(Way(state: next, from: number / 2, byte: byte, cost: 0))
                }
            }
        }
        return nil
    }
}
