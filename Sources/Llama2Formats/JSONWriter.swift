internal import Llama2Core

/// JSON values as text again.
enum JSONWriter {
    static func append(_ text: [UInt8], to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                out += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }

    static func append(_ text: String, to out: inout [UInt8]) { append(Array(text.utf8), to: &out) }

    /// Nesting is bounded by the parser.
    static func append(_ value: JSON, to out: inout [UInt8]) {
        if let text = value.bytes {
            append(text, to: &out)
        } else if let bool = value.bool {
            out += Array((bool ? "true" : "false").utf8)
        } else if let number = value.double {
            out += Array((value.integer.map { String($0) } ?? String(number)).utf8)
        } else if let members = value.members {
            out.append(UInt8(ascii: "{"))
            var isFirst = true
            for (key, member) in members {
                if !isFirst { out.append(UInt8(ascii: ",")) }
                isFirst = false
                append(key, to: &out)
                out.append(UInt8(ascii: ":"))
                append(member, to: &out)
            }
            out.append(UInt8(ascii: "}"))
        } else if let elements = value.elements {
            out.append(UInt8(ascii: "["))
            var isFirst = true
            for element in elements {
                if !isFirst { out.append(UInt8(ascii: ",")) }
                isFirst = false
                append(element, to: &out)
            }
            out.append(UInt8(ascii: "]"))
        } else {
            out += Array("null".utf8)
        }
    }
}
