internal import Llama2Core
internal import Llama2Kernels

/// The pass itself.
///
/// The threads run the same code and meet at barriers. Work on matrices is handed out some panels of 16
/// output rows at a time to whichever thread is free, so that one that is slowed down from outside does not
/// hold up the others; work on tokens is divided by token. What can be computed from the rows just made
/// is computed at once, which is why there are eight barriers a layer and not twelve. A single token is normed by
/// every thread for itself, and its heads are rotated where they are used: five. Where its attention is divided by pages and lanes: eight.
extension ForwardPass {
    func run(_ thread: Int, _ threads: Int) {
        embedTokens(thread, threads)
        for index in 0..<shape.layerCount {
            if thread == 0 {
                watch.ask(pool)
                if watch.isAlone { return }
                if watch.isGivenUp { cancelled.pointee = true }
            }
            barrier()
            if cancelled.pointee { return }
            attentionBlock(layers[index], index, thread, threads)
            let following = index &+ 1 < shape.layerCount ? layers[index &+ 1].q : output
            feedForwardBlock(layers[index], index, following, thread, threads)
            if hasLayerEnd { layerEnd(index, thread, threads) }
        }
        barrier()
        if let hiddenOut { copyOut(hiddenOut, thread, threads) }
        if let embeddings { outputEmbeddings(embeddings, thread, threads) } else if let logits { outputLogits(logits, thread, threads) }
        if thread == 0 && watch.isGivenUp { cancelled.pointee = true }
    }

    private func copyOut(_ out: UnsafeMutablePointer<Float>, _ thread: Int, _ threads: Int) {
        let e = shape.embeddingLength
        for t in 0..<tokens where t % threads == thread { (out + t &* e).update(from: x + t &* e, count: e) }
    }

    /// x = the token's row of the embedding, or what the layers before this range left; the rotation of its position.
    private func embedTokens(_ thread: Int, _ threads: Int) {
        var t = thread
        while t < tokens, watch.allows(8 &* shape.embeddingLength, thread, pool) {
            let token = batch.tokens[t], e = shape.embeddingLength
            if let hiddenIn {
                (x + t &* e).update(from: hiddenIn + t &* e, count: e)
            } else {
                kernels.dequantize(
                    embedding.type, embedding.data + token.token &* embedding.rowBytes, e, x + t &* e, scratch: scratch(thread))
            }
            Kernels.ropeTable(
                position: token.position, pairs: shape.ropeDimension / 2, frequencies: frequencies,
                rope + t &* shape.ropeDimension)
            if magnitude != 1 {
                for i in 0..<shape.ropeDimension { rope[t &* shape.ropeDimension &+ i] *= magnitude }
            }
            t &+= threads
        }
    }
}
