public import Llama2Core
internal import Llama2Model

/// What a beam search is told.
public struct BeamOptions: Sendable {
    public enum Stop: Sendable { case whenNoneIsLikely, whenFull, whenNoneIsPossible }

    public var width = 4, maxTokens = 1
    /// A sum of logarithms is divided by length^lengthPenalty.
    public var lengthPenalty = 0.0
    public var stop = Stop.whenNoneIsLikely

    static let mostWidth = 256

    public init() {}
}

/// The best of what it is shown, by falling value; of equals the first.
private struct BestFew<Payload: BitwiseCopyable>: ~Copyable {
    struct Entry: BitwiseCopyable { var value: Double, payload: Payload }
    private let memory: AlignedBuffer<Entry>  // (most)
    private(set) var count = 0

    init(_ most: Int) throws(Llama2Error) { memory = try AlignedBuffer(count: most, of: "the best of a search") }

    subscript(rank: Int) -> Entry { memory[rank] }
    var isFull: Bool { count == memory.count }
    /// What a value must exceed.
    var least: Double { isFull ? memory[count - 1].value : -.infinity }

    mutating func removeAll() { count = 0 }

    mutating func add(_ value: Double, _ payload: Payload) {
        guard value > least || !isFull else { return }
        var rank = isFull ? count - 1 : count
        while rank > 0, memory[rank - 1].value < value {
            memory[rank] = memory[rank - 1]
            rank -= 1
        }
        memory[rank] = Entry(value: value, payload: payload)
        if !isFull { count += 1 }
    }
}

/// The texts that beams have written: which beam of the step before each went on from, and with which token.
private struct BeamTrail: ~Copyable {
    private let parents: AlignedBuffer<Int32>, tokens: AlignedBuffer<Int32>  // (steps, width)
    private let width: Int

    init(steps: Int, width: Int) throws(Llama2Error) {
        // both limits keep the product far inside 63 bits
        let parents = try AlignedBuffer<Int32>(count: steps * width, of: "texts of a search")
        tokens = try AlignedBuffer<Int32>(count: steps * width, of: "texts of a search")
        self.parents = parents
        self.width = width
    }

    func put(_ step: Int, _ beam: Int, parent: Int32, token: Int32) {
        parents[step * width + beam] = parent
        tokens[step * width + beam] = token
    }

    /// Writes the text of `beam` after `count` steps.
    func write(_ count: Int, _ beam: Int32, to target: UnsafeMutablePointer<Int32>) {
        var beam = Int(beam)
        for step in (0..<count).reversed() {
            target[step] = tokens[step * width + beam]
            beam = Int(parents[step * width + beam])
        }
    }
}

extension Context {
    /// A token behind a beam, by the beam's number.
    private struct Candidate: BitwiseCopyable { var beam: Int32, token: Int32 }
    /// A text that ended: `length` tokens, all but the last those of a beam.
    private struct Done: BitwiseCopyable { var beam: Int32, token: Int32, length: Int, isEnd: Bool }

