internal import Llama2Core

/// A word of a template.
struct Token {
    enum Kind: Equatable {
        case data, variableBegin, variableEnd, blockBegin, blockEnd
        case name, string, integer, float
        /// One or two characters, the second in the high byte.
        case symbol(UInt16)
        case end
    }
    var kind: Kind
    var line: Int
    /// Of data, names, strings and numbers.
    var text: [Unit] = []

    static func symbol(_ text: StaticString) -> Kind {
        .symbol(UInt16(text.utf8Start[0]) | (text.utf8CodeUnitCount > 1 ? UInt16(text.utf8Start[1]) << 8 : 0))
    }

    func isSymbol(_ text: StaticString) -> Bool { kind == Token.symbol(text) }

    func isName(_ name: StaticString) -> Bool {
        guard kind == .name, text.count == name.utf8CodeUnitCount else { return false }
        for i in text.indices where text[i].byte != name.utf8Start[i] { return false }
        return true
    }

    var shown: String {
        switch kind {
        case .data: "text"
        case .variableBegin: "{{"
        case .variableEnd: "}}"
        case .blockBegin: "{%"
        case .blockEnd: "%}"
        case .name, .integer, .float: Failure.shown(text.lazy.map(\.byte))
        case .string: "a string"
        case .symbol(let pair): Failure.shown([UInt8(pair & 0xff), UInt8(pair >> 8)].filter { $0 != 0 })
        case .end: "the end of the template"
        }
    }
}
