import Llama2Core

// From a text to tokens.
extension Tokenizer {
    /// The tokens of `text`. Bytes that are no UTF-8 are kept: each becomes a byte of its own.
    /// - Parameters bos, eos: begin with BOS, end with EOS, if the vocabulary has one.
    /// - Parameter parseSpecial: the name of a control token in the text becomes that token.
    public func tokenize(
        _ text: UnsafeRawBufferPointer, bos addBOS: Bool, eos addEOS: Bool = false, parseSpecial: Bool
    ) throws(Llama2Error) -> GrowingBuffer<Int32> {
        var out = try GrowingBuffer<Int32>(of: "tokens of a text")
        if addBOS, let bos { try out.append(bos) }
        try append(text, parseSpecial ? .all : .userDefined, isFirst: true, to: &out)
        if addEOS, let eos { try out.append(eos) }
        return out
    }

    /// The tokens of a text that goes on behind another one: no space is put before it.
    public func tokenizeRest(_ text: RawSpan) throws(Llama2Error) -> GrowingBuffer<Int32> {
        var out = try GrowingBuffer<Int32>(of: "tokens of a text")
        try text.withUnsafeBytes { (text) throws(Llama2Error) in try append(text, .userDefined, isFirst: false, to: &out) }
        return out
    }

    /// Appends the tokens of `text` between its added tokens, each run as a text of its own.
    /// - Parameter isFirst: the text is the first, or only, of what is put together; nil: it is when `out` is empty.
    func append(
        _ text: UnsafeRawBufferPointer, _ parsing: AddedTokens.Parsing, isFirst: Bool? = nil, to out: inout GrowingBuffer<Int32>
    ) throws(Llama2Error) {
        guard text.count <= 1 << 29 else {  // so that every offset fits 32 bits, spaces escaped
            throw Llama2Error(.invalidArgument, "a text of \(text.count) bytes; the limit is \(1 << 29)")
        }
        let bytes = text.bindMemory(to: UInt8.self), begins = isFirst ?? out.isEmpty
        var worker = try Worker(pipeline.model)
        try pipeline.added.split(bytes, parsing) { (range) throws(Llama2Error) in
            try tokenize(UnsafeBufferPointer(rebasing: bytes[range]), isFirst: begins && range.lowerBound == 0, parsing, range, &worker, &out)
        } found: { (token) throws(Llama2Error) in
            try out.append(token.id)
        }
    }

    /// What one call needs, made once.
    private struct Worker: ~Copyable {
        var queue: MergeQueue
        let scratch: PreTokenizer.Scratch?

        init(_ model: TokenPipeline.Model) throws(Llama2Error) {
            let queue = try MergeQueue()
            switch model {
            case .sentencePiece: scratch = nil
            case .merges(_, let pre, _): scratch = try PreTokenizer.Scratch(pre)
            }
            self.queue = queue
        }
    }

    /// One run of text between added tokens, from that place.
    private func tokenize(
        _ run: UnsafeBufferPointer<UInt8>, isFirst: Bool, _ parsing: AddedTokens.Parsing, _ place: Range<Int>, _ worker: inout Worker,
        _ out: inout GrowingBuffer<Int32>
    ) throws(Llama2Error) {
        switch pipeline.model {
        case .sentencePiece(let normalizer, let model):
            var progress = SentencePieceBPE.Progress()
            let prefix = isFirst || pipeline.addsSpaceAfterNames
            try normalizer.normalize(run, addsPrefix: prefix, mayCut: model.mayCut) { (piece) throws(Llama2Error) in
                try model.tokenize(piece, &worker.queue, &progress, into: &out)
            }
        case .merges(let normalizer, let pre, let model):
            guard let scratch = worker.scratch else { return }
            func words(_ text: UnsafeBufferPointer<UInt8>, _ isFirst: Bool) throws(Llama2Error) {
                try pre.split(text, isFirst: isFirst, scratch) { (word) throws(Llama2Error) in try model.tokenize(word, &worker.queue, into: &out) }
            }
            if normalizer.steps.isEmpty, pipeline.addedNormalized.isEmpty { return try words(run, isFirst) }
            var isAtStart = isFirst
            let text = try normalizer.normalize(run, isAtStart: &isAtStart)
            // who said what is not known of a text that was changed
            let isOwn = if case .trusted(let bytes) = parsing { bytes[place].allSatisfy { $0 } } else { true }
            let parsing = if case .trusted = parsing { isOwn ? AddedTokens.Parsing.all : .text } else { parsing }
            try pipeline.addedNormalized.split(text.elements, parsing) { (range) throws(Llama2Error) in
                try words(UnsafeBufferPointer(rebasing: text.elements[range]), isAtStart && range.lowerBound == 0)
            } found: { (token) throws(Llama2Error) in
                try out.append(token.id)
            }
        }
    }
}
