import Llama2Core

/// The last `capacity` accepted tokens: a ring, the oldest is overwritten.
struct TokenHistory: ~Copyable {
    private let slots: AlignedBuffer<Int32>  // (capacity)
    private var next = 0
    private(set) var filled = 0

    init(capacity: Int) throws(Llama2Error) {
        slots = try AlignedBuffer(count: capacity, of: "history of the sampler")
    }

    mutating func append(_ token: Int32) {
        guard slots.count > 0 else { return }
        slots.pointer[next] = token
        next = next &+ 1 == slots.count ? 0 : next &+ 1
        if filled < slots.count { filled &+= 1 }
    }

    /// As `append`; returns what stood there.
    mutating func replace(_ token: Int32) -> Int32 {
        let stood = slots.count > 0 ? slots.pointer[next] : 0
        append(token)
        return stood
    }

    /// Takes back the last `replace`, but for the number of tokens.
    mutating func putBack(_ stood: Int32) {
        guard slots.count > 0 else { return }
        next = next == 0 ? slots.count &- 1 : next &- 1
        slots.pointer[next] = stood
    }

    /// There were so many before tokens were taken back.
    mutating func forgetBeyond(_ count: Int) { filled = min(filled, count) }

    mutating func removeAll() {
        next = 0
        filled = 0
    }

    /// By age in 0..<filled: 0 is the newest.
    subscript(age: Int) -> Int32 {
        let place = next &- 1 &- age
        return slots.pointer[place < 0 ? place &+ slots.count : place]
    }
}
