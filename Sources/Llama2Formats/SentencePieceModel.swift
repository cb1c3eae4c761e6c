internal import Llama2Core

/// `tokenizer.model`: SentencePiece's ModelProto, of which the pieces and a few settings are read.
/// Source: sentencepiece_model.proto and the Protocol Buffers encoding.
struct SentencePieceModel {
    /// Keeps alive what tokens point into.
    private let file: MappedFile
    private(set) var tokens: [UnsafeRawBufferPointer] = []
    private(set) var scores: [Float] = []
    /// SentencePiece's types: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte; ggml uses the same numbers.
    private(set) var types: [Int32] = []
    private(set) var bos = 1, eos = 2, unknown = 0
    /// NormalizerSpec and TrainerSpec; the values of sentencepiece_model.proto when a field is absent.
    private(set) var addsDummyPrefix = true, removesExtraWhitespaces = true, escapesWhitespaces = true
    private(set) var whitespaceIsSuffix = false
    private(set) var characterMap = UnsafeRawBufferPointer(start: nil, count: 0)

    /// most: rows of the embedding, more pieces than which are refused as soon as they come.
    init(_ file: MappedFile, most: Int) throws(Llama2Error) {
        self.file = file
        do throws(Llama2Error) {
            // a piece takes at least two bytes, and stays where it lies
            let count = min(file.bytes.count / 2, most)
            try MemoryReserve.cover(
                .list(count, of: UnsafeRawBufferPointer.self) + .list(count, of: Float.self) + .list(count, of: Int32.self), for: "the pieces")
            var fields = ProtobufReader(file.bytes)
            while let field = try fields.next() {
                switch (field.number, field.content) {
                case (1, .bytes(let piece)):
                    guard tokens.count < most else { throw Llama2Error(.corrupt, "more pieces than the embedding has rows, which are \(most)") }
                    try addPiece(piece)
                case (2, .bytes(let trainer)): try readTrainer(trainer)
                case (3, .bytes(let normalizer)): try readNormalizer(normalizer)
                case (5, .bytes(let denormalizer)): try readDenormalizer(denormalizer)
                default: break
                }
            }
            guard !tokens.isEmpty else { throw Llama2Error(.corrupt, "no pieces: not a SentencePiece model") }
            try check()
        } catch {
            throw Llama2Error(error.kind, "\(file.path): \(error.message)")
        }
    }

    /// As GGUF's `tokenizer.*` keys, for an embedding of `count` rows.
    func add(to metadata: inout Metadata, count: Int, _ owned: OwnedBytes) throws(Llama2Error) {
        try MemoryReserve.cover(vocabulary: count, for: "the pieces of \(file.path)")
        var scores = scores, types = types
        let texts = try owned.keep(texts: (0..<count).lazy.map { $0 < tokens.count ? Array(tokens[$0]) : Array("[PAD\($0)]".utf8) })
        while types.count < count {  // rows without a piece
            scores.append(-1e6)
            types.append(5)
        }
        _ = metadata.insert(.tokenizerModel, .string(owned.keep(Array("llama".utf8))))
        putSettings(&metadata, owned)
        _ = metadata.insert(.tokens, .strings(texts))
        _ = metadata.insert(.scores, .array(.float32, count: count, owned.keep(scores)))
        _ = metadata.insert(.tokenTypes, .array(.int32, count: count, owned.keep(types)))
        for (key, id) in [(MetadataKey.bos, bos), (.eos, eos), (.unknown, unknown)] {
            // none is written as llama.cpp can read it
            _ = metadata.insert(key, .unsigned(UInt64(id >= 0 ? UInt32(truncatingIfNeeded: id) : .max)))
        }
        if bos < 0 { _ = metadata.insert(.addsBOS, .bool(false)) }
    }

    /// What is not as in Llama's own file: GGUF's keys, and ours for what GGUF has none.
    func putSettings(_ metadata: inout Metadata, _ owned: OwnedBytes) {
        if !addsDummyPrefix { putPrefix(false, &metadata) }
        if removesExtraWhitespaces { _ = metadata.insert(.removesExtraWhitespaces, .bool(true)) }
        if !characterMap.isEmpty {
            _ = metadata.insert(.characterMap, .array(.uint8, count: characterMap.count, owned.keep(Array(characterMap))))
        }
        if whitespaceIsSuffix { _ = metadata.insert(.whitespaceIsSuffix, .bool(true)) }
        if !escapesWhitespaces { _ = metadata.insert(.escapesWhitespaces, .bool(false)) }
        // a byte is what has the type of one; by a name alone only llama.cpp finds it
        let namesByte = !types.contains(6) && tokens.contains { $0.count == 6 && $0.starts(with: "<0x".utf8) }
        // and pieces of type unused have a text, which those of llama.cpp's files have not
        if types.contains(4) || types.contains(5) || namesByte { _ = metadata.insert(.keepsUserDefined, .bool(true)) }
    }

