public import Llama2Core

/// An importance matrix as llama.cpp stores it: a GGUF file with `general.type` imatrix and, for each matrix, NAME.in_sum2
/// (columns), the sums of the squares of its input, and NAME.counts (1), the number of tokens.
public enum ImportanceFile {
    public static func write(
        _ path: FilePath, tokens: Int, windows: Int, window: Int, _ sums: [(name: ByteText, values: UnsafeBufferPointer<Float>)]
    ) throws(Llama2Error) {
        var metadata = Metadata()
        let texts = OwnedBytes()
        _ = metadata.insert(.generalType, .string(texts.keep(Array("imatrix".utf8))))
        _ = metadata.insert(.importanceDatasets, .strings(try texts.keep(texts: [Array("tokens".utf8)])))
        _ = metadata.insert(.importanceChunks, .unsigned(UInt64(windows)))
        _ = metadata.insert(.importanceChunkSize, .unsigned(UInt64(window)))
        var tensors: [GGUFWriter.Tensor] = []
        for (name, values) in sums {
            if let column = values.firstIndex(where: { !$0.isFinite }) {
                throw Llama2Error(.corrupt, "the sum of squares of column \(column) of \(name) is \(values[column]): no importance can be told from it")
            }
            tensors.append(try GGUFWriter.Tensor(name: name + ".in_sum2", type: .f32, shape: [values.count, 1]))
            tensors.append(try GGUFWriter.Tensor(name: name + ".counts", type: .f32, shape: [1, 1]))
        }
        let writer = try GGUFWriter(path: path, metadata: metadata, tensors: tensors)
        for (_, values) in sums {
            try writer.write(values.span.bytes)
            try writer.pad()
            try writer.write([Float(tokens)])
            try writer.pad()
        }
        try writer.finish()
    }

    /// The mean square of each column's input, by the matrix's name. Both of llama.cpp's forms are read.
    public static func read(_ path: FilePath) throws(Llama2Error) -> [ByteText: [Float]] {
        let bytes = try MappedFile(path: path)
        guard GGUFFile.isGGUF(bytes.bytes) else { return try OlderImportanceFile.read(bytes) }
        let file = try ModelFile.open(bytes, LoadOptions())
        defer { withExtendedLifetime(file) {} }
        guard try file.metadata.byteText(.generalType) == "imatrix" else {
            throw Llama2Error(.format, "\(path) is no importance matrix: its \(MetadataKey.generalType) is not imatrix")
        }
        try MemoryReserve.cover(sums: file.byteCount, of: file.tensors.count)
        let sums: ByteText = ".in_sum2", counters: ByteText = ".counts"
        guard file.tensors.contains(where: { $0.name.hasSuffix(sums) }) else { throw Llama2Error(.corrupt, "\(path) holds no NAME.in_sum2") }
        var found: [ByteText: [Float]] = [:]
        for tensor in file.tensors where !tensor.name.hasSuffix(sums) {
            guard tensor.name.hasSuffix(counters), file.tensor(tensor.name.dropLast(counters.count) + sums) != nil else {
                throw Llama2Error(.unsupported, "\(path): tensor \(tensor.name) is neither the sums nor the counts of a matrix")
            }
        }
        for tensor in file.tensors where tensor.name.hasSuffix(sums) {
            let name = tensor.name.dropLast(sums.count)
            guard let counts = file.tensor(name + counters), counts.type == .f32, tensor.type == .f32, tensor.rows == 1 else {
                throw Llama2Error(.corrupt, "\(path): \(tensor.name) has no counts, is not F32, or is of several matrices")
            }
            guard counts.columns == 1, counts.rows == 1 else {
                throw Llama2Error(.corrupt, "\(path): \(counts.name) has shape \(counts.shape), expected one number")
            }
            let count = counts.data.loadUnaligned(as: Float.self)
            // llama.cpp rounds it: what is none would be another mean there
            guard count.isFinite, count > 0, count == count.rounded() else {
                throw Llama2Error(.corrupt, "\(path): \(counts.name) is \(count), expected how many tokens there were")
            }
            var values: [Float] = []
            values.reserveCapacity(tensor.columns)
            for i in 0..<tensor.columns {
                let sum = tensor.data.loadUnaligned(fromByteOffset: 4 * i, as: Float.self)
                guard sum.isFinite, sum >= 0 else { throw Llama2Error(.corrupt, "\(path): \(tensor.name)[\(i)] is \(sum), expected a sum of squares") }
                values.append(sum / count)  // finite: the count is 1 or more
            }
            found[name] = values
        }
        return found
    }
}

