/// Numbers, of which the least comes out first (Williams, Algorithm 232: Heapsort, 1964).
public struct MinHeap: ~Copyable {
    private var heap: GrowingBuffer<UInt64>

    public init(of what: StaticString) throws(Llama2Error) { heap = try GrowingBuffer(of: what) }

    public mutating func removeAll() { heap.removeAll() }

    /// Room for so many, so that adding them cannot fail.
    public mutating func reserve(_ count: Int) throws(Llama2Error) { try heap.reserve(count) }

    public mutating func push(_ number: UInt64) throws(Llama2Error) {
        var hole = heap.count
        try heap.append(number)
        while hole > 0, number < heap[(hole - 1) / 2] {
            heap[hole] = heap[(hole - 1) / 2]
            hole = (hole - 1) / 2
        }
        heap[hole] = number
    }

    public mutating func pop() -> UInt64? {
        guard let last = heap.popLast() else { return nil }
        guard heap.count > 0 else { return last }
        let least = heap[0]
        var hole = 0
        while case var child = 2 * hole + 1, child < heap.count {
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < last else { break }
            heap[hole] = heap[child]
            hole = child
        }
        heap[hole] = last
        return least
    }
}
