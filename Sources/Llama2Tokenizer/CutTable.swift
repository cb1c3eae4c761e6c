import Llama2Core

/// Where a text may be cut without changing its tokens: between two bytes that lie side by side in no token, since no
/// merge can ever span them.
struct CutTable: Sendable {
    private var together = [UInt64](repeating: 0, count: 1024)  // a bit for each pair of bytes

    mutating func add(_ text: UnsafeRawBufferPointer) {
        guard text.count > 1 else { return }
        for i in 1..<text.count {
            let pair = Int(text[i - 1]) << 8 | Int(text[i])
            together[pair >> 6] |= 1 << UInt64(pair & 63)
        }
    }

    @inline(__always)
    func mayCut(_ left: UInt8, _ right: UInt8) -> Bool {
        let pair = Int(left) << 8 | Int(right)
        return together[pair >> 6] >> UInt64(pair & 63) & 1 == 0
    }

    /// Calls `piece` with the text's pieces between characters that may be cut, in order.
    func pieces(
        _ text: UnsafeBufferPointer<UInt8>, _ piece: (UnsafeBufferPointer<UInt8>) throws(Llama2Error) -> Void
    ) throws(Llama2Error) {
        var start = 0, i = 1
        while i < text.count {
            // never inside a character: continuation bytes stay with what is before
            if text[i] & 0xC0 != 0x80, mayCut(text[i - 1], text[i]) {
                try piece(UnsafeBufferPointer(rebasing: text[start..<i]))
                start = i
            }
            i += 1
        }
        if start < text.count { try piece(UnsafeBufferPointer(rebasing: text[start...])) }
    }
}
