internal import Llama2Core
internal import Llama2Kernels

/// The head of a state and the sizes of its parts: STATE.md says every byte. Little-endian.
struct StateHead: BitwiseCopyable {
    static let magic: UInt64 = 0x0045_5441_5453_324c  // "L2STATE", 0
    static let version: UInt32 = 1
    static let bytes = 80
    /// In place of a length: all of it.
    static let all = UInt32.max

    /// ggml's number of the keys' type, and in the next byte 1 + that of the values where that is another.
    var keyValueType: UInt32
    var stateBytes: UInt64 = 0
    var vocabulary, layers, headsKV, headDimension: UInt32
    var fingerprint: UInt64
    var isWhole: Bool
    var sequences: UInt32 = 0, pages: UInt32 = 0, rows: UInt32 = 0
    /// Words of 32 bits in the records of sequences behind the first four of each: references to pages, and four for each adapter.
    var references: UInt64 = 0

    init(_ weights: Weights, _ rope: RoPE, _ format: PageFormat, isWhole: Bool) {
        let h = weights.hyperparameters
        keyValueType = StateHead.types(format.keyType, format.valueType)
        vocabulary = UInt32(h.vocabularySize)
        layers = UInt32(h.layerCount)
        headsKV = UInt32(h.headCountKV)
        headDimension = UInt32(h.headDimension)
        fingerprint = weights.fingerprint(rope)
        self.isWhole = isWhole
    }

    static func types(_ keys: CacheType, _ values: CacheType) -> UInt32 {
        keys.rawValue | (values == keys ? 0 : (values.rawValue + 1) << 8)
    }

    /// What `types` stands for, in words.
    static func names(_ types: UInt32) -> String {
        let key = CacheType(rawValue: types & 255), value = types >> 8 == 0 ? key : CacheType(rawValue: (types >> 8) - 1)
        guard let key, let value else { return "type \(types)" }
        return key == value ? key.name : "\(key.name) and \(value.name)"
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
    /// The first `count` positions of a page one behind the other, the pieces of `forEachPiece`.
    func pack(_ page: UnsafeRawPointer, _ count: Int, to packed: UnsafeMutableRawPointer) {
        var at = packed
        forEachPiece(count) { offset, bytes in
            at.copyMemory(from: page + offset, byteCount: bytes)
            at += bytes
        }
    }

    func unpack(_ packed: UnsafeRawPointer, _ count: Int, to page: UnsafeMutableRawPointer) {
        var at = packed
        forEachPiece(count) { offset, bytes in
            (page + offset).copyMemory(from: at, byteCount: bytes)
            at += bytes
        }
    }
}
