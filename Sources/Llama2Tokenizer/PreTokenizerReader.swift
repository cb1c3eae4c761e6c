import Llama2Core

/// Steps of a tokenizer.json's `pre_tokenizer`.
enum PreTokenizerReader {
    private static let mostSteps = 64

    static func steps(_ json: JSON?, depth: Int = 0) throws(Llama2Error) -> [PreTokenizerStep] {
        guard let json, !json.isNull else { return [] }
        let names: [StaticString] = [
            "Sequence", "ByteLevel", "Metaspace", "Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit", "CharDelimiterSplit", "Delimiter",
            "FixedLength", "BertPreTokenizer",
        ]
        switch try json.kind("pre-tokenizer", names) {
        case 0:
            try check(json, "pre-tokenizer Sequence", ["type", "pretokenizers"])
            guard depth < 8 else { throw Llama2Error(.unsupported, "pre-tokenizers nested deeper than 8") }
            var steps: [PreTokenizerStep] = []
            for step in json["pretokenizers"]?.array ?? [] { steps += try self.steps(step, depth: depth + 1) }
            guard steps.count <= mostSteps else { throw Llama2Error(.unsupported, "more than \(mostSteps) pre-tokenizers") }
            return steps
        case 1:
            try check(json, "pre-tokenizer ByteLevel", ["type", "add_prefix_space", "trim_offsets", "use_regex"])
            return [
                .byteLevel(
                    addsPrefixSpace: try flag(json, "add_prefix_space", nil),
                    try flag(json, "use_regex", true) ? RegexProgram(Array(NamedPreTokenizer.gpt2.utf8)) : nil)
            ]
        case 2:
            let (mark, scheme) = try metaspace(json)
            return [.metaspace(replacement: mark, scheme, splits: try flag(json, "split", true))]
        case 3:
            try check(json, "pre-tokenizer Split", ["type", "pattern", "behavior", "invert"])
            return [.split(try TextPattern(json["pattern"]).program(), try behavior(json, nil), inverted: try flag(json, "invert", nil))]
        case 4:
            try check(json, "pre-tokenizer Digits", ["type", "individual_digits"])
            return [.characters(.numeric, try flag(json, "individual_digits", nil) ? .isolated : .contiguous)]
        case 5:
            try check(json, "pre-tokenizer Punctuation", ["type", "behavior"])
            return [.characters(.punctuation, try behavior(json, .isolated))]
        case 6: return [.words]
        case 7: return [.characters(.whiteSpace, .removed)]
        case 8, 9:
            try check(json, "pre-tokenizer CharDelimiterSplit", ["type", "delimiter"])
            let bytes = try character(json, "delimiter")
            let scalar = bytes.withUnsafeBufferPointer { text in if case .scalar(let c, _) = decodeUTF8(text, at: 0) { c } else { UInt32(0) } }
            return [.characters(.scalar(scalar), .removed)]
        case 10:
            try check(json, "pre-tokenizer FixedLength", ["type", "length"])
            guard let length = json["length"]?.integer ?? (json["length"] == nil ? 5 : nil), length > 0 else {
                throw Llama2Error(.corrupt, "FixedLength without a length")
            }
            return [.fixedLength(length)]
        default: return [.characters(.whiteSpace, .removed), .characters(.punctuation, .isolated)]
        }
    }

    static func metaspace(_ json: JSON) throws(Llama2Error) -> ([UInt8], PreTokenizerStep.PrependScheme) {
        try check(json, "Metaspace", ["type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"])
        var scheme = PreTokenizerStep.PrependScheme.always
        if let given = json["prepend_scheme"], !given.isNull {
            if given.isText("always") {
                scheme = .always
            } else if given.isText("first") {
                scheme = .first
            } else if given.isText("never") {
                scheme = .never
            } else {
                throw unknown("prepend_scheme", given)
            }
        }
        if try !flag(json, "add_prefix_space", true), scheme != .never {
            throw Llama2Error(.corrupt, "Metaspace: add_prefix_space is false, prepend_scheme is not never")
        }
        return (try character(json, "replacement"), scheme)
    }

    private static func behavior(_ json: JSON, _ usual: SplitBehavior?) throws(Llama2Error) -> SplitBehavior {
        guard let given = json["behavior"], !given.isNull else {
            guard let usual else { throw Llama2Error(.corrupt, "behavior is missing") }
            return usual
        }
        let known: [(StaticString, SplitBehavior)] = [
            ("Removed", .removed), ("Isolated", .isolated), ("MergedWithPrevious", .mergedWithPrevious), ("MergedWithNext", .mergedWithNext),
            ("Contiguous", .contiguous),
        ]
        guard let found = known.first(where: { given.isText($0.0) }) else { throw unknown("behavior", given) }
        return found.1
    }
}
