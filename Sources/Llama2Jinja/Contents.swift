internal import Llama2Core

// A message's content is a text or a list of parts ({"type": "text", "text": ...}), and a template takes one of them or both.
// `transformers` hands over what it is given, so that a template that takes texts alone prints a list as Python would, and
// one that takes parts alone loses a text. Neither is what the caller said: a list whose texts the template does not read
// is put together, and a text that it finds in parts alone becomes one.

/// What became of the parts of one content: a template that takes them reads their texts and prints none of them as a value.
final class PartsUse {
    var isRead = false, isPrinted = false
    var isTaken: Bool { isRead && !isPrinted }
}

/// How contents are handed to a template.
struct Contents {
    /// Texts become lists of one part.
    var wrapsTexts = false
    /// Of these messages they are texts all the same.
    var joined: Set<Int> = []

    /// The content of message `index`.
    func content(_ value: Value, _ index: Int, _ heap: Heap) throws(Llama2Error) -> Value {
        switch value {
        case .text where wrapsTexts && !joined.contains(index):
            let type = try heap.value(units("text").map { $0 | .message })
            return try heap.list([try heap.dict([(try heap.value("type"), type), (try heap.value("text"), value)])])
        case .list(let list) where joined.contains(index):
            guard let parts = Contents.parts(list) else { return value }
            var text: [Unit] = []
            for part in parts { text += part.text.units }
            return try heap.value(text)
        default: return value
        }
    }

    /// The parts of a list that has parts of type text alone.
    static func parts(_ list: List) -> [(part: Dict, text: Text)]? {
        var out: [(part: Dict, text: Text)] = []
        for item in list.items {
            guard case .dict(let part) = item, case .text(let type)? = part.value(.text(Text(units("type")))), type.equals("text"),
                case .text(let text)? = part.value(.text(Text(units("text"))))
            else { return nil }
            out.append((part, text))
        }
        return out
    }

    /// Watches each of the contents that are lists of texts: (message, what becomes of it).
    static func watch(_ messages: [Value]) -> [(message: Int, use: PartsUse)] {
        let content = Value.text(Text(units("content")))
        var out: [(message: Int, use: PartsUse)] = []
        for (index, message) in messages.enumerated() {
            guard case .dict(let message) = message, case .list(let list)? = message.value(content), let parts = parts(list) else { continue }
            let use = PartsUse()
            for part in parts { part.part.use = use }
            out.append((index, use))
        }
        return out
    }
}
