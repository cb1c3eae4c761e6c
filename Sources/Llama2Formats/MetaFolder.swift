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
    let owned = OwnedBytes()

    /// A tensor of one shard. shape: row length first.
    private struct Piece { let type: BlockType, shape: [Int], data: UnsafeRawBufferPointer }

    init(_ folder: String, copy: Bool) throws(Llama2Error) {
        let params = try HuggingFaceFolder.json(folder, "params.json") ?? .null
        var shards: [[String: Piece]] = []
        while true {
            let number = shards.count, path = folder + "/consolidated.\(number < 10 ? "0" : "")\(number).pth"
            let isNext = number == 0 ? true : try MappedFile.exists(path)
            guard number < 100, isNext else { break }
            let file = try MappedFile(path: path, copy: copy)
            files.append(file)
            shards.append(try MetaFolder.pieces(file))
        }
        let names = shards[0].keys.sorted()
        for (index, shard) in shards.enumerated() where shard.count != names.count || names.contains(where: { shard[$0] == nil }) {
            throw Llama2Error(.corrupt, "\(folder): shard \(index) holds other tensors than shard 0")
        }
        let dim = params["dim"]?.integer ?? 0
        for name in names {
            guard let own = try MetaFolder.name(name, folder) else { continue }
            tensors.append(try joined(own, shards.compactMap { $0[name] }, dim: dim, "\(folder): tensor \(name)"))
        }
        try addParams(params, folder)
        try addTokenizer(folder)
    }

    /// The tensors of one .pth file, each checked to lie in its storage, row after row.
    private static func pieces(_ file: MappedFile) throws(Llama2Error) -> [String: Piece] {
        let path = file.path
        guard ZipFile.recognises(file.bytes) else {
            throw Llama2Error(.unsupported, "\(path) is no zip archive: torch.save wrote it before version 1.6, or it is something else")
        }
        let zip = try ZipFile(file.bytes, path)
        guard let pickle = zip.entries.first(where: { $0.key == "data.pkl" || $0.key.hasSuffix("/data.pkl") }) else {
            throw Llama2Error(.corrupt, "\(path): no entry data.pkl")
        }
        let root = String(pickle.key.dropLast("data.pkl".count))
        if let order = zip.entries[root + "byteorder"], !order.elementsEqual("little".utf8) {
            throw Llama2Error(.unsupported, "\(path): its byte order is not little-endian")
        }
        var pieces: [String: Piece] = [:], total = 0
        for (name, tensor) in try PickledTensors.read(pickle.value, path) {
            let what = "\(path): tensor \(name.prefix(200))"
            guard let data = zip.entries[root + "data/" + tensor.storage.key] else {
                throw Llama2Error(.corrupt, "\(what) lies in storage \(tensor.storage.key.prefix(40)), which is missing")
            }
            let size = tensor.storage.type.bytes
            guard try checkedMultiply(tensor.storage.count, size, what) == data.count else {
                throw Llama2Error(.corrupt, "\(what) lies in a storage of \(tensor.storage.count) weights, but \(data.count) bytes are there")
            }
            var count = 1
            for (length, stride) in zip_(tensor.shape, tensor.strides).reversed() {
                guard length > 0 else { throw Llama2Error(.corrupt, "\(what) has a dimension of length 0") }
                guard stride == count || length == 1 else {
                    throw Llama2Error(.unsupported, "\(what) does not lie row after row: strides \(tensor.strides)")
                }
                count = try checkedMultiply(count, length, what)
            }
            let end = try checkedAdd(tensor.offset, count, what)
            guard end <= tensor.storage.count else {
                throw Llama2Error(.corrupt, "\(what) takes weights \(tensor.offset) to \(end) of a storage of \(tensor.storage.count)")
            }
            let bytes = UnsafeRawBufferPointer(rebasing: data[(tensor.offset * size)..<(end * size)])
            // joining shards copies each: tensors on top of each other would make much of little
            total = try checkedAdd(total, bytes.count, what)
            guard total <= file.bytes.count else { throw Llama2Error(.corrupt, "\(what) shares its storage: together they take more than the file has") }
            let shape: [Int] = tensor.shape.isEmpty ? [1] : tensor.shape.reversed()
            guard pieces.updateValue(Piece(type: tensor.storage.type, shape: shape, data: bytes), forKey: name) == nil else {
                throw Llama2Error(.corrupt, "\(what) appears twice")
            }
        }
        guard !pieces.isEmpty else { throw Llama2Error(.corrupt, "\(path): no tensors") }
        return pieces
    }

    private static func zip_(_ a: [Int], _ b: [Int]) -> [(Int, Int)] { Array(Swift.zip(a, b)) }

    private static let layerNames = [
        "attention.wq": "attn_q", "attention.wk": "attn_k", "attention.wv": "attn_v", "attention.wo": "attn_output",
        "feed_forward.w1": "ffn_gate", "feed_forward.w2": "ffn_down", "feed_forward.w3": "ffn_up",
        "attention_norm": "attn_norm", "ffn_norm": "ffn_norm",
    ]

    private static func name(_ name: String, _ folder: String) throws(Llama2Error) -> String? {
        switch name {
        case "tok_embeddings.weight": return "token_embd.weight"
        case "norm.weight": return "output_norm.weight"
        case "output.weight": return name
        case "rope.freqs": return nil
        default: break
        }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[0] == "layers", parts.last == "weight", let layer = Int(parts[1]), layer >= 0,
            let own = layerNames[parts[2..<(parts.count - 1)].joined(separator: ".")]
        else { throw Llama2Error(.unsupported, "\(folder): tensor \(name.prefix(200)) is not one of Llama's") }
        return "blk.\(layer).\(own).weight"
    }

    /// One tensor from its pieces; a view when there is one.
    private func joined(_ name: String, _ pieces: [Piece], dim: Int, _ what: String) throws(Llama2Error) -> TensorInfo {
        let first = pieces[0]
        guard pieces.allSatisfy({ $0.type == first.type && $0.shape == first.shape }), first.shape.count <= 2 else {
            throw Llama2Error(.corrupt, "\(what) has another shape or type in another shard, or more than two dimensions")
        }
        if first.shape.count == 1 {
            guard first.shape[0] <= TensorInfo.longestVector else { throw Llama2Error(.corrupt, "\(what) has \(first.shape[0]) weights in one dimension") }
            let values = try owned.make(first.shape[0]) { (out: UnsafeMutablePointer<Float>) in
                for i in 0..<first.shape[0] {
                    out[i] =
                        switch first.type {
                        case .f16: halfToFloat(first.data.loadUnaligned(fromByteOffset: 2 &* i, as: UInt16.self))
                        case .bf16: Float(bitPattern: UInt32(first.data.loadUnaligned(fromByteOffset: 2 &* i, as: UInt16.self)) << 16)
                        default: first.data.loadUnaligned(fromByteOffset: 4 &* i, as: Float.self)
                        }
                }
            }
            return TensorInfo(name: name, type: .f32, shape: first.shape, data: values)
        }
        if pieces.count == 1 { return TensorInfo(name: name, type: first.type, shape: first.shape, data: first.data) }
        let columns = first.shape[0], rows = first.shape[1]
        // Llama 3 divides the embedding's rows, the older ones its columns
        let byColumns = name.contains("attn_output") || name.contains("ffn_down") || (name == "token_embd.weight" && columns != dim)
        let size = columns * first.type.bytes  // of a row of one piece
        let bytes = try owned.make(try checkedMultiply(first.data.count, pieces.count, what)) { (out: UnsafeMutablePointer<UInt8>) in
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
        return TensorInfo(
            name: name, type: first.type, shape: byColumns ? [columns * pieces.count, rows] : [columns, rows * pieces.count], data: bytes)
    }

    private mutating func addParams(_ params: JSON, _ folder: String) throws(Llama2Error) {
        let path = folder + "/params.json"
        func integer(_ key: String, default value: Int?) throws(Llama2Error) -> Int {
            guard let given = params[key], !given.isNull else {
                guard let value else { throw Llama2Error(.corrupt, "\(path): \(key) is missing") }
                return value
            }
            guard let n = given.integer, n > 0, n <= 1 << 30 else { throw Llama2Error(.corrupt, "\(path): \(key) is not a positive integer") }
            return n
        }
        func set(_ key: String, _ value: Int) { _ = metadata.insert("llama." + key, .unsigned(UInt64(value))) }
        let heads = try integer("n_heads", default: nil), epsilon = params["norm_eps"]?.double ?? 1e-5
        guard let gate = tensors.first(where: { $0.name == "blk.0.ffn_gate.weight" }) else {
            throw Llama2Error(.corrupt, "\(folder): tensor layers.0.feed_forward.w1.weight is missing")
        }
        _ = metadata.insert("general.architecture", .string(owned.keep(Array("llama".utf8))))
        set("embedding_length", try integer("dim", default: nil))
        set("block_count", try integer("n_layers", default: nil))
        set("feed_forward_length", gate.rows)
        set("attention.head_count", heads)
        set("attention.head_count_kv", try integer("n_kv_heads", default: heads))
        // params.json does not say it; Llama 2 (norm_eps 1e-5) was trained on 4096, Llama 1 (1e-6) on 2048
        set("context_length", try integer("max_seq_len", default: epsilon == 1e-6 ? 2048 : 4096))
        _ = metadata.insert("llama.attention.layer_norm_rms_epsilon", .float(epsilon))
        let base = params["rope_theta"]?.double ?? 10_000
        _ = metadata.insert("llama.rope.freq_base", .float(base))
        if params["use_scaled_rope"]?.bool == true {
            tensors.append(
                try llama3Factors(
                    base, try integer("dim", default: nil) / heads, factor: 8, low: 1, high: 4, trained: 8192, owned, path))
        }
    }

    private mutating func addTokenizer(_ folder: String) throws(Llama2Error) {
        let rows = tensors.first { $0.name == "token_embd.weight" }?.rows ?? 0
        for path in [folder + "/tokenizer.model", folder + "/../tokenizer.model"] where try MappedFile.exists(path) {
            let file = try MappedFile(path: path, copy: true)
            // Llama 3's tokenizer.model is lines of base64 and a number, which GGUF's converters do not read either
            if let first = file.bytes.first, first >= 0x20 { return }
            try SentencePieceModel(file, most: rows).add(to: &metadata, count: rows, owned)
            return
        }
    }
}
