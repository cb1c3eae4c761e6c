internal import Llama2Core

/// Some of the tokens of a vocabulary, by their bytes. Immutable.
///
///     node i    byte[i], depth[i] (1 for the first byte), after[i]: the next node that is not below it,
///               tokens of these bytes: first[i], then the vocabulary's sameBytes[...], -1 at the end;
///               of it and all below: tokens[rank[i] ..< rank[after[i]]]
///
/// Nodes lie in the order of a walk from the top, so that leaving a branch out is a step to after[i].
final class VocabularyTree: Sendable {
    let count: Int
    let byte: AlignedBuffer<UInt8>
    let depth: AlignedBuffer<UInt16>
    let after: AlignedBuffer<Int32>
    let first: AlignedBuffer<Int32>
    /// (count + 1)
    let rank: AlignedBuffer<Int32>
    /// In the order of their bytes.
    let tokens: AlignedBuffer<Int32>
    let deepest: Int

    /// order: tokens by their bytes, token t's being text[starts[t] ..< starts[t + 1]].
    init(_ order: [Int], _ text: [UInt8], _ starts: [Int32]) throws(Llama2Error) {
        var bytes: [UInt8] = [], depths: [UInt16] = [], afters: [Int32] = [], firsts: [Int32] = [], ranks: [Int32] = []
        var path: [Int32] = [], previous: ArraySlice<UInt8> = []
        for (rank, token) in order.enumerated() {
            let piece = text[Int(starts[token])..<Int(starts[token + 1])]
            let shared = zip(previous, piece).prefix { $0 == $1 }.count
            if shared == piece.count, shared == previous.count { continue }  // found behind the first one
            while path.count > shared { afters[Int(path.removeLast())] = Int32(truncatingIfNeeded: bytes.count) }
            for byte in piece.dropFirst(shared) {
                path.append(Int32(truncatingIfNeeded: bytes.count))
                bytes.append(byte)
                depths.append(UInt16(truncatingIfNeeded: path.count))
                afters.append(0)
                firsts.append(-1)
                ranks.append(Int32(truncatingIfNeeded: rank))
            }
            if let node = path.last { firsts[Int(node)] = Int32(truncatingIfNeeded: token) }
            previous = piece
        }
        while let node = path.popLast() { afters[Int(node)] = Int32(truncatingIfNeeded: bytes.count) }
        ranks.append(Int32(truncatingIfNeeded: order.count))
        count = bytes.count
        byte = try VocabularyTree.copy(bytes)
        depth = try VocabularyTree.copy(depths)
        after = try VocabularyTree.copy(afters)
        first = try VocabularyTree.copy(firsts)
        rank = try VocabularyTree.copy(ranks)
        tokens = try VocabularyTree.copy(order.map { Int32(truncatingIfNeeded: $0) })
        deepest = Int(depths.max() ?? 0)
    }

    static func copy<Element: BitwiseCopyable>(_ list: [Element]) throws(Llama2Error) -> AlignedBuffer<Element> {
        let buffer = try AlignedBuffer<Element>(count: list.count, of: "the tokens of a grammar's vocabulary")
        list.withUnsafeBufferPointer { source in
            if let start = source.baseAddress { buffer.pointer.update(from: start, count: source.count) }
        }
        return buffer
    }

    /// The tokens of a node and below.
    func tokens(below node: Int) -> UnsafeBufferPointer<Int32> {
        let from = Int(rank[node])
        return UnsafeBufferPointer(start: tokens.pointer + from, count: Int(rank[Int(after[node])]) - from)
    }

    /// The longest token that `text` begins with.
    func longest(_ text: ArraySlice<UInt8>) -> (token: Int32, length: Int)? {
        var node = 0, end = count, length = 0
        var best: (token: Int32, length: Int)?
        for wanted in text {
            while node < end, byte[node] != wanted { node = Int(after[node]) }
            guard node < end else { break }
            length += 1
            if first[node] >= 0 { best = (first[node], length) }
            end = Int(after[node])
            node += 1
        }
        return best
    }
}
