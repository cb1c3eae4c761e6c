public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_chat_encode(
    _ model: OpaquePointer?, _ messages: UnsafePointer<llama2_message>?, _ count: Int, _ flags: UInt32,
    _ tokens: UnsafeMutablePointer<Int32>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let tokenizer = try Handles.model(model).tokenizer()
        guard count > 0, count <= 1 << 20 else {
            throw Llama2Error(.invalidArgument, "\(UInt(bitPattern: count)) messages, expected 1 to \(1 << 20)")
        }
        typealias Message = (role: UnsafeRawBufferPointer, content: UnsafeRawBufferPointer)
        try MemoryReserve.cover(.list(count, of: Message.self), for: "the messages")
        var list: [Message] = [], size = 0
        for message in try elements(messages, count, "messages") {
            let role = try text(message.role, message.role_length, "role")
            guard role.count <= 64 else { throw Llama2Error(.invalidArgument, "a role of \(role.count) bytes") }
            let content = try text(message.content, message.content_length, "content")
            size = try checkedAdd(size, content.count + 512, "the messages")
            list.append((role, content))
        }
        var conversation = Conversation(.list(list))
        try set(flags, of: "llama2_chat_encode", &conversation)
        conversation.size = size
        let ids = try tokenizer.encodeChat(conversation)
        try give(ids.elements, to: tokens, capacity, needed)
    }
}

@c @implementation
public func llama2_chat_encode_json(
    _ model: OpaquePointer?, _ options: UnsafePointer<llama2_chat_options>?, _ tokens: UnsafeMutablePointer<Int32>?, _ capacity: Int,
    _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let tokenizer = try Handles.model(model).tokenizer()
        let (conversation, template) = try conversation(options)
        let ids = try tokenizer.encodeChat(conversation, template: template)
        try give(ids.elements, to: tokens, capacity, needed)
    }
}

@c @implementation
public func llama2_chat_render(
    _ model: OpaquePointer?, _ options: UnsafePointer<llama2_chat_options>?, _ text: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let tokenizer = try Handles.model(model).tokenizer()
        let (conversation, template) = try conversation(options)
        let rendering = try tokenizer.renderChat(conversation, template: template)
        var bytes = try GrowingBuffer<UInt8>(capacity: rendering.count, of: "text of a conversation")
        for i in 0..<rendering.count { try bytes.append(rendering.byte(i)) }
        try give(bytes.bytes.bindMemory(to: CChar.self), to: text, capacity, needed)
    }
}

private func set(_ flags: UInt32, of function: StaticString, _ conversation: inout Conversation) throws(Llama2Error) {
    let (noPrompt, continues) = (UInt32(LLAMA2_CHAT_NO_PROMPT), UInt32(LLAMA2_CHAT_CONTINUE))
    try checkFlags(flags, noPrompt | continues, function)
    conversation.continueFinalMessage = flags & continues != 0
    conversation.addGenerationPrompt = flags == 0
}

/// What the options say, and the template if they bring one.
private func conversation(_ options: UnsafePointer<llama2_chat_options>?) throws(Llama2Error) -> (Conversation, UnsafeRawBufferPointer?) {
    let o = try Llama2CAPI.options(try required(options, "options"), zero: llama2_chat_options(), "llama2_chat_options")
    var size = 0
    func bytes(_ pointer: UnsafePointer<CChar>?, _ length: Int, _ name: StaticString) throws(Llama2Error) -> UnsafeRawBufferPointer? {
        let bytes = try text(pointer, length, name)
        size = try checkedAdd(size, bytes.count, "the conversation")
        return bytes.isEmpty ? nil : bytes
    }
    func json(_ pointer: UnsafePointer<CChar>?, _ length: Int, _ name: StaticString) throws(Llama2Error) -> JSON? {
        guard let bytes = try bytes(pointer, length, name) else { return nil }
        return try JSON.parse(argument: bytes, "\(name)")
    }
    guard let messages = try json(o.messages, o.messages_length, "messages") else { throw Llama2Error(.invalidArgument, "there are no messages") }
    var conversation = Conversation(.json(messages))
    try set(o.flags, of: "llama2_chat_options", &conversation)
    conversation.tools = try json(o.tools, o.tools_length, "tools")
    conversation.documents = try json(o.documents, o.documents_length, "documents")
    conversation.variables = try json(o.variables, o.variables_length, "variables")
    conversation.time = o.time == 0 ? nil : Int(o.time)
    let template = try bytes(o.template_text, o.template_length, "template_text")
    conversation.size = size
    return (conversation, template)
}

@c @implementation
public func llama2_chat_options_init(_ options: UnsafeMutablePointer<llama2_chat_options>?) { initialize(options) }

@c @implementation
public func llama2_chat_format(
    _ model: OpaquePointer?, _ text: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let name = try Handles.model(model).tokenizer().chatFormat?.name ?? ""
        try give(Array(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)), to: text, capacity, needed)
    }
}
