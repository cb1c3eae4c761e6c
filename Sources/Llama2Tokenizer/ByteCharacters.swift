/// The characters by which byte-level vocabularies write bytes (GPT-2's `bytes_to_unicode`): a byte that is printable in
/// Latin-1 is itself, any other the next free character from U+0100 on.
enum ByteCharacters {
    /// Each byte's character, in UTF-8.
    static let of: [[UInt8]] = {
        var next: UInt32 = 0x100
        return (0..<256).map { byte in
            var bytes: [UInt8] = []
            if isPrintable(UInt32(byte)) {
                appendUTF8(UInt32(byte), to: &bytes)
            } else {
                appendUTF8(next, to: &bytes)
                next += 1
            }
            return bytes
        }
    }()

    private static func isPrintable(_ byte: UInt32) -> Bool {
        switch byte {
        case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: true
        default: false
        }
    }

    /// The byte behind each of the characters from U+0100 on.
    private static let shifted: [UInt8] = (0..<256).filter { !isPrintable(UInt32($0)) }.map { UInt8($0) }

    /// Appends the bytes that a token's text stands for. A text with a character that stands for none is taken as it is.
    static func appendDecoded(_ text: UnsafeBufferPointer<UInt8>, to out: inout [UInt8]) {
        let start = out.count
        var position = 0
        while position < text.count {
            if text[position] < 0x80, isPrintable(UInt32(text[position])) {
                out.append(text[position])
                position += 1
                continue
            }
            if case .scalar(let scalar, let length) = decodeUTF8(text, at: position) {
                if scalar < 0x100, isPrintable(scalar) {
                    out.append(UInt8(scalar))
                } else if scalar >= 0x100, Int(scalar) - 0x100 < shifted.count {
                    out.append(shifted[Int(scalar) - 0x100])
                } else {
                    break
                }
                position += length
            } else {
                break
            }
        }
        if position < text.count {
            out.removeLast(out.count - start)
            out.append(contentsOf: text)
        }
    }
}
