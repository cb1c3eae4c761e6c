public import Llama2Core

/// A model on disk: one directory of named tensors and metadata, whatever it is stored in.
public final class ModelFile: @unchecked Sendable {
    /// Keep alive what tensors and metadata point into.
    private let files: [MappedFile]
    private let owned: [AnyObject]
    public let tensors: [TensorInfo]
    public let metadata: Metadata
    public let formatDescription: String
    /// The rows of attn_q and attn_k are in Hugging Face's order: component i of a head is rotated with i + d/2,
    /// where GGUF has 2i and 2i + 1.
    public let rotatesHalves: Bool
    private let byName: [ByteText: Int]

    /// Bytes of all files together.
    public var byteCount: Int { files.reduce(0) { $0 &+ $1.bytes.count } }

    public func tensor(_ name: ByteText) -> TensorInfo? { byName[name].map { tensors[$0] } }
    public func tensor(_ name: String) -> TensorInfo? { tensor(ByteText(name)) }

    /// A file with a vocabulary and no weights, which serves to tokenize.
    public var isVocabularyOnly: Bool { tensors.isEmpty && metadata.byteCount(MetadataKey.tokens.name) > 0 }

    /// Opens a model, its format told by the content: a GGUF file (the first of several, `-00001-of-00003.gguf`, finds
    /// the others beside it), a checkpoint of llama2.c, a Hugging Face folder (or a file in it), Meta's folder.
    public static func open(path: FilePath, _ options: LoadOptions = LoadOptions()) throws(Llama2Error) -> ModelFile {
        if try MappedFile.isFolder(path) { return try ModelFile(folder: path, options) }
        return try open(try MappedFile(path: path, as: options.memory), options)
    }

    /// The same for one file; without a name it has to be complete in itself.
    public static func open(_ file: MappedFile, _ options: LoadOptions) throws(Llama2Error) -> ModelFile {
        let path = file.path
        if GGUFFile.isGGUF(file.bytes) { return try ModelFile(gguf: file, options) }
        if Llama2CFile.recognises(file.bytes) {
            let checkpoint = try Llama2CFile(file.bytes, path: file.isNamed ? path : nil, options.memory)
            return try ModelFile(
                files: [file], owned: checkpoint.owned, checkpoint.tensors, checkpoint.metadata,
                "llama2.c v\(checkpoint.version)", options)
        }
        let isOfAFolder = Safetensors.recognises(file.bytes) || ZipFile.recognises(file.bytes)
        if file.isNamed, isOfAFolder, try MappedFile.exists(path.folder + "/config.json") {
            return try ModelFile(folder: path.folder, named: path.name, options)
        }
        throw Llama2Error(
            .format, "\(path) is no model that this version reads: not GGUF, not a checkpoint of llama2.c, not safetensors beside a config.json")
    }

    private convenience init(folder: FilePath, named: [UInt8]? = nil, _ options: LoadOptions) throws(Llama2Error) {
        if named == nil, try MappedFile.exists(folder + "/params.json") {
            let meta = try MetaFolder(folder, options)
            try self.init(
                files: meta.files, owned: [meta.owned], meta.tensors, meta.metadata,
                "Meta's checkpoint" + (meta.files.count > 1 ? " in \(meta.files.count) shards" : "") + meta.note, options)
            return
        }
        guard try MappedFile.exists(folder + "/config.json") else {
            throw Llama2Error(.format, "\(folder) holds neither config.json (Hugging Face) nor params.json (Meta)")
        }
        let found = try HuggingFaceFolder(folder, named: named, options)
        try self.init(
            files: found.files, owned: [found.owned], found.tensors, found.metadata,
            found.container + (found.shardCount > 1 ? " in \(found.shardCount) files" : ""), rotatesHalves: true, options)
    }

