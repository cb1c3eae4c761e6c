internal import Llama2Core

/// A file may hold the matrices of queries, keys and values as one, `blk.N.attn_qkv`: their rows one behind the other. It becomes the
/// three it stands for, which are views of it.
/// Source: llama.cpp's create_tensor_qkv and build_qkv.
enum FusedTensors {
    private static func isFused(_ tensor: TensorInfo) -> Bool {
        TensorNames.inLayer(tensor.name).map { $0.rest == "attn_qkv.weight" || $0.rest == "attn_qkv.bias" } ?? false
    }

    /// One whose rows are not as many as the heads say stays as it is, and is refused by its name.
    static func split(_ tensors: [TensorInfo], _ metadata: Metadata) throws(Llama2Error) -> [TensorInfo] {
        guard tensors.contains(where: isFused), let layers = try metadata.integer(.blockCount, in: 1...65_536),
            let heads = try metadata.integer(.headCount, in: 1...65_536, layers: layers),
            let embedding = try metadata.integer(.embeddingLength, in: 1...TensorInfo.longestVector)
        else { return tensors }
        let groups = try metadata.integer(.headCountKV, in: 1...65_536, layers: layers) ?? heads
        let length = try metadata.integer(.keyLength, in: 1...65_536) ?? embedding / heads
        let counts = [heads * length, groups * length, groups * length]  // at most 2^32 each
        var out: [TensorInfo] = []
        out.reserveCapacity(tensors.count)
        for tensor in tensors {
            let isBias = tensor.name.hasSuffix(".bias"), rows = isBias ? tensor.columns : tensor.rows
            guard isFused(tensor), tensor.shape.count == (isBias ? 1 : 2), rows == counts[0] + counts[1] + counts[2], tensor.data.count % rows == 0 else {
                out.append(tensor)
                continue
            }
            // a row of a matrix is whole blocks; of a bias it is one number
            let size = tensor.data.count / rows
            let (head, rest) = (tensor.name.dropLast(isBias ? "attn_qkv.bias".utf8.count : "attn_qkv.weight".utf8.count), isBias ? ".bias" : ".weight")
            var row = 0
            for (name, count) in zip(["attn_q", "attn_k", "attn_v"], counts) {
                let data = UnsafeRawBufferPointer(rebasing: tensor.data[(row * size)..<((row + count) * size)])
                out.append(TensorInfo(name: head + ByteText(name + rest), type: tensor.type, shape: isBias ? [count] : [tensor.columns, count], data: data))
                row += count
            }
        }
        return out
    }
}
