internal import Synchronization

/// Up to four caches that nobody uses, for whoever comes next. Nobody waits for anybody.
struct LeftCaches: ~Copyable, Sendable {
    // unmanaged references; 0: an unused place
    private let left0 = Atomic<UInt>(0), left1 = Atomic<UInt>(0), left2 = Atomic<UInt>(0), left3 = Atomic<UInt>(0)

    borrowing func take() -> GrammarCache? {
        func take(_ place: borrowing Atomic<UInt>) -> GrammarCache? {
            let address = place.exchange(0, ordering: .acquiringAndReleasing)
            return UnsafeRawPointer(bitPattern: address).map { Unmanaged<GrammarCache>.fromOpaque($0).takeRetainedValue() }
        }
        return take(left0) ?? take(left1) ?? take(left2) ?? take(left3)
    }

    /// False where there is no room.
    borrowing func put(_ cache: GrammarCache) -> Bool {
        let kept = Unmanaged.passRetained(cache), address = UInt(bitPattern: kept.toOpaque())
        func put(_ place: borrowing Atomic<UInt>) -> Bool {
            place.compareExchange(expected: 0, desired: address, ordering: .acquiringAndReleasing).exchanged
        }
        if put(left0) || put(left1) || put(left2) || put(left3) { return true }
        kept.release()
        return false
    }

    deinit { while take() != nil {} }
}
