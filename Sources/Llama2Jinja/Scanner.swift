internal import Llama2Core

/// Jinja's lexical rules, with trim_blocks and lstrip_blocks as `transformers` sets them. A value: a copy looks ahead.
struct Scanner {
    private enum Mode { case root, block, variable }

    let source: [Unit]
    private(set) var at = 0
    private(set) var line = 1
    private var mode = Mode.root
    private var lineStarts = true  // what came before ended a line
    private var open: [UInt8] = []  // closing brackets that are awaited
    private var pending: Token?

    /// One line end at the end is dropped; every line end is "\n".
    init(_ bytes: UnsafeRawBufferPointer) {
        var source: [Unit] = []
        source.reserveCapacity(bytes.count)
        var i = 0
        while i < bytes.count {
            if bytes[i] == 0x0d {
                source.append(0x0a)
                if i + 1 < bytes.count, bytes[i + 1] == 0x0a { i += 1 }
            } else {
                source.append(Unit(bytes[i]))
            }
            i += 1
        }
        if source.last == 0x0a { source.removeLast() }
        self.source = source
    }

    @inline(never)
    func peek() throws(Llama2Error) -> Token {
        var copy = self
        return try copy.next()
    }

    @inline(never)
    mutating func next() throws(Llama2Error) -> Token {
        if let token = pending {
            pending = nil
            return token
        }
        return mode == .root ? try nextInText() : try nextInTag()
    }

    func failure(_ what: String) -> Llama2Error { Failure.because("line \(line): \(what)") }

    mutating func move(to end: Int) {
        while at < end {
            if source[at] == 0x0a { line += 1 }
            at += 1
        }
    }

    private func has(_ text: StaticString, at place: Int) -> Bool {
        guard place >= 0, text.utf8CodeUnitCount <= source.count - place else { return false }
        for i in 0..<text.utf8CodeUnitCount where source[place + i] != Unit(text.utf8Start[i]) { return false }
        return true
    }

    private func afterSpace(_ place: Int) -> Int {
        var place = place
        while place < source.count {
            let (scalar, length) = Characters.scalar(source[place..<min(place + 4, source.count)], 0)
            guard Characters.isSpace(scalar) else { break }
            place += length
        }
        return place
    }

    // MARK: Text between tags

    private mutating func nextInText() throws(Llama2Error) -> Token {
        while true {
            // 1. up to the next tag
            let start = at
            var begin = start
            while begin + 1 < source.count, !(source[begin] == 0x7b && (source[begin + 1] == 0x7b || source[begin + 1] == 0x25 || source[begin + 1] == 0x23)) {
                begin += 1
            }
            guard begin + 1 < source.count else {
                let token = Token(kind: start < source.count ? .data : .end, line: line, text: Array(source[start...]))
                move(to: source.count)
                return token
            }
            // 2. the tag and its sign
            let kind = source[begin + 1]
            var end = begin + 2
            let sign = end < source.count && (source[end] == 0x2d || source[end] == 0x2b) ? UInt8(source[end]) : 0
            if sign != 0 { end += 1 }
            let text = trimmed(start, begin, sign, isVariable: kind == 0x7b)
            let data = text.isEmpty ? nil : Token(kind: .data, line: line, text: text)
            move(to: end)
            if kind == 0x7b || kind == 0x25 {
                if kind == 0x25, let body = rawBegin(end) {
                    lineStarts = source[body - 1] == 0x0a
                    move(to: body)
                    let raw = try rawText()
                    if let data {
                        pending = raw
                        return data
                    }
                    if !raw.text.isEmpty { return raw }
                    continue
                }
                lineStarts = false
                mode = kind == 0x7b ? .variable : .block
                let token = Token(kind: kind == 0x7b ? .variableBegin : .blockBegin, line: line)
                guard let data else { return token }
                pending = token
                return data
            }
            // 3. a comment
            var close = end
            while !has("#}", at: close) {
                guard close < source.count else { throw failure("a comment that does not end") }
                close += 1
            }
            let before = close > end ? source[close - 1] : 0
            close += 2
            if before == 0x2d { close = afterSpace(close) } else if before != 0x2b, has("\n", at: close) { close += 1 }
            lineStarts = source[close - 1] == 0x0a
            move(to: close)
            if let data { return data }
        }
    }

    /// The text before a tag, without what the tag's sign, or a line of its own, takes away.
    private func trimmed(_ start: Int, _ end: Int, _ sign: UInt8, isVariable: Bool) -> [Unit] {
        let text = source[start..<end]
        if sign == 0x2d { return Characters.strippedRight(Array(text)) }
        guard sign == 0, !isVariable else { return Array(text) }
        var lineStart = end
        while lineStart > start, source[lineStart - 1] != 0x0a { lineStart -= 1 }
        guard lineStart > start || lineStarts, lineStart < end, afterSpace(lineStart) >= end else { return Array(text) }
        return Array(source[start..<lineStart])
    }

