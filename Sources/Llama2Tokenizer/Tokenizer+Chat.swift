public import Llama2Core
public import Llama2Jinja
internal import Synchronization

/// A vocabulary's chat template, compiled when it is first asked for. No lock: of two threads that do so at once one
/// compiles in vain.
final class ChatTemplate: Sendable {
    private let source: [UInt8]?
    private let isLlama2: Bool
    private let compiled = AtomicLazyReference<Compiled>()
    private let named = AtomicLazyReference<Named>()

    private final class Compiled: Sendable {
        let result: Result<Template, Llama2Error>
        init(_ result: Result<Template, Llama2Error>) { self.result = result }
    }
    private final class Named: Sendable {
        let format: ChatFormat?
        init(_ format: ChatFormat?) { self.format = format }
    }

    /// isLlama2: a vocabulary without a template is taken for Llama 2's, whose older files have none.
    init(_ source: [UInt8]?, isLlama2: Bool) {
        self.source = source
        self.isLlama2 = isLlama2
    }

    func template() throws(Llama2Error) -> Template {
        if let compiled = compiled.load() { return try compiled.result.get() }
        let result = Result { () throws(Llama2Error) in try compile() }
        // memory may be there the next time
        if case .failure(let error) = result, error.kind == .noMemory { throw error }
        return try compiled.storeIfNil(Compiled(result)).result.get()
    }

    private func compile() throws(Llama2Error) -> Template {
        if let source {
            let result = source.withUnsafeBytes { bytes in Result { () throws(Llama2Error) in try Template(bytes.bytes) } }
            return try result.get()
        }
        guard isLlama2 else {
            throw Llama2Error(.unknownTemplate, "the model has no chat template, and its vocabulary names no format")
        }
        return try ChatFormat.llama2.compiled()
    }

    var format: ChatFormat? {
        if source == nil { return isLlama2 ? .llama2 : nil }
        if let named = named.load() { return named.format }
        guard let template = try? template() else { return nil }
        return named.storeIfNil(Named(ChatFormat.named(template))).format
    }
}

extension Tokenizer {
    /// The name of the format that the chat template writes, if it is one that has a name.
    public var chatFormat: ChatFormat? { chat.format }

    /// The conversation as text.
    /// - Parameter template: Jinja, or a format's name, in place of the file's own.
    public func renderChat(_ conversation: Conversation, template: UnsafeRawBufferPointer? = nil) throws(Llama2Error) -> Rendering {
        var conversation = conversation
        func name(_ token: Int32?) throws(Llama2Error) -> [UInt8] {
            guard let token else { return [] }
            return Array(try piece(token, special: true))
        }
        conversation.special = [("bos_token", try name(bos)), ("eos_token", try name(eos)), ("unk_token", try name(unknown))]
        guard let template else {
            let hasTools = conversation.tools.map { !$0.isNull } ?? false
            return try (hasTools ? toolChat ?? chat : chat).template().render(conversation)
        }
        if let format = ChatFormat(name: template) { return try format.compiled().render(conversation) }
        return try Template(template.bytes).render(conversation)
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
