internal import Llama2Core

/// RoPE of a config.json: what transformers makes of it, as GGUF's keys and tensors.
///
/// Source: transformers' modeling_rope_utils.py. Where GGUF has keys of the same meaning these are written; else the frequencies
/// themselves, as what each is divided by (`rope_freqs.weight`), which every reader of GGUF follows.
struct HuggingFaceRoPE {
    private enum Scaling {
        case none, dynamic
        case linear(factor: Double)
        case llama3(factor: Double, low: Double, high: Double, trained: Double)
        case yarn(Extension)
        case longrope(long: [Double], short: [Double], trained: Int, attention: Double)
    }
    private struct Extension { var factor, trained, attention, betaFast, betaSlow: Double, truncates: Bool }

    private let base: Double
    private let scaling: Scaling
    private let dimension: Int, path: FilePath

    private static let common: Set<ByteText> = [
        "rope_type", "type", "rope_theta", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings", "partial_rotary_factor",
        "finetuned",
    ]
    /// What a type knows beside those.
    private static let own: [ByteText: Set<ByteText>] = [
        "default": [], "none": [], "dynamic": [], "linear": [], "llama3": [],
        "yarn": ["attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"],
        "longrope": ["attention_factor", "long_factor", "short_factor"],
    ]

    init(_ config: Values, dimension: Int) throws(Llama2Error) {
        self.dimension = dimension
        path = config.path
        // transformers 5 keeps all of RoPE in rope_parameters; rope_scaling, where it says something, goes first
        var object: JSON?, name = ""
        for key in ["rope_scaling", "rope_parameters"] where object == nil {
            guard let given = config.object[key], !given.isNull else { continue }
            guard let members = given.members else { throw Llama2Error(.corrupt, "\(config.path): \(key) is no object") }
            guard members.contains(where: { _ in true }) else { continue }
            (object, name) = (given, key)
        }
        let values = Values(object: object ?? .null, path: config.path, within: name)
        let own = try values.number("rope_theta"), outer = try config.number("rope_theta")
        base = own ?? outer ?? 10_000
        for part in [try values.number("partial_rotary_factor"), try config.number("partial_rotary_factor")] {
            guard part ?? 1 == 1 else {
                throw Llama2Error(.unsupported, "\(config.path): partial_rotary_factor is \(part ?? 1); whole heads are rotated")
            }
        }
        let newer = try values.text("rope_type"), older = try values.text("type"), type = newer ?? older ?? "default"
        guard let known = HuggingFaceRoPE.own[type] else {
            throw Llama2Error(
                .unsupported, "\(config.path): rope type \"\(ByteText(type.bytes.prefix(40)))\"; linear, dynamic, yarn, longrope and llama3 are read")
        }
        if let members = object?.members {
            for (member, value) in members {
                guard let bytes = member.bytes, case let key = ByteText(bytes), !value.isNull else { continue }
                guard !HuggingFaceRoPE.common.contains(key), !known.contains(key) else { continue }
                throw Llama2Error(
                    .unsupported,
                    "\(config.path): \(name) has \(ByteText(bytes.prefix(100))), which this version does not know and which could change what the model computes"
                )
            }
        }
        let trainedKey = "original_max_position_embeddings"
        let first = try config.number(trainedKey), second = try values.number(trainedKey)
        let length = Double(try config.integer("max_position_embeddings") ?? 2048), trained = first ?? second ?? length
        /// The ratio of the lengths where factor is null: transformers wants the key to be there.
        func scale() throws(Llama2Error) -> Double {
            let isNull = object?["factor"]?.isNull ?? false
            let factor = isNull ? length / trained : try values.neededNumber("factor")
            guard factor >= 1e-3, factor <= 1e6 else { throw Llama2Error(.corrupt, "\(config.path): \(name).factor is \(factor), expected 0.001 to 1000000") }
            return factor
        }
        /// nil: it is not there, or 0 where that says the same.
        func positive(_ key: String, zeroIsNone: Bool = true) throws(Llama2Error) -> Double? {
            guard let value = try values.number(key), value != 0 || !zeroIsNone else { return nil }
            guard value >= 1e-3, value <= 1e6 else { throw Llama2Error(.corrupt, "\(config.path): \(name).\(key) is \(value), expected 0.001 to 1000000") }
            return value
        }
        switch type {
        // its frequencies change only beyond the trained length, where a context of this model may not go
        case "dynamic": scaling = .dynamic
        case "linear":
            let factor = try values.neededNumber("factor")
            guard factor >= 1e-3, factor <= 1e6 else { throw Llama2Error(.corrupt, "\(config.path): \(name).factor is \(factor), expected 0.001 to 1000000") }
            scaling = .linear(factor: factor)
        case "llama3":
            scaling = .llama3(
                factor: try values.neededNumber("factor"), low: try values.neededNumber("low_freq_factor"),
                high: try values.neededNumber("high_freq_factor"), trained: trained)
        case "yarn":
            guard trained >= 1, trained <= 0x1p30, base > 1, base <= 1e12, dimension >= 2 else {
                throw Llama2Error(
                    .corrupt, "\(config.path): YaRN with \(trained) trained positions and a base of \(base), expected 1 to \(1 << 30) and 1 to 1e12")
            }
            let factor = try scale(), m = try positive("mscale"), all = try positive("mscale_all_dim"),
                given = try positive("attention_factor", zeroIsNone: false)
            var attention = YaRN.stretch(factor)
            if let m, let all { attention = YaRN.stretch(factor, m) / YaRN.stretch(factor, all) }
            let fast = try positive("beta_fast"), slow = try positive("beta_slow"), truncates = try values.flag("truncate", default: true)
            scaling = .yarn(
                Extension(factor: factor, trained: trained, attention: given ?? attention, betaFast: fast ?? 32, betaSlow: slow ?? 1, truncates: truncates))
        case "longrope":
            guard trained >= 2, trained <= 0x1p30, trained == trained.rounded() else {
                throw Llama2Error(.corrupt, "\(config.path): \(trainedKey) is \(trained), expected an integer from 2 to \(1 << 30)")
            }
            func list(_ key: String) throws(Llama2Error) -> [Double] {
                guard let elements = object?[key]?.array else { throw Llama2Error(.corrupt, "\(config.path): \(name).\(key) is missing, or no list") }
                var out: [Double] = []
                for element in elements {
                    guard let x = element.double, Float(x) > 0, Float(x).isFinite, out.count < dimension / 2 else { break }
                    out.append(x)
                }
                guard out.count == dimension / 2, elements.count == out.count else {
                    throw Llama2Error(.corrupt, "\(config.path): \(name).\(key) is not \(dimension / 2) positive numbers, one for each pair of a head")
                }
                return out
            }
            let given = try values.number("factor"), ratio = try given.map { _ throws(Llama2Error) in try scale() } ?? length / trained
            let usual = ratio <= 1 ? 1 : (1 + logarithm(ratio) / logarithm(trained)).squareRoot(),
                attention = try positive("attention_factor", zeroIsNone: false)
            scaling = .longrope(long: try list("long_factor"), short: try list("short_factor"), trained: Int(trained), attention: attention ?? usual)
        default: scaling = .none  // default, none
        }
    }

