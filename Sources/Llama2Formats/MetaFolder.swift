internal import Llama2Core

/// A folder as Meta publishes it: params.json and consolidated.00.pth ... , one file for each of the devices it was
/// trained on; tokenizer.model beside it or above. It becomes what a GGUF file of the same model would say.
///
/// Shards divide the rows of wq, wk, wv, w1, w3 and output, the columns of wo, w2 and (Llama 1 and 2) of the
/// embedding; norms are in all of them. Source: meta-llama/llama, llama/model.py (fairscale's parallel layers).
struct MetaFolder {
    private(set) var metadata = Metadata()
    private(set) var tensors: [TensorInfo] = []
    private(set) var files: [MappedFile] = []
    let owned: OwnedBytes
    /// For people: what the folder does not say.
    private(set) var note = ""

    init(_ folder: FilePath, _ options: LoadOptions) throws(Llama2Error) {
        let params = try HuggingFaceFolder.json(folder, "params.json") ?? .null
        var shards: [[ByteText: StoredTensor]] = []
        while true {
            let number = shards.count, path = folder + "/consolidated.\(number < 10 ? "0" : "")\(number).pth"
            let isNext = number == 0 ? true : try MappedFile.exists(path)
            guard number < 100, isNext else { break }
            let file = try MappedFile(path: path, as: options.memory)
            files.append(file)
            var pieces: [ByteText: StoredTensor] = [:]
            for tensor in try TorchFile.tensors(file) { pieces[tensor.name] = tensor }
            shards.append(pieces)
        }
        let copies = Copies(limit: files.reduce(16 << 20) { $0 &+ $1.bytes.count }, options.memory)
        owned = copies.owned
        let names = shards[0].keys.sorted()
        for (index, shard) in shards.enumerated() where shard.count != names.count || names.contains(where: { shard[$0] == nil }) {
            throw Llama2Error(.corrupt, "\(folder): shard \(index) holds other tensors than shard 0")
        }
        let dim = params["dim"]?.integer ?? 0
        for name in names {
            guard let own = try MetaFolder.name(name, folder) else { continue }
            // one storage under two names: the output matrix is the embedding
            if own == "output.weight", shards.allSatisfy({ MetaFolder.isTied($0) }) { continue }
            tensors.append(try MetaFolder.joined(own, shards.compactMap { $0[name] }, dim: dim, copies, "\(folder): tensor \(name)"))
        }
        try addParams(params, folder + "/params.json", options)
        try addTokenizer(folder)
    }

    private static func isTied(_ shard: [ByteText: StoredTensor]) -> Bool {
        guard let output = shard["output.weight"], let embedding = shard["tok_embeddings.weight"] else { return false }
        return output.isSame(as: embedding)
    }

    private static let layerNames: [ByteText: ByteText] = [
        "attention.wq": "attn_q", "attention.wk": "attn_k", "attention.wv": "attn_v", "attention.wo": "attn_output",
        "feed_forward.w1": "ffn_gate", "feed_forward.w2": "ffn_down", "feed_forward.w3": "ffn_up",
        "attention_norm": "attn_norm", "ffn_norm": "ffn_norm",
    ]

    private static func name(_ name: ByteText, _ folder: FilePath) throws(Llama2Error) -> ByteText? {
        switch name {
        case "tok_embeddings.weight": return "token_embd.weight"
        case "norm.weight": return "output_norm.weight"
        case "output.weight": return name
        case "rope.freqs": return nil
        default: break
        }
        let layers: ByteText = "layers.", suffix: ByteText = ".weight"
        if name.hasPrefix(layers), name.hasSuffix(suffix), let dot = name.bytes.dropFirst(layers.count).firstIndex(of: UInt8(ascii: ".")),
            let layer = ByteText(name.bytes[layers.count..<dot]).index, let own = layerNames[ByteText(name.bytes[(dot + 1)...]).dropLast(suffix.count)]
        {
            return "blk.\(layer)." + own + suffix
        }
        throw Llama2Error(.unsupported, "\(folder): tensor \(ByteText(name.bytes.prefix(200))) is not one of Llama's")
    }

