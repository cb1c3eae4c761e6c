/// Interned byte strings: each distinct string has one number, counted from 0.
///
/// Open addressing over the strings' bytes, laid end to end. The hash depends on numbers that each process draws, so that no
/// vocabulary can be made whose strings collide. The standard library's own took a fifth of the time of loading a small model.
struct ByteStringTable: Sendable {
    private var bytes: [UInt8] = []
    private var offsets: [Int] = [0]  // (count + 1)
    private var slots: [Int32]  // (power of two) entry, or -1
    private(set) var longest = 0
    var count: Int { offsets.count - 1 }
    private let seeds = (ByteStringTable.drawn(1), ByteStringTable.drawn(2))

    /// A number of this process, as its hashes are seeded; odd, so that no product is 0 for what is not 0.
    private static func drawn(_ number: Int) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(number)
        return UInt64(bitPattern: Int64(hasher.finalize())) | 1
    }

    init(expecting expected: Int) {
        var size = 64
        while size < expected * 2 { size *= 2 }
        slots = Array(repeating: -1, count: size)
        offsets.reserveCapacity(expected + 1)
    }

    func find(_ key: UnsafeBufferPointer<UInt8>) -> Int32? {
        guard key.count <= longest else { return nil }
        let entry = slots[slot(key)]
        return entry < 0 ? nil : entry
    }

    mutating func intern(_ key: UnsafeBufferPointer<UInt8>) -> Int32 {
        var place = slot(key)
        if slots[place] >= 0 { return slots[place] }
        if count * 2 >= slots.count {
            grow()
            place = slot(key)
        }
        let entry = Int32(truncatingIfNeeded: count)  // the owner bounds the number of strings
        slots[place] = entry
        bytes.append(contentsOf: key)
        offsets.append(bytes.count)
        longest = max(longest, key.count)
        return entry
    }

    mutating func intern(_ key: [UInt8]) -> Int32 {
        key.withUnsafeBufferPointer { intern($0) }
    }

    /// The slot that holds `key`, or the empty one where it belongs.
    private func slot(_ key: UnsafeBufferPointer<UInt8>) -> Int {
        let mask = slots.count - 1
        var place = Int(truncatingIfNeeded: hash(key)) & mask
        while slots[place] >= 0, !holds(Int(slots[place]), key) { place = (place + 1) & mask }
        return place
    }

    /// Words of eight bytes and what is left of them, each folded in by a product of 128 bits.
    @inline(__always) private func hash(_ key: UnsafeBufferPointer<UInt8>) -> UInt64 {
        let bytes = UnsafeRawBufferPointer(key), whole = key.count & ~7
        var hash = seeds.0 ^ UInt64(truncatingIfNeeded: key.count), i = 0
        while i < whole {
            hash = fold(hash ^ bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self), seeds.1)
            i &+= 8
        }
        var rest: UInt64 = 0
        while i < key.count {
            rest = rest << 8 | UInt64(bytes[i])
            i &+= 1
        }
        return fold(fold(hash ^ rest, seeds.1), seeds.0)
    }

    @inline(__always) private func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }

    private func holds(_ entry: Int, _ key: UnsafeBufferPointer<UInt8>) -> Bool {
        let start = offsets[entry]
        guard offsets[entry + 1] - start == key.count else { return false }
        return bytes.withUnsafeBufferPointer { all in
            for i in 0..<key.count where all[start &+ i] != key[i] { return false }  // an entry lies within the bytes
            return true
        }
    }

    private mutating func grow() {
        let all = bytes
        slots = Array(repeating: -1, count: slots.count * 2)
        all.withUnsafeBufferPointer { all in
            for entry in 0..<count {
                let place = slot(UnsafeBufferPointer(rebasing: all[offsets[entry]..<offsets[entry + 1]]))
                slots[place] = Int32(truncatingIfNeeded: entry)
            }
        }
    }
}
