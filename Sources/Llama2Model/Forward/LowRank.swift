internal import Llama2Core
internal import Llama2Kernels

/// What the adapters of a sequence add to a product: y += s B (A x). Hu et al., LoRA, 2021.
///
/// A x of every token comes first, tokens divided among the threads; then whoever makes rows of y adds those rows of B. Each (row, token) is
/// one sequence of operations: A x as any product of floats, times s, its dot product with the row of B, one addition for each
/// adapter in the order of the list. So the numeric contract holds with them, and tokens without adapters are not touched.
///
///     room of a run of n tokens at token t: lowRank + t * width;  of an entry in it: n * offset, (n, width)
extension ForwardPass {
    /// Before products `places` of input (tokens, columns): A x, which must be there when the first row is made; all threads. In a pass without
    /// adapters there are no runs, and neither this nor what follows does anything.
    func beginProducts(_ places: Range<Int>, _ input: UnsafePointer<Float>, _ thread: Int, _ threads: Int) {
        guard batch.runCount > 0 else { return }
        projectDown(places, input, thread, threads)
        barrier()
    }

    private func projectDown(_ places: Range<Int>, _ input: UnsafePointer<Float>, _ thread: Int, _ threads: Int) {
        // a few tokens of one entry
        let most = 8
        var job = 0
        for r in 0..<batch.runCount {
            let run = batch.runs[r], table = run.adapters.pointee
            for index in Int(table.starts[places.lowerBound])..<Int(table.starts[places.upperBound]) {
                let entry = table.entries[index]
                var first = 0
                while first < run.count {
                    let count = min(most, run.count &- first)
                    if job % threads == thread {
                        guard watch.allows(entry.rank &* entry.a.columns &* count, thread, pool) else { return }
                        let out = lowRank + (run.first &* lowRankWidth &+ run.count &* entry.offset &+ first &* entry.width)
                        down(entry, input + (run.first &+ first) &* entry.a.columns, count, out, thread)
                    }
                    job &+= 1
                    first &+= count
                }
            }
        }
    }

    /// out (count, width) = s A x, and zeros; x: (count, columns).
    private func down(
        _ entry: AdapterTable.Entry, _ x: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<Float>, _ thread: Int
    ) {
        let input = Activations(f32: x, q: quants, scale: scales, corrections: corrections, tokens: count)
        kernels.multiply(entry.a, panels: 0..<entry.a.panels, input, tokens: count, out: out, outStride: entry.width, scratch: scratch(thread))
        for t in 0..<count {
            let row = out + t &* entry.width
            for i in 0..<entry.rank { row[i] *= entry.scale }
            for i in entry.rank..<entry.width { row[i] = 0 }
        }
    }

    /// Adds to the rows of `panels` of product `place`; out: (tokens, stride), row 0 at its beginning.
    func projectUp(_ place: Int, _ panels: Range<Int>, _ out: UnsafeMutablePointer<Float>, _ stride: Int, _ thread: Int) {
        for r in 0..<batch.runCount {
            let run = batch.runs[r], table = run.adapters.pointee
            for index in table.range(place) {
                let entry = table.entries[index]
                up(
                    entry, panels, lowRank + (run.first &* lowRankWidth &+ run.count &* entry.offset), run.count, out + run.first &* stride, stride,
                    thread)
            }
        }
    }

    /// out (count, stride) += B h for the rows of `panels`; h: (count, width).
    private func up(
        _ entry: AdapterTable.Entry, _ panels: Range<Int>, _ h: UnsafePointer<Float>, _ count: Int, _ out: UnsafeMutablePointer<Float>,
        _ stride: Int, _ thread: Int
    ) {
        let input = Activations(f32: h, q: quants, scale: scales, corrections: corrections, tokens: count)
        let panel = (scratch(thread) + kernelScratch).assumingMemoryBound(to: Float.self)  // (count, 16)
        for p in panels {
            kernels.multiply(entry.b.onePanel(p), panels: 0..<1, input, tokens: count, out: panel, outStride: 16, scratch: scratch(thread))
            let width = min(16, entry.b.rows &- 16 &* p)
            for t in 0..<count { kernels.table.add(out + (t &* stride &+ 16 &* p), panel + 16 &* t, width) }
        }
    }

    // MARK: The output matrix, whose inputs are the rows that asked

    private var outputPlace: Int { shape.layerCount &* Adapter.productsOfLayer }

    /// A x of token t; x: (embedding), its normed row.
    func projectOutputDown(_ t: Int, _ x: UnsafePointer<Float>, _ thread: Int) {
        guard let table = adapters(of: t) else { return }
        for index in table.range(outputPlace) {
            let entry = table.entries[index]
            down(entry, x, 1, lowRank + (t &* lowRankWidth &+ entry.offset), thread)
        }
    }

    /// Adds panel p of B to the logits of the rows first ..< first + count; target: (rows, vocabulary), row `first` at its beginning.
    func projectOutputUp(_ p: Int, _ first: Int, _ count: Int, _ target: UnsafeMutablePointer<Float>, _ thread: Int) {
        for r in 0..<batch.runCount {
            let run = batch.runs[r], table = run.adapters.pointee, range = table.range(outputPlace)
            guard !range.isEmpty else { continue }
            for t in run.first..<(run.first &+ run.count) {
                let row = batch.tokens[t].row &- first
                guard row >= 0, row < count else { continue }
                for index in range {
                    let entry = table.entries[index]
                    up(entry, p..<(p &+ 1), lowRank + (t &* lowRankWidth &+ entry.offset), 1, target + row &* shape.vocabularySize, 0, thread)
                }
            }
        }
    }

    private func adapters(of t: Int) -> AdapterTable? {
        for r in 0..<batch.runCount where t >= batch.runs[r].first && t < batch.runs[r].first &+ batch.runs[r].count {
            return batch.runs[r].adapters.pointee
        }
        return nil
    }
}
