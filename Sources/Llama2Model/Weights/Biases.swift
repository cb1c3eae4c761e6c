internal import Llama2Core
internal import Llama2Formats
internal import Llama2Kernels

/// The biases of a file's products (`blk.N.attn_q.bias` and the like) as F32, one behind the other, each on a cache
/// line. They are copied: they are small, a file may have them in F16 or BF16, and nothing says where in a file they lie.
struct Biases: ~Copyable {
    private let memory: AlignedBuffer<Float>
    private var used = 0

    /// Room for all that `file` has.
    init(_ file: ModelFile) throws(Llama2Error) {
        var count = 0
        for tensor in file.tensors where tensor.name.utf8.suffix(5).elementsEqual(".bias".utf8) {
            count = try checkedAdd(count, try Biases.room(tensor), "biases")
        }
        memory = try AlignedBuffer(count: count, of: "biases")
    }

    /// The bias `name` of a product with `rows` rows, (rows); nil when the file has none.
    mutating func next(_ file: ModelFile, _ name: String, _ rows: Int) throws(Llama2Error) -> UnsafePointer<Float>? {
        guard let tensor = file.tensor(name) else { return nil }
        guard tensor.shape == [rows] else {
            throw Llama2Error(.corrupt, "tensor \(name) has shape \(tensor.shape), expected [\(rows)]")
        }
        guard tensor.type.isFloat else {
            throw Llama2Error(.unsupported, "tensor \(name) has type \(tensor.type.name); a bias is F32, F16 or BF16")
        }
        guard let base = tensor.data.baseAddress else { throw Llama2Error(.corrupt, "tensor \(name) is empty") }
        // `init` counted this tensor, and a name is asked for once
        let target = memory.pointer + used
        used += try Biases.room(tensor)
        // floats need no scratch
        try Kernels.table(.reference).dequantize(tensor.type, base, rows, target, scratch: target)
        return UnsafePointer(target)
    }

    private static func room(_ tensor: TensorInfo) throws(Llama2Error) -> Int {
        try alignUp(try checkedMultiply(tensor.columns, tensor.rows, tensor.name.description), 16, tensor.name.description)
    }
}