    func putPrefix(_ adds: Bool, _ metadata: inout Metadata) { _ = metadata.insert(.addsSpacePrefix, .bool(adds)) }

    /// What sentencepiece refuses when it opens a file.
    private mutating func check() throws(Llama2Error) {
        var unknowns = 0
        for (index, type) in types.enumerated() {
            guard !tokens[index].isEmpty else { throw Llama2Error(.corrupt, "piece \(index) is empty") }
            if type == 2 {
                unknowns += 1
                unknown = index
            }
        }
        guard unknowns == 1 else { throw Llama2Error(.corrupt, "\(unknowns) pieces of type unknown, expected 1") }
        for (name, id) in [("bos_id", bos), ("eos_id", eos)] where id >= tokens.count {
            throw Llama2Error(.corrupt, "\(name) is \(id), but there are \(tokens.count) pieces")
        }
    }

    private mutating func addPiece(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) {
        var text = UnsafeRawBufferPointer(start: nil, count: 0), score: Float = 0, type: Int32 = 1
        var fields = ProtobufReader(bytes)
        while let field = try fields.next() {
            switch (field.number, field.content) {
            case (1, .bytes(let piece)): text = piece
            case (2, .fixed32(let bits)): score = Float(bitPattern: bits)
            case (3, .varint(let value)):
                guard (1...6).contains(value) else { throw Llama2Error(.corrupt, "piece \(tokens.count) has type \(value), expected 1 to 6") }
                type = Int32(value)
            default: break
            }
        }
        guard score.isFinite else { throw Llama2Error(.corrupt, "piece \(tokens.count) has a score that is no number") }
        tokens.append(text)
        scores.append(score)
        types.append(type)
    }

    private mutating func readTrainer(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) {
        var fields = ProtobufReader(bytes)
        while let field = try fields.next() {
            guard case .varint(let value) = field.content else { continue }
            // ids are int32, -1 for none
            let id = Int(Int32(truncatingIfNeeded: value))
            switch field.number {
            case 3:
                // model_type: 1 unigram, 2 BPE
                guard value == 2 else { throw Llama2Error(.unsupported, "model type \(value) (1 is unigram); only BPE (2) is read") }
            case 24: whitespaceIsSuffix = value != 0
            case 41: bos = id
            case 42: eos = id
            default: break
            }
        }
    }

    /// Rules by which a decoded text is changed, as a whole: a text that comes token by token has none.
    private func readDenormalizer(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) {
        var fields = ProtobufReader(bytes)
        while let field = try fields.next() {
            guard field.number == 2, case .bytes(let map) = field.content, !map.isEmpty else { continue }
            throw Llama2Error(.unsupported, "denormalizer_spec has rules by which decoded texts are changed; such a model is not supported")
        }
    }

    private mutating func readNormalizer(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) {
        var fields = ProtobufReader(bytes)
        while let field = try fields.next() {
            switch (field.number, field.content) {
            case (2, .bytes(let map)): characterMap = map
            case (3, .varint(let value)): addsDummyPrefix = value != 0
            case (4, .varint(let value)): removesExtraWhitespaces = value != 0
            case (5, .varint(let value)): escapesWhitespaces = value != 0
            default: break
            }
        }
    }
}

/// The fields of one message, in order.
private struct ProtobufReader {
    enum Content { case varint(UInt64), fixed64(UInt64), bytes(UnsafeRawBufferPointer), fixed32(UInt32) }

    private var reader: ByteReader

    init(_ bytes: UnsafeRawBufferPointer) { reader = ByteReader(bytes) }

    mutating func next() throws(Llama2Error) -> (number: UInt64, content: Content)? {
        guard reader.remaining > 0 else { return nil }
        let tag = try varint(), number = tag >> 3
        switch tag & 7 {
        case 0: return (number, .varint(try varint()))
        case 1: return (number, .fixed64(try reader.number(UInt64.self, "field \(number)")))
        case 2:
            let length = try varint()
            guard length <= UInt64(reader.remaining) else {
                throw Llama2Error(.corrupt, "field \(number) announces \(length) bytes, but \(reader.remaining) follow")
            }
            return (number, .bytes(try reader.take(Int(length), "field \(number)")))
        case 5: return (number, .fixed32(try reader.number(UInt32.self, "field \(number)")))
        default: throw Llama2Error(.corrupt, "field \(number) has wire type \(tag & 7)")
        }
    }

    private mutating func varint() throws(Llama2Error) -> UInt64 {
        var value: UInt64 = 0, shift: UInt64 = 0
        while shift < 64 {
            let byte = try reader.number(UInt8.self, "a varint")
            // the tenth byte holds one bit
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 127) << shift
            if byte < 128 { return value }
            shift += 7
        }
        throw Llama2Error(.corrupt, "a varint of more than 64 bits before byte \(reader.offset)")
    }
}
