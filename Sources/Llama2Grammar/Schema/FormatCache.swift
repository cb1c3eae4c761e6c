internal import Llama2Core
internal import Synchronization

/// The automata of formats, made for one vocabulary by whoever needs them first and shared by all schemas after that. Nobody waits: who
/// comes second while the first is at it makes its own.
final class FormatCache: @unchecked Sendable {
    private let slots: UnsafeMutablePointer<Atomic<UInt>>  // (StringFormat.count) unmanaged references, 0: not made yet
    private let count = StringFormat.count

    init() {
        slots = .allocate(capacity: count)
        for i in 0..<count { (slots + i).initialize(to: Atomic<UInt>(0)) }
    }

    deinit {
        for i in 0..<count {
            if let made = UnsafeRawPointer(bitPattern: slots[i].load(ordering: .acquiring)) { Unmanaged<DFA>.fromOpaque(made).release() }
        }
        slots.deinitialize(count: count)
        slots.deallocate()
    }

    subscript(number: Int) -> DFA? {
        guard number >= 0, number < count, let made = UnsafeRawPointer(bitPattern: slots[number].load(ordering: .acquiring)) else { return nil }
        return Unmanaged<DFA>.fromOpaque(made).takeUnretainedValue()
    }

    func keep(_ dfa: DFA, _ number: Int) {
        guard number >= 0, number < count else { return }
        let made = Unmanaged.passRetained(dfa), address = UInt(bitPattern: made.toOpaque())
        // what stays must not lie in memory that this call alone has
        if MemoryReserve.wasUsed || !slots[number].compareExchange(expected: 0, desired: address, ordering: .acquiringAndReleasing).exchanged { made.release() }
    }
}
