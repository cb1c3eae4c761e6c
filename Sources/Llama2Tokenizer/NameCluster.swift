import Llama2Core

/// Names in a text that overlap, and which of them count: the longest first, wherever it stands, of equal ones the one
/// that comes first in the list of names, and each of those from left to right. llama.cpp looks for one name after the other in what
/// is left of the text (src/llama-vocab.cpp, tokenizer_st_partition); here every place has its longest name
/// in a heap, and a shorter one when a longer has taken bytes of it.
///
/// A place is entered anew only when its name reaches into a taken one: that one is no shorter, and what is left before it is shorter by as
/// much, so that all the lengths that are tried at a place sum up to less than twice the first.
struct NameCluster: ~Copyable {
    struct Place: BitwiseCopyable {
        var position: Int32
        var name: Int32  // index in the list of names
        var first: Int32 = 0, end: Int32 = 0  // what it takes, space beside it included; empty: nothing
    }

    private var places: GrowingBuffer<Place>  // by position
    private var heap: MinHeap  // name << 32 | index of the place
    private var isTaken: GrowingBuffer<UInt8>  // (end - start)
    private(set) var start = 0, end = 0  // in the text

    var count: Int { places.count }

    init() throws(Llama2Error) {
        let places = try GrowingBuffer<Place>(of: "names in a text"), heap = try MinHeap(of: "names in a text")
        isTaken = try GrowingBuffer(of: "names in a text")
        self.places = places
        self.heap = heap
    }

    mutating func clear() { places.removeAll() }

    /// In the order of their positions.
    mutating func append(_ name: Int32, _ place: Range<Int>) throws(Llama2Error) {
        if places.isEmpty { (start, end) = (place.lowerBound, 0) }
        end = max(end, place.upperBound)
        try places.append(Place(position: Int32(truncatingIfNeeded: place.lowerBound), name: name))
    }

    /// The bytes of the text that a name may take beside its own.
    mutating func widen(to place: Range<Int>) { (start, end) = (place.lowerBound, place.upperBound) }

    /// What was chosen for a place; nil: a name beside it has its bytes.
    func chosen(_ index: Int) -> (name: Int32, place: Range<Int>)? {
        let place = places[index]
        return place.first < place.end ? (place.name, Int(place.first)..<Int(place.end)) : nil
    }

    /// - Parameter longest: the longest name at a position that ends at a place or before.
    /// - Parameter widened: what a name takes, of its own bytes and those beside it that are still free.
    mutating func choose(
        _ longest: (_ position: Int, _ end: Int) -> (length: Int, value: Int32)?, _ widened: (Int32, Range<Int>, _ isFree: (Int) -> Bool) -> Range<Int>
    ) throws(Llama2Error) {
        guard !places.isEmpty else { return }
        isTaken.removeAll()
        try isTaken.reserve(end - start)
        for _ in start..<end { try isTaken.append(0) }
        heap.removeAll()
        try heap.reserve(places.count)  // at most one entry a place
        for index in 0..<places.count { try push(index) }
        while let index = pop() {
            var place = places[index]
            let position = Int(place.position), free = freeEnd(position)
            guard free > position, let (length, name) = longest(position, free) else { continue }
            guard name == place.name else {
                places[index].name = name
                try push(index)
                continue
            }
            let range = widened(name, position..<position + length) { isTaken[$0 - start] == 0 }
            for byte in range { isTaken[byte - start] = 1 }
            (place.first, place.end) = (Int32(truncatingIfNeeded: range.lowerBound), Int32(truncatingIfNeeded: range.upperBound))
            places[index] = place
        }
    }

    /// Where what is free from `position` on ends, as far as a name may reach.
    private func freeEnd(_ position: Int) -> Int {
        let most = min(end, position + NameMatcher.longestName)
        var free = position
        while free < most, isTaken[free - start] == 0 { free += 1 }
        return free
    }

    private mutating func push(_ index: Int) throws(Llama2Error) {
        try heap.push(UInt64(UInt32(bitPattern: places[index].name)) << 32 | UInt64(index))
    }

    /// The index of the place whose name counts next.
    private mutating func pop() -> Int? { heap.pop().map { Int($0 & 0xFFFF_FFFF) } }
}
