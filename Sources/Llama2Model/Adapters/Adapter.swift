public import Llama2Core
public import Llama2Formats
internal import Llama2Kernels
internal import Synchronization

/// A LoRA adapter for one model: of some of its products W x the addition factor * B (A x), with A (rank, columns) and B (rows, rank).
/// Hu et al., LoRA, 2021. The model's own weights stay as they are in their file; the small matrices are copied as F32, whatever their
/// type was, so that a sequence's numbers are the same for each. Immutable; shared by any number of contexts.
public final class Adapter: @unchecked Sendable {
    /// The products of a layer, in the order of `place`; behind those of all layers comes the output matrix.
    static let products: [ByteText] = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
    /// How many those are. A number of its own: what the threads of a pass read may not be made by the first of them that comes, which in a
    /// forked child Swift's runtime can wait for without end.
    static let productsOfLayer = 7
    static func places(_ h: Hyperparameters) -> Int { h.layerCount &* productsOfLayer &+ 1 }

    struct Pair: BitwiseCopyable {
        let a: Matrix  // (rank, columns)
        let b: Matrix  // (rows, width): the rank, and zeros up to whole vectors, so that no row ends within one
        let factor: Float
        var rank: Int { a.rows }
        var width: Int { b.columns }
    }

    public let weights: Weights
    /// Of a control vector: (layers), where what is added behind each begins, (embedding); nil for nothing.
    let directions: [UnsafePointer<Float>?]
    /// (places): nil where the adapter adds nothing.
    let pairs: [Pair?]
    private let memory: AlignedBuffer<Float>
    /// Tells adapters apart, within this process and for ever.
    let number: UInt64
    /// A hash of all matrices and factors: the same file for the same model always has the same.
    public let fingerprint: UInt64
    public let largestRank: Int
    public var productCount: Int { pairs.count { $0 != nil } }
    public var byteCount: Int { 4 &* memory.count }

    private static let next = Atomic<UInt64>(1)

