public import Llama2Core
internal import Llama2Kernels

/// The host's look at the residual stream behind layers: at which positions, and how it is asked.
public final class LayerObserver {
    /// What one question is about: rows (count, width) of consecutive positions of a sequence, which lie in the pass's own memory.
    public struct View {
        public let layer: Int, sequence: Int, position: Int, count: Int, width: Int
        public let hidden: UnsafeMutablePointer<Float>
    }

    let layers: Range<Int>
    /// nil: all.
    let sequence: Int?
    let positions: Range<Int>
    /// Whether the rows may be changed: what is computed from them is then no function of tokens alone.
    let changes: Bool
    /// True: the eval is no longer wanted.
    let ask: (View) -> Bool

    public init(layers: Range<Int>, sequence: Int?, positions: Range<Int>, changes: Bool, ask: @escaping (View) -> Bool) {
        (self.layers, self.sequence, self.positions, self.changes, self.ask) = (layers, sequence, positions, changes, ask)
    }

    func selects(_ token: Batch.Token) -> Bool {
        (sequence == nil || sequence == token.sequence) && positions.contains(token.position)
    }
}

/// Behind a layer: control vectors are added, then the host looks.
///
///     x[t] += s d[layer]      Zou et al., Representation Engineering, 2023
extension ForwardPass {
    /// Nothing of it is done in a pass that nobody steers or looks at: one question a layer.
    @inline(__always) var hasLayerEnd: Bool { batch.isSteered || observer != nil }

    /// All threads; the caller's barrier ends it.
    func layerEnd(_ layer: Int, _ thread: Int, _ threads: Int) {
        barrier()
        let e = shape.embeddingLength
        if batch.isSteered {
            for r in 0..<batch.runCount {
                let run = batch.runs[r]
                guard let directions = run.adapters.pointee.directions else { continue }
                for t in run.first..<(run.first &+ run.count) where t % threads == thread { kernels.table.add(x + t &* e, directions + layer &* e, e) }
            }
            barrier()
        }
        if thread == 0, let observer { observer._withUnsafeGuaranteedRef { ask($0, layer) } }
    }

    /// On the host's thread, while the others wait.
    private func ask(_ observer: LayerObserver, _ layer: Int) {
        guard observer.layers.contains(layer), !watch.isGivenUp else { return }
        var first = 0
        while first < tokens {
            let token = batch.tokens[first]
            guard observer.selects(token) else {
                first &+= 1
                continue
            }
            var count = 1
            while first &+ count < tokens, case let next = batch.tokens[first &+ count], next.sequence == token.sequence,
                next.position == token.position &+ count, observer.selects(next)
            { count &+= 1 }
            let view = LayerObserver.View(
                layer: layer, sequence: token.sequence, position: token.position, count: count, width: shape.embeddingLength,
                hidden: x + first &* shape.embeddingLength)
            let isUnwanted = observer.ask(view)
            if watch.giveUp(isUnwanted, pool) { return }
            first &+= count
        }
    }
}

extension Inference {
    /// From now on this is asked behind layers; nil: nobody.
    public func setObserver(_ observer: LayerObserver?) throws(Llama2Error) {
        if let observer {
            let layers = weights.hyperparameters.layerCount
            guard observer.layers.upperBound <= layers, !observer.layers.isEmpty else {
                throw Llama2Error(.outOfRange, "layers \(observer.layers.lowerBound) to \(observer.layers.upperBound - 1); this model has 0 to \(layers - 1)")
            }
            if let sequence = observer.sequence { try checkSequence(sequence) }
        }
        self.observer = observer
        pass.pointee.observer = observer.map { Unmanaged.passUnretained($0) }
    }

    /// Before the pages of an eval become known: what the host may have changed is no function of tokens alone.
    /// everything: neither is what comes from layers that ran elsewhere.
    func limitPure(everything: Bool) {
        if everything {
            for sequence in 0..<configuration.maxSequences where cache.length(sequence) > cache.lengthBefore(sequence) {
                cache.limitPure(sequence, cache.lengthBefore(sequence))
            }
        }
        guard let observer, observer.changes else { return }
        for sequence in 0..<configuration.maxSequences where observer.sequence == nil || observer.sequence == sequence {
            let from = max(cache.lengthBefore(sequence), observer.positions.lowerBound)
            if from < min(cache.length(sequence), observer.positions.upperBound) { cache.limitPure(sequence, from) }
        }
    }
}
