public import Llama2Core
internal import Synchronization

/// A chat template: Jinja as `transformers` renders it (jinja2's immutable sandbox with trim_blocks and lstrip_blocks,
/// loop controls, the generation tag, strftime_now, raise_exception and its own tojson).
///
/// What of the language is not here is refused by name and line: inheritance and inclusion, autoescape, integers beyond
/// 64 bits, filters about HTML and chance. A rendering is bounded in steps and memory by the size of what goes in.
/// Immutable; any number of threads.
public final class Template: Sendable {
    private let program: Program
    private let partsAlone = AtomicLazyReference<Answer>()

    /// Of a template: 4 MiB. The largest known has 50 KB.
    public static let mostBytes = 4 << 20

    public init(_ source: RawSpan) throws(Llama2Error) {
        guard source.byteCount <= Template.mostBytes else {
            throw Failure.because("the chat template has \(source.byteCount) bytes; the limit is \(Template.mostBytes)")
        }
        try MemoryReserve.cover(
            .list(source.byteCount, of: Instruction.self) + .list(source.byteCount, of: Int32.self) + 4 * .text(source.byteCount), for: "the chat template")
        do throws(Llama2Error) {
            program = try source.withUnsafeBytes { (source) throws(Llama2Error) in try Compiler.compile(source) }
        } catch {
            throw Llama2Error(error.kind, "the chat template: \(error.message)")
        }
    }

    /// The text of a conversation. An error is UNKNOWN_TEMPLATE with the line, or INVALID_ARGUMENT if the template
    /// itself refuses the conversation.
    public func render(_ conversation: Conversation) throws(Llama2Error) -> Rendering {
        var conversation = conversation, steps = mostSteps(conversation), attempts = 0
        try MemoryReserve.cover(.bounded(3 * mostBytes(conversation)), for: "the rendering of the chat template")
        conversation.contents.wrapsTexts = try takesPartsAlone()
        while true {
            let heap = Heap(mostSteps: steps, mostBytes: mostBytes(conversation))
            var watched: [(message: Int, use: PartsUse)] = []
            let result = Result { () throws(Llama2Error) in try pass(conversation, heap, &watched) }
            // lists that the template does not take become texts; of one that it fails at, the first: what follows it was not reached
            let left = watched.filter { !$0.use.isTaken }.map(\.message)
            guard let first = left.first else { return Rendering(units: try result.get()) }
            if case .failure(let error) = result {
                if error.kind == .noMemory { throw error }
                conversation.contents.joined.formUnion(attempts < 2 ? [first] : left)
            } else {
                conversation.contents.joined.formUnion(left)
            }
            steps -= heap.steps
            attempts += 1
            guard steps > 0, attempts < 8 else { return Rendering(units: try result.get()) }
        }
    }

    private func mostSteps(_ conversation: Conversation) -> Int {
        conversation.mostSteps > 0 ? conversation.mostSteps : 10_000_000 + 200 * (program.size + conversation.size)
    }

    /// Counted by what values say; lists and dictionaries that double take up to three times that.
    private func mostBytes(_ conversation: Conversation) -> Int { 20 << 20 + 12 * (program.size + conversation.size) }

    private func pass(
        _ conversation: Conversation, _ heap: Heap, _ watched: inout [(message: Int, use: PartsUse)]
    ) throws(Llama2Error) -> [Unit] {
        do throws(Llama2Error) {
            let machine = try conversation.machine(program, heap, &watched)
            return try conversation.cut(try machine.render(), heap)
        } catch {
            throw Llama2Error(error.kind, error.kind == .invalidArgument ? error.message : "the chat template: \(error.message)")
        }
    }

    // MARK: Templates that take parts alone

    private final class Answer: Sendable {
        let value: Bool
        init(_ value: Bool) { self.value = value }
    }

    /// Whether the template loses a content that is a text, and writes it as a part. Found once, by a message of a user.
    private func takesPartsAlone() throws(Llama2Error) -> Bool {
        if let known = partsAlone.load() { return known.value }
        let keepsText = try keeps(asPart: false)
        let found = keepsText ? false : try keeps(asPart: true)
        return partsAlone.storeIfNil(Answer(found)).value
    }

    private func keeps(asPart: Bool) throws(Llama2Error) -> Bool {
        let role: StaticString = "user", text: StaticString = "What becomes of this?"
        func raw(_ text: StaticString) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount) }
        var probe = Conversation(.list([(raw(role), raw(text))]))
        probe.special = [("bos_token", Array("<s>".utf8)), ("eos_token", Array("</s>".utf8)), ("unk_token", Array("<unk>".utf8))]
        probe.contents.wrapsTexts = asPart
        let heap = Heap(mostSteps: 1_000_000, mostBytes: mostBytes(probe))
        var watched: [(message: Int, use: PartsUse)] = []
        do throws(Llama2Error) {
            let written = try pass(probe, heap, &watched)
            return try Finder(needle: units(text), heap: heap).first(in: written, from: 0) != nil && watched.allSatisfy(\.use.isTaken)
        } catch {
            if error.kind == .noMemory { throw error }
            return false
        }
    }
}