    /// The most probable texts that a search with `width` beams finds, the best first: beam search without sampling, as Hugging Face's
    /// transformers has it. Beams are sequences that share their pages; they are empty before and afterwards.
    ///
    /// texts: (wanted, maxTokens) receives their tokens, the end token among them; wanted is at most the width. Returns where each lies.
    public func beamSearch(
        _ prompt: UnsafeBufferPointer<Int32>, _ o: BeamOptions, wanted: Int, _ texts: UnsafeMutablePointer<Int32>
    ) throws(Llama2Error) -> [FoundText] {
        // 1. what can be refused is refused before anything changes
        try checkSearch(prompt, maxTokens: o.maxTokens)
        guard (1...BeamOptions.mostWidth).contains(o.width) else {
            throw Llama2Error(.invalidArgument, "width is \(o.width), expected 1 to \(BeamOptions.mostWidth)")
        }
        guard (1...o.width).contains(wanted) else { throw Llama2Error(.invalidArgument, "\(wanted) texts are wanted, expected 1 to the width, \(o.width)") }
        guard o.lengthPenalty.isFinite else { throw Llama2Error(.invalidArgument, "length_penalty is \(o.lengthPenalty), expected a finite number") }
        // beyond these, scores would be zeros, infinities or none at all, and rank nothing
        guard (1e-100...1e100).contains(power(Double(o.maxTokens), o.lengthPenalty)) else {
            throw Llama2Error(
                .invalidArgument, "length_penalty is \(o.lengthPenalty), with which \(o.maxTokens)^length_penalty is not between 1e-100 and 1e100")
        }
        let tokenizer = try model.tokenizer(), copy = try copied(prompt[...])
        try check(copy.elements)
        let sequences = try emptySequences(o.width), trail = try BeamTrail(steps: o.maxTokens, width: o.width)
        // the best of all for what ends, and of those that do not end, which go on
        var best = try BestFew<Candidate>(o.width), going = try BestFew<Candidate>(o.width), done = try BestFew<Done>(o.width)
        defer { empty(sequences) }
        try begin(copy.elements, on: sequences[0])

        // 2. a token more a round
        var home = [sequences[0]], scores = [0.0], length = 0, isImprovable = true
        while true {
            best.removeAll()
            going.removeAll()
            for (beam, score) in scores.enumerated() {
                let row = try logits(beam)
                guard let softmax = try LogSoftmax(row) else { continue }
                for (id, logit) in row.enumerated() where logit > -.infinity {
                    let total = softmax.of(logit) + score
                    // as many that go on are better already: then they are among the best, too
                    guard total > going.least || !going.isFull else { continue }
                    let candidate = Candidate(beam: Int32(truncatingIfNeeded: beam), token: Int32(truncatingIfNeeded: id))
                    best.add(total, candidate)
                    if !tokenizer.isEndOfGeneration(candidate.token) { going.add(total, candidate) }
                }
            }
            // 3. what ends is done, if it is among the best
            length += 1
            let isLast = length == o.maxTokens, wasFull = done.isFull && o.stop == .whenFull
            for rank in 0..<best.count where isImprovable && !wasFull {
                let score = best[rank].value, candidate = best[rank].payload, isEnd = tokenizer.isEndOfGeneration(candidate.token)
                guard isEnd || isLast else { continue }
                done.add(
                    score / power(Double(length), o.lengthPenalty), Done(beam: candidate.beam, token: candidate.token, length: length, isEnd: isEnd))
            }
            if isLast || going.count == 0 { break }
            // 4. is there anything to be gained?
            let longest = o.stop == .whenNoneIsPossible && o.lengthPenalty > 0 ? o.maxTokens : length
            isImprovable = isImprovable && (!done.isFull || going[0].value / power(Double(longest), o.lengthPenalty) > done.least)
            if !isImprovable || done.isFull && o.stop == .whenFull { break }
            // 5. each goes on where its parent stands, further children of a parent on copies
            home = try fork(home, sequences, going)
            scores = (0..<going.count).map { going[$0].value }
            for place in scores.indices { trail.put(length - 1, place, parent: going[place].payload.beam, token: going[place].payload.token) }
            try eval(count: scores.count) {
                BatchEntry(token: going[$0].payload.token, sequence: Int32(truncatingIfNeeded: home[$0]), wantsLogits: true)
            }
        }

        // 6. the texts
        return (0..<min(wanted, done.count)).map { rank in
            let score = done[rank].value, text = done[rank].payload, target = texts + rank * o.maxTokens
            trail.write(text.length - 1, text.beam, to: target)
            target[text.length - 1] = text.token
            var found = FoundText()
            (found.first, found.count, found.score) = (rank * o.maxTokens, text.length, score)
            if text.isEnd { found.end = .token }
            return found
        }
    }

    /// The sequences of the children of beams that stand on `home`.
    private func fork(_ home: [Int], _ sequences: [Int], _ children: borrowing BestFew<Candidate>) throws(Llama2Error) -> [Int] {
        var firstChild = [Int?](repeating: nil, count: home.count)
        for place in 0..<children.count {
            let beam = Int(children[place].payload.beam)
            if firstChild[beam] == nil { firstChild[beam] = place }
        }
        for beam in home.indices where firstChild[beam] == nil { try inference.truncate(home[beam], to: 0) }
        var unused = sequences.filter { sequence in !home.indices.contains { home[$0] == sequence && firstChild[$0] != nil } }
        var places: [Int] = []
        for place in 0..<children.count {
            let beam = Int(children[place].payload.beam)
            if firstChild[beam] == place {
                places.append(home[beam])
            } else if let sequence = unused.popLast() {  // there are as many as further children
                try inference.copy(home[beam], to: sequence, length: try inference.length(home[beam]))
                places.append(sequence)
            }
        }
        return places
    }
}
