import Llama2Core

/// Cuts a text into the words inside which byte-level BPE merges.
///
/// Each case is llama.cpp's list of regular expressions for that name, written as a scanner. An
/// expression of a list cuts the pieces that the one before it left.
///
///     gpt-2      's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
///     smollm     \p{N}  then gpt-2
///     default    [\p{P}\$\+<=>\^~\|]+  then gpt-2, then \p{N}+, then [0-9][0-9][0-9]
///     llama-bpe  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
///                | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
enum PreTokenizer: Sendable {
    case gpt2, smollm, llamaBPE, standard

    init(named name: String) throws(Llama2Error) {
        switch name {
        case "", "default": self = .standard
        case "gpt-2", "phi-2": self = .gpt2
        case "smollm", "starcoder", "refact", "command-r", "codeshell": self = .smollm
        case "llama-bpe", "llama3", "llama-v3": self = .llamaBPE
        default:
            throw Llama2Error(
                .unsupported,
                "pre-tokenizer \"\(name)\" is not known; this version has default, gpt-2, smollm and llama-bpe")
        }
    }

    /// Calls `word` with each word's range of code points, in order; together they cover `text`.
    func split(_ text: CodePoints, _ word: (Range<Int>) throws(Llama2Error) -> Void) throws(Llama2Error) {
        let all = 0..<text.count
        switch self {
        case .gpt2:
            try Scanner(text, all).gpt2(word)
        case .llamaBPE:
            try Scanner(text, all).llamaBPE(word)
        case .smollm:
            try runs(all, { text.classes[$0] == .number }) { (run, isNumber) throws(Llama2Error) in
                if isNumber {
                    for i in run { try word(i..<i + 1) }
                } else {
                    try Scanner(text, run).gpt2(word)
                }
            }
        case .standard:
            try runs(all, { isStandardPunctuation(text, $0) }) { (run, _) throws(Llama2Error) in
                try Scanner(text, run).gpt2 { (piece) throws(Llama2Error) in
                    try runs(piece, { text.classes[$0] == .number }) { (part, isNumber) throws(Llama2Error) in
                        if isNumber { try threes(text, part, word) } else { try word(part) }
                    }
                }
            }
        }
    }

    private func isStandardPunctuation(_ text: CodePoints, _ i: Int) -> Bool {
        switch text.scalars[i] {
        case 0x24, 0x2B, 0x3C, 0x3D, 0x3E, 0x5E, 0x7E, 0x7C: true  // $ + < = > ^ ~ |
        default: text.classes[i] == .punctuation
        }
    }

    /// The maximal runs inside `range` over which `test` does not change.
    private func runs(
        _ range: Range<Int>, _ test: (Int) -> Bool, _ body: (Range<Int>, Bool) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        var start = range.lowerBound
        while start < range.upperBound {
            let value = test(start)
            var end = start + 1
            while end < range.upperBound, test(end) == value { end += 1 }
            try body(start..<end, value)
            start = end
        }
    }

    /// `[0-9][0-9][0-9]` from the left; what lies between the matches stays whole.
    private func threes(
        _ text: CodePoints, _ range: Range<Int>, _ word: (Range<Int>) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        var start = range.lowerBound  // of what is not yet given out
        var i = start
        while i + 3 <= range.upperBound {
            guard (i..<i + 3).allSatisfy({ (0x30...0x39).contains(text.scalars[$0]) }) else {
                i += 1
                continue
            }
            if start < i { try word(start..<i) }
            try word(i..<i + 3)
            i += 3
            start = i
        }
        if start < range.upperBound { try word(start..<range.upperBound) }
    }
}

/// The alternatives of one regular expression, tried in order at each position of a range.
private struct Scanner {
    let text: CodePoints
    let range: Range<Int>

    init(_ text: CodePoints, _ range: Range<Int>) {
        self.text = text
        self.range = range
    }

    func gpt2(_ word: (Range<Int>) throws(Llama2Error) -> Void) throws(Llama2Error) {
        var position = range.lowerBound
        while position < range.upperBound {
            let end = gpt2End(position)
            try word(position..<end)
            position = end
        }
    }

    func llamaBPE(_ word: (Range<Int>) throws(Llama2Error) -> Void) throws(Llama2Error) {
        var position = range.lowerBound
        while position < range.upperBound {
            let end = llamaBPEEnd(position)
            try word(position..<end)
            position = end
        }
    }

    private func gpt2End(_ start: Int) -> Int {
        if let end = contraction(start, foldsCase: false) { return end }
        let body = scalar(start) == 0x20 ? start + 1 : start  // after the optional space
        switch kind(body) {
        case .letter: return skip(body, .letter)
        case .number: return skip(body, .number)
        case .other, .punctuation: return skipSymbols(body)
        case .whiteSpace, .end: return whiteSpaceEnd(start)
        }
    }

    private func llamaBPEEnd(_ start: Int) -> Int {
        if let end = contraction(start, foldsCase: true) { return end }
        let isBreak = isLineBreak(start)
        if kind(start) == .letter || !isBreak && kind(start) != .number && kind(start + 1) == .letter {
            return skip(start + 1, .letter)
        }
        if kind(start) == .number {
            // no further than three: a run of digits is not walked again for each of them
            return (start + 1...start + 3).first { $0 == start + 3 || kind($0) != .number } ?? start + 1
        }
        let body = scalar(start) == 0x20 ? start + 1 : start
        if kind(body) == .other || kind(body) == .punctuation {
            var end = skipSymbols(body)
            while isLineBreak(end) { end += 1 }
            return end
        }
        let end = skip(start, .whiteSpace)
        if let last = (start..<end).last(where: { isLineBreak($0) }) { return last + 1 }
        return whiteSpaceEnd(start)
    }

    /// `'s|'t|'m|'d|'re|'ve|'ll`
    private func contraction(_ start: Int, foldsCase: Bool) -> Int? {
        guard scalar(start) == 0x27 else { return nil }
        func letter(_ i: Int) -> UInt32 {
            let c = scalar(i)
            return foldsCase && (0x41...0x5A).contains(c) ? c + 0x20 : c
        }
        switch (letter(start + 1), letter(start + 2)) {
        case (0x73, _), (0x74, _), (0x6D, _), (0x64, _): return start + 2
        case (0x72, 0x65), (0x76, 0x65), (0x6C, 0x6C): return start + 3
        default: return nil
        }
    }

    /// `\s+(?!\S)|\s+`: all the white space, or all but the last when something follows it.
    private func whiteSpaceEnd(_ start: Int) -> Int {
        let end = skip(start, .whiteSpace)
        return end - start > 1 && end < range.upperBound ? end - 1 : max(end, start + 1)
    }

    private func skip(_ start: Int, _ wanted: UnicodeClass) -> Int {
        var i = start
        while kind(i) == wanted { i += 1 }
        return i
    }

    private func skipSymbols(_ start: Int) -> Int {
        var i = start
        while kind(i) == .other || kind(i) == .punctuation { i += 1 }
        return i
    }

    private func isLineBreak(_ i: Int) -> Bool { scalar(i) == 0x0D || scalar(i) == 0x0A }

    private func scalar(_ i: Int) -> UInt32 { i < range.upperBound ? text.scalars[i] : .max }

    private func kind(_ i: Int) -> UnicodeClass { i < range.upperBound ? text.classes[i] : .end }
}
