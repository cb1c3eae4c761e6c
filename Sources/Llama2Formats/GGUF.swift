internal import Llama2Core

/// One GGUF file's directory: header, metadata, tensor descriptions, data.
///
///     "GGUF" | u32 version | u64 tensors | u64 keys | keys ... | tensor infos ... | padding | data
///
/// Source: the GGUF specification (ggml/docs/gguf.md). Versions 1 (32-bit counts), 2 and 3, little-endian. Every count is
/// compared with the bytes that are left before anything is done with it, so reading takes time and
/// memory in proportion to the file, whatever it says.
struct GGUFFile {
    let version: Int
    let metadata: Metadata
    let tensors: [TensorInfo]
    /// Those included that nobody needs and that are left out.
    let announcedTensors: Int

    /// Dimensions of a tensor, as GGML_MAX_DIMS.
    private static let maximumDimensions = 4
    private static let maximumAlignment = 1 << 20
    private static let maximumNameLength = 65_536

    static func isGGUF(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.count >= 4 && bytes.starts(with: "GGUF".utf8) }

    init(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) {
        // 1. header
        var reader = ByteReader(bytes)
        _ = try reader.take(4, "magic")
        let version = try reader.number(UInt32.self, "version")
        guard version.byteSwapped > 0xffff || version == 0 else {
            throw Llama2Error(.unsupported, "this GGUF file is big-endian (version \(version.byteSwapped)); only little-endian files are read")
        }
        guard (1...3).contains(version) else {
            throw Llama2Error(.unsupported, "GGUF version \(version) at offset 4; versions 1 to 3 are read")
        }
        reader.wideCounts = version > 1
        // a tensor info takes at least 8 + 4 + 8 + 4 + 8 bytes, a key at least 8 + 4 + 1
        // (24 and 9 with the short counts of version 1)
        let tensorCount = try reader.count(unit: version > 1 ? 32 : 24, "number of tensors")
        let keyCount = try reader.count(unit: version > 1 ? 13 : 9, "number of metadata keys")

        for (name, count, most) in [("tensors", tensorCount, TensorInfo.most), ("metadata keys", keyCount, Metadata.mostKeys)] where count > most {
            throw Llama2Error(.unsupported, "number of \(name): \(count); the limit is \(most)")
        }
        try MemoryReserve.cover(tensors: tensorCount, for: "\(tensorCount) tensors")
        try MemoryReserve.cover(keys: keyCount, for: "\(keyCount) keys")

        // 2. metadata
        var metadata = Metadata()
        for index in 0..<keyCount {
            let key = try GGUFFile.name(&reader, "metadata key \(index)")
            let value = try GGUFFile.value(&reader, key)
            guard metadata.insert(key, value) else {
                throw Llama2Error(.corrupt, "metadata \(key) appears twice, again before offset \(reader.offset)")
            }
        }
        let alignment = try metadata.integer(.alignment, in: 1...GGUFFile.maximumAlignment) ?? 32
        guard alignment & (alignment - 1) == 0 else {
            throw Llama2Error(.corrupt, "metadata \(MetadataKey.alignment) is \(alignment), expected a power of two")
        }

        // 3. tensor descriptions; the data starts at the next aligned offset
        var descriptions: [Description] = [], names: Set<ByteText> = []
        for index in 0..<tensorCount {
            let description = try Description(&reader, index, alignment)
            guard names.insert(description.name).inserted else { throw Llama2Error(.corrupt, "tensor \(description.name) appears twice") }
            if description.type != nil { descriptions.append(description) }
        }
        let dataStart = try alignUp(reader.offset, alignment, "start of the tensor data")
        tensors = try GGUFFile.place(descriptions, dataStart, bytes)
        self.version = Int(version)
        announcedTensors = tensorCount
        self.metadata = metadata
    }

