import Llama2Core

/// Steps of a tokenizer.json's `normalizer`.
enum NormalizerReader {
    private static let mostSteps = 64

    static func steps(_ json: JSON?, depth: Int = 0) throws(Llama2Error) -> [NormalizerStep] {
        guard let json, !json.isNull else { return [] }
        let names: [StaticString] = [
            "Sequence", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Prepend", "Replace", "Nmt", "BertNormalizer", "Bert",
            "Precompiled",
            "ByteLevel",
        ]
        switch try json.kind("normalizer", names) {
        case 0:
            try check(json, "normalizer Sequence", ["type", "normalizers"])
            guard depth < 8 else { throw Llama2Error(.unsupported, "normalizers nested deeper than 8") }
            var steps: [NormalizerStep] = []
            for step in json["normalizers"]?.array ?? [] { steps += try self.steps(step, depth: depth + 1) }
            guard steps.count <= mostSteps else { throw Llama2Error(.unsupported, "more than \(mostSteps) normalizers") }
            return steps
        case 1: return [.form(.nfc)]
        case 2: return [.form(.nfd)]
        case 3: return [.form(.nfkc)]
        case 4: return [.form(.nfkd)]
        case 5: return [.lowercase]
        case 6: return [.stripAccents]
        case 7:
            try check(json, "normalizer Strip", ["type", "strip_left", "strip_right"])
            return [.strip(left: try flag(json, "strip_left", nil), right: try flag(json, "strip_right", nil))]
        case 8:
            try check(json, "normalizer Prepend", ["type", "prepend"])
            guard let prefix = try text(json, "prepend"), !prefix.isEmpty else {  // at which `tokenizers` ends
                throw Llama2Error(.unsupported, "normalizer Prepend of nothing")
            }
            return [.prepend(prefix)]
        case 9:
            try check(json, "normalizer Replace", ["type", "pattern", "content"])
            let content = try text(json, "content") ?? []
            switch try TextPattern(json["pattern"]) {
            case .text(let bytes): return [.replaceText(bytes, with: content)]
            case .expression(let program):
                // whose matches have no place in the text: `tokenizers` ends there, or loses where its characters are
                if let bytes = json["pattern"]?["Regex"]?.bytes, RegexParser.canBeEmpty(try RegexParser.parse(bytes)) {
                    throw Llama2Error(.unsupported, "normalizer Replace: the expression \"\(ByteText(bytes.prefix(100)))\" can match nothing")
                }
                return [.replace(program, with: content)]
            }
        case 10: return [.nmt]
        case 11, 12:
            try check(json, "BertNormalizer", ["type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"])
            let lowers = try flag(json, "lowercase", nil)
            return [
                .bert(
                    cleans: try flag(json, "clean_text", nil), separatesChinese: try flag(json, "handle_chinese_chars", nil),
                    stripsAccents: try flag(json, "strip_accents", lowers), lowercases: lowers)
            ]
        case 13:
            try check(json, "normalizer Precompiled", ["type", "precompiled_charsmap"])
            return [.precompiled(try CharacterMap(try decodeBase64(try text(json, "precompiled_charsmap") ?? [])))]
        default: return [.byteLevel]
        }
    }

    private static func decodeBase64(_ text: [UInt8]) throws(Llama2Error) -> [UInt8] {
        var out: [UInt8] = [], bits: UInt32 = 0, count = 0
        out.reserveCapacity(text.count / 4 * 3)
        for c in text where c != UInt8(ascii: "=") {
            let value: UInt8
            switch c {
            case 0x41...0x5A: value = c - 0x41
            case 0x61...0x7A: value = c - 0x61 + 26
            case 0x30...0x39: value = c - 0x30 + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            default: throw Llama2Error(.corrupt, "precompiled_charsmap is no base64")
            }
            bits = (bits << 6 | UInt32(value)) & 0xFFFFFF
            count += 6
            if count >= 8 {
                count -= 8
                out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return out
    }
}
