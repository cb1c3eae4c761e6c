import Llama2Core
internal import Llama2Jinja

/// The chat formats that have names here. Each is a template; what a file's own template is called follows from what it
/// writes, and never the other way round.
public enum ChatFormat: Sendable, CaseIterable {
    case llama2, chatML, llama3, zephyr, mistralV1, earlyMistralV1, mistralV3, mistralV3Tekken, vicuna, alpaca

    public var name: StaticString {
        switch self {
        case .llama2: "llama2"
        case .chatML: "chatml"
        case .llama3: "llama3"
        case .zephyr: "zephyr"
        case .mistralV1, .earlyMistralV1: "mistral-v1"
        case .mistralV3: "mistral-v3"
        case .mistralV3Tekken: "mistral-v3-tekken"
        case .vicuna: "vicuna"
        case .alpaca: "alpaca"
        }
    }

    public init?(name: UnsafeRawBufferPointer) {
        let found = ChatFormat.allCases.first { format in
            format.name.utf8CodeUnitCount == name.count
                && zip(UnsafeBufferPointer(start: format.name.utf8Start, count: name.count), name).allSatisfy { $0 == $1 }
        }
        guard let found else { return nil }
        self = found
    }

    /// The format in Jinja.
    var template: StaticString {
        switch self {
        // Meta's `Llama.chat_completion` (llama/generation.py): each pair of prompt and answer stands between BOS and EOS.
        case .llama2:
            """
            {%- set ns = namespace(first=0, system='') -%}
            {%- if messages[0].role == 'system' -%}
            {%- set ns.first = 1 -%}
            {%- set ns.system = '<<SYS>>\\n' ~ messages[0].content ~ '\\n<</SYS>>\\n\\n' -%}
            {%- endif -%}
            {%- if messages|length == ns.first -%}
            {{- raise_exception('a system message alone is no dialog; a user\\'s message must follow') -}}
            {%- endif -%}
            {%- for message in messages[ns.first:] -%}
            {%- set role = 'assistant' if loop.index0 % 2 else 'user' -%}
            {%- if message.role != role -%}
            {{- raise_exception('message ' ~ (loop.index0 + ns.first) ~ ' has role "' ~ message.role ~ '", expected "' ~ role ~ '": an optional system message, then user and assistant in turn') -}}
            {%- endif -%}
            {%- if role == 'user' -%}
            {{- bos_token ~ '[INST] ' ~ ((ns.system if loop.first else '') ~ message.content).strip() ~ ' [/INST]' -}}
            {%- else -%}
            {{- ' ' ~ message.content.strip() ~ ' ' ~ eos_token -}}
            {%- endif -%}
            {%- if loop.last and role == 'assistant' and add_generation_prompt -%}
            {{- raise_exception('the last message is the assistant\\'s; an answer follows the user\\'s') -}}
            {%- endif -%}
            {%- endfor -%}
            """
        case .chatML:
            """
            {%- for message in messages -%}
            {{- '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' -}}
            {%- endfor -%}
            {%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
            """
        // Meta's model card of Llama 3
        case .llama3:
            """
            {{- bos_token -}}
            {%- for message in messages -%}
            {{- '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\\n\\n' ~ message.content|trim ~ '<|eot_id|>' -}}
            {%- endfor -%}
            {%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}
            """
        // Zephyr and TinyLlama
        case .zephyr:
            """
            {%- for message in messages -%}
            {%- if message.role not in ['system', 'user', 'assistant'] -%}{{- raise_exception('roles are system, user and assistant') -}}{%- endif -%}
            {{- '<|' ~ message.role ~ '|>\\n' ~ message.content ~ eos_token ~ '\\n' -}}
            {%- endfor -%}
            {%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}
            """
        // Mistral's three: v1 (7B 0.1 and 0.2, Mixtral), v3 (7B 0.3), v3 with Tekken (Nemo). The system text stands before
        // the first user's text in v1, before the last one's after that.
        case .mistralV1:
            """
            {{- bos_token -}}
            {%- set first = 1 if messages[0].role == 'system' else 0 -%}
            {%- for message in messages[first:] -%}
            {%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}{{- raise_exception('user and assistant take turns') -}}{%- endif -%}
            {%- if message.role == 'user' -%}
            {{- ' [INST] ' ~ (messages[0].content ~ '\\n\\n' if loop.first and first else '') ~ message.content ~ ' [/INST]' -}}
            {%- elif message.role == 'assistant' -%}{{- ' ' ~ message.content ~ eos_token -}}
            {%- else -%}{{- raise_exception('roles are system, user and assistant') -}}{%- endif -%}
            {%- endfor -%}
            """
        // as the first files of 7B 0.1 have it
        case .earlyMistralV1:
            """
            {{- bos_token -}}
            {%- for message in messages -%}
            {%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}{{- raise_exception('user and assistant take turns') -}}{%- endif -%}
            {%- if message.role == 'user' -%}{{- '[INST] ' ~ message.content ~ ' [/INST]' -}}
            {%- elif message.role == 'assistant' -%}{{- message.content ~ eos_token -}}
            {%- else -%}{{- raise_exception('roles are user and assistant') -}}{%- endif -%}
            {%- endfor -%}
            """
        case .mistralV3:
            """
            {{- bos_token -}}
            {%- set first = 1 if messages[0].role == 'system' else 0 -%}
            {%- for message in messages[first:] -%}
            {%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}{{- raise_exception('user and assistant take turns') -}}{%- endif -%}
            {%- if message.role == 'user' -%}
            {{- '[INST] ' ~ (messages[0].content ~ '\\n\\n' if loop.last and first else '') ~ message.content ~ '[/INST]' -}}
            {%- elif message.role == 'assistant' -%}{{- ' ' ~ message.content|trim ~ eos_token -}}
            {%- else -%}{{- raise_exception('roles are system, user and assistant') -}}{%- endif -%}
            {%- endfor -%}
            """
        case .mistralV3Tekken:
            """
            {{- bos_token -}}
            {%- set first = 1 if messages[0].role == 'system' else 0 -%}
            {%- for message in messages[first:] -%}
            {%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}{{- raise_exception('user and assistant take turns') -}}{%- endif -%}
            {%- if message.role == 'user' -%}
            {{- '[INST]' ~ (messages[0].content ~ '\\n\\n' if loop.last and first else '') ~ message.content ~ '[/INST]' -}}
            {%- elif message.role == 'assistant' -%}{{- message.content ~ eos_token -}}
            {%- else -%}{{- raise_exception('roles are system, user and assistant') -}}{%- endif -%}
            {%- endfor -%}
            """
        // FastChat's vicuna_v1.1
        case .vicuna:
            """
            {{- bos_token -}}
            {%- set first = 1 if messages[0].role == 'system' else 0 -%}
            {%- if first -%}{{- messages[0].content ~ ' ' -}}
            {%- else -%}{{- 'A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user\\'s questions. ' -}}{%- endif -%}
            {%- for message in messages[first:] -%}
            {%- if message.role == 'user' -%}{{- 'USER: ' ~ message.content ~ ' ' -}}
            {%- elif message.role == 'assistant' -%}{{- 'ASSISTANT: ' ~ message.content ~ eos_token -}}
            {%- else -%}{{- raise_exception('roles are system, user and assistant') -}}{%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}{{- 'ASSISTANT:' -}}{%- endif -%}
            """
        // tatsu-lab/stanford_alpaca, as a dialog
        case .alpaca:
            """
            {{- bos_token -}}
            {%- set first = 1 if messages[0].role == 'system' else 0 -%}
            {%- if first -%}{{- messages[0].content ~ '\\n\\n' -}}
            {%- else -%}{{- 'Below is an instruction that describes a task. Write a response that appropriately completes the request.\\n\\n' -}}{%- endif -%}
            {%- for message in messages[first:] -%}
            {%- if message.role == 'user' -%}{{- '### Instruction:\\n' ~ message.content ~ '\\n\\n' -}}
            {%- elif message.role == 'assistant' -%}{{- '### Response:\\n' ~ message.content ~ eos_token ~ '\\n\\n' -}}
            {%- else -%}{{- raise_exception('roles are system, user and assistant') -}}{%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}{{- '### Response:\\n' -}}{%- endif -%}
            """
        }
    }