    private convenience init(gguf opened: MappedFile, _ options: LoadOptions) throws(Llama2Error) {
        let (file, first) = try ModelFile.read(opened)
        var files = [file], tensors = first.tensors, announced = first.announcedTensors
        let shards = try first.metadata.integer(.splitCount, in: 1...100_000) ?? 1
        if shards > 1 {
            guard file.isNamed else { throw Llama2Error(.unsupported, "a split model can only be opened by its path") }
            guard try first.metadata.integer(.splitIndex, in: 0...100_000) == 0 else {
                throw Llama2Error(.invalidArgument, "\(opened.path) is not the first file of a split model; open the one that ends in -00001-of-")
            }
            for index in 1..<shards {
                let (file, shard) = try ModelFile.read(
                    try MappedFile(path: try ModelFile.shardPath(opened.path, index, of: shards), as: options.memory))
                guard try shard.metadata.integer(.splitIndex, in: 0...100_000) == index,
                    try shard.metadata.integer(.splitCount, in: 1...100_000) == shards
                else {
                    throw Llama2Error(.corrupt, "\(file.path) does not say that it is file \(index + 1) of \(shards)")
                }
                files.append(file)
                tensors += shard.tensors
                announced += shard.announcedTensors
            }
            if let expected = try first.metadata.integer(.splitTensors, in: 0...Int(Int32.max)), expected != announced {
                throw Llama2Error(.corrupt, "metadata \(MetadataKey.splitTensors) is \(expected), but the files hold \(announced) tensors")
            }
        }
        let owned = OwnedBytes(options.memory)
        tensors = try FusedTensors.split(tensors, first.metadata)
        tensors = try tensors.map { (tensor) throws(Llama2Error) in try ModelFile.aligned(tensor, owned) }
        try self.init(
            files: files, owned: [owned], tensors, first.metadata,
            "GGUF v\(first.version)" + (shards > 1 ? " in \(shards) files" : ""), options)
    }

    /// Norms are read as floats: where a file's alignment, or the host's memory, puts one between two, it is copied.
    private static func aligned(_ tensor: TensorInfo, _ owned: OwnedBytes) throws(Llama2Error) -> TensorInfo {
        guard tensor.type == .f32, tensor.shape.count == 1, tensor.columns <= TensorInfo.longestVector,
            let base = tensor.data.baseAddress, UInt(bitPattern: base) % 4 != 0
        else { return tensor }
        let copy = try owned.make(tensor.columns) { (out: UnsafeMutablePointer<Float>) in
            UnsafeMutableRawPointer(out).copyMemory(from: base, byteCount: tensor.data.count)
        }
        return TensorInfo(name: tensor.name, type: .f32, shape: tensor.shape, data: copy)
    }

    private init(
        files: [MappedFile], owned: [AnyObject], _ tensors: [TensorInfo], _ metadata: Metadata, _ description: String,
        rotatesHalves: Bool = false, _ options: LoadOptions
    ) throws(Llama2Error) {
        var metadata = metadata
        if let length = options.contextLength { metadata.set(.contextLength, UInt32(clamping: length)) }
        var byName: [ByteText: Int] = [:]
        for (index, tensor) in tensors.enumerated() {
            guard byName.updateValue(index, forKey: tensor.name) == nil else {
                throw Llama2Error(.corrupt, "tensor \(tensor.name) appears twice")
            }
        }
        self.files = files
        self.owned = owned
        self.tensors = tensors
        self.metadata = metadata
        self.byName = byName
        self.rotatesHalves = rotatesHalves
        formatDescription = description
    }

    private static func read(_ file: MappedFile) throws(Llama2Error) -> (MappedFile, GGUFFile) {
        let path = file.path
        guard GGUFFile.isGGUF(file.bytes) else {
            throw Llama2Error(.format, "\(path) does not begin with \"GGUF\": not a model file that this version reads")
        }
        do {
            return (file, try GGUFFile(file.bytes))
        } catch {
            throw Llama2Error(error.kind, "\(path): \(error.message)")
        }
    }

    /// `x-00001-of-00003.gguf` with another index; five digits each, as llama.cpp names them.
    private static func shardPath(_ first: FilePath, _ index: Int, of count: Int) throws(Llama2Error) -> FilePath {
        func five(_ n: Int) -> String { String(repeating: "0", count: max(0, 5 - String(n).count)) + String(n) }
        let suffix = ByteText("-00001-of-\(five(count)).gguf")
        guard ByteText(first.bytes).hasSuffix(suffix) else {
            throw Llama2Error(.corrupt, "\(first) is the first of \(count) files, but its name does not end in \(suffix)")
        }
        return FilePath(first.bytes.dropLast(suffix.count)) + "-\(five(index + 1))-of-\(five(count)).gguf"
    }
}
