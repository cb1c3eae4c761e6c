import Llama2Core

/// The last `capacity` accepted tokens, for the penalties: a ring, the oldest is overwritten.
/// The order inside does not matter to anyone, so slots 0..<filled are all there is to read.
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

    mutating func removeAll() {
        next = 0
        filled = 0
    }

    var tokens: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(start: slots.pointer, count: filled) }
}
