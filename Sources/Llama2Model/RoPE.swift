internal import Llama2Core
internal import Llama2Formats

/// What becomes of RoPE's frequencies, as GGUF's keys say it and llama.cpp reads them, or a context's options.
///
///     f_i = base^(-2i/d) / factors_i                                   Su et al., RoFormer, 2021
///     linear    f_i / factor                                           Chen et al., 2023
///     NTK-aware the base times alpha^(d / (d - 2))                      bloc97, 2023
///     YaRN      f_i (r_i + (1 - r_i) / factor), r_i from 1 to 0 between the pairs that turn `betaFast` and `betaSlow` times within
///               the trained length; queries and keys times 1 + ln(factor) / 10    Peng et al., 2023
///     llama3    the same of turns themselves: r_i from 1 to 0 between the pairs that turn `betaFast` and `betaSlow` times within the
///               trained length, and nothing is stretched                         Llama 3.1, 2024
///     longrope  f_i / factor, with other factors_i in contexts beyond the trained length    Ding et al., 2024
public struct RoPEScaling: Sendable, Equatable {
    public enum Kind: Sendable { case none, linear, yarn, llama3, longrope, dynamic }

    public var kind = Kind.none
    public var factor = 1.0
    /// NTK-aware; 0 and 1 change nothing.
    public var alpha = 0.0
    /// Positions before the scaling; YaRN, llama3 and longrope use it.
    public var trainedLength = 0
    public var betaFast = 32.0, betaSlow = 1.0
    /// In place of YaRN's own: its divisor has this in place of 1 (mscale_all_dim); 0 for none.
    public var logMultiplier = 0.0
    /// Multiplies what queries and keys are stretched by.
    public var attention = 1.0

    public init() {}

    /// Beyond the trained length the frequencies would depend on how long the text is, so that contexts end there.
    public var endsAtTrainedLength: Bool { kind == .dynamic }

    /// Positions are divided by this, in the slowest pairs at least.
    public var divisor: Double { kind == .none || kind == .dynamic ? 1 : factor }

    /// What queries and keys are multiplied by when they are rotated.
    var magnitude: Double {
        guard kind == .yarn else { return attention }
        return attention * YaRN.stretch(factor) / (logMultiplier == 0 ? 1 : YaRN.stretch(factor, logMultiplier))
    }

    /// Frequencies of the rotated pairs, (dimension / 2). factors: (dimension / 2), nil for ones.
    func frequencies(base given: Double, dimension d: Int, factors: UnsafePointer<Float>?) throws(Llama2Error) -> [Double] {
        var base = given
        if alpha != 0 && alpha != 1 {
            guard d > 2 else { throw Llama2Error(.unsupported, "NTK-aware RoPE scaling of heads of which \(d) components are rotated, expected 4 or more") }
            base *= power(alpha, Double(d) / Double(d - 2))
        }
        // YaRN: the pairs between which the mixture goes over
        var low = 0.0, high = 0.0
        if kind == .yarn {
            guard base > 1 else { throw Llama2Error(.unsupported, "YaRN with a RoPE base of \(base), expected more than 1") }
            func pair(_ turns: Double) -> Double { YaRN.pair(turning: turns, within: Double(trainedLength), base: base, dimension: d) }
            low = max(0, pair(betaFast).rounded(.down))
            high = min(Double(d - 1), pair(betaSlow).rounded(.up))
        }
        return (0..<d / 2).map { i in
            let plain = power(base, -2 * Double(i) / Double(d)) / (factors.map { Double($0[i]) } ?? 1)
            let kept: Double
            switch kind {
            case .yarn: kept = 1 - min(1, max(0, (Double(i) - low) / max(0.001, high - low)))
            case .llama3: kept = min(1, max(0, (Double(trainedLength) * plain / (2 * Double.pi) - betaSlow) / (betaFast - betaSlow)))
            case .none, .linear, .longrope, .dynamic: return plain / divisor
            }
            return plain / factor * (1 - kept) + plain * kept
        }
    }

    // MARK: From a file

