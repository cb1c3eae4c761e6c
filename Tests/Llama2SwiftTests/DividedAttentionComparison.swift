import KernelOperands
import Llama2Core
import Llama2Kernels

/// Attention in three steps, divided among threads: the bits of `attention` by the reference, for every number of threads and kernel.
extension KernelComparison {
    mutating func dividedAttention(_ fill: Fill) {
        for (keys, values) in [
            (CacheType.f32, CacheType.f32), (.f16, .f16), (.q8_0, .q8_0), (.q4_0, .q4_0), (.f16, .q4_0), (.q8_0, .f32),
        ] {
            for (rows, length) in [(1, 1), (1, 63), (2, 64), (3, 65), (4, 130), (8, 190), (9, 321), (5, 1030)] {
                for headStride in keys.isQuantized || values.isQuantized ? [64, 128] : [16, 64, 80, 128] {
                    divided(fill, keys, values, rows, length, headStride)
                }
            }
        }
    }

    private mutating func divided(_ fill: Fill, _ keys: CacheType, _ values: CacheType, _ rows: Int, _ length: Int, _ headStride: Int) {
        let pages = (length + 63) / 64, k = KernelComparison.part(keys, headStride, pages, fill, seed: 61)
        let v = KernelComparison.part(values, headStride, pages, fill, seed: 62)
        let q = KernelComparison.floats(rows * headStride, fill, seed: 63, extreme: 1e4)
        let kPages = (0..<pages).map { UnsafeRawPointer(k.pointer + $0 * keys.partBytes(headStride: headStride)) }
        let vPages = (0..<pages).map { UnsafeRawPointer(v.pointer + $0 * values.partBytes(headStride: headStride)) }
        let scratch = Scratch(Kernels.attentionScratchBytes(rows: rows, headStride: headStride))
        var expected = Digest()
        var whole = [Float](repeating: 0, count: rows * headStride)
        whole.withUnsafeMutableBufferPointer {
            KernelComparison.attend(
                reference, q, rows: rows, group: rows, headStride: headStride, kPages: kPages, vPages: vPages, length: length, keys, values,
                out: $0.baseAddress!, scratch.pointer)
        }
        expected.add(whole)
        let weights = Scratch(pages * rows * 64 * 4), sums = Scratch(pages * rows * 3 * 4), out = Scratch(rows * headStride * 4)
        for kernels in [reference] + others {
            for threads in [1, 2, 3, 5, 8, 16] {
                // what an earlier token left there is nobody's
                for scratch in [weights, sums, out] { scratch.fill(0xff) }
                KernelComparison.run(
                    kernels, threads, q, kPages, vPages, rows, length, headStride, keys, values, weights, sums, out, scratch)
                var got = Digest()
                let result = out.pointer.assumingMemoryBound(to: Float.self)
                for i in 0..<rows * headStride { got.add(result[i]) }
                note(
                    "\(kernels.isa.name) attention of \(keys.name) and \(values.name), \(rows) rows, \(length) positions, stride \(headStride), "
                        + "fill \(fill.number), divided among \(threads)", isSame: got == expected)
            }
        }
    }

    /// Arrays become pointers where a function is called. The last thread's part first: none waits for another's inside a step.
    private static func run(
        _ kernels: Kernels, _ threads: Int, _ q: UnsafePointer<Float>, _ kPages: UnsafePointer<UnsafeRawPointer>,
        _ vPages: UnsafePointer<UnsafeRawPointer>, _ rows: Int, _ length: Int, _ headStride: Int, _ keys: CacheType, _ values: CacheType,
        _ weights: Scratch, _ sums: Scratch, _ out: Scratch, _ scratch: Scratch
    ) {
        var o = AttentionPartOperands(
            q: q, rows: rows, head_stride: headStride, scale: 0.125, k_pages: kPages, v_pages: vPages, length: length, k_type: keys.rawValue,
            v_type: values.rawValue, first_page: 0, end_page: 0, first_row: 0, end_row: 0, first_lane: 0, end_lane: 0,
            weights: weights.pointer.assumingMemoryBound(to: Float.self), pages: sums.pointer.assumingMemoryBound(to: Float.self),
            out: out.pointer.assumingMemoryBound(to: Float.self), scratch: scratch.pointer)
        let pages = (length + 63) / 64
        for kernel in [kernels.table.attentionScores, kernels.table.attentionWeights] {
            for thread in (0..<threads).reversed() {
                o.first_page = pages * thread / threads
                o.end_page = pages * (thread + 1) / threads
                withUnsafePointer(to: o) { kernel($0) }
            }
        }
        // as many rows and lanes a thread as there are threads for
        let lanes = values.isQuantized || threads == 1 ? headStride : threads < 8 ? 32 : 16
        let height = threads < 5 ? rows : threads < 16 ? 4 : 1
        for lane in stride(from: 0, to: o.head_stride, by: lanes).reversed() {
            for row in stride(from: 0, to: rows, by: height).reversed() {
                o.first_lane = lane
                o.end_lane = min(o.head_stride, lane + lanes)
                o.first_row = row
                o.end_row = min(o.rows, row + height)
                withUnsafePointer(to: o) { kernels.table.attentionValues($0) }
            }
        }
    }
}
