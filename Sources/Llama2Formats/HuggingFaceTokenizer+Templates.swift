internal import Llama2Core

/// The chat templates of a folder, under GGUF's keys.
extension HuggingFaceTokenizer {
    private static let mostTemplates = 1024

    /// A text, named ones, or files, which count whatever else is said: `chat_template.jinja` and those of `additional_chat_templates`,
    /// each called as the file is.
    func putTemplates(_ settings: JSON, _ metadata: inout Metadata) throws(Llama2Error) {
        let files = try templateFiles()
        let templates = files.isEmpty ? try templates(settings["chat_template"] ?? .null) : files
        var names: [[UInt8]] = []
        for (name, text) in templates {
            guard name != "default" else {
                _ = metadata.insert(.chatTemplate, .string(owned.keep(text)))
                continue
            }
            if metadata.insert(MetadataKey.namedTemplates + name, .string(owned.keep(text))) { names.append(name.bytes) }
        }
        if !names.isEmpty { _ = metadata.insert(.templateNames, .strings(try owned.keep(texts: names))) }
    }

    private func templateFiles() throws(Llama2Error) -> [(ByteText, [UInt8])] {
        func text(_ path: FilePath) throws(Llama2Error) -> [UInt8] {
            let file = try MappedFile(path: path, as: .copy)
            try MemoryReserve.cover(2 * .text(file.bytes.count), for: path.description)
            return try file.withBytes { Array($0) }
        }
        var out: [(ByteText, [UInt8])] = []
        let own = folder + "/chat_template.jinja", more = folder + "/additional_chat_templates"
        if try MappedFile.exists(own) { out.append(("default", try text(own))) }
        guard try MappedFile.isFolder(more) else { return out }
        for file in try FolderNames.of(more, most: Self.mostTemplates) where file.hasSuffix(".jinja") && file.count > 6 {
            if let path = more.child(file.bytes) { out.append((file.dropLast(6), try text(path))) }
        }
        return out
    }

    /// Of tokenizer_config.json: a text, a list of {"name": ..., "template": ...}, or an object of them.
    private func templates(_ value: JSON) throws(Llama2Error) -> [(ByteText, [UInt8])] {
        func failure(_ what: String) -> Llama2Error { Llama2Error(.corrupt, "\(folder)/tokenizer_config.json: chat_template \(what)") }
        if value.isNull { return [] }
        if let text = value.bytes { return [("default", text)] }
        var found: [(ByteText, [UInt8])] = []
        func add(_ name: [UInt8]?, _ text: [UInt8]?) throws(Llama2Error) {
            guard let name, let text else { throw failure("has one without a name or a text") }
            guard found.count < Self.mostTemplates else { throw failure("has more than \(Self.mostTemplates)") }
            found.append((ByteText(name), text))
        }
        if let list = value.array {
            for one in list { try add(one["name"]?.bytes, one["template"]?.bytes) }
        } else if let members = value.members {
            for (name, text) in members { try add(name.bytes, text.bytes) }
        } else {
            throw failure("is neither a text nor a list of them")
        }
        return found.reversed()  // of two of one name the last counts, and the first is taken
    }
}