    /// A name or key: UTF-8 without NUL.
    private static func name(_ reader: inout ByteReader, _ what: @autoclosure () -> String) throws(Llama2Error) -> ByteText {
        let start = reader.offset
        let bytes = try reader.string("name of \(what())")
        guard bytes.count > 0, bytes.count < maximumNameLength else {
            throw Llama2Error(.corrupt, "name of \(what()) at offset \(start) has \(bytes.count) bytes, expected 1 to \(maximumNameLength - 1)")
        }
        let name = try ByteText(covered: bytes, "name of \(what())")
        guard !bytes.contains(0) else { throw Llama2Error(.corrupt, "name of \(what()) at offset \(start) contains NUL") }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw Llama2Error(.corrupt, "name of \(what()) at offset \(start) is not UTF-8")
        }
        return name
    }

    private static func elementType(_ reader: inout ByteReader, _ key: ByteText) throws(Llama2Error) -> Metadata.ElementType {
        let start = reader.offset
        let number = try reader.number(UInt32.self, "type of metadata \(key)")
        guard let type = Metadata.ElementType(rawValue: number) else {
            throw Llama2Error(.corrupt, "metadata \(key) has value type \(number) at offset \(start), expected 0 to 12")
        }
        return type
    }

    private static func value(_ reader: inout ByteReader, _ key: ByteText) throws(Llama2Error) -> Metadata.Value {
        let type = try elementType(&reader, key)
        if let size = type.size {
            let start = reader.offset
            let bytes = try reader.take(size, "metadata \(key)")
            if type == .bool, bytes[0] > 1 {
                throw Llama2Error(.corrupt, "metadata \(key) is a bool of value \(bytes[0]) at offset \(start), expected 0 or 1")
            }
            return type.load(bytes.baseAddress!)
        }
        if type == .string { return .string(try reader.string("metadata \(key)")) }
        let element = try elementType(&reader, key)
        guard element != .array else {
            throw Llama2Error(.unsupported, "metadata \(key) is an array of arrays at offset \(reader.offset)")
        }
        let count = try reader.count(unit: element.size ?? (reader.wideCounts ? 8 : 4), "length of metadata \(key)")
        if let size = element.size { return .array(element, count: count, try reader.take(count &* size, "metadata \(key)")) }
        var strings = try ByteStrings(reader.rest, lengthSize: reader.wideCounts ? 8 : 4, count: count, of: "metadata \(key)")
        for index in 0..<count { strings.append(length: try reader.string("metadata \(key)[\(index)]").count) }
        return .strings(strings)
    }

    /// A tensor as the directory describes it, before its bytes are looked for. type: nil for one that nobody needs, of
    /// a type that this version does not compute with.
    private struct Description {
        let name: ByteText, type: BlockType?, shape: [Int], offset: Int, size: Int

        init(_ reader: inout ByteReader, _ index: Int, _ alignment: Int) throws(Llama2Error) {
            let name = try GGUFFile.name(&reader, "tensor \(index)")
            let start = reader.offset
            let dimensions = try reader.number(UInt32.self, "dimensions of tensor \(name)")
            guard (1...UInt32(maximumDimensions)).contains(dimensions) else {
                throw Llama2Error(.corrupt, "tensor \(name) has \(dimensions) dimensions at offset \(start), expected 1 to \(maximumDimensions)")
            }
            var shape: [Int] = [], rows = 1
            for d in 0..<Int(dimensions) {
                let length = try checkedInt(try reader.size("shape of tensor \(name)"), "dimension \(d) of tensor \(name)")
                guard length > 0 else { throw Llama2Error(.corrupt, "tensor \(name) has dimension \(d) of length 0 before offset \(reader.offset)") }
                if d > 0 { rows = try checkedMultiply(rows, length, "rows of tensor \(name)") }
                shape.append(length)
            }
            let number = try reader.number(UInt32.self, "type of tensor \(name)")
            guard let type = BlockType(rawValue: number) else {
                guard TensorNames.isHarmless(name) else {
                    let words = nameOfOtherType(number).map { " (\($0))" } ?? ""
                    throw Llama2Error(
                        .unsupported, "tensor \(name) has type number \(number)\(words) before offset \(reader.offset), which this version does not know")
                }
                _ = try reader.number(UInt64.self, "offset of tensor \(name)")
                (self.name, self.type, self.shape, offset, size) = (name, nil, shape, 0, 0)
                return
            }
            guard shape[0] % type.elements == 0 else {
                throw Llama2Error(.corrupt, "tensor \(name) has rows of \(shape[0]) weights, not a whole number of \(type.name) blocks of \(type.elements)")
            }
            let rowBytes = try checkedMultiply(shape[0] / type.elements, type.bytes, "bytes of a row of tensor \(name)")
            _ = try checkedMultiply(rows, shape[0], "weights of tensor \(name)")
            size = try checkedMultiply(rows, rowBytes, "bytes of tensor \(name)")
            offset = try checkedInt(try reader.number(UInt64.self, "offset of tensor \(name)"), "offset of tensor \(name)")
            guard offset & (alignment &- 1) == 0 else {
                throw Llama2Error(.corrupt, "tensor \(name) has data offset \(offset), not a multiple of the alignment \(alignment)")
            }
            self.name = name
            self.type = type
            self.shape = shape
        }
    }

    private static func place(_ list: [Description], _ dataStart: Int, _ bytes: UnsafeRawBufferPointer) throws(Llama2Error) -> [TensorInfo] {
        var tensors: [TensorInfo] = []
        for tensor in list {
            guard let type = tensor.type else { continue }
            let start = try checkedAdd(dataStart, tensor.offset, "offset of tensor \(tensor.name)")
            let end = try checkedAdd(start, tensor.size, "end of tensor \(tensor.name)")
            guard end <= bytes.count else {
                throw Llama2Error(.corrupt, "tensor \(tensor.name) takes bytes \(start) to \(end), but the file ends at \(bytes.count)")
            }
            tensors.append(
                TensorInfo(
                    name: tensor.name, type: type, shape: tensor.shape,
                    data: UnsafeRawBufferPointer(rebasing: bytes[start..<end])))
        }
        let byOffset = list.sorted { $0.offset < $1.offset }
        for (a, b) in zip(byOffset, byOffset.dropFirst()) where a.offset + a.size > b.offset {
            throw Llama2Error(.corrupt, "tensors \(a.name) and \(b.name) overlap at data offset \(b.offset)")
        }
        return tensors
    }
}
