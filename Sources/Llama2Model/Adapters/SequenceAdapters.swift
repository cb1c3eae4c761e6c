public import Llama2Core

/// Which adapters each sequence of a context has, and under which root of the prefix index its pages stand: pages that were computed
/// with other adapters are other pages.
final class SequenceAdapters {
    /// Lists that were in use are remembered, so that what they computed is found again: at most so many, the latest.
    private static let remembered = 256

    private var sets: [AdapterSet?]
    /// Keys and scales only: an adapter that was freed does not stay for them.
    private var roots: [(key: [AdapterSet.Key], root: PrefixIndex.Node)] = []
    /// (batchSize, width) floats: A x of the tokens of a pass.
    private var room: AlignedBuffer<Float>
    private(set) var width = 0
    private let batchSize: Int

    init(sequences: Int, batchSize: Int) throws(Llama2Error) {
        sets = Array(repeating: nil, count: sequences)
        room = try AlignedBuffer(count: 0, of: "adapters")
        self.batchSize = batchSize
    }

    var pointer: UnsafeMutablePointer<Float> { room.pointer }
    var byteCount: Int { 4 * room.count }

    func set(_ sequence: Int) -> AdapterSet? { sets[sequence] }

    /// Gives a sequence these adapters, and returns the root of its pages. All or nothing.
    func set(_ sequence: Int, _ set: AdapterSet?, _ index: PrefixIndex) throws(Llama2Error) -> PrefixIndex.Node {
        guard let set else {
            sets[sequence] = nil
            return PrefixIndex.root
        }
        if set.width > width {
            room = try AlignedBuffer(count: try checkedMultiply(set.width, batchSize, "adapters", .noMemory), of: "the adapters of a pass")
            width = set.width
        }
        sets[sequence] = set
        if let known = roots.firstIndex(where: { $0.key == set.key }) {
            let entry = roots.remove(at: known)
            roots.append(entry)
            return entry.root
        }
        if roots.count == SequenceAdapters.remembered { forgetOne() }
        roots.append((set.key, index.newRoot()))
        return roots[roots.count - 1].root
    }

    /// The one that was not set for longest and that no sequence has.
    private func forgetOne() {
        let used = Set(sets.compactMap { $0?.key })
        if let index = roots.firstIndex(where: { !used.contains($0.key) }) { roots.remove(at: index) }
    }

    func copy(_ source: Int, to target: Int) { sets[target] = sets[source] }
}

extension Inference {
    /// At most so many adapters in a sequence.
    public static let mostAdapters = 64

    /// The adapters of `sequence`, which is empty or has these already, with what each counts; none for an empty list.
    public func setAdapters(_ sequence: Int, _ list: [(adapter: Adapter, scale: Float)]) throws(Llama2Error) {
        try checkSequence(sequence)
        try checkAdapters(list)
        let set = list.isEmpty ? nil : try AdapterSet(list, weights.hyperparameters)
        if set?.key == adapters.set(sequence)?.key { return }
        guard cache.length(sequence) == 0 else {
            throw Llama2Error(
                .invalidArgument,
                "sequence \(sequence) has \(cache.length(sequence)) positions that were computed with other adapters; they are set of an empty one")
        }
        cache.setRoot(sequence, try adapters.set(sequence, set, cache.store.index))
        pass.pointee.lowRank = adapters.pointer
        pass.pointee.lowRankWidth = adapters.width
    }

    /// Refuses a list that no sequence can have. For any thread.
    public func checkAdapters(_ list: [(adapter: Adapter, scale: Float)]) throws(Llama2Error) {
        for (index, (adapter, scale)) in list.enumerated() {
            guard adapter.weights === weights else {
                throw Llama2Error(.invalidArgument, "adapter \(index) was loaded for another model than this context's")
            }
            guard scale.isFinite, adapter.pairs.allSatisfy({ $0.map { ($0.factor * scale).isFinite } ?? true }) else {
                throw Llama2Error(.invalidArgument, "the scale of adapter \(index) is \(scale), expected a finite number")
            }
            guard !list[..<index].contains(where: { $0.adapter === adapter }) else {
                throw Llama2Error(.invalidArgument, "adapter \(index) is in the list before; one scale counts")
            }
        }
    }
}
