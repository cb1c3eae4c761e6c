/// The tokens that are found in a text by their names, before any merging.
///
/// Leftmost match, then longest. Control and unknown tokens are found only when asked for;
/// user-defined ones are part of the text's ordinary vocabulary. Names of more than 256 bytes are
/// not looked for.
struct SpecialTokens: Sendable {
    enum Parsing {
        case userDefined
        case all
        /// By byte of the text whether it is a chat template's own. The rest is a message's text, in which nothing is found
        /// that looks like a marker: it must not make the frame.
        case trusted(UnsafeBufferPointer<Bool>)
    }

    private enum Kind: Sendable { case control, userDefined, marker }

    static let longestName = 256
    private var children: [UInt64: Int32] = [:]  // node << 8 | byte -> node
    private var found: [(token: Int32, kind: Kind)?] = [nil]  // by node
    private var begins: [Bool] = Array(repeating: false, count: 256)
    private var hasUserDefined = false
    private var hasAny = false

    mutating func insert(_ name: [UInt8], token: Int32, type: TokenType) {
        guard let first = name.first, name.count <= Self.longestName else { return }
        let kind: Kind = type != .userDefined ? .control : Self.isMarker(name) ? .marker : .userDefined
        var node: Int32 = 0
        for byte in name {
            let edge = UInt64(UInt32(bitPattern: node)) << 8 | UInt64(byte)
            if let child = children[edge] {
                node = child
            } else {
                found.append(nil)
                node = Int32(truncatingIfNeeded: found.count - 1)
                children[edge] = node
            }
        }
        found[Int(node)] = (token, kind)
        begins[Int(first)] = true
        hasAny = true
        if kind != .control { hasUserDefined = true }
    }

    /// A name like `<|im_start|>` or `[INST]`: in brackets of any kind.
    static func isMarker(_ name: [UInt8]) -> Bool {
        guard name.count > 2, let first = name.first, let last = name.last else { return false }
        return first == UInt8(ascii: "<") && last == UInt8(ascii: ">")
            || first == UInt8(ascii: "[") && last == UInt8(ascii: "]")
    }

    /// The first special token at or after `start`.
    func next(in text: UnsafeBufferPointer<UInt8>, from start: Int, _ parsing: Parsing)
        -> (position: Int, length: Int, token: Int32)?
    {
        if case .userDefined = parsing { guard hasUserDefined else { return nil } } else { guard hasAny else { return nil } }
        var position = start
        while position < text.count {
            if begins[Int(text[position])], let (length, token) = match(text, position, parsing) {
                return (position, length, token)
            }
            position += 1
        }
        return nil
    }

    private func match(_ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ parsing: Parsing) -> (Int, Int32)? {
        var node: Int32 = 0
        var longest: (Int, Int32)?
        var position = start
        while position < text.count,
            let child = children[UInt64(UInt32(bitPattern: node)) << 8 | UInt64(text[position])]
        {
            node = child
            position += 1
            guard let (token, kind) = found[Int(node)] else { continue }
            switch parsing {
            case .userDefined where kind == .control: continue
            case .trusted(let bytes) where kind != .userDefined && !bytes[start..<position].allSatisfy({ $0 }): continue
            default: longest = (position - start, token)
            }
        }
        return longest
    }
}