    public init(_ file: AdapterFile, for weights: Weights, _ path: FilePath) throws(Llama2Error) {
        self.weights = weights
        let h = weights.hyperparameters, places = Adapter.places(h)
        try MemoryReserve.cover(.list(places, of: Pair?.self), for: "an adapter")
        for whole in file.wholes { try Adapter.checkSame(whole.tensor, "\(path): tensor \(whole.nameInFile)", as: whole.name, of: weights) }
        // 1. every matrix has the shape that its product wants
        var floats = 0, chosen: [(place: Int, pair: AdapterFile.Pair)] = []
        for pair in file.pairs {
            if Adapter.isElsewhere(pair.name, h) { continue }
            guard let place = Adapter.place(pair.name, h) else {
                throw Llama2Error(
                    .unsupported, "\(path): tensor \(pair.namesInFile.a) is for \(pair.name), which is no product of this model of \(h.allLayers) layers")
            }
            let (rows, columns) = Adapter.shape(place, h)
            guard pair.a.columns == columns else {
                throw Llama2Error(
                    .corrupt,
                    "\(path): tensor \(pair.namesInFile.a) has shape \(pair.a.shape), expected [\(columns), \(pair.a.rows)]: an adapter of another model")
            }
            guard pair.b.rows == rows else {
                throw Llama2Error(
                    .corrupt,
                    "\(path): tensor \(pair.namesInFile.b) has shape \(pair.b.shape), expected [\(pair.b.columns), \(rows)]: an adapter of another model")
            }
            let width = try alignUp(pair.a.rows, 16, "an adapter")
            for count in [try checkedMultiply(columns, pair.a.rows, "an adapter"), try checkedMultiply(rows, width, "an adapter")] {
                floats = try checkedAdd(floats, try alignUp(count, 16, "an adapter"), "an adapter")
            }
            chosen.append((place, pair))
        }
        for (layer, tensor) in file.directions {
            guard layer < h.allLayers else {
                throw Llama2Error(.unsupported, "\(path): tensor \(tensor.name) is for a layer that this model of \(h.allLayers) layers does not have")
            }
            guard tensor.columns == h.embeddingLength else {
                throw Llama2Error(
                    .corrupt, "\(path): tensor \(tensor.name) has shape \(tensor.shape), expected [\(h.embeddingLength)]: a control vector of another model")
            }
            floats = try checkedAdd(floats, try alignUp(tensor.columns, 16, "a control vector"), "a control vector")
        }
        // 2. as floats
        memory = try AlignedBuffer(count: floats, of: "an adapter")
        let scratch = try AlignedBuffer<UInt8>(count: Kernels.dequantizeScratchBytes, of: "scratch"), lanes = scratch.pointer, base = memory.pointer
        defer { withExtendedLifetime(scratch) {} }
        let kernels = try Kernels.table(.reference)
        var pairs = [Pair?](repeating: nil, count: places), used = 0, hash = WordHash(), largest = 0
        func matrix(_ tensor: TensorInfo, width: Int? = nil, half: Int, _ name: ByteText, _ start: UnsafeMutablePointer<Float>) throws(Llama2Error) -> Matrix {
            let columns = tensor.columns, rows = tensor.rows, width = width ?? columns
            guard let data = tensor.data.baseAddress, let rowBytes = tensor.type.rowBytes(columns) else {
                throw Llama2Error(.corrupt, "\(path): tensor \(name) is empty")
            }
            for row in 0..<rows {
                let source = half == 0 ? row : file.rotatesHalves ? HeadRows.inHalves(row, half: half) : HeadRows.inPairs(row, half: half),
                    out = start + row * width  // zeros behind its columns, as the memory was
                kernels.dequantize(tensor.type, data + source * rowBytes, columns, out, scratch: lanes)
                for column in 0..<columns where !out[column].isFinite {
                    throw Llama2Error(.corrupt, "\(path): tensor \(name), row \(source), column \(column): \(out[column]) is not finite")
                }
            }
            return Matrix(data: UnsafeRawPointer(start), type: .f32, rows: rows, columns: width)
        }
        for (place, pair) in chosen {
            guard pairs[place] == nil else {
                throw Llama2Error(.corrupt, "\(path): tensor \(pair.namesInFile.a) is for \(pair.name), which another is for too")
            }
            // rows of q and k in the order of the model's own
            let turns = file.rotatesHalves != h.rotatesHalves && Adapter.isRotated(place, h)
            guard !turns || h.headDimension % 2 == 0 else {
                throw Llama2Error(
                    .unsupported, "\(path): tensor \(pair.namesInFile.b) has its rows in halves of heads, and this model's have \(h.headDimension) components")
            }
            let a = try matrix(pair.a, half: 0, pair.namesInFile.a, base + used)
            used += try alignUp(a.rows * a.columns, 16, "an adapter")
            let width = try alignUp(a.rows, 16, "an adapter")
            let b = try matrix(pair.b, width: width, half: turns ? h.headDimension / 2 : 0, pair.namesInFile.b, base + used)
            used += try alignUp(b.rows * b.columns, 16, "an adapter")
            pairs[place] = Pair(a: a, b: b, factor: Float(pair.factor))
            largest = max(largest, a.rows)
        }
        for (place, pair) in pairs.enumerated() {
            guard let pair else { continue }
            for number in [place, pair.rank, Int(pair.factor.bitPattern)] { hash.add(UInt64(number)) }
            hash.add(UnsafeRawBufferPointer(start: pair.a.data, count: 4 * pair.a.rows * pair.a.columns).bytes)
            // rows of q and k count in GGUF's order, whatever the model's
            let half = h.rotatesHalves && h.headDimension % 2 == 0 && Adapter.isRotated(place, h) ? h.headDimension / 2 : 0
            for row in 0..<pair.b.rows {
                let source = half == 0 ? row : HeadRows.inHalves(row, half: half)
                hash.add(UnsafeRawBufferPointer(start: pair.b.data + 4 * source * pair.width, count: 4 * pair.rank).bytes)
            }
        }
        var directions = [UnsafePointer<Float>?](repeating: nil, count: h.layerCount)
        for (layer, tensor) in file.directions {
            _ = try matrix(tensor, half: 0, tensor.name, base + used)
            let place = layer - h.firstLayer
            if place >= 0, place < h.layerCount { directions[place] = UnsafePointer(base + used) }
            for number in [places, layer] { hash.add(UInt64(number)) }
            hash.add(UnsafeRawBufferPointer(start: base + used, count: 4 * tensor.columns).bytes)
            used += try alignUp(tensor.columns, 16, "a control vector")
        }
        self.directions = directions
        self.pairs = pairs
        fingerprint = hash.value
        largestRank = largest
        number = Adapter.next.wrappingAdd(1, ordering: .relaxed).newValue
    }

