import Llama2Core

/// What the pre-tokenizers need to know about a code point.
enum UnicodeClass: UInt8, BitwiseCopyable {
    case other = 0, letter, number, punctuation, whiteSpace
    /// Past the end of the text.
    case end

    /// The class of `scalar`: White_Space first, then the general categories L, N and P.
    init(_ scalar: UInt32) {
        switch scalar {
        case 0x20, 0x09...0x0D, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000:
            self = .whiteSpace
        case 0x41...0x5A, 0x61...0x7A, 0x4E00...0x9FFF:
            self = .letter
        case 0x30...0x39:
            self = .number
        default:
            let table = unicodeClassBoundaries
            var low = 0
            var high = table.count  // the entries before `low` begin at or before `scalar`
            while low < high {
                let middle = (low + high) / 2
                if table[middle] >> 2 <= scalar { low = middle + 1 } else { high = middle }
            }
            self = low == 0 ? .other : UnicodeClass(rawValue: UInt8(table[low - 1] & 3)) ?? .other
        }
    }
}

/// A text as code points with their classes. A byte that is no UTF-8 counts as one code point
/// U+FFFD of class other, so that every byte belongs to exactly one.
final class CodePoints {
    let scalars: GrowingBuffer<UInt32>  // (count)
    let classes: GrowingBuffer<UnicodeClass>  // (count)
    let offsets: GrowingBuffer<Int32>  // (count + 1) byte offsets
    var count: Int { scalars.count }

    /// `text` has less than 2^31 bytes.
    init(_ text: UnsafeBufferPointer<UInt8>) throws(Llama2Error) {
        var scalars = try GrowingBuffer<UInt32>(capacity: text.count, of: "code points of a text")
        var classes = try GrowingBuffer<UnicodeClass>(capacity: text.count, of: "classes of a text")
        var offsets = try GrowingBuffer<Int32>(capacity: text.count + 1, of: "offsets of a text")
        var position = 0
        while position < text.count {
            try offsets.append(Int32(truncatingIfNeeded: position))
            if case .scalar(let scalar, let length) = decodeUTF8(text, at: position) {
                try scalars.append(scalar)
                try classes.append(UnicodeClass(scalar))
                position += length
            } else {
                try scalars.append(0xFFFD)
                try classes.append(.other)
                position += 1
            }
        }
        try offsets.append(Int32(truncatingIfNeeded: text.count))
        self.scalars = scalars
        self.classes = classes
        self.offsets = offsets
    }
}
