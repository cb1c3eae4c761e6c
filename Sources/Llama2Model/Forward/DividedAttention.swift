internal import KernelOperands
internal import Llama2Core
internal import Llama2Kernels

/// Attention of a single token whose heads do not divide evenly among the threads, over many positions: in the kernels' three steps
/// (Body/DividedAttention.swift), scores and weights by pages, the sum of values by lanes and rows. Two barriers more than by heads; which
/// way is taken changes no bit.
extension ForwardPass {
    /// Multiplications of a thread from which two barriers are worth it: some ten microseconds.
    private static let worthDividing = 1 << 19

    func dividesAttention(_ threads: Int) -> Bool {
        guard tokens == 1, threads > 1, !jobsAreEven(threads) else { return false }
        return 2 &* shape.queryLength &* (batch.tokens[0].slot &+ 1) / threads >= ForwardPass.worthDividing
    }

    /// Whether lanes are divided into whole blocks of 32, so that attention can quantize them itself.
    var dividedQuantizes: Bool { shape.headDimension % 32 == 0 }

    func attendDivided(_ layer: Int, quantized: Bool, _ thread: Int, _ threads: Int) {
        let count = batch.tokens[0].slot / PageFormat.positions &+ 1, heads = shape.headCountKV
        // 1. and 2. pages of all heads, one head's after the other's
        for step in 0..<2 {
            var pieces = Pieces(heads &* count, work: group &* PageFormat.positions &* shape.headDimension, threads, pool)
            while let (share, _) = pieces.next() {
                guard watch.allows(share.count &* group &* PageFormat.positions &* shape.headDimension, thread, pool) else { break }
                var first = share.lowerBound
                while first < share.upperBound {
                    let head = first / count, end = min(share.upperBound, (head &+ 1) &* count)
                    var operands = self.operands(layer, head, thread)
                    operands.first_page = first &- head &* count
                    operands.end_page = end &- head &* count
                    let kernel = step == 0 ? kernels.table.attentionScores : kernels.table.attentionWeights
                    withUnsafePointer(to: operands) { kernel($0) }
                    first = end
                }
            }
            barrier()
        }
        // 3. lanes, and rows where that leaves threads without work; quantized values lie in blocks of 64 lanes and are turned by the head
        let d = shape.headDimension, whole = format.valueType.isQuantized
        let lanes = whole ? format.headStride : 32, parts = (format.headStride &+ lanes &- 1) / lanes
        let rows = whole ? 1 : heads &* parts < 4 &* threads ? min(4, group) : group, perGroup = (group &+ rows &- 1) / rows
        var jobs = Pieces(heads &* parts &* perGroup, work: rows &* lanes &* count &* PageFormat.positions, threads, pool)
        while let (share, _) = jobs.next() {
            for job in share {
                guard watch.allows(rows &* lanes &* count &* PageFormat.positions, thread, pool) else { return }
                let head = job / (parts &* perGroup), part = job / perGroup % parts, row = job % perGroup &* rows
                var operands = self.operands(layer, head, thread)
                operands.first_row = row
                operands.end_row = min(group, row &+ rows)
                operands.first_lane = part &* lanes
                operands.end_lane = min(format.headStride, (part &+ 1) &* lanes)
                let sum = kernels.table.attentionValues
                withUnsafePointer(to: operands) { sum($0) }
                let first = part &* lanes, width = min(d, first &+ lanes) &- first
                guard width > 0 else { continue }
                for r in operands.first_row..<operands.end_row {
                    let result = operands.out + r &* format.headStride, place = (head &* group &+ r) &* d &+ first
                    format.turnValues(result)
                    (attended + place).update(from: result + first, count: width)
                    if quantized && dividedQuantizes {
                        kernels.quantize(activations(attended, 1), columns: shape.queryLength, token: 0, first: place, count: width)
                    }
                }
            }
        }
    }

    /// Of one head of the cache: queries and page pointers of this thread's own.
    private func operands(_ layer: Int, _ head: Int, _ thread: Int) -> AttentionPartOperands {
        let d = shape.headDimension, stride = format.headStride, token = batch.tokens[0], base = scratch(thread)
        let count = token.slot / PageFormat.positions &+ 1, rows = Batch.Block.rows(shape)
        let query = (base + kernelScratch).assumingMemoryBound(to: Float.self), result = query + rows &* stride
        let keys = UnsafeMutableRawPointer(result + rows &* stride).assumingMemoryBound(to: UnsafeRawPointer.self), values = keys + tableLength
        for index in 0..<count {
            keys[index] = UnsafeRawPointer(format.keys(page(token, index), layer, head))
            values[index] = UnsafeRawPointer(format.values(page(token, index), layer, head))
        }
        for r in 0..<group {
            let row = query + r &* stride
            row.update(from: q + (head &* group &+ r) &* d, count: d)
            (row + d).update(repeating: 0, count: stride &- d)
        }
        let entries = head &* tableLength &* group
        return AttentionPartOperands(
            q: query, rows: group, head_stride: stride, scale: format.scoreScale, k_pages: keys, v_pages: values, length: token.slot &+ 1,
            k_type: format.keyType.rawValue, v_type: format.valueType.rawValue, first_page: 0, end_page: 0, first_row: 0, end_row: 0, first_lane: 0,
            end_lane: 0, weights: headWeights + 64 &* entries, pages: pageSums + 3 &* entries, out: result, scratch: base)
    }
}
