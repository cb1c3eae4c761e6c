import Llama2Core

/// The tokens that begin and end texts, and stand for what is unknown.
struct SpecialTokens: Sendable {
    let bos: Int32?, eos: Int32?, eot: Int32?, eom: Int32?, unknown: Int32?
    private let ends: Set<Int32>  // further ends of a text
    private let namedEnds: EndTokens
    private let hasNamedTypes: Bool

    /// hasUsual: SentencePiece's own ids for Llama, where the file says nothing. hasNamedTypes: types follow from names, as llama.cpp takes them.
    init(_ d: TokenizerDescription, hasUsual: Bool, _ namedEnds: EndTokens, hasNamedTypes: Bool) throws(Llama2Error) {
        let count = d.tokens.count
        bos = try Self.checked(d.bos ?? (hasUsual && count > 1 ? 1 : nil), "BOS", count)
        eos = try Self.checked(d.eos ?? (hasUsual && count > 2 ? 2 : nil), "EOS", count)
        eot = try Self.checked(d.eot, "end-of-turn", count)
        eom = try Self.checked(d.eom, "end-of-message", count)
        var ends: Set<Int32> = []
        for end in d.ends { if let id = try Self.checked(end, "end-of-text", count) { ends.insert(id) } }
        self.ends = ends
        unknown = try Self.checked(d.unk ?? (hasUsual ? 0 : nil), "unknown", count)
        self.namedEnds = namedEnds
        self.hasNamedTypes = hasNamedTypes
    }

    private static func checked(_ value: Int?, _ name: String, _ count: Int) throws(Llama2Error) -> Int32? {
        guard let value, value >= 0 else { return nil }
        guard value < count else {
            throw Llama2Error(.corrupt, "the \(name) token is \(value); the vocabulary has \(count) tokens")
        }
        return Int32(value)
    }

    /// Whether generation ends with `token`: EOS, end of turn or message, or a token of such a name.
    func isEnd(_ token: Int32) -> Bool {
        if hasNamedTypes, namedEnds.endsNothing(token) { return false }
        return token == eos || token == eot || token == eom || ends.contains(token) || namedEnds.contains(token)
    }
}
