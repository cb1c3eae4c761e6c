/// A regular expression as a tree.
indirect enum Regex: Sendable {
    case set(CodePointSet)  // one character; the empty set: nothing
    case sequence([Regex])
    case choice([Regex])
    case loop(Regex, least: Int, most: Int?)
    case begin, end  // ^ and $
    case ahead(Regex, isNegative: Bool)  // (?= ) and (?! )

    static let empty = Regex.sequence([])

    static func text(_ bytes: some Sequence<UInt8>) -> Regex {
        var decoder = Unicode.UTF8(), iterator = bytes.makeIterator(), parts: [Regex] = []
        while case .scalarValue(let scalar) = decoder.decode(&iterator) { parts.append(.set(CodePointSet(scalar.value))) }
        return .sequence(parts)
    }

    /// Whether a look-ahead lies in it.
    var looksAhead: Bool {
        switch self {
        case .set, .begin, .end: false
        case .sequence(let parts), .choice(let parts): parts.contains { $0.looksAhead }
        case .loop(let body, _, _): body.looksAhead
        case .ahead: true
        }
    }

    /// Whether every match begins where the text does.
    var beginsText: Bool {
        switch self {
        case .begin: true
        case .set, .end, .ahead: false
        case .sequence(let parts): parts.first?.beginsText ?? false
        case .choice(let branches): !branches.isEmpty && branches.allSatisfy { $0.beginsText }
        case .loop(let body, let least, _): least > 0 && body.beginsText
        }
    }
}
