internal import Llama2Core

/// How a text can be brought to its end: from each stack of frames the shortest way on, in bytes, and how many tokens it takes at least. Found when it
/// is first asked for. One thread at a time.
///
///     nodes     a byte (or a token that the grammar names) and the node behind it: the ways on as a tree that grows from the end, in which
///               whatever ends alike is shared
///     nodeOf    (frames) where the way on begins from the stack with that frame on top; `unknown`, or `none`
///
/// From where one byte of a way leads the way on is the rest of it: the choices depend on nothing but what is left to be written. So whoever follows
/// one needs a token less with each token.
final class Endings {
    /// More bytes than a text is brought to its end with.
    static let never: Int32 = 1 << 24
    static let mostBytes = 1 << 18
    /// Members times counts times demands of one object.
    static let mostPlanned = 1 << 22
    static let unknown: Int32 = -2, none: Int32 = -1

    struct Node: BitwiseCopyable {
        var byte: UInt8
        var token: Int32 = -1  // instead of the byte
        var next: Int32
        var length: Int32, tokens: Int32
    }
    struct Link: BitwiseCopyable { var frame: Int32, byte: Int32 = -1, token: Int32 = -1 }
    /// What punctuation takes.
    struct Marks {
        var openObject: Int32 = 0, closeObject: Int32 = 0, closeEmptyObject: Int32 = 0
        var openArray: Int32 = 0, closeArray: Int32 = 0, closeEmptyArray: Int32 = 0, comma: Int32 = 0, colon: Int32 = 0
    }

    let automaton: Automaton
    let program: Program
    unowned(unsafe) let vocabulary: GrammarVocabulary  // see GrammarCache
    // what parts take, see Endings+Costs
    var isSettled = false
    var values: [Int32] = [], bestLeaf: [Int32] = [], code: [Int32] = [], bestBranch: [Int32] = []
    var marks = Marks()
    var plainDistances: [Int32: EndDistances] = [:], stringDistances: [Int32: EndDistances] = [:]
    var keyCosts: [Int32: [Int32]] = [:]

    private(set) var nodes: GrowingBuffer<Node>
    private var nodeOf: GrowingBuffer<Int32>
    private var path: GrowingBuffer<Link>
    private var needs: GrowingBuffer<Int32>  // (states) -1: unknown
    var bounds: GrowingBuffer<Int32>  // (states) -1: unknown
    var behindText: GrowingBuffer<Int32>  // (states) -1: unknown
    // work of `GrammarMatcher.mask(within:)`
    let steps: AlignedBuffer<Int32>  // (deepest + 1)
    let row: AlignedBuffer<UInt32>  // (words)

    init(_ automaton: Automaton, _ vocabulary: GrammarVocabulary) throws(Llama2Error) {
        let what: StaticString = "ends of a grammar"
        self.automaton = automaton
        program = automaton.program
        self.vocabulary = vocabulary
        nodes = try GrowingBuffer(capacity: 256, of: what)
        nodeOf = try GrowingBuffer(capacity: 1024, of: what)
        path = try GrowingBuffer(capacity: 256, of: what)
        needs = try GrowingBuffer(capacity: 256, of: what)
        bounds = try GrowingBuffer(capacity: 256, of: what)
        behindText = try GrowingBuffer(capacity: 256, of: what)
        steps = try AlignedBuffer(count: vocabulary.deepest + 1, of: "ends of a grammar")
        row = try AlignedBuffer(count: (vocabulary.count + 31) / 32, of: "ends of a grammar")
        try nodes.append(Node(byte: 0, next: Endings.none, length: 0, tokens: 0))
    }

    /// Whether so much is known that starting anew is better.
    var isFull: Bool { nodes.count > 2_000_000 || nodeOf.count > 3_000_000 }

    // MARK: States

    /// Tokens that a state needs at least, the end token not counted; `never` where it is too far.
    func need(_ state: Int32) throws(Llama2Error) -> Int32 {
        while needs.count <= Int(state) { try needs.append(-1) }
        if needs[Int(state)] >= 0 { return needs[Int(state)] }
        let best = try node(ofState: state), tokens = best == Endings.none ? Endings.never : nodes[Int(best)].tokens
        needs[Int(state)] = tokens
        return tokens
    }