    /// One tensor from its pieces; a view when there is one that lies row after row.
    private static func joined(_ name: ByteText, _ stored: [StoredTensor], dim: Int, _ copies: Copies, _ what: String) throws(Llama2Error) -> TensorInfo {
        guard let first = stored.first, stored.allSatisfy({ $0.type == first.type && $0.shape == first.shape }) else {
            throw Llama2Error(.corrupt, "\(what) has another shape or type in another shard")
        }
        // a norm is the same in all of them
        if stored.count == 1 || first.shape.count == 1 { return try first.named(name, copies, what) }
        var pieces: [TensorInfo] = []
        for piece in stored { pieces.append(try piece.named(name, copies, what)) }
        let type = pieces[0].type, columns = pieces[0].columns, rows = pieces[0].rows
        // Llama 3 divides the embedding's rows, the older ones its columns
        let byColumns = name.hasSuffix("attn_output.weight") || name.hasSuffix("ffn_down.weight") || (name == "token_embd.weight" && columns != dim)
        let size = columns * type.bytes  // of a row of one piece
        let bytes = try copies.make(try checkedMultiply(pieces[0].data.count, pieces.count, what), of: what) { (out: UnsafeMutablePointer<UInt8>) in
            var end = UnsafeMutableRawPointer(out)
            func append(_ part: UnsafeRawBufferPointer) {
                if let base = part.baseAddress { end.copyMemory(from: base, byteCount: part.count) }
                end += part.count
            }
            if byColumns {
                for row in 0..<rows {
                    for piece in pieces { append(UnsafeRawBufferPointer(rebasing: piece.data[(row * size)..<((row + 1) * size)])) }
                }
            } else {
                for piece in pieces { append(piece.data) }
            }
        }
        return TensorInfo(name: name, type: type, shape: byColumns ? [columns * pieces.count, rows] : [columns, rows * pieces.count], data: bytes)
    }

    /// What is read of params.json, and what says nothing about the model; anything else is refused by name.
    private static let known: Set<ByteText> = [
        "dim", "n_layers", "n_heads", "n_kv_heads", "norm_eps", "rope_theta", "use_scaled_rope", "rope_scaling_factor", "rope_high_freq_factor",
        "max_seq_len", "vocab_size", "multiple_of", "ffn_dim_multiplier", "max_batch_size", "model_parallel_size",
    ]

    private mutating func addParams(_ params: JSON, _ path: FilePath, _ options: LoadOptions) throws(Llama2Error) {
        guard let members = params.members else { throw Llama2Error(.corrupt, "\(path): not a JSON object: dim is missing") }
        for (key, value) in members {
            guard let key = key.bytes.map({ ByteText($0) }), !value.isNull, !MetaFolder.known.contains(key) else { continue }
            throw Llama2Error(
                .unsupported, "\(path): \(ByteText(key.bytes.prefix(100))) is a key that this version does not know, which could change what the model computes"
            )
        }
        func given(_ key: String) -> JSON? { params[key].flatMap { $0.isNull ? nil : $0 } }
        func integer(_ key: String) throws(Llama2Error) -> Int? {
            guard let value = given(key) else { return nil }
            guard let n = value.integer, n > 0, n <= 1 << 30 else { throw Llama2Error(.corrupt, "\(path): \(key) is not a positive integer") }
            return n
        }
        func needed(_ key: String) throws(Llama2Error) -> Int {
            guard let n = try integer(key) else { throw Llama2Error(.corrupt, "\(path): \(key) is missing") }
            return n
        }
        func number(_ key: String) throws(Llama2Error) -> Double? {
            guard let value = given(key) else { return nil }
            guard let x = value.double else { throw Llama2Error(.corrupt, "\(path): \(key) is not a number") }
            return x
        }
        func set(_ key: MetadataKey, _ value: Int) { _ = metadata.insert(key, .unsigned(UInt64(value))) }
        let heads = try needed("n_heads"), dim = try needed("dim"), layers = try needed("n_layers"), headsKV = try integer("n_kv_heads")
        // 1e-5 is the default of Meta's own ModelArgs
        let epsilon = try number("norm_eps") ?? 1e-5, base = try number("rope_theta")
        guard let gate = tensors.first(where: { $0.name == "blk.0.ffn_gate.weight" }) else {
            throw Llama2Error(.corrupt, "\(path): tensor layers.0.feed_forward.w1.weight is missing")
        }
        let rows = tensors.first { $0.name == "token_embd.weight" }?.rows ?? 0
        // -1: as many as the tokenizer has
        if let stated = given("vocab_size")?.integer, stated > 0, stated != rows {
            throw Llama2Error(.corrupt, "\(path): vocab_size is \(stated), but tok_embeddings.weight has \(rows) rows")
        }
        if let scaled = given("use_scaled_rope"), scaled.bool == nil { throw Llama2Error(.corrupt, "\(path): use_scaled_rope is not true or false") }
        let scaled = given("use_scaled_rope")?.bool == true
        _ = metadata.insert(.architecture, .string(owned.keep(Array("llama".utf8))))
        set(.embeddingLength, dim)
        set(.blockCount, layers)
        set(.feedForwardLength, gate.rows)
        set(.headCount, heads)
        set(.headCountKV, headsKV ?? heads)
        let told = TrainedLength(
            stated: try integer("max_seq_len"), dim: dim, layers: layers, statesHeadsKV: headsKV != nil, epsilon: epsilon, base: base, scaled: scaled)
        set(.contextLength, told.positions)
        if !told.isCertain, options.contextLength == nil { note = ", trained on \(told.positions) positions or more: its params.json does not say" }
        _ = metadata.insert(.rmsEpsilon, .float(epsilon))
        _ = metadata.insert(.ropeBase, .float(base ?? 10_000))
        if scaled {
            // 8, and 32 for the two small models of Llama 3.2, whose params.json say no more than those of 3.1
            let isSmall = (dim == 2048 && layers == 16) || (dim == 3072 && layers == 28)
            guard dim % heads == 0 else { throw Llama2Error(.corrupt, "\(path): dim is \(dim), not a multiple of n_heads, \(heads)") }
            tensors.append(
                try llama3Factors(
                    base ?? 10_000, dim / heads, factor: try number("rope_scaling_factor") ?? (isSmall ? 32 : 8), low: 1,
                    high: try number("rope_high_freq_factor") ?? 4, trained: 8192, owned, path))
        }
    }