/// A conversation as text, each byte with where it comes from.
public struct Rendering {
    let units: [Unit]

    public var count: Int { units.count }
    public func byte(_ index: Int) -> UInt8 { units[index].byte }
    /// Whether the byte is the template's own: only such bytes can be a control token's name.
    public func isTemplate(_ index: Int) -> Bool { units[index] & .message == 0 }
}

/// What a template is rendered with.
public struct Conversation {
    public enum Messages {
        /// An array of objects.
        case json(JSON)
        case list([(role: UnsafeRawBufferPointer, content: UnsafeRawBufferPointer)])
    }

    public var messages: Messages
    public var tools: JSON?, documents: JSON?
    /// An object of more variables.
    public var variables: JSON?
    public var addGenerationPrompt = true
    /// The last message is left open, to be continued.
    public var continueFinalMessage = false
    /// Names of tokens, by the variables that templates know them by.
    public var special: [(name: StaticString, text: [UInt8])] = []
    /// For strftime_now: seconds since 1970 on the caller's clock on the wall; nil: the system's, UTC.
    public var time: Int?
    /// Bytes of all of it.
    public var size = 0
    /// Of work; 0: by the size.
    public var mostSteps = 0
    var contents = Contents()

    public init(_ messages: Messages) { self.messages = messages }

    /// Names of roles that are the frame's, not a message's text: a template may make control tokens of them.
    private static let roles: [StaticString] = [
        "system", "developer", "user", "assistant", "tool", "function", "ipython", "model", "observation", "human", "gpt",
    ]
    private static let mark: StaticString = "CONTINUE_FINAL_MESSAGE_TAG "

    /// watched: contents that are lists of texts, and what becomes of them.
    func machine(
        _ program: Program, _ heap: Heap, _ watched: inout [(message: Int, use: PartsUse)]
    ) throws(Llama2Error) -> Machine {
        guard !(addGenerationPrompt && continueFinalMessage) else {
            throw Llama2Error(.invalidArgument, "a conversation is continued, or an answer begun, not both")
        }
        var items = try messageValues(heap)
        guard !items.isEmpty else { throw Llama2Error(.invalidArgument, "the conversation has no messages") }
        if continueFinalMessage { try markLast(&items, heap) }
        watched = Contents.watch(items)
        var variables: [(name: StaticString, value: Value)] = []
        for (name, text) in special { variables.append((name, try heap.value(text.map { Unit($0) }))) }
        var more: Dict?
        if let json = self.variables, !json.isNull {
            guard json.isObject, case .dict(let dict) = try heap.value(json) else { throw Llama2Error(.invalidArgument, "the variables are no JSON object") }
            for reserved: StaticString in ["messages", "tools", "documents", "add_generation_prompt"] where dict.value(.text(Text(units(reserved)))) != nil {
                throw Llama2Error(.invalidArgument, "\"\(reserved)\" is no variable of the caller's")
            }
            more = dict
        }
        variables.append(("messages", try heap.list(items)))
        variables.append(("tools", try array(tools, "tools", heap)))
        variables.append(("documents", try array(documents, "documents", heap)))
        variables.append(("add_generation_prompt", .bool(addGenerationPrompt)))
        return Machine(program, heap: heap, variables: variables, more: more, clock: time.map { Clock(seconds: $0) } ?? Clock.system())
    }

    private func array(_ json: JSON?, _ name: StaticString, _ heap: Heap) throws(Llama2Error) -> Value {
        guard let json, !json.isNull else { return .none }
        guard let elements = json.elements else { throw Llama2Error(.invalidArgument, "the \(name) are no JSON array") }
        for element in elements where !element.isObject { throw Llama2Error(.invalidArgument, "one of the \(name) is no JSON object") }
        return try heap.value(json)
    }

    private func messageValues(_ heap: Heap) throws(Llama2Error) -> [Value] {
        var out: [Value] = []
        switch messages {
        case .list(let list):
            let role = try heap.value("role"), content = try heap.value("content")
            for message in list {
                let pairs = [
                    (role, try heap.value(frame(message.role.map { Unit($0) | .message }))),
                    (content, try contents.content(try heap.value(message.content.map { Unit($0) | .message }), out.count, heap)),
                ]
                out.append(try heap.dict(pairs))
            }
        case .json(let json):
            guard let elements = json.elements else { throw Llama2Error(.invalidArgument, "the messages are no JSON array") }
            for element in elements {
                guard element.isObject, case .dict(let dict) = try heap.value(element) else {
                    throw Llama2Error(.invalidArgument, "message \(out.count) is no JSON object")
                }
                out.append(try heap.dict(try pairs(dict, out.count, heap)))
            }
        }
        return out
    }

