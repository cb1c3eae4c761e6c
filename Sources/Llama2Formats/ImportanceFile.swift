public import Llama2Core

/// An importance matrix as llama.cpp stores it: a GGUF file with `general.type` imatrix and, for each matrix, NAME.in_sum2
/// (columns), the sums of the squares of its input, and NAME.counts (1), the number of tokens.
public enum ImportanceFile {
    public static func write(
        _ path: String, tokens: Int, windows: Int, window: Int, _ sums: [(name: String, values: UnsafeBufferPointer<Float>)]
    ) throws(Llama2Error) {
        var metadata = Metadata()
        let texts = OwnedBytes()
        _ = metadata.insert("general.type", .string(texts.keep(Array("imatrix".utf8))))
        _ = metadata.insert("imatrix.datasets", .strings(try texts.keep(texts: [Array("tokens".utf8)])))
        _ = metadata.insert("imatrix.chunk_count", .unsigned(UInt64(windows)))
        _ = metadata.insert("imatrix.chunk_size", .unsigned(UInt64(window)))
        var tensors: [GGUFWriter.Tensor] = []
        for (name, values) in sums {
            tensors.append(try GGUFWriter.Tensor(name: name + ".in_sum2", type: .f32, shape: [values.count, 1]))
            tensors.append(try GGUFWriter.Tensor(name: name + ".counts", type: .f32, shape: [1, 1]))
        }
        let writer = try GGUFWriter(path: path, metadata: metadata, tensors: tensors)
        for (_, values) in sums {
            try writer.write(UnsafeRawBufferPointer(values))
            try writer.pad()
            try [Float(tokens)].withBytes { (bytes) throws(Llama2Error) in try writer.write(bytes) }
            try writer.pad()
        }
        try writer.finish()
    }

    /// The mean square of each column's input, by the matrix's name.
    public static func read(_ path: String) throws(Llama2Error) -> [String: [Float]] {
        let file = try ModelFile.open(path: path)
        defer { withExtendedLifetime(file) {} }
        guard try file.metadata.string("general.type") == "imatrix" else {
            throw Llama2Error(.format, "\(path) is no importance matrix: its general.type is not imatrix")
        }
        try MemoryReserve.cover(file.byteCount, each: 4, for: "importance")
        var found: [String: [Float]] = [:]
        for tensor in file.tensors where tensor.name.hasSuffix(".in_sum2") {
            let name = String(tensor.name.dropLast(".in_sum2".count))
            guard let counts = file.tensor(name + ".counts"), counts.type == .f32, tensor.type == .f32, tensor.rows == 1 else {
                throw Llama2Error(.corrupt, "\(path): \(tensor.name) has no counts, is not F32, or is of several matrices")
            }
            let count = counts.data.loadUnaligned(as: Float.self)
            guard count.isFinite, count > 0 else { throw Llama2Error(.corrupt, "\(path): \(counts.name) is \(count), expected a positive number") }
            var values: [Float] = []
            for i in 0..<tensor.columns {
                let sum = tensor.data.loadUnaligned(fromByteOffset: 4 * i, as: Float.self)
                guard sum.isFinite, sum >= 0 else { throw Llama2Error(.corrupt, "\(path): \(tensor.name)[\(i)] is \(sum), expected a sum of squares") }
                values.append(sum / count)
            }
            found[name] = values
        }
        guard !found.isEmpty else { throw Llama2Error(.corrupt, "\(path) holds no NAME.in_sum2") }
        return found
    }
}
