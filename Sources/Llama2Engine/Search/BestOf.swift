public import Llama2Core
internal import Llama2Model
internal import Llama2Sampling

extension Context {
    public static let mostSideBySide = 256

    /// A text of each sampler, side by side behind one prompt that is evaluated once; the most probable first, by the mean of the logarithms
    /// of its tokens' probabilities. Each text is the one that its sampler would write alone.
    ///
    /// texts: (samplers.count, maxTokens) receives their tokens, the end token among them. Returns where each lies, and which sampler's it is.
    public func bestOf(
        _ prompt: UnsafeBufferPointer<Int32>, _ boxes: [SamplerBox], maxTokens: Int, _ texts: UnsafeMutablePointer<Int32>
    ) throws(Llama2Error) -> [(text: FoundText, sampler: Int)] {
        // 1. what can be refused is refused before anything changes
        try checkSearch(prompt, maxTokens: maxTokens)
        guard (1...Context.mostSideBySide).contains(boxes.count) else {
            throw Llama2Error(.invalidArgument, "\(boxes.count) samplers, expected 1 to \(Context.mostSideBySide)")
        }
        let tokenizer = try model.tokenizer(), copy = try copied(prompt[...])
        try check(copy.elements)
        let sequences = try emptySequences(boxes.count)
        var taken = 0
        defer { for box in boxes[..<taken] { box.giveBack() } }
        var samplers: [Sampler] = []
        for box in boxes {
            samplers.append(try box.take())
            taken += 1
        }
        for sampler in samplers {
            try checkGrammar(sampler)
            try sampler.prepare(model.vocabularySize)
            sampler.setHost(inference.hostMode)
        }
        defer { empty(sequences) }
        try begin(copy.elements, on: sequences[0])
        for sequence in sequences.dropFirst() { try inference.copy(sequences[0], to: sequence, length: copy.count) }
        for sampler in samplers { sampler.beginText() }

        // 2. a token more of each a round
        var found = samplers.indices.map { index in
            var text = FoundText()
            text.first = index * maxTokens
            return (text: text, sampler: index)
        }
        var living = Array(samplers.indices), isFirst = true
        while !living.isEmpty {
            var going: [Int] = []
            for (place, index) in living.enumerated() {
                let row = try logits(isFirst ? 0 : place), sampler = samplers[index]
                guard !sampler.endsHere else {
                    found[index].text.end = .token
                    continue
                }
                let token = try sampler.take(row.span)
                if let softmax = try LogSoftmax(row) { found[index].text.score += softmax.of(row[Int(token)]) }
                texts[found[index].text.first + found[index].text.count] = token
                found[index].text.count += 1
                if tokenizer.isEndOfGeneration(token) {
                    found[index].text.end = .token
                } else if found[index].text.count < maxTokens {
                    going.append(index)
                }
            }
            (living, isFirst) = (going, false)
            guard !going.isEmpty else { break }
            try eval(count: going.count) {
                let text = found[going[$0]].text
                return BatchEntry(
                    token: texts[text.first + text.count - 1], sequence: Int32(truncatingIfNeeded: sequences[going[$0]]), wantsLogits: true)
            }
        }
        for index in found.indices { found[index].text.score /= Double(max(found[index].text.count, 1)) }
        // of equals the first sampler's
        return found.sorted { $0.text.score != $1.text.score ? $0.text.score > $1.text.score : $0.sampler < $1.sampler }
    }
}
