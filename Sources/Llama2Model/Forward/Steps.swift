internal import Llama2Core
internal import Llama2Kernels

/// 0..<count, handed out a piece at a time to whichever thread asks; once between two barriers. The first piece of each thread is
/// larger where pieces are short: of SmolLM2's panels of half a microsecond the tickets took 9 % of the time.
struct Pieces {
    private let pool: Unmanaged<ThreadPool>
    private let count: Int, size: Int
    /// Pieces 0 ..< threads, and what each has.
    private let threads: Int, firstSize: Int
    /// The number of the next piece; one thread draws no tickets and has one piece after the other.
    private var number = 0

    /// A piece is at most this many multiplications (some hundredths of a second), or one of `count`: then a host that wants no
    /// more is heard.
    private static let largest = 1 << 29
    /// Multiplications of a larger first piece: some ten microseconds.
    private static let short = 1 << 18

    /// work: multiplications of one of `count`.
    @inline(__always)
    init(_ count: Int, work: Int, _ threads: Int, _ pool: Unmanaged<ThreadPool>) {
        self.pool = pool
        self.count = count
        self.threads = threads
        size = max(1, min(threads == 1 ? count : count / (12 &* threads), Pieces.largest / max(work, 1)))
        firstSize = threads == 1 ? size : max(size, min(count / (2 &* threads), Pieces.short / max(work, 1)))
        if threads > 1 { number = ticket() }
    }

    @inline(__always) private func ticket() -> Int { pool._withUnsafeGuaranteedRef { $0.ticket() } }

    /// Where piece n begins; a thread asks once more than there is work, so this stays small.
    @inline(__always) private func start(_ n: Int) -> Int { n < threads ? n &* firstSize : threads &* firstSize &+ (n &- threads) &* size }

    /// The next piece of this thread, and where its next but one begins (beyond count when there is none), so that it can
    /// be fetched ahead.
    @inline(__always)
    mutating func next() -> (share: Range<Int>, following: Int)? {
        let first = start(number)
        guard first < count else { return nil }
        let share = first..<min(start(number &+ 1), count)
        number = threads == 1 ? number &+ 1 : ticket()
        return (share, start(number))
    }
}

/// What the parts of a pass share.
extension ForwardPass {
    /// The input of a product for `count` tokens.
    func activations(_ input: UnsafeMutablePointer<Float>, _ count: Int) -> Activations {
        Activations(f32: input, q: quants, scale: scales, corrections: corrections, tokens: count)
    }

    /// The normed input in the form that the matrices take, ready for this thread. Tokens are divided among the threads,
    /// which then meet; but of a single one every thread makes a copy of its own, in the room of another token.
    func normalize(
        _ weight: UnsafePointer<Float>, for a: Linear, _ b: Linear, _ c: Linear, _ thread: Int, _ threads: Int
    ) -> Activations {
        let e = shape.embeddingLength, quantized = !(a.type.isFloat && b.type.isFloat && c.type.isFloat)
        if tokens == 1 && threads <= batchSize {
            let o = thread &* Activations.blocks(1, columns: e)
            let own = Activations(
                f32: normed + thread &* e, q: quants + 32 &* o, scale: scales + o, corrections: corrections + 4 &* o, tokens: 1)
            kernels.table.rmsNorm(x, weight, e, shape.rmsEpsilon, normed + thread &* e)
            if quantized { kernels.quantize(own, columns: e, token: 0, first: 0, count: e) }
            return own
        }
        let input = activations(normed, tokens)
        var t = thread
        while t < tokens, watch.allows(8 &* e, thread, pool) {
            kernels.table.rmsNorm(x + t &* e, weight, e, shape.rmsEpsilon, normed + t &* e)
            if quantized { kernels.quantize(input, columns: e, token: t, first: 0, count: e) }
            t &+= threads
        }
        barrier()
        return input
    }

    func quantizeTokens(_ input: UnsafeMutablePointer<Float>, _ width: Int, _ thread: Int, _ threads: Int) {
        var t = thread
        while t < tokens, watch.allows(8 &* width, thread, pool) {
            kernels.quantize(activations(input, tokens), columns: width, token: t, first: 0, count: width)
            t &+= threads
        }
    }

    /// The panels of `m` inside `share`, when the panels of `m` begin at number `from`. place: of the product, see `Adapter`.
    @inline(__always) func multiply(
        _ m: Linear, _ place: Int, _ share: Range<Int>, from: Int, _ input: Activations, _ out: UnsafeMutablePointer<Float>,
        _ stride: Int, _ next: UnsafeRawPointer, _ thread: Int
    ) {
        let first = max(share.lowerBound &- from, 0), end = min(share.upperBound &- from, m.panels)
        guard first < end else { return }
        m.multiply(
            kernels, panels: first..<end, input, tokens: tokens, out: out, outStride: stride, next: next,
            scratch: scratch(thread))
        projectUp(place, first..<end, out, stride, thread)
    }

    /// x += m(input). other: the matrix that is multiplied after this one.
    func addProduct(_ m: Linear, _ place: Int, _ input: Activations, before other: Linear, _ thread: Int, _ threads: Int) {
        let e = shape.embeddingLength
        beginProducts(place..<(place &+ 1), input.f32, thread, threads)
        var pieces = Pieces(m.panels, work: 16 &* m.columns &* tokens, threads, pool)
        while let (share, following) = pieces.next() {
            guard mayMultiply(rows: 16 &* share.count, columns: m.columns, thread) else { break }
            let next = following < m.panels ? m.panel(following) : other.data
            multiply(m, place, share, from: 0, input, product, e, next, thread)
            let first = 16 &* share.lowerBound, count = min(16 &* share.upperBound, e) &- first
            for t in 0..<tokens { kernels.table.add(x + (t &* e &+ first), product + (t &* e &+ first), count) }
        }
    }

    /// Adds the squares of an input (tokens, width) to its sums; by thread 0, while the others go on.
    func collect(_ input: UnsafeMutablePointer<Float>, _ width: Int, _ layer: Int, _ kind: Int, _ thread: Int) {
        guard let squares, thread == 0 else { return }
        let sums = squares + ImportanceSums.offset(shape, layer, kind)
        for t in 0..<tokens {
            for i in 0..<width { sums[i] += input[t &* width &+ i] * input[t &* width &+ i] }
        }
    }
}