    /// As `transformers` prepares a message: what it thought stands under each name that templates know.
    private func pairs(_ message: Dict, _ index: Int, _ heap: Heap) throws(Llama2Error) -> [(Value, Value)] {
        var pairs: [(Value, Value)] = []
        for (key, value) in zip(message.keys, message.values) {
            if case .text(let key) = key, key.equals("role"), case .text(let role) = value {
                pairs.append((.text(key), try heap.value(frame(role.units))))
            } else if case .text(let key) = key, key.equals("content") {
                pairs.append((.text(key), try contents.content(value, index, heap)))
            } else {
                pairs.append((key, value))
            }
        }
        let names: [StaticString] = ["reasoning_content", "thinking", "reasoning"]
        for name in names {
            guard let thought = message.value(.text(Text(units(name)))) else { continue }
            if case .none = thought { continue }
            return [(try heap.value("thinking"), thought)] + pairs + [(try heap.value("reasoning_content"), thought)]
        }
        return pairs
    }

    private func frame(_ role: [Unit]) -> [Unit] {
        let text = Text(role)
        return Conversation.roles.contains { text.equals($0) } ? role.map { $0 & ~Unit.message } : role
    }

    // MARK: A message to be continued

    private func markLast(_ items: inout [Value], _ heap: Heap) throws(Llama2Error) {
        let content = Value.text(Text(units("content")))
        guard case .dict(let message)? = items.last else { throw Llama2Error(.invalidArgument, "there is no message to continue") }
        let marked: Value
        switch message.value(content) {
        case .text(let text)?: marked = try heap.value(text.units + Conversation.markUnits)
        case .list(let blocks)?:
            guard
                let place = blocks.items.lastIndex(where: { if case .dict(let block) = $0 { block.value(.text(Text(units("text")))) != nil } else { false } }),
                case .dict(let block) = blocks.items[place], case .text(let text)? = block.value(.text(Text(units("text"))))
            else { throw Llama2Error(.invalidArgument, "the last message has no text to continue") }
            var parts = blocks.items
            parts[place] = try heap.dict(Array(zip(block.keys, block.values)) + [(try heap.value("text"), try heap.value(text.units + Conversation.markUnits))])
            marked = try heap.list(parts)
        default: throw Llama2Error(.invalidArgument, "the last message has no text to continue")
        }
        items[items.count - 1] = try heap.dict(Array(zip(message.keys, message.values)) + [(try heap.value("content"), marked)])
    }

    private static var isAltered: Llama2Error {
        Llama2Error(.invalidArgument, "the last message cannot be continued: the chat template does not write it as it is")
    }

    /// The text that is to be continued, which was found before.
    private func lastText(_ heap: Heap) throws(Llama2Error) -> [Unit] {
        guard case .dict(let message)? = try messageValues(heap).last else { return [] }
        let text = Value.text(Text(units("text")))
        switch message.value(.text(Text(units("content")))) {
        case .text(let content)?: return content.units
        case .list(let blocks)?:
            for case .dict(let block) in blocks.items.reversed() { if case .text(let found)? = block.value(text) { return found.units } }
            return []
        default: return []
        }
    }

    private static var markUnits: [Unit] { units(mark).map { $0 | .message | .mark } }

    /// The rendering up to the mark: what follows a message is left out, and if the template took away the space at the
    /// mark's end, then the white space at the message's end too.
    func cut(_ rendering: [Unit], _ heap: Heap) throws(Llama2Error) -> [Unit] {
        guard continueFinalMessage else { return rendering }
        guard try Finder(needle: Characters.stripped(lastText(heap)), heap: heap).first(in: rendering, from: 0) != nil else { throw Conversation.isAltered }
        let mark = Conversation.markUnits, word = Array(mark.dropLast())
        var start = rendering.count - word.count
        while start >= 0, rendering[start] != word[0] || Array(rendering[start..<start + word.count]) != word { start -= 1 }
        guard start >= 0 else { throw Conversation.isAltered }
        let kept = Array(rendering[..<start])
        // whoever wrote it: transformers looks at the text alone
        let hasSpace = start + word.count < rendering.count && rendering[start + word.count].byte == mark[word.count].byte
        return hasSpace ? kept : Characters.strippedRight(kept)
    }
}
