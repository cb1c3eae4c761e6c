public import Llama2Core
internal import Llama2Formats
internal import Llama2Model

extension Context {
    /// Evaluates `tokens` in windows of `length` and writes how much each column of each matrix matters, for the quantizer.
    /// Uses the whole context, which is empty afterwards.
    public func importance(
        _ tokens: UnsafeBufferPointer<Int32>, window length: Int, to path: FilePath, _ report: (Double) -> Bool
    ) throws(Llama2Error) {
        let limit = inference.configuration.contextLength
        guard length >= 1, length <= limit else {
            throw Llama2Error(.outOfRange, "a window of \(length) tokens, expected 1 to the context's \(limit)")
        }
        let windows = tokens.count / length
        guard windows > 0 else {
            throw Llama2Error(.invalidArgument, "\(tokens.count) tokens do not fill one window of \(length)")
        }
        // read once: a callback may change what the host has there
        let copy = try copied(tokens.prefix(windows * length)), tokens = copy.elements
        defer { withExtendedLifetime(copy) {} }
        try check(tokens)
        let sums = try ImportanceSums(try model.weights)
        inference.importance = sums
        defer {
            inference.importance = nil
            reset()
        }
        for index in 0..<windows {
            reset()
            try eval(count: length) { BatchEntry(token: tokens[index * length + $0]) }
            if report(Double(index + 1) / Double(windows)) {
                throw Llama2Error(.cancelled, "cancelled after \(index + 1) of \(windows) windows; \(path) is as it was")
            }
        }
        // two tensors for each product of a layer
        try MemoryReserve.cover(tensors: 2 * 7 * (try model.weights.hyperparameters.layerCount + 1), for: "importance")
        var list: [(name: ByteText, values: UnsafeBufferPointer<Float>)] = []
        try sums.forEach { (name, values) throws(Llama2Error) in list.append((ByteText(name), values)) }
        try ImportanceFile.write(path, tokens: sums.tokens, windows: windows, window: length, list)
        withExtendedLifetime(sums) {}
    }
}