    /// Where the way on begins; `none`.
    func node(ofState state: Int32) throws(Llama2Error) -> Int32 {
        if automaton.canEnd(state) { return 0 }
        var best = Endings.none
        for index in 1..<max(1, automaton.states[state].count) {
            let node = try node(of: automaton.states[state][index])
            guard node != Endings.none else { continue }
            if best == Endings.none || (nodes[Int(node)].tokens, nodes[Int(node)].length) < (nodes[Int(best)].tokens, nodes[Int(best)].length) { best = node }
        }
        return best
    }

    // MARK: Nodes

    private func add(_ byte: UInt8, _ next: Int32) throws(Llama2Error) -> Int32 {
        let length = nodes[Int(next)].length + 1, number = Int32(truncatingIfNeeded: nodes.count)
        // where items must differ a token that reaches over the end of one is not always possible: as if each byte were one
        try nodes.append(Node(byte: byte, next: next, length: length, tokens: length))
        guard !program.remembers else { return number }
        nodes[Int(number)].tokens = min(fewest(number, vocabulary.plainTree), fewest(number, vocabulary.special))
        return number
    }

    /// One token more than what is behind the token of `tree` that leaves the fewest.
    private func fewest(_ node: Int32, _ tree: VocabularyTree) -> Int32 {
        var at = node, place = 0, end = tree.count, fewest = Endings.never
        while at != 0, nodes[Int(at)].token < 0 {
            let one = nodes[Int(at)]
            while place < end, tree.byte.pointer[place] != one.byte { place = Int(tree.after.pointer[place]) }
            guard place < end else { break }
            if tree.first.pointer[place] >= 0 { fewest = min(fewest, nodes[Int(one.next)].tokens + 1) }
            end = Int(tree.after.pointer[place])
            place += 1
            at = one.next
        }
        return fewest
    }

    /// Where the way on from the stack below and with `frame` begins; `none`.
    func node(of frame: Int32) throws(Llama2Error) -> Int32 {
        if Int(frame) < nodeOf.count, nodeOf[Int(frame)] != Endings.unknown { return nodeOf[Int(frame)] }
        try settleCosts()
        path.removeAll()
        // 1. on to what is known, frame by frame
        var at = frame, base = Endings.none
        while true {
            if Int(at) < nodeOf.count, nodeOf[Int(at)] != Endings.unknown {
                base = nodeOf[Int(at)]
                break
            }
            if automaton.frame(at).0 == Program.Frame.end {
                base = 0
                break
            }
            guard path.count <= Endings.mostBytes, let next = try follow(at) else { break }
            at = next
        }
        // 2. and back
        var isTooLong = base == Endings.none || Int(nodes[Int(base)].length) + path.count > Endings.mostBytes
        for link in path.elements.reversed() {
            if !isTooLong {
                if link.byte >= 0 {
                    base = try add(UInt8(truncatingIfNeeded: link.byte), base)
                } else if link.token >= 0 {
                    let behind = nodes[Int(base)]
                    try nodes.append(Node(byte: 0, token: link.token, next: base, length: behind.length + 1, tokens: behind.tokens + 1))
                    base = Int32(truncatingIfNeeded: nodes.count - 1)
                }
                isTooLong = nodes[Int(base)].tokens >= Endings.never
            }
            if isTooLong { base = Endings.none }
            guard link.frame >= 0 else { continue }
            while nodeOf.count <= Int(link.frame) { try nodeOf.append(Endings.unknown) }
            nodeOf[Int(link.frame)] = base
        }
        return base
    }

    func link(_ frame: Int32, byte: UInt8) throws(Llama2Error) { try path.append(Link(frame: frame, byte: Int32(byte))) }
    func link(_ frame: Int32, token: Int32) throws(Llama2Error) { try path.append(Link(frame: frame, token: token)) }
    func link(_ frame: Int32) throws(Llama2Error) { try path.append(Link(frame: frame)) }
    /// Several bytes, with no frame between them.
    func link(_ frame: Int32, bytes: [UInt8]) throws(Llama2Error) {
        guard let first = bytes.first else { return try link(frame) }
        try link(frame, byte: first)
        for byte in bytes.dropFirst() { try link(-1, byte: byte) }
    }
}
