import Llama2Core

/// A regular expression as a list of steps for `RegexMatcher`.
struct RegexProgram: Sendable {
    enum Step: Sendable {
        /// One code point of the set.
        case one(Int)  // index into sets
        /// As many of the set as there are, at least `least`; fewer when what follows asks for it, unless possessive.
        case run(set: Int, least: Int, most: Int, possessive: Bool, number: Int)
        /// First `first`; when that fails, `second`.
        case fork(first: Int, second: Int)
        /// The alternatives that may begin with the next byte, in order.
        case choose(Int)  // index into choices
        case jump(Int)
        /// The steps up to their `accept`, from here; then `next`, at the same place.
        case look(body: Int, next: Int, wanted: Bool)
        /// The character before is in the set, or not.
        case behind(set: Int, wanted: Bool)
        /// The steps up to their `accept`, of which the first way counts; then `next`, where they ended.
        case atomic(body: Int, next: Int)
        case assertion(RegexNode.Assertion)
        case accept
        case fail
    }

    struct Choice: Sendable {
        var starts: [Int] = []
        /// By next byte, 256 is the end: a bit for each alternative that may begin so.
        var possible: [UInt64] = []
    }

    private(set) var steps: [Step] = []
    private(set) var sets: [ScalarSet] = []
    private(set) var choices: [Choice] = []
    private(set) var runs = 0
    /// Whether a match may begin with this byte; 256 is the end of the text.
    private(set) var begins: [Bool] = []
    private static let mostSteps = 1 << 14

    init(_ pattern: [UInt8]) throws(Llama2Error) {
        try self.init(RegexParser.parse(pattern))
    }

    /// The text itself, without any meaning of its characters.
    init(literal: [UInt8]) throws(Llama2Error) {
        let scalars = String(decoding: literal, as: UTF8.self).unicodeScalars
        try self.init(.sequence(scalars.map { .set(ScalarSet([$0.value...$0.value])) }))
    }

    private init(_ node: RegexNode) throws(Llama2Error) {
        try add(node)
        try add(.accept)
        let first = RegexProgram.first(node)
        begins = (0...256).map { first.bytes[$0] || first.isEmpty }
    }

    private mutating func add(_ step: Step) throws(Llama2Error) {
        guard steps.count < RegexProgram.mostSteps else { throw Llama2Error(.unsupported, "an expression of more than \(RegexProgram.mostSteps) steps") }
        steps.append(step)
    }

    private mutating func index(_ set: ScalarSet) -> Int {
        if let known = sets.firstIndex(of: set) { return known }
        sets.append(set)
        return sets.count - 1
    }

    private mutating func add(_ node: RegexNode) throws(Llama2Error) {
        switch node {
        case .empty: break
        case .set(let set): try add(set.isEmpty ? .fail : .one(index(set)))
        case .sequence(let list): for part in list { try add(part) }
        case .alternatives(let list): try addAlternatives(list)
        case .assertion(let assertion): try add(Step.assertion(assertion))
        case .atomic(let body):
            let place = steps.count
            try add(.fail)
            try add(body)
            try add(.accept)
            steps[place] = .atomic(body: place + 1, next: steps.count)
        case .look(.set(let set), ahead: false, let wanted): try add(.behind(set: index(set), wanted: wanted))
        case .look(let body, _, let wanted):
            let place = steps.count
            try add(.fail)
            try add(body)
            try add(.accept)
            steps[place] = .look(body: place + 1, next: steps.count, wanted: wanted)
        case .loop(let body, let least, let most, let kind): try addLoop(body, least, most, kind)
        }
    }

    private mutating func addLoop(_ body: RegexNode, _ least: Int, _ most: Int?, _ kind: RegexNode.Greed) throws(Llama2Error) {
        if case .set(let set) = body, kind != .lazy {
            if set.isEmpty {
                if least > 0 { try add(.fail) }
                return
            }
            try add(.run(set: index(set), least: least, most: most ?? .max, possessive: kind == .possessive, number: runs))
            runs += 1
            return
        }
        if kind == .possessive { return try add(.atomic(.loop(body, least: least, most: most, kind: .greedy))) }
        for _ in 0..<least { try add(body) }
        func fork(_ inside: Int, _ outside: Int) -> Step {
            kind == .lazy ? .fork(first: outside, second: inside) : .fork(first: inside, second: outside)
        }
        guard let most else {
            // L: fork body, end; body; jump L
            let place = steps.count
            try add(.fail)
            try add(body)
            try add(.jump(place))
            steps[place] = fork(place + 1, steps.count)
            return
        }
        var places: [Int] = []
        for _ in least..<max(most, least) {
            places.append(steps.count)
            try add(.fail)
            try add(body)
        }
        for place in places { steps[place] = fork(place + 1, steps.count) }
    }

    private mutating func addAlternatives(_ list: [RegexNode]) throws(Llama2Error) {
        guard list.count <= 64 else { throw Llama2Error(.unsupported, "an expression with \(list.count) alternatives side by side; the limit is 64") }
        let number = choices.count
        choices.append(Choice())
        try add(.choose(number))
        var choice = Choice(), ends: [Int] = []
        choice.possible = Array(repeating: 0, count: 257)
        for (i, node) in list.enumerated() {
            let first = RegexProgram.first(node)
            for byte in 0...256 where first.bytes[byte] || first.isEmpty { choice.possible[byte] |= 1 << UInt64(i) }
            choice.starts.append(steps.count)
            try add(node)
            ends.append(steps.count)
            try add(.fail)
        }
        for end in ends { steps[end] = .jump(steps.count) }
        choices[number] = choice
    }

    /// The bytes that a match may begin with, and whether it may take none.
    private static func first(_ node: RegexNode) -> (bytes: [Bool], isEmpty: Bool) {
        let none = Array(repeating: false, count: 257)
        func union(_ a: [Bool], _ b: [Bool]) -> [Bool] { zip(a, b).map { $0 || $1 } }
        switch node {
        case .empty, .look, .assertion: return (none, true)
        case .set(let set):
            var bytes = none
            for c in 0..<128 where set.contains(UInt32(c)) { bytes[c] = true }
            // of characters beyond ASCII, and of bytes that are none, all
            if let last = set.ranges.last, last.upperBound >= 0x80 { for c in 128..<256 { bytes[c] = true } }
            return (bytes, false)
        case .sequence(let list):
            var bytes = none
            for part in list {
                let first = first(part)
                bytes = union(bytes, first.bytes)
                if !first.isEmpty { return (bytes, false) }
            }
            return (bytes, true)
        case .alternatives(let list):
            return list.map(first).reduce((none, false)) { (union($0.0, $1.bytes), $0.1 || $1.isEmpty) }
        case .loop(let body, let least, _, _):
            let first = first(body)
            return (first.bytes, first.isEmpty || least == 0)
        case .atomic(let body): return first(body)
        }
    }
}
