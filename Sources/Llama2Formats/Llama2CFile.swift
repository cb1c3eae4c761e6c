internal import Llama2Core

/// llama2.c's checkpoints (karpathy/llama2.c, export.py). With the seven numbers of the model,
///
///     config = int32 dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len
///     version 0:  config | F32 ...
///     version 1:  "24ka", int32 1 | config | u8 shared classifier | zeros to byte 256 | F32 ...
///     version 2:  "24ka", int32 2 | config | u8 shared classifier | int32 group | zeros to 256 | F32 norms | Q8_0 ...
///
/// In version 0 a negative vocab_size means an output matrix of its own at the end, and there is no magic
/// number: a file is one of these when the size that follows from its header is its size to the byte.
/// Version 2 stores a tensor as int8 weights followed by an F32 scale for each group; no GGUF type has F32
/// scales, so it is expanded to F32 in memory. The vocabulary lies beside the file, as
/// `tok<vocab_size>.bin`, `tokenizer.bin` or `tokenizer.model`.
/// It becomes what a GGUF file of the same model would say: names, shapes, keys.
struct Llama2CFile {
    let version: Int
    let metadata: Metadata
    let tensors: [TensorInfo]
    /// Memory that metadata points into.
    let owned: [AnyObject]

    private struct Header {
        let version: Int, dim, hidden, layers, heads, headsKV, vocabulary, length: Int
        let ownOutput: Bool
        /// Weights that share a scale; version 2.
        let group: Int

