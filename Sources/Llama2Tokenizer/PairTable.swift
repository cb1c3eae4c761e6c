/// Merges by their two parts: open addressing, made for its final size.
struct PairTable: Sendable {
    private var keys: [UInt64]  // left << 32 | right; all ones: free
    private var values: [UInt64]  // rank << 32 | result
    private let mask: Int
    private(set) var count = 0

    private static let free = UInt64.max

    init(expecting expected: Int) {
        var size = 64
        while size < expected * 2 { size *= 2 }
        keys = Array(repeating: PairTable.free, count: size)
        values = Array(repeating: 0, count: size)
        mask = size - 1
    }

    /// Seeded as the standard library's hashes are, so that no file can be made whose pairs collide.
    private let seed = UInt64(bitPattern: Int64(Hasher().finalize()))

    @inline(__always)
    private func place(_ key: UInt64) -> Int {
        // a permutation of 64 bits (multiplications by odd numbers and shifts): nothing can overflow that matters
        var mixed = key ^ seed
        mixed = (mixed ^ mixed >> 32) &* 0xD6E8_FEB8_6659_FD93
        mixed = (mixed ^ mixed >> 32) &* 0xD6E8_FEB8_6659_FD93
        var place = Int(truncatingIfNeeded: mixed ^ mixed >> 32) & mask
        while keys[place] != key, keys[place] != PairTable.free { place = (place &+ 1) & mask }
        return place
    }

    /// A pair that is there already is replaced only when wanted.
    mutating func insert(_ left: Int32, _ right: Int32, rank: UInt32, result: Int32, replaces: Bool) {
        let key = UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
        let place = place(key)
        if keys[place] == key, !replaces { return }
        if keys[place] != key {
            guard count < mask else { return }  // never: the caller has said how many come
            count += 1
        }
        keys[place] = key
        values[place] = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: result))
    }

    @inline(__always)
    func find(_ left: Int32, _ right: Int32) -> (rank: UInt32, result: Int32)? {
        let key = UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
        let place = place(key)
        guard keys[place] == key else { return nil }
        return (UInt32(values[place] >> 32), Int32(truncatingIfNeeded: values[place]))
    }
}
