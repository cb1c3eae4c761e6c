import Llama2Core

// What a vocabulary must be, and what llama.cpp knows of its names.
extension Tokenizer {
    /// llama.cpp does not load a file in which two tokens have one text: which of them a text means is not said.
    static func twice(_ one: Int32, _ other: Int32) -> Llama2Error {
        Llama2Error(.corrupt, "tokens \(min(one, other)) and \(max(one, other)) have the same text")
    }

    static func checkNames(_ names: [AddedToken], _ pipeline: Pipeline) throws(Llama2Error) {
        let order = names.indices.sorted { names[$0].name.lexicographicallyPrecedes(names[$1].name) }
        for (a, b) in zip(order, order.dropFirst()) where names[a].name == names[b].name && !names[a].name.isEmpty {
            throw twice(names[a].id, names[b].id)
        }
        for token in names {
            let other = token.name.withUnsafeBufferPointer { text in
                switch pipeline {
                case .sentencePiece(_, let model): model.token(text)
                case .merges(_, _, let model): model.token(text)
                }
            }
            if let other, other != token.id { throw twice(token.id, other) }
        }
    }

    /// Types whose tokens have no text in llama.cpp.
    static func standsForNothing(_ type: TokenType) -> Bool { type == .unused || type == .undefined }

    /// What llama.cpp knows of white space beside a name, of which its files say nothing.
    static func stripped(_ token: AddedToken, _ d: TokenizerDescription) -> AddedToken {
        var token = token
        let isJina = (["jina-v2-de", "jina-v2-es", "jina-v2-code"] as [ByteText]).contains { ByteText(d.pre).contains($0) }
        token.stripsLeft = isJina && token.name.elementsEqual("<mask>".utf8)
        token.stripsRight = d.stripsBehindNames && !isJina && !["<unk>", "<s>", "<|endoftext|>"].contains { token.name.elementsEqual($0.utf8) }
        return token
    }

    static func normalized(_ name: [UInt8], _ normalizer: Normalizer) throws(Llama2Error) -> [UInt8] {
        var copy = try GrowingBuffer<UInt8>(capacity: name.count, of: "a token's name"), isAtStart = true
        for byte in name { try copy.append(byte) }
        let text = try normalizer.normalize(copy.elements, isAtStart: &isAtStart)
        return Array(text.elements)
    }

    static func checkedID(_ value: Int?, _ name: String, _ count: Int) throws(Llama2Error) -> Int32? {
        guard let value, value >= 0 else { return nil }
        guard value < count else {
            throw Llama2Error(.corrupt, "the \(name) token is \(value); the vocabulary has \(count) tokens")
        }
        return Int32(value)
    }

    static func checkedTypes(_ d: TokenizerDescription) throws(Llama2Error) -> [TokenType] {
        if d.types.isEmpty { return Array(repeating: .normal, count: d.tokens.count) }
        guard d.types.count == d.tokens.count else {
            throw Llama2Error(.corrupt, "the vocabulary has \(d.tokens.count) tokens and \(d.types.count) types")
        }
        var types: [TokenType] = []
        types.reserveCapacity(d.types.count)
        for (index, value) in d.types.enumerated() {
            guard let type = TokenType(rawValue: value) else {
                throw Llama2Error(.corrupt, "token \(index) has type \(value); types are 0 to 6")
            }
            types.append(type)
        }
        return types
    }
}
