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
    private static let longest = names.union(filling.joined()).reduce(0) { max($0, $1.count) }

    init(_ tokens: ByteStrings, filling given: [Int?]) {
        var names = EndTokens.names
        for (group, id) in zip(EndTokens.filling, given) where id == nil { names.formUnion(group) }
        var found: [[UInt8]: [Int32]] = [:]
        for (index, token) in tokens.enumerated() where token.count <= EndTokens.longest && token.count > 3 {
            guard let first = token.first, first == UInt8(ascii: "<") || first == UInt8(ascii: "[") || first == UInt8(ascii: "_") else { continue }
            let name = Array(token)
            if names.contains(name) { found[name, default: []].append(Int32(truncatingIfNeeded: index)) }
        }
        func has(_ name: StaticString) -> Bool { found[bytes(name)] != nil }
        // where an answer has channels, <|end|> only ends one of them
        if has("<|end|>"), has("<|return|>") && (has("<|call|>") || has("<|calls|>")) || (has("<|call|>") || has("<|calls|>")) && has("<|flush|>") {
            found[bytes("<|end|>")] = nil
        }
        // vocabularies in which </s> is text
        if has("<|tool_response>") || has("<|plamo:eos|>") { found[bytes("</s>")] = nil }
        ids = Set(found.values.joined())
        for case let id? in given where id >= 0 && id < tokens.count { ids.insert(Int32(truncatingIfNeeded: id)) }
    }
}

private func bytes(_ text: StaticString) -> [UInt8] { Array(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)) }
