import Llama2Core

// What a vocabulary must be, which of its tokens are found by names, and what llama.cpp knows of those.
extension Tokenizer {
    /// llama.cpp does not load a file in which two tokens have one text: which of them a text means is not said.
    static func twice(_ one: Int32, _ other: Int32) -> Llama2Error {
        Llama2Error(.corrupt, "tokens \(min(one, other)) and \(max(one, other)) have the same text")
    }

    static func checkNames(_ names: [AddedToken], _ pipeline: TokenPipeline) throws(Llama2Error) {
        let order = names.indices.sorted { names[$0].name.lexicographicallyPrecedes(names[$1].name) }
        for (a, b) in zip(order, order.dropFirst()) where names[a].name == names[b].name && !names[a].name.isEmpty {
            throw twice(names[a].id, names[b].id)
        }
        for token in names {
            let other = token.name.withUnsafeBufferPointer { pipeline.token($0) }
            if let other, other != token.id { throw twice(token.id, other) }
        }
    }

    /// Types whose tokens have no text in llama.cpp.
    static func standsForNothing(_ type: TokenType) -> Bool { type == .unused || type == .undefined }

    /// Which of the two kinds GGUF's `tokenizer.ggml.model` names.
    static func isSentencePiece(_ model: [UInt8]) throws(Llama2Error) -> Bool {
        if model.elementsEqual("llama".utf8) { return true }
        if model.elementsEqual("gpt2".utf8) { return false }
        let name = String(decoding: model.prefix(60), as: UTF8.self)
        throw Llama2Error(.unsupported, "tokenizer model \"\(name)\" is not known; this version has llama and gpt2")
    }

    /// named: those whose types follow from their names.
    static func checkedTypes(_ d: TokenizerDescription, _ named: EndTokens?) throws(Llama2Error) -> [TokenType] {
        guard d.types.isEmpty || d.types.count == d.tokens.count else {
            throw Llama2Error(.corrupt, "the vocabulary has \(d.tokens.count) tokens and \(d.types.count) types")
        }
        var types = Array(repeating: TokenType.normal, count: d.tokens.count)
        for (index, value) in d.types.enumerated() {
            guard let type = TokenType(rawValue: value) else {
                throw Llama2Error(.corrupt, "token \(index) has type \(value); types are 0 to 6")
            }
            types[index] = type
        }
        for id in named?.controls ?? [] { types[Int(id)] = .control }
        for id in named?.userDefined ?? [] { types[Int(id)] = .userDefined }
        for id in named?.normal ?? [] { types[Int(id)] = .normal }
        return types
    }

    /// The tokens that are found in a text by their names: listed with their settings, or by their types.
    static func addedTokens(_ d: TokenizerDescription, _ types: [TokenType], isSentencePiece: Bool) -> [AddedToken] {
        // of a row that the embedding does not have none is ever made
        if let settings = d.settings { return settings.addedTokens.filter { Int($0.id) < types.count } }
        var names: [AddedToken] = []
        for (index, text) in d.tokens.walk().enumerated() {
            switch types[index] {
            case .control, .unknown: names.append(AddedToken(id: Int32(index), name: Array(text), isSpecial: true))
            case .userDefined where !(isSentencePiece && d.sentencePiece.keepsUserDefined):
                names.append(AddedToken(id: Int32(index), name: Array(text), isSpecial: false))
            case .userDefined, .undefined, .normal, .unused, .byte: break
            }
        }
        return names.map { stripped($0, d) }
    }

    /// What llama.cpp knows of white space beside a name, of which its files say nothing.
    private static func stripped(_ token: AddedToken, _ d: TokenizerDescription) -> AddedToken {
        var token = token
        let isJina = (["jina-v2-de", "jina-v2-es", "jina-v2-code"] as [ByteText]).contains { ByteText(d.pre).contains($0) }
        token.stripsLeft = isJina && token.name.elementsEqual("<mask>".utf8)
        token.stripsRight = d.stripsBehindNames && !isJina && !["<unk>", "<s>", "<|endoftext|>"].contains { token.name.elementsEqual($0.utf8) }
        return token
    }
}