        /// Throws, naming the field, when the numbers are no model's.
        init(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) {
            let isNamed = Llama2CFile.hasMagic(bytes), first = isNamed ? 8 : 0
            guard bytes.count >= (isNamed ? 256 : 28) else {
                throw Llama2Error(.corrupt, "a checkpoint of llama2.c in \(bytes.count) bytes, fewer than its header has")
            }
            func number(_ offset: Int) -> Int { Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self))) }
            func field(_ name: StaticString, _ value: Int, _ range: ClosedRange<Int>) throws(Llama2Error) -> Int {
                guard range.contains(value) else {
                    throw Llama2Error(.corrupt, "\(name) of this llama2.c checkpoint is \(value), expected \(range.lowerBound) to \(range.upperBound)")
                }
                return value
            }
            version = isNamed ? number(4) : 0
            guard !isNamed || (1...2).contains(version) else {
                throw Llama2Error(.unsupported, "version \(version) of llama2.c's checkpoints; 1 and 2 are read")
            }
            ownOutput = isNamed ? bytes[36] == 0 : number(20) < 0
            // With these limits no product of three of them with 4 leaves 63 bits.
            dim = try field("dim", number(first), 1...1 << 16)
            hidden = try field("hidden_dim", number(first + 4), 1...1 << 20)
            layers = try field("n_layers", number(first + 8), 1...1 << 10)
            heads = try field("n_heads", number(first + 12), 1...dim)
            headsKV = try field("n_kv_heads", number(first + 16), 1...heads)
            vocabulary = try field("vocab_size", isNamed ? number(first + 20) : abs(number(first + 20)), 1...1 << 22)
            length = try field("seq_len", number(first + 24), 1...1 << 24)
            group = version == 2 ? try field("group_size", number(37), 1...dim) : 1
            guard dim % heads == 0, heads % headsKV == 0, dim / heads % 2 == 0 else {
                throw Llama2Error(
                    .corrupt,
                    "dim of this llama2.c checkpoint is \(dim), n_heads \(heads), n_kv_heads \(headsKV): they do not divide each other to an even head")
            }
            guard dim % group == 0, hidden % group == 0 else {
                throw Llama2Error(.corrupt, "group_size of this llama2.c checkpoint is \(group), which does not divide dim, \(dim), and hidden_dim, \(hidden)")
            }
        }

        var keyLength: Int { dim / heads * headsKV }
        var dataStart: Int { version == 0 ? 28 : 256 }

        typealias Part = (name: String, layers: Int, rows: Int, columns: Int)

        /// (name, layers, rows, columns), in the file's order; no name: skipped.
        var parts: [Part] {
            let embedding: Part = ("token_embd", 0, vocabulary, dim), output: Part = ("output", 0, vocabulary, dim)
            let attentionNorm: Part = ("attn_norm", layers, 1, dim), norm: Part = ("output_norm", 0, 1, dim)
            let feedForwardNorm: Part = ("ffn_norm", layers, 1, dim)
            let attention: [Part] = [
                ("attn_q", layers, dim, dim), ("attn_k", layers, keyLength, dim), ("attn_v", layers, keyLength, dim),
                ("attn_output", layers, dim, dim),
            ]
            let feedForward: [Part] = [
                ("ffn_gate", layers, hidden, dim), ("ffn_down", layers, dim, hidden), ("ffn_up", layers, hidden, dim),
            ]
            let last = ownOutput ? [output] : []
            if version > 0 { return [attentionNorm, feedForwardNorm, norm, embedding] + attention + feedForward + last }
            // the table without a name: cosines and sines of RoPE, which we compute
            return [embedding, attentionNorm] + attention + [feedForwardNorm] + feedForward
                + [norm, ("", 0, length, dim / heads)] + last
        }

        func isQuantized(_ part: Part) -> Bool { version == 2 && part.rows > 1 }

        func byteCount(_ part: Part) -> Int {
            let weights = part.rows * part.columns
            return isQuantized(part) ? weights + weights / group * 4 : 4 * weights
        }

        var byteCount: Int { parts.reduce(dataStart) { $0 + byteCount($1) * max($1.layers, 1) } }
    }

    private static func hasMagic(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.starts(with: [0x32, 0x34, 0x6b, 0x61]) }

    static func recognises(_ bytes: UnsafeRawBufferPointer) -> Bool {
        hasMagic(bytes) || (try? Header(bytes))?.byteCount == bytes.count
    }

    init(_ bytes: UnsafeRawBufferPointer, path: FilePath?, _ memory: FileMemory) throws(Llama2Error) {
        let header: Header
        do throws(Llama2Error) {
            header = try Header(bytes)
            guard header.byteCount == bytes.count else {
                throw Llama2Error(.corrupt, "the header of this llama2.c checkpoint asks for \(header.byteCount) bytes, but there are \(bytes.count)")
            }
        } catch {
            throw Llama2Error(error.kind, "\(path?.description ?? "memory"): \(error.message)")
        }
        let texts = OwnedBytes(memory)
        try MemoryReserve.cover(tensors: 9 * header.layers + 16, for: "the tensors")
        // 1. the tensors, as they follow each other
        var tensors: [TensorInfo] = [], offset = header.dataStart
        for part in header.parts {
            let size = header.byteCount(part)
            for layer in 0..<max(part.layers, 1) {
                defer { offset += size }
                if part.name.isEmpty { continue }
                let stored = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + size)])
                let count = part.rows * part.columns
                tensors.append(
                    TensorInfo(
                        name: ByteText((part.layers > 0 ? "blk.\(layer)." : "") + part.name + ".weight"), type: .f32,
                        shape: part.rows == 1 ? [part.columns] : [part.columns, part.rows],
                        data: header.isQuantized(part)
                            ? try texts.make(count) { expand(stored, count, group: header.group, to: $0) } : stored))
            }
        }
        // 2. the keys
        var metadata = Metadata()
        func integer(_ key: MetadataKey, _ value: Int) { _ = metadata.insert(key, .unsigned(UInt64(value))) }
        _ = metadata.insert(.architecture, .string(texts.keep(Array("llama".utf8))))
        integer(.embeddingLength, header.dim)
        integer(.blockCount, header.layers)
        integer(.feedForwardLength, header.hidden)
        integer(.contextLength, header.length)
        integer(.headCount, header.heads)
        integer(.headCountKV, header.headsKV)
        _ = metadata.insert(.rmsEpsilon, .float(1e-5))
        if let path { try Llama2CFile.addVocabulary(beside: path, count: header.vocabulary, to: &metadata, texts) }
        // These models put BOS between two texts, and llama2.c's `run` ends at one: it ends a text as well as EOS.
        if try metadata.string(.tokenizerModel) != nil, header.vocabulary > 1 {
            _ = metadata.insert(.eot, .unsigned(1))
        }
        version = header.version
        self.tensors = tensors
        self.metadata = metadata
        owned = [texts]
    }

    /// `tok<count>.bin` or `tokenizer.bin`: int32 longest | (F32 score, int32 length, bytes) for each token.
    /// Absent: a model without a vocabulary.
    private static func addVocabulary(beside path: FilePath, count: Int, to metadata: inout Metadata, _ texts: OwnedBytes)
        throws(Llama2Error)
    {
        let folder = path.folder + "/"
        var found: MappedFile?
        for name in ["tok\(count).bin", "tokenizer.bin"] where found == nil {
            if try MappedFile.exists(folder + name) { found = try MappedFile(path: folder + name, as: .copy) }
        }
        guard let file = found else {
            let path = folder + "tokenizer.model"
            if try MappedFile.exists(path) {
                try SentencePieceModel(try MappedFile(path: path, as: .copy), most: count).add(to: &metadata, count: count, texts)
            }
            return
        }
        defer { withExtendedLifetime(file) {} }
        // a token takes at least the eight bytes of its score and length
        try MemoryReserve.cover(vocabulary: min(count, file.bytes.count / 8), for: "the vocabulary")
        // a piece grows byte by byte, three bytes of a space
        try MemoryReserve.cover(3 * .list(file.bytes.count, of: UInt8.self), for: "the vocabulary")
        var reader = ByteReader(file.bytes)
        _ = try reader.number(Int32.self, "longest token in \(file.path)")
        var tokens: [[UInt8]] = [], scores: [Float] = [], types: [Int32] = []
        for index in 0..<count {
            scores.append(Float(bitPattern: try reader.number(UInt32.self, "score of token \(index) in \(file.path)")))
            let length = Int(try reader.number(Int32.self, "length of token \(index) in \(file.path)"))
            var piece: [UInt8] = []
            // llama2.c writes a space where SentencePiece has U+2581, and frames its own control tokens
            for byte in try reader.take(length, "token \(index) in \(file.path)") {
                if byte == 0x20 { piece += [0xe2, 0x96, 0x81] } else { piece.append(byte) }
            }
            let isByte = piece.count == 6 && piece.starts(with: "<0x".utf8)
            if index < 3 { piece = Array(["<unk>", "<s>", "</s>"][index].utf8) }
            tokens.append(piece)
            types.append(index == 0 ? 2 : index < 3 ? 3 : isByte ? 6 : 1)
        }
        guard reader.remaining == 0 else {
            throw Llama2Error(.corrupt, "\(file.path) has \(reader.remaining) bytes after its \(count) tokens")
        }
        _ = metadata.insert(.tokenizerModel, .string(texts.keep(Array("llama".utf8))))
        _ = metadata.insert(.tokens, .strings(try texts.keep(texts: tokens)))
        _ = metadata.insert(.scores, .array(.float32, count: count, texts.keep(scores)))
        _ = metadata.insert(.tokenTypes, .array(.int32, count: count, texts.keep(types)))
    }
}