    /// Reads `llama.rope.*`; contextLength: the model's.
    init(metadata: Metadata, contextLength: Int, layers: Int) throws(Llama2Error) {
        func number(_ key: MetadataKey, _ range: ClosedRange<Double>) throws(Llama2Error) -> Double? {
            guard let value = try metadata.float(key) else { return nil }
            guard range.contains(value) else {
                throw Llama2Error(.corrupt, "\(key) is \(value), expected \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
        // as llama.cpp reads it: a factor without a type is linear, and the older key counts when the newer is absent
        let type = try metadata.byteText(.ropeScalingType) ?? "linear"
        switch type {
        case "none": kind = .none
        case "linear": kind = .linear
        case "yarn": kind = .yarn
        case "longrope": kind = .longrope
        case "dynamic": kind = .dynamic
        default:
            throw Llama2Error(
                .unsupported,
                "\(MetadataKey.ropeScalingType) is \"\(ByteText(type.bytes.prefix(100)))\"; none, linear, yarn, longrope and dynamic are supported")
        }
        if kind != .none && kind != .dynamic {
            let newer = try metadata.float(.ropeScalingFactor), older = try metadata.float(.ropeScaleLinear)
            factor = newer ?? older ?? 1
            if factor == 0 { factor = 1 }
            guard factor >= 1e-3, factor <= 1e6 else {
                throw Llama2Error(.corrupt, "the RoPE scaling factor is \(factor), expected 0.001 to 1000000")
            }
        }
        trainedLength = try metadata.integer(.ropeOriginalContextLength, in: 1...1 << 30, layers: layers) ?? contextLength
        if kind == .dynamic, trainedLength < contextLength {
            throw Llama2Error(
                .unsupported,
                "\(MetadataKey.contextLength) is \(contextLength), but beyond \(trainedLength) positions RoPE's frequencies depend on the length (dynamic scaling)"
            )
        }
        alpha = try number(.ropeAlpha, 0...1e6) ?? 0
        guard alpha == 0 || alpha >= 1e-3 else { throw Llama2Error(.corrupt, "\(MetadataKey.ropeAlpha) is \(alpha), expected 0 or 0.001 to 1000000") }
        attention = try number(.ropeAttentionFactor, 1e-3...1e3) ?? 1
        guard kind == .yarn else { return }
        betaFast = try number(.ropeYarnBetaFast, 1e-3...1e6) ?? 32
        betaSlow = try number(.ropeYarnBetaSlow, 1e-3...1e6) ?? 1
        logMultiplier = try number(.ropeYarnLogMultiplier, 0...1e3) ?? 0
    }
}

/// What a context rotates with.
struct RoPE {
    /// (ropeDimension / 2)
    let frequencies: [Double]
    /// Of queries and keys.
    let magnitude: Double
}

/// RoPE scaling that a context has in place of the file's.
public struct RoPEOptions: Sendable {
    /// nil: the file's.
    public var scaling: RoPEScaling?
    /// nil: the file's.
    public var base: Double?

    public init() {}
}

extension Weights {
    /// RoPE of a context, whatever of it the file or the context says.
    func rope(_ c: ContextConfiguration) throws(Llama2Error) -> RoPE {
        let h = hyperparameters
        var scaling = h.ropeScaling, factors = ropeFactors
        if let own = c.rope.scaling {
            guard scaling.kind != .longrope else {
                throw Llama2Error(.unsupported, "this model's RoPE scaling is \"longrope\", whose factors are its own: a context cannot have another")
            }
            guard own.kind != .llama3 || factors == nil else {
                throw Llama2Error(.unsupported, "this model's rope_freqs divide its frequencies already, as llama3's scaling would: a context cannot have both")
            }
            scaling = own
            if scaling.trainedLength == 0 { scaling.trainedLength = h.ropeScaling.trainedLength }
        }
        if scaling.kind == .longrope { factors = c.contextLength > scaling.trainedLength ? ropeFactorsLong : ropeFactorsShort }
        guard !scaling.endsAtTrainedLength || c.contextLength <= h.contextLength else {
            throw Llama2Error(
                .unsupported,
                "context length is \(c.contextLength); this model's RoPE scaling is \"dynamic\": beyond the \(h.contextLength) positions it was trained on every further token would change the keys of all before it, which is not supported; a fixed scaling can be given in the options (rope_scaling, LLAMA2_ROPE_NTK)"
            )
        }
        let frequencies = try scaling.frequencies(base: c.rope.base ?? h.ropeBase, dimension: h.ropeDimension, factors: factors)
        // position times frequency stays where cosine and sine are exact
        for (i, frequency) in frequencies.enumerated() where !(frequency <= 1e6) {
            throw Llama2Error(.unsupported, "pair \(i) of RoPE has the frequency \(frequency), more than 1000000")
        }
        return RoPE(frequencies: frequencies, magnitude: scaling.magnitude)
    }
}
