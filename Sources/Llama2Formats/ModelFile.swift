public import Llama2Core

/// A model on disk: one directory of named tensors and metadata, whatever it is stored in.
public final class ModelFile: @unchecked Sendable {
    /// Keep alive what tensors and metadata point into.
    private let files: [MappedFile]
    private let owned: [AnyObject]
    public let tensors: [TensorInfo]
    public let metadata: Metadata
    public let formatDescription: String
    private let byName: [String: Int]

    /// Bytes of all files together.
    public var byteCount: Int { files.reduce(0) { $0 &+ $1.bytes.count } }

    public func tensor(_ name: String) -> TensorInfo? { byName[name].map { tensors[$0] } }

    /// Opens a GGUF file or a checkpoint of llama2.c, told by the content. When it is the first of several
    /// GGUF files (`-00001-of-00003.gguf`), the others are found beside it by their names.
    ///
    /// copy: into memory of its own, see `MappedFile`.
    public static func open(path: String, copy: Bool = false) throws(Llama2Error) -> ModelFile {
        try ModelFile(path: path, copy: copy)
    }

    private init(path: String, copy: Bool) throws(Llama2Error) {
        let opened = try MappedFile(path: path, copy: copy)
        if !GGUFFile.isGGUF(opened.bytes), Llama2CFile.recognises(opened.bytes) {
            let checkpoint = try Llama2CFile(opened.bytes, path: path)
            files = [opened]
            owned = checkpoint.owned
            tensors = checkpoint.tensors
            metadata = checkpoint.metadata
            formatDescription = "llama2.c v0"
            byName = Dictionary(checkpoint.tensors.enumerated().map { ($1.name, $0) }) { first, _ in first }
            return
        }
        let (file, first) = try ModelFile.read(opened)
        var files = [file], tensors = first.tensors
        let shards = try first.metadata.integer("split.count", in: 1...100_000) ?? 1
        if shards > 1 {
            guard try first.metadata.integer("split.no", in: 0...100_000) == 0 else {
                throw Llama2Error(.invalidArgument, "\(path) is not the first file of a split model; open the one that ends in -00001-of-")
            }
            for index in 1..<shards {
                let (file, shard) = try ModelFile.read(
                    try MappedFile(path: try ModelFile.shardPath(path, index, of: shards), copy: copy))
                guard try shard.metadata.integer("split.no", in: 0...100_000) == index,
                    try shard.metadata.integer("split.count", in: 1...100_000) == shards
                else {
                    throw Llama2Error(.corrupt, "\(file.path) does not say that it is file \(index + 1) of \(shards)")
                }
                files.append(file)
                tensors += shard.tensors
            }
            if let expected = try first.metadata.integer("split.tensors.count", in: 0...Int(Int32.max)), expected != tensors.count {
                throw Llama2Error(.corrupt, "metadata split.tensors.count is \(expected), but the files hold \(tensors.count) tensors")
            }
        }
        var byName: [String: Int] = [:]
        for (index, tensor) in tensors.enumerated() {
            guard byName.updateValue(index, forKey: tensor.name) == nil else {
                throw Llama2Error(.corrupt, "tensor \(tensor.name) is in two files of the split model")
            }
        }
        self.files = files
        owned = []
        self.tensors = tensors
        self.byName = byName
        metadata = first.metadata
        formatDescription = "GGUF v\(first.version)" + (shards > 1 ? " in \(shards) files" : "")
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
    private static func shardPath(_ first: String, _ index: Int, of count: Int) throws(Llama2Error) -> String {
        func five(_ n: Int) -> String { String(repeating: "0", count: max(0, 5 - String(n).count)) + String(n) }
        let suffix = "-00001-of-\(five(count)).gguf"
        guard first.hasSuffix(suffix) else {
            throw Llama2Error(.corrupt, "\(first) is the first of \(count) files, but its name does not end in \(suffix)")
        }
        return first.dropLast(suffix.count) + "-\(five(index + 1))-of-\(five(count)).gguf"
    }
}
