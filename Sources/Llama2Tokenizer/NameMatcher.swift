import Llama2Core

/// Finds names in a text: at a place, the longest.
///
/// The names lie sorted, end to end; a name costs its bytes and 12 more. At each place of a text the range of names
/// that begin like it is narrowed byte by byte, so a place costs at most the longest name, which is bounded.
struct NameMatcher: Sendable {
    static let longestName = 1024
    private var bytes: [UInt8] = []
    private var starts: [Int32] = [0]  // (count + 1)
    private var values: [Int32] = []  // by name
    private var ranges: [(first: Int32, last: Int32)] = []  // (256) the names that begin with a byte
    var isEmpty: Bool { values.isEmpty }

    /// Of two equal names the later counts. Empty names are none.
    init(_ names: [(name: [UInt8], value: Int32)]) throws(Llama2Error) {
        var total = 0
        for (name, _) in names {
            guard name.count <= NameMatcher.longestName else {
                throw Llama2Error(.unsupported, "an added token's name of \(name.count) bytes; the limit is \(NameMatcher.longestName)")
            }
            total += name.count
        }
        bytes.reserveCapacity(total)
        let order = names.indices.sorted { a, b in
            names[a].name == names[b].name ? a < b : names[a].name.lexicographicallyPrecedes(names[b].name)
        }
        for (place, index) in order.enumerated() where !names[index].name.isEmpty {
            if place + 1 < order.count, names[order[place + 1]].name == names[index].name { continue }
            bytes += names[index].name
            starts.append(Int32(bytes.count))
            values.append(names[index].value)
        }
        ranges = Array(repeating: (0, 0), count: 256)
        for i in values.indices {
            let first = Int(bytes[Int(starts[i])])
            if ranges[first].last == 0 { ranges[first] = (Int32(i), Int32(i)) }
            ranges[first].last = Int32(i + 1)
        }
    }

    /// The first byte of a name.
    @inline(__always)
    func mayBegin(_ byte: UInt8) -> Bool { ranges[Int(byte)].last > 0 }

    /// The longest name at `position` that `wanted` takes by its value and length: its length and its value.
    func longest(
        _ text: UnsafeBufferPointer<UInt8>, _ position: Int, where wanted: (Int32, Int) -> Bool = { _, _ in true }
    ) -> (length: Int, value: Int32)? {
        var (first, last) = (Int(ranges[Int(text[position])].first), Int(ranges[Int(text[position])].last))
        var length = 1, found: (Int, Int32)?
        while first < last {
            // names [first, last) begin with `length` bytes of the text; the shortest of them is the first
            if Int(starts[first + 1] - starts[first]) == length {
                if wanted(values[first], length) { found = (length, values[first]) }
                first += 1
            }
            guard first < last, position + length < text.count else { break }
            let byte = text[position + length]
            // one name left, or all of them go on with the same byte: no search
            if at(first, length) == byte, at(last - 1, length) == byte {
                length += 1
                continue
            }
            first = bound(first, last, length) { $0 < byte }
            last = bound(first, last, length) { $0 <= byte }
            length += 1
        }
        return found.map { (length: $0.0, value: $0.1) }
    }

    @inline(__always)
    private func at(_ name: Int, _ place: Int) -> UInt8 { bytes[Int(starts[name]) + place] }

    private func bound(_ first: Int, _ last: Int, _ place: Int, _ isBelow: (UInt8) -> Bool) -> Int {
        var low = first, high = last
        while low < high {
            let middle = (low + high) / 2
            if isBelow(at(middle, place)) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