    private mutating func addTokenizer(_ folder: FilePath) throws(Llama2Error) {
        let rows = tensors.first { $0.name == "token_embd.weight" }?.rows ?? 0
        for path in [folder + "/tokenizer.model", folder + "/../tokenizer.model"] where try MappedFile.exists(path) {
            let file = try MappedFile(path: path, as: .copy)
            // Llama 3's tokenizer.model is lines of base64 and a number, which GGUF's converters do not read either
            if let first = file.bytes.first, first >= 0x20 { return }
            try SentencePieceModel(file, most: rows).add(to: &metadata, count: rows, owned)
            return
        }
    }
}

/// Positions that a model of Meta's was trained on, of which params.json says nothing (but in max_seq_len, which nobody writes):
/// told by what the published models differ in. Sources: their params.json and model cards.
///
///     use_scaled_rope               Llama 3.1 and 3.2          131072
///     rope_theta 500000             Llama 3                      8192
///     rope_theta 1000000            Code Llama                  16384
///     n_kv_heads                    Llama 2 34B, 70B             4096      Llama 1 has no such key
///     dim 8192, 80 layers           Llama 1 65B                  2048
///     norm_eps 1e-5, 7B or 13B      Llama 2                      4096
///     anything else                 Llama 1 at least             2048      not certain (Llama 2 7B chat looks like Llama 1 7B)
private struct TrainedLength {
    let positions: Int
    /// Otherwise the model was trained on so many at least, and the caller's option says more.
    let isCertain: Bool

    init(stated: Int?, dim: Int, layers: Int, statesHeadsKV: Bool, epsilon: Double, base: Double?, scaled: Bool) {
        let isPlain = base == nil || base == 10_000
        switch true {
        case stated != nil: (positions, isCertain) = (stated ?? 0, true)
        case scaled: (positions, isCertain) = (131_072, base == 500_000)
        case base == 500_000: (positions, isCertain) = (8192, true)
        case base == 1_000_000: (positions, isCertain) = (16_384, true)
        case statesHeadsKV: (positions, isCertain) = (4096, isPlain)
        case isPlain && dim == 8192 && layers == 80: (positions, isCertain) = (2048, true)
        case isPlain && epsilon == 1e-5 && ((dim == 4096 && layers == 32) || (dim == 5120 && layers == 40)): (positions, isCertain) = (4096, true)
        default: (positions, isCertain) = (2048, isPlain && epsilon == 1e-6 && dim == 6656)
        }
    }
}
