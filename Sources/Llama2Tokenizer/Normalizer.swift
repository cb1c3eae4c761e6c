import Llama2Core

/// The steps by which a text is changed before words are cut: those of `tokenizers`, under their names.
enum NormalizerStep: Sendable {
    case form(UnicodeNormalization.Form)
    case lowercase
    case stripAccents
    case strip(left: Bool, right: Bool)
    case prepend([UInt8])
    case replace(RegexProgram, with: [UInt8])
    /// A text, not an expression; never empty.
    case replaceText([UInt8], with: [UInt8])
    /// `Nmt`: control characters go, other kinds of spaces become one.
    case nmt
    case bert(cleans: Bool, separatesChinese: Bool, stripsAccents: Bool, lowercases: Bool)
    case precompiled(CharacterMap)
    case byteLevel
}

/// A list of steps, applied in order.
struct Normalizer: Sendable {
    let steps: [NormalizerStep]

    /// The text after all steps. isAtStart: whether its first character is still the original text's first, which
    /// Metaspace's scheme "first" asks for.
    func normalize(
        _ text: UnsafeBufferPointer<UInt8>, isAtStart: inout Bool
    ) throws(Llama2Error) -> GrowingBuffer<UInt8> {
        var current = try GrowingBuffer<UInt8>(capacity: text.count, of: "a normalized text")
        try current.append(contentsOf: text)
        for step in steps {
            var next = try GrowingBuffer<UInt8>(capacity: current.count, of: "a normalized text")
            try step.apply(current.elements, &next, &isAtStart)
            current = next
            guard current.count <= 1 << 30 else { throw Llama2Error(.invalidArgument, "a text that becomes \(current.count) bytes; the limit is \(1 << 30)") }
        }
        return current
    }
}

extension NormalizerStep {
    fileprivate func apply(
        _ text: UnsafeBufferPointer<UInt8>, _ out: inout GrowingBuffer<UInt8>, _ isAtStart: inout Bool
    ) throws(Llama2Error) {
        switch self {
        case .form(let form): try UnicodeNormalization.append(text, form, to: &out)
        case .lowercase: try NormalizerStep.map(text, &out, NormalizerStep.lower)
        case .stripAccents: try filter(text, &out, &isAtStart) { !ScalarSet.marks.contains($0) }
        case .strip(let left, let right):
            let rest = stripped(text, left: left, right: right)
            if rest.startIndex > 0 { isAtStart = false }
            try out.append(contentsOf: UnsafeBufferPointer(rebasing: rest))
        case .prepend(let prefix):
            guard !text.isEmpty else { return }
            for byte in prefix { try out.append(byte) }
            try out.append(contentsOf: text)
        case .replace(let pattern, let content):
            var position = 0, matcher = try RegexMatcher(pattern)
            try matcher.matches(in: text) { (range) throws(Llama2Error) in
                try out.append(contentsOf: UnsafeBufferPointer(rebasing: text[position..<range.lowerBound]))
                if range.lowerBound == 0, content.isEmpty ? !range.isEmpty : range.count > 1 && !isOneCharacter(text, range) { isAtStart = false }
                for byte in content { try out.append(byte) }
                guard out.count <= 1 << 30 else { throw Llama2Error(.invalidArgument, "a text that becomes more than \(1 << 30) bytes") }
                position = range.upperBound
            }
            try out.append(contentsOf: UnsafeBufferPointer(rebasing: text[position...]))
        case .replaceText(let wanted, let content):
            var position = 0
            while position < text.count {
                if text[position] == wanted[0], text.count - position >= wanted.count, wanted.indices.allSatisfy({ text[position + $0] == wanted[$0] }) {
                    // `tokenizers` counts what is put in as part of the last character that goes
                    if position == 0, content.isEmpty || !isOneCharacter(text, 0..<wanted.count) { isAtStart = false }
                    for byte in content { try out.append(byte) }
                    guard out.count <= 1 << 30 else { throw Llama2Error(.invalidArgument, "a text that becomes more than \(1 << 30) bytes") }
                    position += wanted.count
                } else {
                    try out.append(text[position])
                    position += 1
                }
            }
        case .nmt:
            try filter(text, &out, &isAtStart) { c in
                switch c {
                case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: false
                default: true
                }
            } map: { c in
                switch c {
                case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD: 0x20
                default: c
                }
            }
        case .bert(let cleans, let separates, let strips, let lowers):
            var current = try GrowingBuffer<UInt8>(of: "a normalized text")
            try current.append(contentsOf: text)
            func step(_ body: (UnsafeBufferPointer<UInt8>, inout GrowingBuffer<UInt8>, inout Bool) throws(Llama2Error) -> Void) throws(Llama2Error) {
                var next = try GrowingBuffer<UInt8>(capacity: current.count, of: "a normalized text")
                try body(current.elements, &next, &isAtStart)
                current = next
            }
            if cleans {
                try step { (text, out, isAtStart) throws(Llama2Error) in
                    try filter(text, &out, &isAtStart) { c in
                        // unassigned ones stay
                        c != 0 && c != 0xFFFD && (c == 9 || c == 10 || c == 13 || UnicodeCategory.bit(c) & (UnicodeClass.others & ~(1 << 29)) == 0)
                    } map: {
                        isWhiteSpace($0) ? 0x20 : $0
                    }
                }
            }
            if separates { try step { (text, out, _) throws(Llama2Error) in try NormalizerStep.map(text, &out, NormalizerStep.separateChinese) } }
            if strips {
                try step { (text, out, _) throws(Llama2Error) in try UnicodeNormalization.append(text, .nfd, to: &out) }
                try step { (text, out, isAtStart) throws(Llama2Error) in
                    try filter(text, &out, &isAtStart) { !ScalarSet.nonspacingMarks.contains($0) }
                }
            }
            if lowers { try step { (text, out, _) throws(Llama2Error) in try NormalizerStep.map(text, &out, NormalizerStep.lower) } }
            try out.append(contentsOf: current.elements)
        case .precompiled(let map): try NormalizerStep.precompiled(text, map, &out)
        case .byteLevel:
            for byte in text { for character in ByteCharacters.of[Int(byte)] { try out.append(character) } }
        }
    }

