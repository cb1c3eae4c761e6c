internal import Llama2Core

/// One file of tensors in the safetensors format:
///
///     u64 length | JSON { name: { dtype, shape, data_offsets: [begin, end] }, ... } | data
///
/// Source: the format's specification (huggingface/safetensors). Ranges must follow each other without gap or overlap
/// and end with the file, as the specification says.
enum Safetensors {
    /// The largest header that the format's own reader takes.
    private static let longestHeader = 100_000_000

    static func recognises(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= 9 else { return false }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        // space may come first: the format's own reader takes it
        guard length <= UInt64(bytes.count - 8) else { return false }
        return bytes[8...].first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0a && $0 != 0x0d } == UInt8(ascii: "{")
    }

    static func tensors(_ file: MappedFile) throws(Llama2Error) -> [StoredTensor] {
        let bytes = file.bytes, path = file.path
        var reader = ByteReader(bytes)
        let length: Int
        do throws(Llama2Error) {
            length = try reader.count(unit: 1, "length of the header")
        } catch {
            throw Llama2Error(error.kind, "\(path): \(error.message)")
        }
        guard length <= longestHeader else {
            throw Llama2Error(.corrupt, "\(path): a header of \(length) bytes; the limit is \(longestHeader)")
        }
        let header = try reader.take(length, "header of \(path)")
        guard let members = try JSON.parse(header, path.description).members else {
            throw Llama2Error(.corrupt, "\(path): the header is not a JSON object")
        }
        try MemoryReserve.cover(tensors: min(members.count { _ in true }, TensorInfo.most + 1), for: "the tensors of \(path)")
        let data = UnsafeRawBufferPointer(rebasing: bytes[reader.offset...])
        var ranges: [(begin: Int, end: Int, name: ByteText)] = [], tensors: [StoredTensor] = []
        for (key, value) in members {
            guard let bytes = key.bytes, case let name = ByteText(bytes), name != "__metadata__" else { continue }
            let tensor = try tensor(name, value, data, path)
            ranges.append((tensor.begin, tensor.begin + tensor.info.data.count, name))
            tensors.append(tensor.info)
            guard tensors.count <= TensorInfo.most else {
                throw Llama2Error(.unsupported, "\(path): more than \(TensorInfo.most) tensors")
            }
        }
        var end = 0
        for range in ranges.sorted(by: { ($0.begin, $0.end) < ($1.begin, $1.end) }) {
            guard range.begin == end else {
                throw Llama2Error(
                    .corrupt, "\(path): tensor \(range.name) begins at \(range.begin), expected \(end): a gap or an overlap")
            }
            end = range.end
        }
        guard end == data.count else {
            throw Llama2Error(.corrupt, "\(path): the tensors end at \(end), the data at \(data.count)")
        }
        return tensors
    }

    /// (name, bits of an element). Source: safetensors/src/tensor.rs.
    private static let otherTypes: [(name: ByteText, bits: Int)] = [
        ("BOOL", 8), ("U8", 8), ("I8", 8), ("F8_E4M3", 8), ("F8_E5M2", 8), ("F8_E8M0", 8), ("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8),
        ("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("I16", 16), ("U16", 16), ("I32", 32), ("U32", 32), ("I64", 64), ("U64", 64), ("C64", 64),
    ]

    private static func tensor(_ name: ByteText, _ value: JSON, _ data: UnsafeRawBufferPointer, _ path: FilePath)
        throws(Llama2Error) -> (info: StoredTensor, begin: Int)
    {
        func failure(_ what: String) -> Llama2Error { Llama2Error(.corrupt, "\(path): tensor \(ByteText(name.bytes.prefix(200))) has \(what)") }
        guard !name.isEmpty, !name.bytes.contains(0), name.count < 4096 else { throw failure("a name that is empty, too long, or with NUL") }
        guard let word = value["dtype"]?.bytes.map({ ByteText($0) }) else { throw failure("no dtype") }
        let type: StoredType, bits: Int
        switch word {
        case "F32": (type, bits) = (.f32, 32)
        case "F16": (type, bits) = (.f16, 16)
        case "BF16": (type, bits) = (.bf16, 16)
        case "F64": (type, bits) = (.f64, 64)
        default:
            bits = otherTypes.first { $0.name == word }?.bits ?? 0
            type = .other(name: ByteText(word.bytes.prefix(20)).description, bytes: bits / 8)
        }
        guard let dimensions = value["shape"]?.array, dimensions.count <= 8 else { throw failure("no shape, or more than 8 dimensions") }
        var shape: [Int] = [], count = 1
        for dimension in dimensions {
            guard let n = dimension.integer, n >= 0 else { throw failure("a dimension that is not a positive integer") }
            count = try checkedMultiply(count, n, "\(path): weights of tensor \(name)")
            shape.append(n)
        }
        guard let offsets = value["data_offsets"]?.array, offsets.count == 2, let begin = offsets[0].integer,
            let end = offsets[1].integer, begin >= 0, begin <= end, end <= data.count
        else { throw failure("data_offsets outside of 0 to \(data.count)") }
        let allBits = try checkedMultiply(count, bits, "\(path): bytes of tensor \(name)")
        // what a dtype of another name takes, nobody knows
        guard bits == 0 || (allBits % 8 == 0 && allBits / 8 == end - begin) else {
            let problem = failure("dtype \(type.name) and \(end - begin) bytes, but its shape \(shape) takes \(allBits / 8)")
            if case .other = type { throw Llama2Error(.unsupported, problem.message) }
            throw problem
        }
        let whole = shape.isEmpty ? [1] : shape
        let info = StoredTensor(
            name: name, type: type, shape: whole, strides: StoredTensor.rowAfterRow(whole),
            data: UnsafeRawBufferPointer(rebasing: data[begin..<end]))
        return (info, begin)
    }
}
