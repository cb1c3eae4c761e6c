internal import Llama2Core

/// How a file outside of GGUF stores the numbers of a tensor.
enum StoredType: Equatable {
    case f32, f16, bf16, f64
    /// A type that no weight has here: harmless as long as nobody needs the tensor. bytes: of an element, 0 when that is not known.
    case other(name: String, bytes: Int)

    var bytes: Int {
        switch self {
        case .f64: 8
        case .f32: 4
        case .f16, .bf16: 2
        case .other(_, let bytes): bytes
        }
    }

    /// The same type in GGUF; nil where there is none that is computed with.
    var block: BlockType? {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        case .f64, .other: nil
        }
    }

    var name: String {
        switch self {
        case .f32: "F32"
        case .f16: "F16"
        case .bf16: "BF16"
        case .f64: "F64"
        case .other(let name, _): name
        }
    }
}

/// A tensor as a file of safetensors or PyTorch's describes it, before anybody needs it.
struct StoredTensor {
    let name: ByteText
    let type: StoredType
    /// As the file has them: rows first. Strides count elements.
    let shape: [Int], strides: [Int]
    /// From the first element on, as far as the last one reaches.
    let data: UnsafeRawBufferPointer

    /// The strides of a tensor that lies row after row.
    static func rowAfterRow(_ shape: [Int]) -> [Int] {
        var strides: [Int] = [], count = 1
        for length in shape.reversed() {
            strides.append(count)
            count &*= max(length, 1)
        }
        return strides.reversed()
    }

    /// The same bytes, read in the same way: two names of one tensor.
    func isSame(as other: StoredTensor) -> Bool {
        type == other.type && shape == other.shape && strides == other.strides && data.baseAddress == other.data.baseAddress
    }

    private var liesRowAfterRow: Bool {
        zip(shape, zip(strides, StoredTensor.rowAfterRow(shape))).allSatisfy { length, pair in length == 1 || pair.0 == pair.1 }
    }

    /// Under GGUF's name, with GGUF's order of dimensions: a view where the file has what is needed, otherwise a copy. Vectors
    /// become F32, which they are in GGUF; F64 becomes F32, and a value that F32 cannot hold is refused.
    func named(_ own: ByteText, _ copies: Copies, _ what: @autoclosure () -> String) throws(Llama2Error) -> TensorInfo {
        guard type.block != nil || type == .f64 else {
            throw Llama2Error(.unsupported, "\(what()) has dtype \(type.name); F32, F16, BF16 and F64 are read")
        }
        guard (1...2).contains(shape.count), !shape.contains(0) else {
            throw Llama2Error(.corrupt, "\(what()) has shape \(shape): a dimension of length 0, or not one or two of them")
        }
        let turned: [Int] = shape.reversed()
        let isVector = shape.count == 1
        if liesRowAfterRow, let block = type.block, !isVector || block == .f32 && UInt(bitPattern: data.baseAddress) % 4 == 0 {
            return TensorInfo(name: own, type: block, shape: turned, data: data)
        }
        guard !isVector || shape[0] <= TensorInfo.longestVector else {
            throw Llama2Error(.corrupt, "\(what()) has \(shape[0]) weights in one dimension")
        }
        let rows = isVector ? 1 : shape[0], columns = isVector ? shape[0] : shape[1]
        let rowStride = isVector ? 0 : strides[0], columnStride = isVector ? strides[0] : strides[1]
        // its bytes were checked to lie in the file for these strides
        let count = try checkedMultiply(rows, columns, what())
        if !isVector, type == .f16 || type == .bf16 {
            let bytes = try copies.make(count, of: what()) { (out: UnsafeMutablePointer<UInt16>) in
                for row in 0..<rows {
                    for column in 0..<columns {
                        out[row &* columns &+ column] = data.loadUnaligned(fromByteOffset: 2 &* (row &* rowStride &+ column &* columnStride), as: UInt16.self)
                    }
                }
            }
            return TensorInfo(name: own, type: type == .f16 ? .f16 : .bf16, shape: turned, data: bytes)
        }
        let size = type.bytes
        let bytes = try copies.make(count, of: what()) { (out: UnsafeMutablePointer<Float>) throws(Llama2Error) in
            for row in 0..<rows {
                for column in 0..<columns {
                    let at = size &* (row &* rowStride &+ column &* columnStride)
                    let value: Float
                    switch type {
                    case .f16: value = halfToFloat(data.loadUnaligned(fromByteOffset: at, as: UInt16.self))
                    case .bf16: value = Float(bitPattern: UInt32(data.loadUnaligned(fromByteOffset: at, as: UInt16.self)) << 16)
                    case .f64:
                        let wide = data.loadUnaligned(fromByteOffset: at, as: Double.self)
                        value = Float(wide)
                        guard value.isFinite || !wide.isFinite else {
                            throw Llama2Error(.corrupt, "\(what()) holds \(wide) in row \(row), column \(column), which F32 cannot hold")
                        }
                    case .f32, .other: value = data.loadUnaligned(fromByteOffset: at, as: Float.self)
                    }
                    out[row &* columns &+ column] = value
                }
            }
        }
        return TensorInfo(name: own, type: .f32, shape: turned, data: bytes)
    }
}

/// Memory for what is not used as it lies in the files. Tensors may lie on top of each other, so that a file could make much of
/// little: all copies together take at most `limit` bytes.
final class Copies {
    let owned: OwnedBytes
    private let limit: Int
    private var made = 0

    init(limit: Int, _ memory: FileMemory = .view) {
        self.limit = limit
        owned = OwnedBytes(memory)
    }

    func make<T: BitwiseCopyable>(_ count: Int, of what: @autoclosure () -> String, _ fill: (UnsafeMutablePointer<T>) throws(Llama2Error) -> Void)
        throws(Llama2Error) -> UnsafeRawBufferPointer
    {
        made = try checkedAdd(made, try checkedMultiply(count, MemoryLayout<T>.stride, what()), what())
        guard made <= limit else {
            throw Llama2Error(.corrupt, "\(what()) shares its bytes with others: together they take more than the files have")
        }
        return try owned.make(count, fill)
    }
}
