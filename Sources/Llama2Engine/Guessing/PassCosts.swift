internal import Llama2Core
internal import Llama2Kernels
internal import Llama2Model

/// What more tokens in a pass of the model take, in passes with one token: first + k each.
struct PassCosts {
    let first: Double, each: Double

    /// What a core multiplies for them, beside the weights that are read once: a matter of the instruction set. Measured (benchmarks/results): AVX-512
    /// with VNNI as here, passes of 2 to 8 tokens of DRAFTS.md, and of its 17 formats the half below 0.12 a token where eight share a pass; AVX2 0.39 to
    /// 0.51. Of weights that are floats a pass reads so much that multiplying is little beside it: 0.03, and 0.1 behind 0.2 with AVX2. Figures and no
    /// clock, so that a text is guessed at in the same way again. On arm64 nothing was measured; plain kernels multiply so long that the weights' way
    /// from memory is nothing.
    init(on isa: Kernels.ISA?, floats: Bool) {
        (first, each) =
            switch isa {
            case .avx512 where floats, .avx512VBMI where floats: (0.01, 0.03)
            case .avx2 where floats, .avxVNNI where floats: (0.2, 0.1)
            case .avx512, .avx512VBMI: (0.15, 0.12)
            case .avx2, .avxVNNI: (0, 0.4)
            case .neon, .dotProduct, .i8mm: (0, 0.25)
            case .reference, nil: (0, 1)
            }
    }

    init(_ context: Context) throws(Llama2Error) {
        self.init(on: Kernels.ISA(rawValue: context.inference.isa), floats: try context.model.weights.areFloats)
    }

    /// A pass with `count` more tokens of one text, where `texts` share it: what they have of it, beside what a text alone has. draft: what
    /// making each takes beside.
    func pass(_ count: Int, beside texts: Int, draft: Double = 0) -> Double {
        let texts = max(texts, 1), n = Double(texts)
        return 1 + (texts > 1 ? 0 : first) + Double(count) * (draft + each * n / (1 + each * (n - 1)))
    }
}
