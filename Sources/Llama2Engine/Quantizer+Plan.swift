internal import Llama2Core
internal import Llama2Formats
internal import Llama2Kernels
internal import Llama2Model

extension Quantizer {
    /// A tensor and what it becomes.
    struct Job {
        let source: TensorInfo, target: GGUFWriter.Tensor
        /// The embedding or the output matrix, which have types of their own in most files.
        var isAtAnEnd: Bool { source.name == "token_embd.weight" || source.name == "output.weight" }
    }

    /// What each tensor becomes. Vectors stay F32.
    func plan(_ weights: Weights) throws(Llama2Error) -> [Job] {
        let h = weights.hyperparameters, tied = weights.file.tensor("output.weight") == nil
        var jobs: [Job] = []
        var isUsed = overrides.map { _ in false }
        for tensor in weights.file.tensors {
            var type = BlockType.f32
            if tensor.shape.count > 1 {
                type = fileType.type(
                    of: tensor.name, columns: tensor.columns, layers: h.layerCount, group: h.headCount / h.headCountKV,
                    isOutput: tensor.name == "output.weight" || (tied && tensor.name == "token_embd.weight"))
                if let index = overrides.firstIndex(where: { tensor.name.contains($0.pattern) }) {
                    type = overrides[index].type
                    isUsed[index] = true
                }
                guard Kernels.canQuantize(type) else {
                    throw Llama2Error(.unsupported, "tensor \(tensor.name) cannot be made \(type.name): this type is read, but not written")
                }
            }
            jobs.append(Job(source: tensor, target: try GGUFWriter.Tensor(name: tensor.name, type: type, shape: tensor.shape)))
        }
        if let index = isUsed.firstIndex(of: false) { throw unused(overrides[index].pattern, weights.file.tensors) }
        return jobs
    }

    /// An override that changes nothing was meant for something.
    private func unused(_ pattern: ByteText, _ tensors: [TensorInfo]) -> Llama2Error {
        let named = tensors.filter { $0.name.contains(pattern) }
        let why =
            named.isEmpty
            ? "is in no tensor's name"
            : named.contains { $0.shape.count > 1 } ? "is only in names that an earlier override takes" : "is only in names of vectors, which stay F32"
        return Llama2Error(.invalidArgument, "override \"\(ByteText(pattern.bytes.prefix(100)))\" \(why)")
    }
}
