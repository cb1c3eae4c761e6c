internal import Llama2Core

/// The head of a state and the sizes of its parts: STATE.md says every byte. Little-endian.
struct StateHead: BitwiseCopyable {
    static let magic: UInt64 = 0x0045_5441_5453_324c  // "L2STATE", 0
    static let version: UInt32 = 1
    static let bytes = 80
    /// In place of a length: all of it.
    static let all = UInt32.max

    var keyValueType: UInt32  // ggml's number: 0 F32, 1 F16
    var stateBytes: UInt64 = 0
    var vocabulary, layers, headsKV, headDimension: UInt32
    var fingerprint: UInt64
    var isWhole: Bool
    var sequences: UInt32 = 0, pages: UInt32 = 0, rows: UInt32 = 0
    /// Words of 32 bits in the records of sequences behind the first four of each: references to pages, and four for each adapter.
    var references: UInt64 = 0

    init(_ weights: Weights, _ format: PageFormat, isWhole: Bool) {
        let h = weights.hyperparameters
        keyValueType = format.halfPrecision ? 1 : 0
        vocabulary = UInt32(h.vocabularySize)
        layers = UInt32(h.layerCount)
        headsKV = UInt32(h.headCountKV)
        headDimension = UInt32(h.headDimension)
        fingerprint = weights.fingerprint
        self.isWhole = isWhole
    }

    /// Bytes of the section of sequences: 16, 4 a page and 16 an adapter for each, padded to words; with its checksum.
    var sequencesBytes: Int { padded(16 * Int(sequences) + 4 * Int(references)) + 8 }

    /// Bytes of a page of `positions`: 8, its tokens, keys and values, padded, with its checksum.
    static func pageBytes(_ format: PageFormat, _ positions: Int) -> Int {
        padded(8 + 4 * positions) + padded(positions * format.bytesOfPosition) + 8
    }

    /// Bytes of the rows of logits, 0 when there are none.
    var logitsBytes: Int { rows == 0 ? 0 : padded(4 * Int(rows) * Int(vocabulary)) + 8 }
}

/// Up to whole words.
func padded(_ bytes: Int) -> Int { (bytes + 7) & ~7 }

extension PageFormat {
    /// Bytes of a position's keys and values, without padding.
    var bytesOfPosition: Int { 2 * layers * heads * headDimension * elementBytes }

    /// The first `count` positions of a page one behind the other: for each layer and head the keys (headDimension, count), then
    /// the values (count, headDimension).
    func pack(_ page: UnsafeRawPointer, _ count: Int, to packed: UnsafeMutableRawPointer) {
        var at = packed
        forEachRow(count) { offset, bytes in
            at.copyMemory(from: page + offset, byteCount: bytes)
            at += bytes
        }
    }

    func unpack(_ packed: UnsafeRawPointer, _ count: Int, to page: UnsafeMutableRawPointer) {
        var at = packed
        forEachRow(count) { offset, bytes in
            (page + offset).copyMemory(from: at, byteCount: bytes)
            at += bytes
        }
    }

    /// (where in a page, bytes) of each contiguous piece, in the order above.
    private func forEachRow(_ count: Int, _ body: (Int, Int) -> Void) {
        for layer in 0..<layers {
            for head in 0..<heads {
                let keys = (2 * layer * heads + head) * partBytes, values = keys + heads * partBytes
                for d in 0..<headDimension { body(keys + d * PageFormat.positions * elementBytes, count * elementBytes) }
                for column in 0..<count { body(values + column * headStride * elementBytes, headDimension * elementBytes) }
            }
        }
    }
}
