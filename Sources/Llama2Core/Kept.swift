internal import Synchronization

/// An object that is made when it is first needed and stays as long as its owner. Threads that make it at once all get the
/// one that came first; nobody waits.
public final class Kept<Object: AnyObject & Sendable>: Sendable {
    private let address = Atomic<UInt>(0)

    public init() {}

    public var value: Object? {
        UnsafeRawPointer(bitPattern: address.load(ordering: .acquiring)).map { Unmanaged<Object>.fromOpaque($0).takeUnretainedValue() }
    }

    /// `new`, or the one that was there before it.
    public func keep(_ new: Object) -> Object {
        let mine = Unmanaged.passRetained(new)
        let (isFirst, _) = address.compareExchange(
            expected: 0, desired: UInt(bitPattern: mine.toOpaque()), ordering: .acquiringAndReleasing)
        if isFirst { return new }
        mine.release()
        return value ?? new
    }

    deinit {
        let address = address.load(ordering: .acquiring)
        if let address = UnsafeRawPointer(bitPattern: address) { Unmanaged<Object>.fromOpaque(address).release() }
    }
}
