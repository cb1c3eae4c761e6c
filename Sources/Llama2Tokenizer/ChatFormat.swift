import Llama2Core

extension Tokenizer {
    /// The chat formats that this library writes itself.
    public enum ChatFormat: Sendable {
        /// Meta's reference for Llama 2: `[INST] <<SYS>> ... <</SYS>> ... [/INST]`.
        case llama2
        /// `<|im_start|>role ... <|im_end|>`.
        case chatML

        /// Recognises a Jinja template by the marks it writes. `[INST]` without `<<SYS>>` is
        /// another family's (Mistral's), which this library does not write.
        init?(template: [UInt8]) {
            func has(_ mark: String) -> Bool { firstIndex(of: Array(mark.utf8), in: template) != nil }
            if has("<|im_start|>") {
                self = .chatML
            } else if has("[INST]"), has("<<SYS>>") {
                self = .llama2
            } else {
                return nil
            }
        }
    }

    /// The tokens of a dialog, ready for the model's answer. Text of a message never becomes a
    /// control token.
    /// - Parameter addGenerationPrompt: the answer is to follow; the last message may not be the assistant's.
    public func encodeChat(
        _ messages: [(role: String, content: UnsafeRawBufferPointer)], addGenerationPrompt: Bool
    ) throws(Llama2Error) -> GrowingBuffer<Int32> {
        guard let format = chatFormat else {
            guard let chatTemplate else {
                throw Llama2Error(.unknownTemplate, "the model has no chat template, and its vocabulary names no format")
            }
            var start = ""
            for scalar in chatTemplate.unicodeScalars.prefix(60) { start.unicodeScalars.append(scalar) }
            throw Llama2Error(.unknownTemplate, "no known chat format; the template begins: \(start)")
        }
        // the template is looked through for a system prompt, in copies
        try MemoryReserve.cover(chatTemplate?.utf8.count ?? 0, each: 8, for: "the chat template")
        guard let last = messages.last else { throw Llama2Error(.invalidArgument, "the dialog has no messages") }
        if addGenerationPrompt, last.role == "assistant" {
            throw Llama2Error(.invalidArgument, "the last message is the assistant's; an answer follows the user's")
        }
        switch format {
        case .llama2: return try encodeLlama2(messages)
        case .chatML: return try encodeChatML(messages, addGenerationPrompt: addGenerationPrompt)
        }
    }

    /// Meta's `Llama.chat_completion` (llama/generation.py): each pair of prompt and answer is a text
    /// of its own between BOS and EOS; the last prompt has BOS only.
    private func encodeLlama2(
        _ messages: [(role: String, content: UnsafeRawBufferPointer)]
    ) throws(Llama2Error) -> GrowingBuffer<Int32> {
        guard let bos, let eos else {
            throw Llama2Error(.unsupported, "Llama 2's chat format needs BOS and EOS; the vocabulary lacks one")
        }
        let hasSystem = messages[0].role == "system"
        let turns = hasSystem ? messages.dropFirst() : messages[...]
        guard !turns.isEmpty else {
            throw Llama2Error(.invalidArgument, "a system message alone is no dialog; a user's message must follow")
        }
        var out = try GrowingBuffer<Int32>(of: "tokens of a dialog")
        var text = try GrowingBuffer<UInt8>(of: "text of a dialog"), content = try GrowingBuffer<UInt8>(of: "text of a message")
        for (index, message) in turns.enumerated() {
            let expected = index % 2 == 0 ? "user" : "assistant"
            guard message.role == expected else {
                throw Llama2Error(
                    .invalidArgument,
                    "message \(index + (hasSystem ? 1 : 0)) has role \"\(message.role)\", expected \"\(expected)\": "
                        + "an optional system message, then user and assistant in turn")
            }
            if index % 2 == 0 {
                content.removeAll()
                if index == 0, hasSystem {
                    try content.append("<<SYS>>\n")
                    try content.append(messages[0].content)
                    try content.append("\n<</SYS>>\n\n")
                }
                try content.append(message.content)
                text.removeAll()
                try text.append("[INST] ")
                try text.append(stripped(content.bytes))
                try text.append(" [/INST]")
            } else {
                try text.append(0x20)
                try text.append(stripped(message.content))
                try text.append(0x20)
            }
            guard index % 2 == 1 || index == turns.count - 1 else { continue }
            try out.append(bos)
            try append(text.bytes, .text, to: &out)
            if index % 2 == 1 { try out.append(eos) }
        }
        return out
    }