    /// YaRN that GGUF has keys for and that llama.cpp follows for a Llama: the others become tensors.
    private static func hasKeys(_ y: Extension, _ range: (low: Double, high: Double)) -> Bool {
        y.truncates && y.betaFast == 32 && y.betaSlow == 1 && y.trained == y.trained.rounded() && range.low <= range.high
    }

    /// The pairs between which YaRN's mixture goes over.
    private func range(_ y: Extension) -> (low: Double, high: Double) {
        func pair(_ turns: Double) -> Double { YaRN.pair(turning: turns, within: y.trained, base: base, dimension: dimension) }
        let low = pair(y.betaFast), high = pair(y.betaSlow)
        return (max(y.truncates ? low.rounded(.down) : low, 0), min(y.truncates ? high.rounded(.up) : high, Double(dimension - 1)))
    }

    /// What the frequencies are divided by, as tensors of GGUF.
    func tensors(_ owned: OwnedBytes) throws(Llama2Error) -> [TensorInfo] {
        func tensor(_ name: ByteText, _ divisor: (Int) -> Double) throws(Llama2Error) -> TensorInfo {
            let factors = try owned.make(dimension / 2) { (out: UnsafeMutablePointer<Float>) in
                for i in 0..<dimension / 2 { out[i] = Float(divisor(i)) }
            }
            return TensorInfo(name: name, type: .f32, shape: [dimension / 2], data: factors)
        }
        switch scaling {
        case .none, .dynamic, .linear: return []
        case .llama3(let factor, let low, let high, let trained):
            return [try llama3Factors(base, dimension, factor: factor, low: low, high: high, trained: trained, owned, path)]
        case .longrope(let long, let short, _, _):
            return [try tensor("rope_factors_long.weight") { long[$0] }, try tensor("rope_factors_short.weight") { short[$0] }]
        case .yarn(let y):
            let (low, given) = range(y), high = low == given ? given + 0.001 : given
            if HuggingFaceRoPE.hasKeys(y, (low, given)) { return [] }
            return [
                try tensor("rope_freqs.weight") { i in
                    let ramp = min(1, max(0, (Double(i) - low) / (high - low)))
                    return 1 / (ramp / y.factor + (1 - ramp))
                }
            ]
        }
    }

    func add(to metadata: inout Metadata, contextLength: Int, _ owned: OwnedBytes) {
        // GGUF keeps floats of 32 bits: a model has the same numbers from its folder and from a file
        func set(_ key: MetadataKey, _ value: Double) { _ = metadata.insert(key, .float(Double(Float(value)))) }
        func set(_ key: MetadataKey, _ value: Int) { _ = metadata.insert(key, .unsigned(UInt64(value))) }
        func set(type: String) { _ = metadata.insert(.ropeScalingType, .string(owned.keep(Array(type.utf8)))) }
        set(.ropeBase, base)
        switch scaling {
        case .none, .llama3: break
        case .linear(let factor):
            set(type: "linear")
            set(.ropeScalingFactor, factor)
        case .dynamic:
            set(type: "dynamic")
            set(.ropeOriginalContextLength, contextLength)
        case .yarn(let y):
            let keys = HuggingFaceRoPE.hasKeys(y, range(y)), usual = keys ? YaRN.stretch(y.factor) : 1
            if keys {
                set(type: "yarn")
                set(.ropeScalingFactor, y.factor)
                set(.ropeOriginalContextLength, Int(y.trained))
            }
            if y.attention != usual { set(.ropeAttentionFactor, y.attention / usual) }
        case .longrope(_, _, let trained, let attention):
            set(type: "longrope")
            set(.ropeOriginalContextLength, trained)
            set(.ropeAttentionFactor, attention)
        }
    }
}
