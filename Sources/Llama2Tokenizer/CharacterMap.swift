import Llama2Core

/// SentencePiece's compiled normalization rules: `precompiled_charsmap` of its model files and of GGUF.
///
///     u32 size | double-array trie (u32 units) | texts, each ended by NUL       a rule's value is where its text begins
///
/// Source: sentencepiece's normalizer.cc; the units are those of Darts-clone.
struct CharacterMap: Sendable, Equatable {
    private let bytes: [UInt8]
    private let units: Int  // u32 units of the trie
    private let texts: Int  // where they begin

    init(_ bytes: [UInt8]) throws(Llama2Error) {
        guard bytes.count > 4 else { throw Llama2Error(.corrupt, "precompiled_charsmap of \(bytes.count) bytes") }
        let size = Int(bytes[0]) | Int(bytes[1]) << 8 | Int(bytes[2]) << 16 | Int(bytes[3]) << 24
        guard size % 4 == 0, size >= 4, size <= bytes.count - 4 else {
            throw Llama2Error(.corrupt, "precompiled_charsmap: a trie of \(size) bytes in \(bytes.count)")
        }
        self.bytes = bytes
        units = size / 4
        texts = 4 + size
    }

    private func unit(_ index: Int) -> UInt32? {
        guard index >= 0, index < units else { return nil }
        let at = 4 + 4 * index
        return UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
    }

    private static func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & 1 << 9) >> 6)) }

    /// The rule for a prefix of `text`: the longest, or the shortest as `tokenizers` takes it.
    func rule(
        _ text: UnsafeBufferPointer<UInt8>.SubSequence, takesShortest: Bool = false
    ) -> (length: Int, replacement: Range<Int>)? {
        guard let root = unit(0) else { return nil }
        var node = CharacterMap.offset(root), found: (Int, Int)?
        for (i, byte) in text.enumerated() {
            guard byte != 0 else { break }
            node ^= Int(byte)
            guard let here = unit(node), here & 0x8000_00FF == UInt32(byte) else { break }
            node ^= CharacterMap.offset(here)
            if here >> 8 & 1 == 1, let leaf = unit(node) {
                found = (i + 1, Int(leaf & 0x7FFF_FFFF))
                if takesShortest { break }
            }
        }
        guard let (length, value) = found, value < bytes.count - texts else { return nil }
        var end = texts + value
        while end < bytes.count, bytes[end] != 0 { end += 1 }
        return (length, texts + value..<end)
    }

    func withReplacement<R>(
        _ range: Range<Int>, _ body: (UnsafeBufferPointer<UInt8>) throws(Llama2Error) -> R
    ) throws(Llama2Error) -> R {
        let result = bytes.withUnsafeBufferPointer { all -> Result<R, Llama2Error> in
            do throws(Llama2Error) { return .success(try body(UnsafeBufferPointer(rebasing: all[range]))) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
