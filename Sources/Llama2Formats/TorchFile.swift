internal import Llama2Core

/// The tensors of a file of torch.save's (1.6 or newer): a zip archive of one pickle, `ROOT/data.pkl`, and of one entry a storage,
/// `ROOT/data/KEY`. Each tensor is checked to lie in its storage, whatever its strides; several may share one.
enum TorchFile {
    static func tensors(_ file: MappedFile) throws(Llama2Error) -> [StoredTensor] {
        let path = file.path
        guard ZipFile.recognises(file.bytes) else {
            throw Llama2Error(.unsupported, "\(path) is no zip archive: torch.save wrote it before version 1.6, or it is something else")
        }
        let zip = try ZipFile(file.bytes, path)
        let pickles = zip.entries.keys.filter { $0 == "data.pkl" || $0.hasSuffix("/data.pkl") }.sorted()
        guard let name = pickles.first, let pickle = zip.entries[name] else { throw Llama2Error(.corrupt, "\(path): no entry data.pkl") }
        guard pickles.count == 1 else {
            throw Llama2Error(.corrupt, "\(path) has several entries data.pkl (\(pickles[0]), \(pickles[1])): which one is meant, nobody knows")
        }
        let root = name.dropLast("data.pkl".utf8.count)
        if let order = zip.entries[root + "byteorder"], !order.elementsEqual("little".utf8) {
            throw Llama2Error(.unsupported, "\(path): its byte order is not little-endian")
        }
        var tensors: [StoredTensor] = [], names: Set<ByteText> = []
        for (name, tensor) in try PickledTensors.read(pickle, path.description) {
            func what() -> String { "\(path): tensor \(ByteText(name.bytes.prefix(200)))" }
            guard names.insert(name).inserted else { throw Llama2Error(.corrupt, "\(what()) appears twice") }
            guard let data = zip.entries[root + "data/" + tensor.storage.key] else {
                throw Llama2Error(.corrupt, "\(what()) lies in storage \(ByteText(tensor.storage.key.bytes.prefix(40))), which is missing")
            }
            let size = tensor.storage.type.bytes
            guard try checkedMultiply(tensor.storage.count, size, what()) == data.count else {
                throw Llama2Error(.corrupt, "\(what()) lies in a storage of \(tensor.storage.count) weights, but \(data.count) bytes are there")
            }
            // the last element is the farthest: no stride is negative
            var end = tensor.shape.contains(0) ? 0 : 1, count = 1
            for (length, stride) in zip_(tensor.shape, tensor.strides) where length > 0 {
                count = try checkedMultiply(count, length, what())
                if end > 0 { end = try checkedAdd(end, try checkedMultiply(length - 1, stride, what()), what()) }
            }
            end = try checkedAdd(tensor.offset, end, what())
            guard end <= tensor.storage.count else {
                throw Llama2Error(.corrupt, "\(what()) takes weights \(tensor.offset) to \(end) of a storage of \(tensor.storage.count)")
            }
            // a number alone is a vector of one
            let isNumber = tensor.shape.isEmpty
            tensors.append(
                StoredTensor(
                    name: name, type: tensor.storage.type, shape: isNumber ? [1] : tensor.shape, strides: isNumber ? [1] : tensor.strides,
                    data: UnsafeRawBufferPointer(rebasing: data[(tensor.offset * size)..<(end * size)])))
        }
        guard !tensors.isEmpty else { throw Llama2Error(.corrupt, "\(path): no tensors") }
        return tensors
    }

    private static func zip_(_ a: [Int], _ b: [Int]) -> [(Int, Int)] { Array(Swift.zip(a, b)) }
}
