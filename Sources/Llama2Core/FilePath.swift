/// Paths are bytes to the system and text to people. Here they are strings that keep every byte: one that is no UTF-8
/// becomes a scalar of a private plane, U+10FF00 + byte, and so do the bytes of such scalars themselves, so that no two
/// paths have one text.
public enum FilePath {
    public static let first: UInt32 = 0x10ff00

    /// The text of a path as open(2) takes it.
    public static func text(_ path: UnsafePointer<CChar>) -> String {
        var text = "", bytes: [UInt8] = []
        var next = path
        while next.pointee != 0 {
            bytes.append(UInt8(bitPattern: next.pointee))
            next += 1
        }
        func keep(_ raw: ArraySlice<UInt8>) {
            for byte in raw { if let scalar = Unicode.Scalar(first + UInt32(byte)) { text.unicodeScalars.append(scalar) } }
        }
        var parser = Unicode.UTF8.ForwardParser(), rest = bytes.makeIterator(), at = 0
        while true {
            switch parser.parseScalar(from: &rest) {
            case .valid(let encoded):
                let scalar = Unicode.UTF8.decode(encoded), end = at + encoded.count
                if scalar.value >= first { keep(bytes[at..<end]) } else { text.unicodeScalars.append(scalar) }
                at = end
            case .error(let length):
                keep(bytes[at..<(at + length)])
                at += length
            case .emptyInput: return text
            }
        }
    }

    /// Calls `body` with the path that `text` stands for.
    public static func withBytes<R>(_ text: String, _ body: (UnsafePointer<CChar>) -> R) -> R {
        var bytes: [CChar] = []
        for scalar in text.unicodeScalars {
            if scalar.value >= first {
                bytes.append(CChar(truncatingIfNeeded: scalar.value - first))
            } else {
                for byte in scalar.utf8 { bytes.append(CChar(bitPattern: byte)) }
            }
        }
        bytes.append(0)
        return bytes.withUnsafeBufferPointer { $0.baseAddress.map(body) ?? body([0]) }
    }
}
