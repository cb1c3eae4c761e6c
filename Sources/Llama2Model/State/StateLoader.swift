public import Llama2Core

extension Inference {
    /// Takes a state over: of one sequence into `sequence`, which is empty, or (nil) of a whole context, whose sequences replace
    /// all of this one's. Everything is checked before anything changes. What is in the cache already is not stored twice.
    public func load(_ sequence: Int?, _ bytes: RawSpan) throws(Llama2Error) {
        try bytes.withUnsafeBytes { (bytes) throws(Llama2Error) in
            let state = try StateReader(bytes, for: weights, rope, cache.layout.format)
            if let sequence { try loadOne(sequence, state) } else { try loadAll(state) }
        }
    }

    private func loadOne(_ sequence: Int, _ state: StateReader) throws(Llama2Error) {
        try checkSequence(sequence)
        guard !state.head.isWhole else {
            throw Llama2Error(.invalidArgument, "this is the state of a whole context; load it as one")
        }
        guard cache.length(sequence) == 0 else {
            throw Llama2Error(.invalidArgument, "sequence \(sequence) has \(cache.length(sequence)) positions; a state goes into an empty one")
        }
        guard let own = state.sequences.first else { return }
        try checkAdapters(state, own, in: sequence)
        // before anything changes: what is there already costs nothing
        var needed = 0, parent = cache.root(sequence)
        for index in 0..<KVCache.pages(own.length) {
            let number = state.reference(own, index)
            needed += cache.cost(
                tokens: state.tokens(number), filled: state.pages[number].positions, known: known(state, own, index), after: &parent)
        }
        guard needed <= cache.free else { throw full(needed) }
        for index in 0..<KVCache.pages(own.length) {
            guard install(state, own, index, in: sequence) != nil else {
                cache.truncate(sequence, to: 0)
                throw full(needed)
            }
        }
        cache.setPure(sequence, own.pure)
    }

    private func loadAll(_ state: StateReader) throws(Llama2Error) {
        guard state.head.isWhole else { throw Llama2Error(.invalidArgument, "this is the state of one sequence; load it into one") }
        let most = state.sequences.reduce(0) { max($0, $1.number + 1) }
        guard most <= configuration.maxSequences else {
            throw Llama2Error(.outOfRange, "the state has a sequence \(most - 1); this context has 0 to \(configuration.maxSequences - 1)")
        }
        guard state.positions <= configuration.contextLength else {
            throw Llama2Error(.contextFull, "the state has \(state.positions) positions; this context has \(configuration.contextLength)")
        }
        for own in state.sequences { try checkAdapters(state, own, in: own.number) }
        let rows = Int(state.head.rows), floats = rows * weights.hyperparameters.vocabularySize
        let installed = try AlignedBuffer<Int32>(count: state.pages.count, of: "pages of a state")  // number in the cache, and 1; 0: not yet
        try makeRoomForLogits(floats)
        // from here on nothing can fail: these positions fit, and only last pages are not full
        reset()
        for own in state.sequences {
            for index in 0..<KVCache.pages(own.length) {
                let page = state.reference(own, index)
                if installed[page] > 0 {
                    cache.share(installed[page] - 1, own.number, index, min(PageFormat.positions, own.length - index * PageFormat.positions))
                } else {
                    installed[page] = install(state, own, index, in: own.number).map { $0 + 1 } ?? 0
                }
            }
            cache.setPure(own.number, own.pure)
        }
        if rows > 0 {
            setLogits(UnsafeRawBufferPointer(rebasing: state.bytes[state.logitsOffset..<(state.logitsOffset + 4 * floats)]), rows)
        }
    }

    /// A state goes on under the adapters that it was computed with: the host sets them first.
    private func checkAdapters(_ state: StateReader, _ own: StateReader.Sequence, in sequence: Int) throws(Llama2Error) {
        let wanted = state.adapters(own), here = adapterNames(sequence)
        guard wanted.count == here.count, zip(wanted, here).allSatisfy({ $0 == $1 }) else {
            func list(_ names: [(fingerprint: UInt64, scale: UInt32)]) -> String {
                names.isEmpty ? "none" : names.map { "\(String($0.fingerprint, radix: 16)) times \(Float(bitPattern: $0.scale))" }.joined(separator: ", ")
            }
            throw Llama2Error(
                .invalidArgument,
                "sequence \(own.number) of the state was computed with other adapters (\(list(wanted))) than sequence \(sequence) has (\(list(here))); set these first"
            )
        }
    }

    /// A page of the state becomes number `index` of a sequence; nil when there is no room.
    private func install(_ state: StateReader, _ own: StateReader.Sequence, _ index: Int, in sequence: Int) -> Int32? {
        let number = state.reference(own, index), positions = state.pages[number].positions
        let here = min(PageFormat.positions, own.length - index * PageFormat.positions)
        return cache.install(
            sequence, index, tokens: state.tokens(number), filled: positions, length: here, known: known(state, own, index)
        ) { page in
            cache.layout.format.unpack(state.content(number), positions, to: page)
        }
    }

    /// Positions of page `index` of a sequence that depend on their tokens alone.
    private func known(_ state: StateReader, _ own: StateReader.Sequence, _ index: Int) -> Int {
        let pure = min(own.pure ?? own.length, own.length) - index * PageFormat.positions
        return max(0, min(state.pages[state.reference(own, index)].positions, pure))
    }
}
