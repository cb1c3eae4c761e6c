internal import Llama2Core
internal import Llama2Formats

extension Weights {
    /// What makes keys and values the same: hyperparameters, RoPE's frequencies and magnitude in the context, and of every tensor name, type, shape and up
    /// to 16 words of its weights. The same file always has the same; another model has another, but for the odds of 2^-64.
    func fingerprint(_ rope: RoPE) -> UInt64 {
        var hash = WordHash()
        let h = hyperparameters
        for number in [
            h.vocabularySize, h.embeddingLength, h.layerCount, h.headCount, h.headCountKV, h.headDimension, h.ropeDimension,
            h.feedForwardLength, h.rotatesHalves ? 1 : 0, Int(h.rmsEpsilon.bitPattern),
        ] { hash.add(UInt64(number)) }
        if h.isPiece { for number in [h.firstLayer, h.allLayers] { hash.add(UInt64(number)) } }
        for frequency in rope.frequencies { hash.add(frequency.bitPattern) }
        if rope.magnitude != 1 { hash.add(rope.magnitude.bitPattern) }
        // the sum: the order of tensors in a file does not matter
        var sum: UInt64 = 0
        for tensor in file.tensors where uses(tensor.name) {
            var own = WordHash()
            for byte in tensor.name.utf8 { own.add(UInt64(byte)) }
            own.add(UInt64(tensor.type.rawValue))
            for length in tensor.shape { own.add(UInt64(length)) }
            let words = tensor.data.count / 8
            for i in 0..<min(16, words) {
                let place = words <= 16 ? i : i * (words / 16)
                own.add(UInt64(littleEndian: tensor.data.loadUnaligned(fromByteOffset: 8 * place, as: UInt64.self)))
            }
            sum &+= own.value
        }
        hash.add(sum)
        return hash.value
    }
}
