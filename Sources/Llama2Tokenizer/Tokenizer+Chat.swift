public import Llama2Core
public import Llama2Jinja

extension Tokenizer {
    /// The name of the format that the chat template writes, if it is one that has a name.
    public var chatFormat: ChatFormat? { chats.usual.format }

    /// The conversation as text.
    /// - Parameter template: Jinja, one of the file's templates by its name, or a format's name, in place of the file's usual one.
    public func renderChat(_ conversation: Conversation, template: UnsafeRawBufferPointer? = nil) throws(Llama2Error) -> Rendering {
        var conversation = conversation
        func name(_ token: Int32?) throws(Llama2Error) -> [UInt8] {
            guard let token else { return [] }
            return Array(try piece(token, special: true))
        }
        conversation.special = [("bos_token", try name(bos)), ("eos_token", try name(eos)), ("unk_token", try name(unknown))]
        guard let template else {
            let hasTools = conversation.tools.map { !$0.isNull } ?? false
            return try chats.chosen(hasTools: hasTools).template().render(conversation)
        }
        if template.count <= 256, let own = chats[ByteText(template)] { return try own.template().render(conversation) }
        if let format = ChatFormat(name: template) { return try format.compiled().render(conversation) }
        // what can only be meant as a name is not written out as a text
        guard !Self.isName(template) else {
            throw Llama2Error(
                .unknownTemplate, "\"\(ByteText(template))\" is the name of no format and of none of the model's chat templates, which are \(chats.names)")
        }
        return try Template(template.bytes).render(conversation)
    }

    private static func isName(_ text: UnsafeRawBufferPointer) -> Bool {
        (2...64).contains(text.count)
            && text.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."): true
                default: false
                }
            }
    }

    /// The tokens of a conversation, ready for the model's answer. Only the template's own text can become a control
    /// token. BOS stands at the beginning if the vocabulary wants it, once.
    public func encodeChat(_ conversation: Conversation, template: UnsafeRawBufferPointer? = nil) throws(Llama2Error) -> GrowingBuffer<Int32> {
        let rendering = try renderChat(conversation, template: template)
        var text = try GrowingBuffer<UInt8>(capacity: rendering.count, of: "text of a conversation")
        var trusted = try GrowingBuffer<Bool>(capacity: rendering.count, of: "origins of a conversation's text")
        for i in 0..<rendering.count {
            try text.append(rendering.byte(i))
            try trusted.append(rendering.isTemplate(i))
        }
        var out = try GrowingBuffer<Int32>(of: "tokens of a conversation")
        try append(text.bytes, .trusted(trusted.elements), to: &out)
        guard addsBOS, let bos, out.isEmpty || out[0] != bos else { return out }
        var withBOS = try GrowingBuffer<Int32>(capacity: out.elements.count + 1, of: "tokens of a conversation")
        try withBOS.append(bos)
        try withBOS.append(contentsOf: out.elements)
        return withBOS
    }
}
