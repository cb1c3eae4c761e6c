import Llama2Core

/// The bytes that each token stands for, end to end.
struct TokenTexts: ~Copyable, Sendable {
    private let bytes: AlignedBuffer<UInt8>
    private let offsets: [Int32]  // (tokens + 1)
    /// Of each token's bytes where it is the first of a text, (tokens + 1); empty when they are the same.
    private let firstOffsets: [Int32]
    let longest: Int  // bytes

    func range(_ token: Int) -> Range<Int> { Int(offsets[token])..<Int(offsets[token + 1]) }
    func rangeOfFirst(_ token: Int) -> Range<Int> { Int(firstOffsets[token])..<Int(firstOffsets[token + 1]) }

    /// They live as long as the texts.
    subscript(range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: bytes.pointer + range.lowerBound, count: range.count) }

    /// isName: which tokens are found by their names.
    init(_ d: TokenizerDescription, _ types: [TokenType], isName: [Bool], _ pipeline: TokenPipeline) throws(Llama2Error) {
        var writer = TextWriter(d, types, isName, pipeline)
        let offsets = try writer.write(d.tokens, isFirst: false)
        let firstOffsets = pipeline.decoder.start == .marksOfFirstToken ? try writer.write(d.tokens, isFirst: true) : []
        let buffer = try AlignedBuffer<UInt8>(count: writer.out.count, of: "texts of the tokens"), start = buffer.pointer
        writer.out.withUnsafeBufferPointer { if let bytes = $0.baseAddress { start.update(from: bytes, count: $0.count) } }
        // from here on nothing throws: a struct without copies is whole or not there
        bytes = buffer
        self.offsets = offsets
        self.firstOffsets = firstOffsets
        longest = writer.longest
    }
}

/// Writes them one behind the other.
private struct TextWriter {
    let types: [TokenType], isName: [Bool], pipeline: TokenPipeline
    /// llama.cpp's file or sentencepiece's own: a name is a text as it is, and types say what a byte is.
    let hasTypes: Bool
    /// A token of type unused, or of none, has its text all the same: in sentencepiece's own files each, in llama.cpp's those that merges make.
    let keepsUnused: Bool
    let onlyNames: Set<Int>
    var out: [UInt8] = [], longest = 0

    init(_ d: TokenizerDescription, _ types: [TokenType], _ isName: [Bool], _ pipeline: TokenPipeline) {
        (self.types, self.isName, self.pipeline) = (types, isName, pipeline)
        hasTypes = d.settings == nil || d.settings?.isSentencePiece == true
        keepsUnused = if case .sentencePiece = pipeline.model { d.sentencePiece.keepsUserDefined } else { false }
        onlyNames = hasTypes ? [] : Set(d.settings?.onlyAdded ?? [])
        out.reserveCapacity(d.tokens.byteCount - 8 * types.count)
    }

    /// The texts of all tokens; returns where each begins, and the end.
    mutating func write(_ tokens: ByteStrings, isFirst: Bool) throws(Llama2Error) -> [Int32] {
        var offsets = [Int32(out.count)]
        offsets.reserveCapacity(types.count + 1)
        for (index, bytes) in tokens.walk().enumerated() {
            let before = out.count
            try append(index, bytes.bindMemory(to: UInt8.self), isFirst)
            guard out.count <= Int32.max else { throw Llama2Error(.unsupported, "tokens of more than 2 GiB together") }
            longest = max(longest, out.count - before)
            offsets.append(Int32(out.count))
        }
        return offsets
    }

    private mutating func append(_ index: Int, _ text: UnsafeBufferPointer<UInt8>, _ isFirst: Bool) throws(Llama2Error) {
        if Tokenizer.standsForNothing(types[index]), !keepsUnused, !(hasTypes && pipeline.makes(text)) {
            return  // a row of the embedding that stands for nothing: what it is called is no text
        }
        if let normalized = pipeline.normalizedNames[Int32(index)] {  // found normalized, it is text like any other
            return try normalized.withUnsafeBufferPointer { (text) throws(Llama2Error) in
                try pipeline.decoder.append(text, isName: false, isFirst: isFirst, to: &out)
            }
        }
        if hasTypes {
            if isName[index] { return out.append(contentsOf: text) }
            if types[index] == .byte, let byte = SentencePieceBPE.byteValue(text) { return out.append(byte) }
        }
        // what merges make too, of bytes for instance, is given like all that they make
        try pipeline.decoder.append(text, isName: isName[index] && (hasTypes || onlyNames.contains(index)), isFirst: isFirst, to: &out)
    }
}
