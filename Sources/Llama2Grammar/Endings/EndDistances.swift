internal import Llama2Core

/// How far the states of an automaton are from acceptance, in bytes of the text that is written.
///
/// The automaton's bytes are the text's, or characters of a JSON string: then a quote, a backslash and control characters count as their escapes.
/// Found by going back from the accepting states (Dijkstra, 1959).
final class EndDistances {
    let dfa: DFA
    private let isString: Bool
    // edges by where they lead: those to state s are heads[s] ..< heads[s + 1]
    private let heads: AlignedBuffer<Int32>  // (states + 1)
    private let sources: AlignedBuffer<Int32>  // (edges)
    private let weights: AlignedBuffer<UInt8>  // (edges)
    /// Bytes to the nearest accepting state.
    let nearest: AlignedBuffer<Int32>  // (states)
    private var byTag: [Int32: [Int32: Int32]] = [:]
    private var accepting: [Int32: [Int32]] = [:]  // by their tags

    init(_ dfa: DFA, isString: Bool) throws(Llama2Error) {
        self.dfa = dfa
        self.isString = isString
        let what = "distances of a grammar"
        heads = try AlignedBuffer(count: dfa.count + 1, of: what)
        sources = try AlignedBuffer(count: dfa.edges.count, of: what)
        weights = try AlignedBuffer(count: dfa.edges.count, of: what)
        nearest = try AlignedBuffer(count: dfa.count, of: what)
        for edge in dfa.edges { heads[Int(edge.to) + 1] += 1 }
        for state in 0..<dfa.count { heads[state + 1] += heads[state] }
        let places = try AlignedBuffer<Int32>(count: dfa.count, of: what)
        for state in 0..<dfa.count { places[state] = heads[state] }
        for state in 0..<Int32(truncatingIfNeeded: dfa.count) {
            for edge in dfa.edges(of: state) {
                let place = Int(places[Int(edge.to)])
                places[Int(edge.to)] += 1
                sources[place] = state
                weights[place] = UInt8(EndDistances.byte(edge, isString: isString).weight)
            }
            nearest[Int(state)] = Endings.never
            if dfa.accepts(state) { accepting[dfa.tags[Int(state)], default: []].append(state) }
        }
        try spread(accepting.values.joined(), known: { nearest[Int($0)] }, learn: { nearest[Int($0)] = $1 })
    }

    /// The lowest byte of those that cost least, and what it costs.
    static func byte(_ edge: DFA.Edge, isString: Bool) -> (byte: UInt8, weight: Int32) {
        guard isString else { return (edge.low, 1) }
        var best: (byte: UInt8, weight: Int32) = (edge.low, .max)
        for byte in edge.low...edge.high {
            let weight = cost(byte)
            if weight < best.weight { best = (byte, weight) }
            if weight == 1 { break }
        }
        return best
    }

    /// Bytes that a byte of a string's text takes between the quotes.
    static func cost(_ byte: UInt8) -> Int32 {
        switch byte {
        case 0x22, 0x5C, 0x08, 0x09, 0x0A, 0x0C, 0x0D: 2
        case 0x00..<0x20: 6
        default: 1
        }
    }

    private func spread(_ seeds: some Sequence<Int32>, known: (Int32) -> Int32, learn: (Int32, Int32) -> Void) throws(Llama2Error) {
        var queue = try CostQueue()
        for state in seeds {
            learn(state, 0)
            try queue.push(0, state)
        }
        while let (cost, state) = queue.pop() {
            guard cost == known(state) else { continue }
            for i in Int(heads[Int(state)])..<Int(heads[Int(state) + 1]) where cost + Int32(weights[i]) < known(sources[i]) {
                learn(sources[i], cost + Int32(weights[i]))
                try queue.push(cost + Int32(weights[i]), sources[i])
            }
        }
    }

    /// Bytes from `state` to an accepting state of that tag.
    func distance(_ state: Int32, tag: Int32) throws(Llama2Error) -> Int32 {
        if let known = byTag[tag] { return known[state] ?? Endings.never }
        var found: [Int32: Int32] = [:]
        try spread(accepting[tag] ?? [], known: { found[$0] ?? Endings.never }, learn: { found[$0] = $1 })
        byTag[tag] = found
        return found[state] ?? Endings.never
    }

    /// The next byte of a shortest way, and where it leads; tag -1: to any accepting state. nil: there is none, or it is there.
    func step(_ state: Int32, tag: Int32 = -1) throws(Llama2Error) -> (byte: UInt8, to: Int32)? {
        var best: (byte: UInt8, to: Int32)?, least = try tag < 0 ? nearest[Int(state)] : distance(state, tag: tag)
        guard least > 0, least < Endings.never else { return nil }
        least += 1
        for edge in dfa.edges(of: state) {
            let (byte, weight) = EndDistances.byte(edge, isString: isString)
            let cost = try weight + (tag < 0 ? nearest[Int(edge.to)] : distance(edge.to, tag: tag))
            if cost < least { (best, least) = ((byte, edge.to), cost) }
        }
        return best
    }
}

/// Numbers by what they cost, the cheapest first, and of those of equal cost the lowest.
struct CostQueue: ~Copyable {
    private var heap: MinHeap

    init() throws(Llama2Error) { heap = try MinHeap(of: "distances of a grammar") }

    mutating func push(_ cost: Int32, _ number: Int32) throws(Llama2Error) {
        try heap.push(UInt64(UInt32(bitPattern: cost)) << 32 | UInt64(UInt32(bitPattern: number)))
    }

    mutating func pop() -> (cost: Int32, number: Int32)? {
        heap.pop().map { (Int32(truncatingIfNeeded: $0 >> 32), Int32(truncatingIfNeeded: $0)) }
    }
}
