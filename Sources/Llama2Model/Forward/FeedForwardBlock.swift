internal import Llama2Core
internal import Llama2Kernels

extension ForwardPass {
    /// x += down(silu(gate) * up). following: the matrix after these. Shazeer, GLU Variants Improve Transformer, 2020.
    func feedForwardBlock(_ layer: Weights.Layer, _ index: Int, _ following: Linear, _ thread: Int, _ threads: Int) {
        let input = normalize(layer.feedForwardNorm, for: layer.gate, layer.up, layer.up, thread, threads)
        collect(normed, shape.embeddingLength, index, 2, thread)
        let f = shape.feedForwardLength, place = index &* Adapter.productsOfLayer &+ 4
        beginProducts(place..<(place &+ 2), input.f32, thread, threads)
        let hidden = Activations(
            f32: gate, q: hiddenQuants, scale: hiddenScales, corrections: hiddenCorrections, tokens: tokens)
        // Pairs of panels: whole blocks of 32 of the next input.
        let allPairs = (f &+ 31) / 32
        var pieces = Pieces(allPairs, work: 64 &* layer.gate.columns &* tokens, threads, pool)
        while let (pairs, nextPair) = pieces.next() {
            guard mayMultiply(rows: 32 &* pairs.count, columns: layer.gate.columns, thread) else { break }
            let share = (2 &* pairs.lowerBound)..<(2 &* pairs.upperBound)
            let next = nextPair < allPairs ? layer.gate.panel(2 &* nextPair) : layer.down.data
            multiply(layer.gate, place, share, from: 0, input, gate, f, layer.up.panel(share.lowerBound), thread)
            guard mayMultiply(rows: 32 &* pairs.count, columns: layer.up.columns, thread) else { break }
            multiply(layer.up, place &+ 1, share, from: 0, input, up, f, next, thread)
            let first = 32 &* pairs.lowerBound, count = min(32 &* pairs.upperBound, f) &- first
            for t in 0..<tokens {
                let g = gate + (t &* f &+ first)
                kernels.table.swiGLU(g, up + (t &* f &+ first), count, g)
                if !layer.down.type.isFloat { kernels.quantize(hidden, columns: f, token: t, first: first, count: count) }
            }
        }
        barrier()
        collect(gate, f, index, 3, thread)
        addProduct(layer.down, place &+ 2, hidden, before: following, thread, threads)
    }
}