    private func encodeChatML(
        _ messages: [(role: String, content: UnsafeRawBufferPointer)], addGenerationPrompt: Bool
    ) throws(Llama2Error) -> GrowingBuffer<Int32> {
        guard let start = token(named: "<|im_start|>"), let end = token(named: "<|im_end|>") else {
            throw Llama2Error(
                .unsupported, "the template is ChatML, but the vocabulary lacks <|im_start|> or <|im_end|>")
        }
        var out = try GrowingBuffer<Int32>(of: "tokens of a dialog"), text = try GrowingBuffer<UInt8>(of: "text of a message")
        if addsBOS, let bos, bos != start { try out.append(bos) }
        if messages[0].role != "system", let prompt = defaultSystemPrompt() {
            try out.append(start)
            try append(Array("system\n".utf8) + prompt, to: &out)
            try out.append(end)
            try append(Self.newline, to: &out)
        }
        for (index, message) in messages.enumerated() {
            guard ["system", "user", "assistant", "tool"].contains(message.role) else {
                throw Llama2Error(
                    .invalidArgument,
                    "message \(index) has role \"\(message.role)\", expected system, user, assistant or tool")
            }
            try out.append(start)
            text.removeAll()
            for byte in message.role.utf8 { try text.append(byte) }
            try text.append(0x0A)
            try text.append(message.content)
            try append(text.bytes, .text, to: &out)
            try out.append(end)
            try append(Self.newline, to: &out)
        }
        if addGenerationPrompt {
            try out.append(start)
            try append(Array("assistant\n".utf8), to: &out)
        }
        return out
    }

    private static let newline: [UInt8] = [0x0A]

    private func append(_ text: [UInt8], to out: inout GrowingBuffer<Int32>) throws(Llama2Error) {
        var copy = try GrowingBuffer<UInt8>(capacity: text.count, of: "text of a dialog")
        for byte in text { try copy.append(byte) }
        try append(copy.bytes, .text, to: &out)
    }

    /// The control or user-defined token of that name.
    private func token(named name: String) -> Int32? {
        let name = Array(name.utf8)
        return (0..<count).first { index in
            isFoundByName(Int32(index)) && pieceOffsets[index + 1] - pieceOffsets[index] == name.count
                && name.indices.allSatisfy { pieces.pointer[pieceOffsets[index] + $0] == name[$0] }
        }.map { Int32($0) }
    }

    /// The system prompt that a ChatML template writes when the dialog has none: the text of a
    /// literal `<|im_start|>system ... <|im_end|>` in it, if there is one.
    private func defaultSystemPrompt() -> [UInt8]? {
        let template = Array((chatTemplate ?? "").utf8)
        let opening = Array("<|im_start|>system".utf8)
        let closing = Array("<|im_end|>".utf8)
        var from = 0
        while let start = firstIndex(of: opening, in: template, from: from) {
            from = start + opening.count
            guard let end = firstIndex(of: closing, in: template, from: from) else { return nil }
            let before = start > 0 ? template[start - 1] : 0
            let isQuoted = before == UInt8(ascii: "'") || before == UInt8(ascii: "\"")
            if let text = literal(template[from..<end], quote: isQuoted ? before : nil), text.first == 0x0A {
                return Array(text.dropFirst())
            }
        }
        return nil
    }

    /// A Jinja string's text with its escapes resolved, or plain template text; nil when it ends
    /// or an expression begins inside.
    private func literal(_ source: ArraySlice<UInt8>, quote: UInt8?) -> [UInt8]? {
        var out: [UInt8] = []
        var escaped = false
        for byte in source {
            if escaped {
                out.append(byte == UInt8(ascii: "n") ? 0x0A : byte == UInt8(ascii: "t") ? 0x09 : byte)
                escaped = false
            } else if quote != nil, byte == UInt8(ascii: "\\") {
                escaped = true
            } else if byte == quote || quote == nil && byte == UInt8(ascii: "{") {
                return nil
            } else {
                out.append(byte)
            }
        }
        return out
    }
}

/// `text` without the white space at its ends, as Python's `str.strip` defines it.
private func stripped(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    let bytes = text.bindMemory(to: UInt8.self)
    var start = 0
    var end = 0  // after the last character that is no white space
    var position = 0
    var begun = false
    while position < bytes.count {
        var length = 1
        var isSpace = false
        if case .scalar(let scalar, let count) = decodeUTF8(bytes, at: position) {
            length = count
            isSpace = UnicodeClass(scalar) == .whiteSpace || (0x1C...0x1F).contains(scalar)
        }
        position += length
        if !isSpace {
            begun = true
            end = position
        } else if !begun {
            start = position
        }
    }
    return UnsafeRawBufferPointer(rebasing: text[(begun ? start : 0)..<(begun ? end : 0)])
}