/// Weights of version 2: `count` int8, then an F32 scale for each group.
private func expand(_ bytes: UnsafeRawBufferPointer, _ count: Int, group: Int, to out: UnsafeMutablePointer<Float>) {
    for i in 0..<count {
        let scale = Float(bitPattern: bytes.loadUnaligned(fromByteOffset: count + i / group * 4, as: UInt32.self))
        out[i] = Float(Int8(bitPattern: bytes[i])) * scale
    }
}

/// Bytes that metadata points at and that lie in no file.
final class OwnedBytes {
    private var blocks: [UnsafeMutableRawPointer] = []
    private var large: [AnyObject] = []
    private let isInterleaved: Bool

    /// memory: where the files lie that this belongs to. What is made of their weights is spread as they are.
    init(_ memory: FileMemory = .view) { isInterleaved = memory == .interleavedCopy }

    /// A copy that lives as long as this object.
    func keep<T: BitwiseCopyable>(_ values: [T]) -> UnsafeRawBufferPointer {
        let count = values.count &* MemoryLayout<T>.stride
        let block = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1), alignment: 16)
        values.withUnsafeBytes { block.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(block), byteCount: count) }
        blocks.append(block)
        return UnsafeRawBufferPointer(start: block, count: count)
    }

    /// The same for a list of texts, in one block.
    func keep(texts: some Collection<[UInt8]>) throws(Llama2Error) -> ByteStrings {
        let bytes = try make(texts.reduce(0) { $0 + 8 + $1.count }) { (out: UnsafeMutablePointer<UInt8>) in
            var end = UnsafeMutableRawPointer(out)
            for text in texts {
                end.storeBytes(of: UInt64(text.count).littleEndian, as: UInt64.self)
                end += 8
                text.withUnsafeBytes { if let base = $0.baseAddress { end.copyMemory(from: base, byteCount: $0.count) } }
                end += text.count
            }
        }
        var list = try ByteStrings(bytes, count: texts.count, of: "a list of texts")
        for text in texts { list.append(length: text.count) }
        return list
    }

    /// `count` elements that `fill` writes, checked: for what is as large as the weights.
    func make<T: BitwiseCopyable>(_ count: Int, _ fill: (UnsafeMutablePointer<T>) throws(Llama2Error) -> Void) throws(Llama2Error)
        -> UnsafeRawBufferPointer
    {
        let block = Block(try AlignedBuffer<T>(count: count, interleaved: isInterleaved, of: "converted weights"))
        try fill(block.buffer.pointer)
        large.append(block)
        return UnsafeRawBufferPointer(UnsafeBufferPointer(start: block.buffer.pointer, count: count))
    }

    private final class Block<T: BitwiseCopyable> {
        let buffer: AlignedBuffer<T>
        init(_ buffer: consuming AlignedBuffer<T>) { self.buffer = buffer }
    }

    deinit { for block in blocks { block.deallocate() } }
}
