public import Llama2Core

// A decoder between two tokens of a text, to go on elsewhere: STATE.md says every byte.
extension StreamingDecoder {
    private static let kind = SavedKind("L2DECOD", "decoder")

    /// What a token gives beside the state: the vocabulary's pieces, and whether control tokens give their names.
    private func fingerprint() throws(Llama2Error) -> UInt64 {
        var hash = WordHash()
        hash.add(special ? 1 : 0)
        hash.add(UInt64(tokenizer.count))
        for byte in tokenizer.pipeline.decoder.separator { hash.add(UInt64(byte)) }
        for token in 0..<Int32(truncatingIfNeeded: tokenizer.count) {
            let piece = try tokenizer.piece(token, special: special)
            hash.add(UInt64(piece.count))
            hash.add(piece.bytes)
        }
        return hash.value
    }

    public func save() throws(Llama2Error) -> GrowingBuffer<UInt8> {
        var record = try RecordWriter(content: 32)
        try record.begin(StreamingDecoder.kind)
        try record.put(try fingerprint())
        let (kind, left): (UInt32, Int) =
            switch state.trim.start {
            case .nothing: (0, 0)
            case .spaces(let left): (1, left)
            case .marksOfFirstToken: (2, 0)
            case .oneSpaceOfEach: (3, 0)
            }
        try record.put(kind)
        try record.put(UInt32(clamping: left))
        try record.put(UInt32(state.trim.isFirst ? 1 : 0))
        try record.put(UInt32(state.hasBegun ? 1 : 0))
        try record.put(UInt32(state.heldCount))
        for byte in [state.held.0, state.held.1, state.held.2, 0] { try record.put(byte) }
        return try record.finish()
    }

    /// Goes on where `save` was called. After an error nothing has changed.
    public func load(_ bytes: RawSpan) throws(Llama2Error) {
        try bytes.withUnsafeBytes { (bytes) throws(Llama2Error) in try load(record: bytes) }
    }

    private func load(record bytes: UnsafeRawBufferPointer) throws(Llama2Error) {
        var record = try RecordReader(bytes, StreamingDecoder.kind)
        guard try record.take() == fingerprint() else {
            throw Llama2Error(.invalidArgument, "the decoder that was saved has another vocabulary than this one, or other flags")
        }
        let kind: UInt32 = try record.take(), left: UInt32 = try record.take(), first: UInt32 = try record.take(), begun: UInt32 = try record.take()
        let count: UInt32 = try record.take()
        let held: (UInt8, UInt8, UInt8, UInt8) = (try record.take(), try record.take(), try record.take(), try record.take())
        let start: TokenDecoder.Start
        switch kind {
        case 0: start = .nothing
        case 1: start = .spaces(Int(left))
        case 2: start = .marksOfFirstToken
        case 3: start = .oneSpaceOfEach
        default: throw record.refused("a beginning of kind \(kind)")
        }
        guard kind == 1 || left == 0, first <= 1, begun <= 1, held.3 == 0 else { throw record.refused("numbers out of range") }
        try record.finish()
        // what is held back is the beginning of a character
        let bytes = [held.0, held.1, held.2]
        guard count <= 3, bytes.dropFirst(Int(count)).allSatisfy({ $0 == 0 }), count == 0 || isIncomplete(Array(bytes.prefix(Int(count)))) else {
            throw record.refused("\(count) bytes held back that begin no character")
        }
        state = State(trim: TokenDecoder.Trim(start, isFirst: first == 1), hasBegun: begun == 1, held: (held.0, held.1, held.2), heldCount: Int(count))
    }

    private func isIncomplete(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBufferPointer { if case .incomplete = decodeUTF8($0, at: 0) { true } else { false } }
    }
}
