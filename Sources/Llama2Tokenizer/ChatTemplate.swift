import Llama2Core
internal import Llama2Jinja
internal import Synchronization

/// One of a vocabulary's chat templates, compiled when it is first asked for. No lock: of two threads that do so at once one
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
            throw Llama2Error(.unknownTemplate, "the model has no chat template that is its default, and its vocabulary names no format")
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

/// All of them: the default, and those that have names.
struct ChatTemplates: Sendable {
    let usual: ChatTemplate
    private let named: [(name: ByteText, template: ChatTemplate)]

    init(_ d: TokenizerDescription, isLlama2: Bool) {
        let usual: ByteText = "default"
        let source = d.chatTemplate ?? d.namedTemplates.first { $0.name == usual }?.source
        named = d.namedTemplates.filter { $0.name != usual }.map { ($0.name, ChatTemplate(Array($0.source.utf8), isLlama2: false)) }
        self.usual = ChatTemplate(source.map { Array($0.utf8) }, isLlama2: isLlama2 && named.isEmpty)
    }

    /// The one for a conversation whose caller names none, as `transformers` and llama.cpp choose it.
    func chosen(hasTools: Bool) -> ChatTemplate { hasTools ? self["tool_use"] ?? usual : usual }

    subscript(_ name: ByteText) -> ChatTemplate? { name == "default" ? usual : named.first { $0.name == name }?.template }

    /// For a sentence.
    var names: String { (["default"] + named.prefix(20).map(\.name.description)).joined(separator: ", ") }
}
