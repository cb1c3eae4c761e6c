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
        return length <= UInt64(bytes.count - 8) && bytes[8] == UInt8(ascii: "{")
    }

    /// The tensors, with the shape as GGUF has it: row length first.
    static func tensors(_ bytes: UnsafeRawBufferPointer, _ path: String) throws(Llama2Error) -> [TensorInfo] {
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
        // "the header data MUST begin with a { character": what comes before would be read by some and not by others
        let parsed = try JSON.parse(header, path)
        guard header.first == UInt8(ascii: "{"), let members = parsed.members else {
            throw Llama2Error(.corrupt, "\(path): the header is not a JSON object from its first byte on")
        }
        try MemoryReserve.cover(min(members.count { _ in true }, TensorInfo.most + 1), each: 1536, for: "the tensors of \(path)")
        let data = UnsafeRawBufferPointer(rebasing: bytes[reader.offset...])
        var ranges: [(begin: Int, end: Int, name: String)] = [], tensors: [TensorInfo] = []
        for (key, value) in members {
            guard let name = key.text, name != "__metadata__" else { continue }
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

    private static func tensor(_ name: String, _ value: JSON, _ data: UnsafeRawBufferPointer, _ path: String)
        throws(Llama2Error) -> (info: TensorInfo, begin: Int)
    {
        func failure(_ what: String) -> Llama2Error { Llama2Error(.corrupt, "\(path): tensor \(name) has \(what)") }
        guard !name.isEmpty, !name.utf8.contains(0), name.utf8.count < 4096 else { throw failure("a name that is empty, too long, or with NUL") }
        let type: BlockType
        switch value["dtype"]?.text {
        case "F32": type = .f32
        case "F16": type = .f16
        case "BF16": type = .bf16
        case let other?: throw Llama2Error(.unsupported, "\(path): tensor \(name) has dtype \(other.prefix(20)); F32, F16 and BF16 are read")
        case nil: throw failure("no dtype")
        }
        guard let dimensions = value["shape"]?.array, dimensions.count <= 8 else { throw failure("no shape, or more than 8 dimensions") }
        var shape: [Int] = [], count = 1
        for dimension in dimensions {
            guard let n = dimension.integer, n > 0 else { throw failure("a dimension that is not a positive integer") }
            count = try checkedMultiply(count, n, "\(path): weights of tensor \(name)")
            shape.append(n)
        }
        guard let offsets = value["data_offsets"]?.array, offsets.count == 2, let begin = offsets[0].integer,
            let end = offsets[1].integer, begin >= 0, begin <= end, end <= data.count
        else { throw failure("data_offsets outside of 0 to \(data.count)") }
        guard try checkedMultiply(count, type.bytes, "\(path): bytes of tensor \(name)") == end - begin else {
            throw failure("\(end - begin) bytes, but its shape \(shape) of \(type.name) takes \(count * type.bytes)")
        }
        let info = TensorInfo(
            name: name, type: type, shape: shape.isEmpty ? [1] : shape.reversed(),
            data: UnsafeRawBufferPointer(rebasing: data[begin..<end]))
        return (info, begin)
    }
}
