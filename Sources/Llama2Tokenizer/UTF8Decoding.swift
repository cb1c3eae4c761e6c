/// One step of strict UTF-8 decoding (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
enum UTF8Step {
    case scalar(UInt32, length: Int)
    /// The bytes end inside a sequence that more bytes could complete.
    case incomplete
    /// This byte begins no character: `length` bytes (the longest prefix of a valid sequence) are broken.
    case invalid(length: Int)
}

/// Decodes the sequence at `position`, which must be below `text.count`.
func decodeUTF8(_ text: UnsafeBufferPointer<UInt8>, at position: Int) -> UTF8Step {
    let lead = text[position]
    if lead < 0x80 { return .scalar(UInt32(lead), length: 1) }
    let length: Int
    var low: UInt8 = 0x80
    var high: UInt8 = 0xBF
    switch lead {
    case 0xC2...0xDF: length = 2
    case 0xE0: (length, low) = (3, 0xA0)
    case 0xED: (length, high) = (3, 0x9F)
    case 0xE1...0xEF: length = 3
    case 0xF0: (length, low) = (4, 0x90)
    case 0xF4: (length, high) = (4, 0x8F)
    case 0xF1...0xF3: length = 4
    default: return .invalid(length: 1)
    }
    var scalar = UInt32(lead) & (0x7F >> UInt32(length))
    for i in 1..<length {
        guard position + i < text.count else { return .incomplete }
        let byte = text[position + i]
        guard byte >= low, byte <= high else { return .invalid(length: i) }
        scalar = scalar << 6 | UInt32(byte & 0x3F)
        (low, high) = (0x80, 0xBF)
    }
    return .scalar(scalar, length: length)
}

/// The bytes of a scalar in UTF-8, appended.
func appendUTF8(_ scalar: UInt32, to bytes: inout [UInt8]) {
    func tail(_ shift: UInt32) -> UInt8 { UInt8(0x80 | (scalar >> shift) & 0x3F) }
    switch scalar {
    case 0..<0x80: bytes.append(UInt8(scalar))
    case 0..<0x800: bytes += [UInt8(0xC0 | scalar >> 6), tail(0)]
    case 0..<0x10000: bytes += [UInt8(0xE0 | scalar >> 12), tail(6), tail(0)]
    default: bytes += [UInt8(0xF0 | (scalar >> 18) & 7), tail(12), tail(6), tail(0)]
    }
}

/// Where `needle` first occurs in `haystack` at or after `start`.
func firstIndex(of needle: [UInt8], in haystack: [UInt8], from start: Int = 0) -> Int? {
    guard let first = needle.first, haystack.count >= needle.count else { return nil }
    var i = start
    while i <= haystack.count - needle.count {
        if haystack[i] == first, haystack[i..<i + needle.count].elementsEqual(needle) { return i }
        i += 1
    }
    return nil
}
