internal import Llama2Core
internal import Llama2Kernels

extension ForwardPass {
    /// The rows that asked: their norm and the output matrix, some rows at a time.
    ///
    /// A quantized output matrix gets its input as two rows of int8, the second holding what rounding took from the
    /// first: together 15 bits. What is lost here goes straight into the logits (on SmolLM2 a quarter of the
    /// divergence from F32), the weights are read once for both rows, and there are few rows.
    /// logits: (rows, vocabulary).
    func outputLogits(_ logits: UnsafeMutablePointer<Float>, _ thread: Int, _ threads: Int) {
        let parts = output.type.isFloat ? 1 : 2, rowsAtOnce = (batchSize &+ 1) / 2
        var first = 0
        while first < batch.rows {
            let count = min(rowsAtOnce, batch.rows &- first)
            normRows(first, count, parts, thread, threads)
            barrier()
            multiplyRows(first, count, parts, logits + first &* shape.vocabularySize, thread, threads)
            barrier()
            first &+= count
        }
    }

    /// The rows that asked: their norm, and nothing more. out: (rows, embedding).
    func outputEmbeddings(_ out: UnsafeMutablePointer<Float>, _ thread: Int, _ threads: Int) {
        let e = shape.embeddingLength
        for t in 0..<tokens {
            let row = batch.tokens[t].row
            guard row >= 0, row % threads == thread else { continue }
            let target = out + row &* e
            kernels.table.rmsNorm(x + t &* e, outputNorm, e, shape.rmsEpsilon, target)
            for i in 0..<e { target[i] = target[i] == target[i] ? target[i] : .nan }
        }
    }

    /// Rows first ..< first + count as inputs of the output matrix: (count, parts).
    private func normRows(_ first: Int, _ count: Int, _ parts: Int, _ thread: Int, _ threads: Int) {
        let e = shape.embeddingLength, input = activations(normed, parts &* count)
        for t in 0..<tokens {
            let row = batch.tokens[t].row &- first
            guard row >= 0, row < count, row % threads == thread else { continue }
            let target = normed + parts &* row &* e
            kernels.table.rmsNorm(x + t &* e, outputNorm, e, shape.rmsEpsilon, target)
            projectOutputDown(t, target, thread)
            if parts == 2 {
                kernels.quantize(input, columns: e, token: 2 &* row, first: 0, count: e)
                kernels.subtractQuantized(input, columns: e, token: 2 &* row, from: target, target + e)
                kernels.quantize(input, columns: e, token: 2 &* row &+ 1, first: 0, count: e)
            }
        }
    }

    /// logits: (count, vocabulary), of the rows first ..< first + count.
    private func multiplyRows(
        _ first: Int, _ count: Int, _ parts: Int, _ logits: UnsafeMutablePointer<Float>, _ thread: Int, _ threads: Int
    ) {
        let input = activations(normed, parts &* count), vocabulary = shape.vocabularySize
        let panel = (scratch(thread) + kernelScratch).assumingMemoryBound(to: Float.self)  // (rows * parts, 16)
        var pieces = Pieces(output.panels, work: 16 &* output.columns &* parts &* count, threads, pool)
        while let (share, following) = pieces.next() {
            guard watch.allows(16 &* share.count &* output.columns &* parts &* count, thread, pool) else { break }
            for p in share {
                output.onePanel(p).multiply(
                    kernels, panels: 0..<1, input, tokens: parts &* count, out: panel, outStride: 16,
                    next: output.panel(p &+ 1 < share.upperBound ? p &+ 1 : following), scratch: scratch(thread))
                let width = min(16, vocabulary &- 16 &* p)
                for row in 0..<count {
                    let target = logits + (row &* vocabulary &+ 16 &* p)
                    target.update(from: panel + 16 &* parts &* row, count: width)
                    if parts == 2 { kernels.table.add(target, panel + 16 &* (2 &* row &+ 1), width) }
                }
                projectOutputUp(p, first, count, logits, thread)
                for row in 0..<count {
                    let target = logits + (row &* vocabulary &+ 16 &* p)
                    // which NaN a sum has depends on the order of operands, which IEEE 754 leaves open: all become one
                    for i in 0..<width { target[i] = target[i] == target[i] ? target[i] : .nan }
                }
            }
        }
    }
}