    func compiled() throws(Llama2Error) -> Template {
        try Template(UnsafeRawBufferPointer(start: template.utf8Start, count: template.utf8CodeUnitCount).bytes)
    }

    // MARK: What a template is called

    private static let probes: [(messages: [(StaticString, StaticString)], opens: Bool)] = [
        ([("system", "Be brief."), ("user", "Hello")], true),
        ([("user", "Hello")], true),
        ([("user", "Hello"), ("assistant", "Good day."), ("user", " And\nnow? ")], true),
        ([("system", "S"), ("user", "U"), ("assistant", "A"), ("user", "V"), ("assistant", " B "), ("user", "W")], true),
        ([("user", "Hello"), ("assistant", "Good day.")], false),
    ]

    /// What `template` writes of each probe; nil where it refuses.
    private static func writes(_ template: Template) -> [[UInt8]?] {
        probes.map { probe in
            var conversation = Conversation(.list(probe.messages.map { (raw($0.0), raw($0.1)) }))
            conversation.addGenerationPrompt = probe.opens
            conversation.special = [("bos_token", Array("<s>".utf8)), ("eos_token", Array("</s>".utf8)), ("unk_token", Array("<unk>".utf8))]
            conversation.mostSteps = 1_000_000
            guard let rendering = try? template.render(conversation) else { return nil }
            return (0..<rendering.count).map { rendering.byte($0) }
        }
    }

    private static func raw(_ text: StaticString) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount) }

    /// The format whose text a template writes for every probe. A ChatML template may begin a dialog that has no system
    /// message with one of its own.
    static func named(_ template: Template) -> ChatFormat? {
        let written = writes(template)
        guard written.contains(where: { $0 != nil }) else { return nil }
        return allCases.first { format in
            guard let own = try? format.compiled() else { return false }
            return zip(writes(own), written).allSatisfy { right, got in
                guard let right, let got else { return right == nil && got == nil }
                if right == got || right == withoutBOS(got) || withoutBOS(right) == got { return true }
                guard format == .chatML, got.count > right.count, got.suffix(right.count) == right[...] else { return false }
                let system = got.dropLast(right.count), opening = Array("<|im_start|>system\n".utf8), closing = Array("<|im_end|>\n".utf8)
                return system.starts(with: opening) && system.suffix(closing.count) == closing[...]
            }
        }
    }

    /// BOS is written by the template or by the tokenizer: the tokens are the same.
    private static func withoutBOS(_ text: [UInt8]) -> [UInt8] {
        let bos = Array("<s>".utf8)
        return text.starts(with: bos) ? Array(text.dropFirst(bos.count)) : text
    }
}
