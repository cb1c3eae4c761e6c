internal import Synchronization

/// What any thread leaves for the one that steps, in the order in which it came. Nobody waits: putting is one exchange of the
/// newest item (Treiber, "Systems Programming: Coping with Parallelism", 1986), and who takes takes everything.
final class Inbox: Sendable {
    enum Item {
        case request(Request)
        case cancel(UInt64)
    }

    final class Node {
        let item: Item
        fileprivate var next: UInt = 0

        init(_ item: Item) { self.item = item }
    }

    /// The address of the newest node, which holds one reference to it; 0 for none.
    private let newest = Atomic<UInt>(0)

    func put(_ node: Node) {
        let address = UInt(bitPattern: Unmanaged.passRetained(node).toOpaque())
        var expected = newest.load(ordering: .relaxed)
        while true {
            node.next = expected
            let (exchanged, now) = newest.compareExchange(expected: expected, desired: address, ordering: .acquiringAndReleasing)
            if exchanged { return }
            expected = now
        }
    }

    var isEmpty: Bool { newest.load(ordering: .relaxed) == 0 }

    /// The oldest first.
    func takeAll(_ body: (Item) -> Void) {
        var address = newest.exchange(0, ordering: .acquiring), reversed: UInt = 0
        while let node = Inbox.node(address) {
            let next = node._withUnsafeGuaranteedRef { $0.next }
            node._withUnsafeGuaranteedRef { $0.next = reversed }
            reversed = address
            address = next
        }
        while let node = Inbox.node(reversed) {
            let object = node.takeRetainedValue()
            reversed = object.next
            body(object.item)
        }
    }

    private static func node(_ address: UInt) -> Unmanaged<Node>? {
        UnsafeRawPointer(bitPattern: address).map { Unmanaged<Node>.fromOpaque($0) }
    }

    deinit { takeAll { _ in } }
}
