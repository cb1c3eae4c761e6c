internal import Llama2Core

/// How the tokens are used, and what is put around a text.
extension HuggingFaceTokenizer {
    /// How the vocabulary is used: whole for us, and under GGUF's names when they say the same.
    mutating func putRules(_ whole: JSON, _ unknown: [UInt8]?, _ metadata: inout Metadata) throws(Llama2Error) {
        var text: [UInt8] = []
        for key in ["version", "normalizer", "pre_tokenizer", "decoder"] {
            guard let value = whole[key] else { continue }
            JSONWriter.append(key, to: &text)
            text.append(UInt8(ascii: ":"))
            JSONWriter.append(value, to: &text)
            text.append(UInt8(ascii: ","))
        }
        text += Array("\"model\":{".utf8)
        var isFirst = true
        if let members = whole["model"]?.members {
            for (key, value) in members where key.bytes != Array("vocab".utf8) && key.bytes != Array("merges".utf8) {
                if !isFirst { text.append(UInt8(ascii: ",")) }
                isFirst = false
                JSONWriter.append(key, to: &text)
                text.append(UInt8(ascii: ":"))
                JSONWriter.append(value, to: &text)
            }
        }
        text += Array("}".utf8)
        putSettings(String(decoding: text, as: UTF8.self), &metadata)
        _ = metadata.insert(.merges, .strings(try owned.keep(texts: merges)))
        let names = GGUFNames(whole, hasSettings: hasSettings, hasNormalized: hasNormalized)
        put(.tokenizerModel, names.model, &metadata)
        if let pre = names.pre { put(.preTokenizer, pre, &metadata) }
        if names.model == "llama" {
            // SentencePiece's scores, as far as the order of merges tells them
            var rank: [[UInt8]: Int] = [:]
            for (index, pair) in merges.enumerated() {
                let result = pair.filter { $0 != 0x20 }
                if rank[result] == nil { rank[result] = index }
            }
            for (index, token) in tokens.enumerated() where types[index] != Self.hole {
                scores[index] = rank[token].map { -Float($0 + 1) } ?? (types[index] == 1 ? -1e5 : 0)
            }
            if !names.addsSpacePrefix { _ = metadata.insert(.addsSpacePrefix, .bool(false)) }
            _ = metadata.insert(.scores, .array(.float32, count: scores.count, owned.keep(scores)))
        }
    }

    func putSettings(_ rules: String, _ metadata: inout Metadata) {
        var text = Array("{\"added_tokens\":[".utf8)
        for (i, json) in added.filter({ !$0.isEmpty }).enumerated() {
            if i > 0 { text.append(UInt8(ascii: ",")) }
            text += json
        }
        text += Array("],\"only_added\":[\(onlyAdded.map { String($0) }.joined(separator: ","))],".utf8)
        text += Array(rules.utf8)
        text.append(UInt8(ascii: "}"))
        _ = metadata.insert(.tokenizerSettings, .string(owned.keep(text)))
    }

    /// The special token before a text and the one behind it, by TemplateProcessing's `single`.
    func template(_ processor: JSON?) throws(Llama2Error) -> (first: Int?, last: Int?) {
        guard let processor, !processor.isNull else { return (nil, nil) }
        func refused(_ what: String) -> Llama2Error { Llama2Error(.unsupported, "\(folder)/tokenizer.json: post_processor \(what)") }
        switch processor["type"]?.bytes.map({ ByteText($0) }) {
        case "ByteLevel": return (nil, nil)  // offsets only
        case "Sequence":
            var found: (first: Int?, last: Int?) = (nil, nil)
            for part in processor["processors"]?.array ?? [] {
                let one = try template(part)
                if one.first != nil, found.first != nil || one.last != nil && found.last != nil { throw refused("puts two tokens before or behind a text") }
                found = (one.first ?? found.first, one.last ?? found.last)
            }
            return found
        case "TemplateProcessing":
            var first: Int?, last: Int?, isBehind = false
            for part in processor["single"]?.array ?? [] {
                if let name = part["SpecialToken"]?["id"]?.bytes {
                    let entry = processor["special_tokens"]?.members?.first { $0.key.bytes == name }
                    let ids = entry.map { $0.value["ids"]?.array?.map(\.integer) ?? [] } ?? [tokens.firstIndex(of: name)]
                    guard ids.count == 1, let id = ids[0], isBehind ? last == nil : first == nil else {
                        throw refused("puts more than one token before or behind a text")
                    }
                    if isBehind { last = id } else { first = id }
                } else if part["Sequence"]?["id"]?.bytes == Array("A".utf8), !isBehind {
                    isBehind = true
                } else {
                    throw refused("has a part that is not known")
                }
            }
            guard isBehind else { throw refused("leaves out the text") }
            return (first, last)
        default: throw refused("type \((processor["type"]?.text ?? "missing").prefix(40)) is not known")
        }
    }
}