    /// Where the text after `{% raw %}` begins, if that is what stands at `place` (after the sign).
    private func rawBegin(_ place: Int) -> Int? {
        let word = afterSpace(place)
        guard has("raw", at: word) else { return nil }
        let close = afterSpace(word + 3)
        if has("-%}", at: close) { return afterSpace(close + 3) }
        return has("%}", at: close) ? close + 2 : nil
    }

    private mutating func rawText() throws(Llama2Error) -> Token {
        let start = at, startLine = line
        var begin = start
        while begin < source.count {
            if has("{%", at: begin) {
                var word = begin + 2
                let sign = word < source.count && (source[word] == 0x2d || source[word] == 0x2b) ? UInt8(source[word]) : 0
                if sign != 0 { word += 1 }
                word = afterSpace(word)
                if has("endraw", at: word), let end = blockEnd(afterSpace(word + 6)) {
                    let text = trimmed(start, begin, sign, isVariable: false)
                    lineStarts = source[end - 1] == 0x0a
                    move(to: end)
                    return Token(kind: .data, line: startLine, text: text)
                }
            }
            begin += 1
        }
        throw failure("a raw block that does not end")
    }

    /// After `%}` with its sign at `place`.
    private func blockEnd(_ place: Int) -> Int? {
        if has("-%}", at: place) { return afterSpace(place + 3) }
        if has("+%}", at: place) { return place + 3 }
        guard has("%}", at: place) else { return nil }
        return has("\n", at: place + 2) ? place + 3 : place + 2
    }

    // MARK: Words of a tag

    private mutating func nextInTag() throws(Llama2Error) -> Token {
        while true {
            guard at < source.count else { return Token(kind: .end, line: line) }
            if open.isEmpty {
                let end = mode == .block ? blockEnd(at) : has("-}}", at: at) ? afterSpace(at + 3) : has("}}", at: at) ? at + 2 : nil
                if let end {
                    let token = Token(kind: mode == .block ? .blockEnd : .variableEnd, line: line)
                    lineStarts = source[end - 1] == 0x0a
                    move(to: end)
                    mode = .root
                    return token
                }
            }
            let space = afterSpace(at)
            if space > at {
                move(to: space)
                continue
            }
            let byte = source[at].byte
            if (0x30...0x39).contains(byte) { return number() }
            if Scanner.isNameByte(byte) { return try name() }
            if byte == 0x27 || byte == 0x22 { return try string(byte) }
            return try symbol(byte)
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        byte >= 0x80 || byte == 0x5f || (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
    }

    private mutating func name() throws(Llama2Error) -> Token {
        let start = at
        var end = at
        while end < source.count, Scanner.isNameByte(source[end].byte) {
            let (scalar, length) = Characters.scalar(source[end..<min(end + 4, source.count)], 0)
            guard let scalar, scalar.isASCII || scalar.properties.isXIDContinue else { break }
            end += length
        }
        guard end > start else { throw failure("an unexpected character") }
        let token = Token(kind: .name, line: line, text: Array(source[start..<end]))
        move(to: end)
        return token
    }

    private mutating func symbol(_ byte: UInt8) throws(Llama2Error) -> Token {
        // 1. of two characters
        let pairs: [StaticString] = ["==", "!=", "<=", ">=", "//", "**"]
        for pair in pairs where has(pair, at: at) {
            let token = Token(kind: Token.symbol(pair), line: line)
            move(to: at + 2)
            return token
        }
        // 2. of one; brackets must match
        switch byte {
        case UInt8(ascii: "("): open.append(UInt8(ascii: ")"))
        case UInt8(ascii: "["): open.append(UInt8(ascii: "]"))
        case UInt8(ascii: "{"): open.append(UInt8(ascii: "}"))
        case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
            guard open.popLast() == byte else { throw failure("unexpected '\(Character(Unicode.Scalar(byte)))'") }
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "/"), UInt8(ascii: "%"), UInt8(ascii: "~"),
            UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "="), UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "|"),
            UInt8(ascii: ","), UInt8(ascii: ";"):
            break
        default: throw failure("an unexpected character")
        }
        let token = Token(kind: .symbol(UInt16(byte)), line: line)
        move(to: at + 1)
        return token
    }
}

extension Unicode.Scalar {
    var utf8Units: [Unit] { utf8.map { Unit($0) } }
}
