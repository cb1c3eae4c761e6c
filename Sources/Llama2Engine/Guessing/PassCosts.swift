internal import Llama2Core
internal import Llama2Kernels
internal import Llama2Model

/// What more tokens in a pass of the model take, in passes with one token.
struct PassCosts {
    /// With 1, 3, 7 and 15 more: kernels multiply for 2, 4, 8 and 16 tokens at once, and numbers between take as long as the next, or longer.
    static let counts = SIMD4(1, 3, 7, GuessingPace.most)
    private let more: SIMD4<Double>

    /// What a core multiplies for them, beside the weights that are read once: a matter of the instruction set. Measured on Emerald Rapids, passes of one size
    /// after the other (DRAFTS.md has Zen 5's): with AVX-512 a model of 600 MB takes 0.05, 0.4, 1.1 and 2, one of 90 MB, which lies in the cache and is not waited for,
    /// 0.3, 0.7, 1.7 and 4; prompt lookup gains the same by any figures between, and those nearer to the latter never cost a text what it does not
    /// gain. Of weights that are floats a pass reads so much that multiplying is little beside it. AVX2 is Zen 3's, 0.39 to 0.51 a token;
    /// Emerald Rapids has 0.24 with it. Figures and no clock, so that a text is guessed at in the same way again. On arm64 nothing was
    /// measured; plain kernels multiply so long that the weights' way from memory is nothing.
    init(on isa: Kernels.ISA?, floats: Bool) {
        more =
            switch isa {
            case .avx512 where floats, .avx512VBMI where floats: SIMD4(0.05, 0.2, 0.5, 1.5)
            case .avx2 where floats, .avxVNNI where floats: SIMD4(0.3, 0.5, 0.9, 2.4)
            case .avx512, .avx512VBMI: SIMD4(0.25, 0.5, 1.05, 2.1)
            case .avxVNNI: SIMD4(0.3, 0.9, 2, 4)
            case .avx2: SIMD4(0.4, 1.2, 2.8, 6)
            case .neon, .dotProduct, .i8mm: SIMD4(0.25, 0.75, 1.75, 3.75)
            case .reference, nil: SIMD4(1, 3, 7, 15)
            }
    }

    init(_ context: Context) throws(Llama2Error) {
        self.init(on: Kernels.ISA(rawValue: context.inference.isa), floats: try context.model.weights.areFloats)
    }

    /// Which of `counts` a pass with so many more tokens is; nil: none.
    static func step(_ more: Int) -> Int? { counts.indices.first { more > 0 && more <= counts[$0] } }

    /// A pass with `count` more tokens of one text, where `texts` share it: what they have of it, beside what a text alone has. draft: what
    /// making each takes beside; clock: what was measured, in place of the figures.
    func pass(_ count: Int, beside texts: Int, draft: Double = 0, clock: PassClock? = nil) -> Double {
        guard texts > 1 else {
            guard count > 0 else { return 1 }
            let step = PassCosts.step(count) ?? 3
            return 1 + (clock?.share(step) ?? more[step]) + Double(count) * draft
        }
        let n = Double(texts), each = more[2] / Double(PassCosts.counts[2])
        return 1 + Double(count) * (draft + each * n / (1 + each * (n - 1)))
    }
}
