internal import Llama2Core
internal import Llama2Kernels

/// What a pass needs of the adapters of a sequence: for each product those that add to it, one behind the other. Plain pointers.
struct AdapterTable: BitwiseCopyable {
    struct Entry: BitwiseCopyable {
        let a: Matrix  // (rank, columns)
        let b: Matrix  // (rows, width)
        let scale: Float
        /// Where its A x begins in the room of a token, of those that are computed at the same time.
        let offset: Int
        let rank: Int
        /// What an A x takes: the rank, and zeros up to whole vectors.
        var width: Int { b.columns }
    }

    /// (places + 1): entries[starts[p] ..< starts[p + 1]] are those of product p.
    let starts: UnsafePointer<Int32>
    let entries: UnsafePointer<Entry>
    /// (layers, embedding): what control vectors add behind each layer; nil for nothing.
    let directions: UnsafePointer<Float>?

    @inline(__always) func range(_ place: Int) -> Range<Int> { Int(starts[place])..<Int(starts[place &+ 1]) }
}

/// The adapters of a sequence with their scales: their table, and what keeps it alive.
final class AdapterSet {
    /// (the adapter's number, the bits of the scale): two lists that are the same compute the same.
    struct Key: Hashable { var adapter: UInt64, scale: UInt32 }

    let adapters: [(adapter: Adapter, scale: Float)]
    let key: [Key]
    /// Floats that all A x of a token take at most.
    let width: Int
    private let starts: AlignedBuffer<Int32>
    private let entries: AlignedBuffer<AdapterTable.Entry>
    private let directions: AlignedBuffer<Float>
    private let memory: AlignedBuffer<AdapterTable>

    /// The table, which lives as long as this object.
    var table: UnsafePointer<AdapterTable> { UnsafePointer(memory.pointer) }

    init(_ list: [(adapter: Adapter, scale: Float)], _ h: Hyperparameters) throws(Llama2Error) {
        adapters = list
        key = list.map { Key(adapter: $0.adapter.number, scale: $0.scale.bitPattern) }
        let places = Adapter.places(h)
        starts = try AlignedBuffer(count: places + 1, of: "a table of adapters")
        entries = try AlignedBuffer(count: list.reduce(0) { $0 + $1.adapter.productCount }, of: "a table of adapters")
        memory = try AlignedBuffer(count: 1, of: "a table of adapters")
        // control vectors: their sum, in the order of the list
        let steers = list.contains { $0.adapter.directions.contains { $0 != nil } }, e = h.embeddingLength
        directions = try AlignedBuffer(count: steers ? try checkedMultiply(h.layerCount, e, "control vectors") : 0, of: "control vectors")
        for (adapter, scale) in list {
            for (layer, direction) in adapter.directions.enumerated() {
                guard let direction else { continue }
                let sum = directions.pointer + layer * e
                for i in 0..<e { sum[i] += scale * direction[i] }
            }
        }
        for i in 0..<directions.count where !directions.pointer[i].isFinite {
            throw Llama2Error(.invalidArgument, "the control vectors add \(directions.pointer[i]) behind layer \(i / e): a scale that is too large")
        }
        var count = 0, width = 0, offset = 0
        for place in 0..<places {
            starts.pointer[place] = Int32(count)
            // q, k and v are computed together, so are gate and up
            let product = place == places - 1 ? 0 : place % Adapter.productsOfLayer
            if ![1, 2, 5].contains(product) { offset = 0 }
            for (adapter, scale) in list {
                guard let pair = adapter.pairs[place] else { continue }
                entries.pointer[count] = AdapterTable.Entry(a: pair.a, b: pair.b, scale: scale * pair.factor, offset: offset, rank: pair.rank)
                count += 1
                offset += pair.width
            }
            width = max(width, offset)
        }
        starts.pointer[places] = Int32(count)
        self.width = width
        memory.pointer[0] = AdapterTable(
            starts: starts.pointer, entries: entries.pointer, directions: steers ? UnsafePointer(directions.pointer) : nil)
    }
}