extension MemoryReserve {
    /// Means of as many columns as `bytes` hold, by the names of `count` matrices.
    fileprivate static func cover(sums bytes: Int, of count: Int) throws(Llama2Error) {
        try cover(.text(bytes) + .table(count, of: ByteText.self, [Float].self) + .texts(6 * count, bytes: bytes), for: "importance")
    }
}

/// llama.cpp's older form (imatrix.dat):
///
///     i32 matrices | each: i32 length, name | i32 calls | i32 columns | F32 sums of squares ... | i32 chunks | i32 length, name of the text
///
/// The sums are means over the tokens of a call, times the calls; what follows the matrices came later and may be missing.
/// Source: llama.cpp, tools/quantize/quantize.cpp (load_legacy_imatrix).
private enum OlderImportanceFile {
    private static let mostMatrices = 1 << 16, longestName = 4096

    static func read(_ file: MappedFile) throws(Llama2Error) -> [ByteText: [Float]] {
        do throws(Llama2Error) {
            return try parse(file.bytes)
        } catch {
            throw Llama2Error(error.kind, "\(file.path): \(error.message)")
        }
    }

    private static func parse(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) -> [ByteText: [Float]] {
        var reader = ByteReader(bytes)
        func integer(_ what: String, _ range: ClosedRange<Int>) throws(Llama2Error) -> Int {
            let start = reader.offset, value = Int(try reader.number(Int32.self, what))
            guard range.contains(value) else {
                throw Llama2Error(.corrupt, "\(what) is \(value) at byte \(start), expected \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
        // nothing marks these files: one that does not read as one to the end is none
        guard bytes.count >= 4, case let matrices = Int(Int32(littleEndian: bytes.loadUnaligned(as: Int32.self))),
            (1...mostMatrices).contains(matrices), matrices <= bytes.count / 16
        else { throw Llama2Error(.format, "no importance matrix: neither a GGUF file nor the number of its matrices at its beginning") }
        _ = try integer("the number of matrices", 1...mostMatrices)
        try MemoryReserve.cover(sums: bytes.count, of: matrices)
        var found: [ByteText: [Float]] = [:]
        for index in 0..<matrices {
            let length = try integer("the length of the name of matrix \(index)", 1...longestName)
            let name = ByteText(try reader.take(length, "the name of matrix \(index)"))
            let calls = try integer("the calls of \(name)", 1...Int(Int32.max)), columns = try integer("the columns of \(name)", 1...1 << 24)
            let sums = try reader.take(columns * 4, "the sums of \(name)")
            var values: [Float] = []
            values.reserveCapacity(columns)
            for i in 0..<columns {
                let sum = sums.loadUnaligned(fromByteOffset: 4 * i, as: Float.self)
                guard sum.isFinite, sum >= 0 else { throw Llama2Error(.corrupt, "column \(i) of \(name) is \(sum), expected a sum of squares") }
                values.append(sum / Float(calls))
            }
            guard found.updateValue(values, forKey: name) == nil else { throw Llama2Error(.corrupt, "matrix \(name) appears twice") }
        }
        if reader.remaining > 0 {
            _ = try integer("the number of chunks", 0...Int(Int32.max))
            if reader.remaining > 0 {
                let length = try integer("the length of the text's name", 0...longestName)
                _ = try reader.take(length, "the name of the text")
            }
        }
        guard reader.remaining == 0 else { throw Llama2Error(.corrupt, "\(reader.remaining) bytes follow the importance matrix") }
        return found
    }
}
