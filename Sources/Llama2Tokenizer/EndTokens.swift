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
            // of filling in: padding, and what stands between the files of a repository
            "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>",
            "<|file_sep|>",
        ].map { Array($0.utf8) })
    private static let longest = names.reduce(0) { max($0, $1.count) }

    init(_ tokens: ByteStrings) {
        var found: [[UInt8]: [Int32]] = [:]
        for (index, token) in tokens.enumerated() where token.count <= EndTokens.longest && token.count > 3 {
            guard let first = token.first, first == UInt8(ascii: "<") || first == UInt8(ascii: "[") || first == UInt8(ascii: "_") else { continue }
            let name = Array(token)
            if EndTokens.names.contains(name) { found[name, default: []].append(Int32(truncatingIfNeeded: index)) }
        }
        func has(_ name: StaticString) -> Bool { found[bytes(name)] != nil }
        // where an answer has channels, <|end|> only ends one of them
        if has("<|end|>"), has("<|return|>") && (has("<|call|>") || has("<|calls|>")) || (has("<|call|>") || has("<|calls|>")) && has("<|flush|>") {
            found[bytes("<|end|>")] = nil
        }
        // vocabularies in which </s> is text
        if has("<|tool_response>") || has("<|plamo:eos|>") { found[bytes("</s>")] = nil }
        ids = Set(found.values.joined())
    }
}

private func bytes(_ text: StaticString) -> [UInt8] { Array(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)) }
