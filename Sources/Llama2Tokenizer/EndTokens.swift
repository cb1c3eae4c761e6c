import Llama2Core

/// The tokens that end a turn by their names, whatever type a file gives them: the list that llama.cpp keeps
/// (src/llama-vocab.cpp, `special_eog_ids`), with its exceptions.
struct EndTokens: Sendable {
    private var ids: Set<Int32> = []

    func contains(_ token: Int32) -> Bool { ids.contains(token) }

    private static let names: Set<[UInt8]> = Set(
        [
            "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>", "<|endoftext|>", "</s>",
            "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
            "<｜end▁of▁sentence｜>", "[e~[",
        ].map { Array($0.utf8) })
    /// Of filling in: padding, what stands before a repository's name, and between its files. A file's own key for one stands for its names.
    private static let filling: [[[UInt8]]] = [
        ["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"], ["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"], ["<|file_sep|>"],
    ].map { $0.map { Array($0.utf8) } }
    /// What stands before, behind and between the texts of filling in: control tokens, no ends.
    private static let middle: [[[UInt8]]] = [
        ["<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>"],
        ["<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>"],
        ["<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>"],
    ].map { $0.map { Array($0.utf8) } }
    /// Of answers that have channels: always given, whatever their type.
    private static let channel: Set<[UInt8]> = Set(["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"].map { Array($0.utf8) })
    private static let longest = names.union(filling.joined()).union(middle.joined()).union(channel).reduce(0) { max($0, $1.count) }

    /// Tokens whose types follow from their names in files of llama.cpp's: its warning "control-looking token ... its type will be overridden".
    private(set) var controls: [Int32] = [], userDefined: [Int32] = [], normal: [Int32] = []
    /// Ends of a part of an answer.
    private var innerEnds: [Int32] = []

    /// filling, middle: the ids that the file itself has for them, in the order of the lists; nil: it has none.
    init(_ tokens: ByteStrings, filling: [Int?], middle: [Int?]) {
        var names = EndTokens.names, marks: Set<[UInt8]> = []
        for (group, id) in zip(EndTokens.filling, filling) where id == nil { names.formUnion(group) }
        for (group, id) in zip(EndTokens.middle, middle) where id == nil { marks.formUnion(group) }
        var found: [[UInt8]: [Int32]] = [:]
        for (index, token) in tokens.enumerated() where token.count <= EndTokens.longest && token.count > 3 {
            guard let first = token.first, first == UInt8(ascii: "<") || first == UInt8(ascii: "[") || first == UInt8(ascii: "_") || first == 0xE2 else {
                continue
            }
            let name = Array(token), id = Int32(truncatingIfNeeded: index)
            if names.contains(name) {
                found[name, default: []].append(id)
                controls.append(id)
            } else if marks.contains(name) {
                controls.append(id)
            } else if EndTokens.channel.contains(name) {
                userDefined.append(id)
            }
        }
        func has(_ name: StaticString) -> Bool { found[bytes(name)] != nil }
        // where an answer has channels, <|end|> only ends one of them
        if has("<|end|>"), has("<|return|>") && (has("<|call|>") || has("<|calls|>")) || (has("<|call|>") || has("<|calls|>")) && has("<|flush|>") {
            innerEnds = found.removeValue(forKey: bytes("<|end|>")) ?? []
        }
        // vocabularies in which </s> is text
        if has("<|tool_response>") { normal = found.removeValue(forKey: bytes("</s>")) ?? [] }
        userDefined += innerEnds
        let others = Set(innerEnds + normal)
        controls.removeAll { others.contains($0) }
        ids = Set(found.values.joined())
        for case let id? in filling where id >= 0 && id < tokens.count { ids.insert(Int32(truncatingIfNeeded: id)) }
    }

    /// Whether its name says that it ends nothing, whatever its id is known for.
    func endsNothing(_ token: Int32) -> Bool { innerEnds.contains(token) || normal.contains(token) }
}

private func bytes(_ text: StaticString) -> [UInt8] { Array(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)) }