    /// Refuses a matrix that would take the place of the model's and is another. In the model it may be of a narrower type.
    private static func checkSame(_ tensor: TensorInfo, _ what: String, as name: ByteText, of weights: Weights) throws(Llama2Error) {
        guard let own = weights.file.tensor(name) ?? weights.file.tensor("token_embd.weight") else { return }  // a model without an embedding is none
        guard tensor.columns == own.columns, tensor.rows == own.rows else {
            throw Llama2Error(.unsupported, "\(what) has shape \(tensor.shape), the model's \(own.name) \(own.shape): it would take its place")
        }
        guard own.type.isFloat else {
            throw Llama2Error(
                .unsupported,
                "\(what) takes the place of the model's \(own.name), which is \(own.type.name): whether it is the same cannot be told (save_embedding_layers=False leaves it out)"
            )
        }
        if own.type == tensor.type, own.data.elementsEqual(tensor.data) { return }
        let columns = own.columns, room = try AlignedBuffer<Float>(count: try checkedMultiply(columns, 2, what), of: "two rows"),
            narrow = try AlignedBuffer<UInt8>(count: try checkedMultiply(columns, 4, what), of: "a row"),
            scratch = try AlignedBuffer<UInt8>(count: max(Kernels.dequantizeScratchBytes, 8192), of: "scratch"), kernels = try Kernels.table(.reference)
        let mine = room.pointer, theirs = mine + columns, lanes = scratch.pointer
        defer {
            withExtendedLifetime(room) {}
            withExtendedLifetime(narrow) {}
            withExtendedLifetime(scratch) {}
        }
        guard let ownData = own.data.baseAddress, let data = tensor.data.baseAddress, let ownBytes = own.type.rowBytes(columns),
            let bytes = tensor.type.rowBytes(columns)
        else { throw Llama2Error(.corrupt, "\(what) is empty") }
        for row in 0..<own.rows {
            kernels.dequantize(own.type, ownData + row * ownBytes, columns, mine, scratch: lanes)
            kernels.dequantize(tensor.type, data + row * bytes, columns, theirs, scratch: lanes)
            for column in 0..<columns where !theirs[column].isFinite {
                throw Llama2Error(.corrupt, "\(what), row \(row), column \(column): \(theirs[column]) is not finite")
            }
            kernels.quantize(own.type, theirs, count: columns, narrow.pointer, scratch: lanes)
            kernels.dequantize(own.type, narrow.pointer, columns, theirs, scratch: lanes)
            for column in 0..<columns where mine[column] != theirs[column] {
                throw Llama2Error(
                    .unsupported, "\(what) would take the place of the model's \(own.name) and is another: row \(row), column \(column)")
            }
        }
    }

    private static func isRotated(_ place: Int, _ h: Hyperparameters) -> Bool { place < places(h) - 1 && place % productsOfLayer < 2 }

    /// A product of the model, in layers that others compute.
    private static func isElsewhere(_ name: ByteText, _ h: Hyperparameters) -> Bool {
        if name == "output.weight" { return !h.hasOutput }
        guard let (layer, rest) = TensorNames.inLayer(name), products.contains(where: { rest == $0 + ".weight" }) else { return false }
        return layer < h.allLayers && (layer < h.firstLayer || layer >= h.firstLayer + h.layerCount)
    }

    /// nil: no product of the model.
    static func place(_ name: ByteText, _ h: Hyperparameters) -> Int? {
        if name == "output.weight" { return places(h) - 1 }
        guard let (number, rest) = TensorNames.inLayer(name), case let layer = number - h.firstLayer, layer >= 0, layer < h.layerCount,
            let product = products.firstIndex(where: { rest == $0 + ".weight" })
        else { return nil }
        return layer * productsOfLayer + product
    }

    /// (rows, columns) of the product itself.
    private static func shape(_ place: Int, _ h: Hyperparameters) -> (rows: Int, columns: Int) {
        let e = h.embeddingLength
        if place == places(h) - 1 { return (h.vocabularySize, e) }
        return switch place % productsOfLayer {
        case 0: (h.queryLength, e)
        case 1, 2: (h.keyLength, e)
        case 3: (e, h.queryLength)
        case 4, 5: (h.feedForwardLength, e)
        default: (e, h.feedForwardLength)
        }
    }
}

extension Adapter {
    /// What is added to a matrix when the adapter becomes part of it: s B A, a row at a time. Plain pointers, as long as the adapter.
    public struct Addition: BitwiseCopyable {
        let pair: Pair
        let scale: Float

        /// x (columns) += s * row `row` of B A, in the order of the ranks.
        @inline(__always)
        public func add(_ row: Int, to x: UnsafeMutablePointer<Float>) {
            let rank = pair.rank, columns = pair.a.columns
            let b = pair.b.data.assumingMemoryBound(to: Float.self) + row &* pair.width, a = pair.a.data.assumingMemoryBound(to: Float.self)
            for k in 0..<rank {
                let factor = scale * b[k], source = a + k &* columns
                for i in 0..<columns { x[i] += factor * source[i] }
            }
        }
    }

    /// To the matrix `name`, as its rows lie in the model's file; nil when nothing is added.
    public func addition(to name: ByteText, _ scale: Float) -> Addition? {
        guard let place = Adapter.place(name, weights.hyperparameters), let pair = pairs[place] else { return nil }
        return Addition(pair: pair, scale: scale * pair.factor)
    }
}