    private func isOneCharacter(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Bool {
        if case .scalar(_, let length) = decodeUTF8(text, at: range.lowerBound) { return length == range.count }
        return false
    }

    /// Each character by `body`, which may give several; bytes that are none stay.
    private static func map(
        _ text: UnsafeBufferPointer<UInt8>, _ out: inout GrowingBuffer<UInt8>, _ body: (UInt32, inout GrowingBuffer<UInt8>) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        var position = 0
        while position < text.count {
            if case .scalar(let scalar, let length) = decodeUTF8(text, at: position) {
                try body(scalar, &out)
                position += length
            } else {
                try out.append(text[position])
                position += 1
            }
        }
    }

    private func filter(
        _ text: UnsafeBufferPointer<UInt8>, _ out: inout GrowingBuffer<UInt8>, _ isAtStart: inout Bool, _ keeps: (UInt32) -> Bool,
        map: (UInt32) -> UInt32 = { $0 }
    ) throws(Llama2Error) {
        var position = 0
        while position < text.count {
            if case .scalar(let scalar, let length) = decodeUTF8(text, at: position) {
                if keeps(scalar) { try out.append(utf8: map(scalar)) } else if out.isEmpty { isAtStart = false }
                position += length
            } else {
                try out.append(text[position])
                position += 1
            }
        }
    }

    /// The full lower case of one character, without regard to its neighbours.
    private static func lower(_ scalar: UInt32, _ out: inout GrowingBuffer<UInt8>) throws(Llama2Error) {
        if scalar < 0x80 {
            try out.append(UInt8((0x41...0x5A).contains(scalar) ? scalar + 0x20 : scalar))
        } else if let known = Unicode.Scalar(scalar) {
            for byte in known.properties.lowercaseMapping.utf8 { try out.append(byte) }
        }
    }

    private static func separateChinese(_ c: UInt32, _ out: inout GrowingBuffer<UInt8>) throws(Llama2Error) {
        switch c {
        case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F, 0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
            try out.append(0x20)
            try out.append(utf8: c)
            try out.append(0x20)
        default: try out.append(utf8: c)
        }
    }

    /// `tokenizers`' reading of SentencePiece's rules: a grapheme cluster of under 6 bytes at once, else character by
    /// character; of the rules for its beginnings the shortest, and it replaces all of it.
    private static func precompiled(_ text: UnsafeBufferPointer<UInt8>, _ map: CharacterMap, _ out: inout GrowingBuffer<UInt8>) throws(Llama2Error) {
        // Swift finds clusters in strings only: of each part, repaired, which makes three bytes of one, and of a cluster at a time
        try MemoryReserve.cover(6 * .text(text.count), for: "a text's clusters")
        func give(_ range: Range<Int>) throws(Llama2Error) -> Bool {
            guard let rule = map.rule(text[range], takesShortest: true) else { return false }
            try map.withReplacement(rule.replacement) { (bytes) throws(Llama2Error) in try out.append(contentsOf: bytes) }
            return true
        }
        // broken bytes end a cluster, and stay
        var start = 0
        while start < text.count {
            var end = start
            while end < text.count, case .scalar(_, let length) = decodeUTF8(text, at: end) { end += length }
            var position = start
            for cluster in String(decoding: UnsafeBufferPointer(rebasing: text[start..<end]), as: UTF8.self) {
                let clusterEnd = position + cluster.utf8.count
                if clusterEnd - position < 6, try give(position..<clusterEnd) {
                    position = clusterEnd
                    continue
                }
                while position < clusterEnd {
                    var length = 1
                    if case .scalar(_, let bytes) = decodeUTF8(text, at: position) { length = bytes }
                    if try !give(position..<position + length) {
                        try out.append(contentsOf: UnsafeBufferPointer(rebasing: text[position..<position + length]))
                    }
                    position += length
                }
            }
            if end < text.count {
                try out.append(text[end])
                end += 1
            }
            start = end
        }
    }
}

/// `text` without the White_Space at its ends.
func stripped(_ text: UnsafeBufferPointer<UInt8>, left: Bool, right: Bool) -> UnsafeBufferPointer<UInt8>.SubSequence {
    var start = 0, position = 0, end = 0  // end: after the last character that is no white space
    var isLeading = true
    while position < text.count {
        var length = 1, isSpace = false
        if case .scalar(let scalar, let bytes) = decodeUTF8(text, at: position) {
            length = bytes
            isSpace = isWhiteSpace(scalar)
        }
        position += length
        if !isSpace {
            isLeading = false
            end = position
        } else if isLeading {
            start = position
        }
    }
    if isLeading { return left || right ? text[text.count..<text.count] : text[...] }
    return text[(left ? start : 0)..<(right ? end : text.count)]
}
