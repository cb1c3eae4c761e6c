internal import Glibc
internal import Llama2Core

/// Whether the host still wants the pass under way: thread 0, which is the host's, asks; all threads hear of it.
///
/// A thread that hears of it does no more work on matrices but goes on meeting the others at the barriers, so that all of them
/// leave at the same place, the beginning of a layer. What was computed by then is rubbish: the cache takes it back.
struct Watch {
    /// Thread 0's alone, in memory of its own: nothing that another thread reads is a part of this, for Swift takes a change of a part for
    /// one of the whole.
    struct Counters: BitwiseCopyable { var work = 0, asked = 0 }

    /// Multiplications of thread 0 between two looks at the clock (a tenth of a millisecond, or as much of a slow disk as
    /// gives the weights), and nanoseconds between two questions.
    private static let looks = 1 << 23, pause = 2_000_000

    private let givenUp: SharedFlag, alone: SharedFlag
    private let counters: UnsafeMutablePointer<Counters>
    var cancel: CancelCallback?

    /// flags: (2) seen by all threads: whether the pass is given up, and whether it goes on in a child, which a callback has forked, without
    /// the other threads.
    init(flags: UnsafeMutablePointer<Int32>, _ counters: UnsafeMutablePointer<Counters>) {
        (givenUp, alone) = (SharedFlag(flags), SharedFlag(flags + 1))
        self.counters = counters
    }

    var isGivenUp: Bool { givenUp.isSet }
    var isAlone: Bool { alone.isSet }

    /// Before every pass.
    func begin() {
        givenUp.clear()
        alone.clear()
        counters.pointee = Counters()
    }

    /// Thread 0 asks the host.
    func ask(_ pool: Unmanaged<ThreadPool>) {
        guard let cancel else { return }
        if cancel.isCancelled { givenUp.set() }
        if pool._withUnsafeGuaranteedRef({ $0.isOrphan }) {
            alone.set()
            givenUp.set()
        }
        counters.pointee.work = 0
        counters.pointee.asked = Watch.now
    }

    /// The host was asked something else, on thread 0, and wants no more, or has forked.
    func giveUp(_ isUnwanted: Bool, _ pool: Unmanaged<ThreadPool>) -> Bool {
        if isUnwanted { givenUp.set() }
        if pool._withUnsafeGuaranteedRef({ $0.isOrphan }) {
            alone.set()
            givenUp.set()
        }
        return givenUp.isSet
    }

    /// `work` multiplications of a thread are about to begin: false when they are no longer wanted.
    @inline(__always)
    func allows(_ work: Int, _ thread: Int, _ pool: Unmanaged<ThreadPool>) -> Bool {
        if thread == 0, cancel != nil {
            counters.pointee.work &+= work
            if counters.pointee.work >= Watch.looks { look(pool) }
        }
        return !givenUp.isSet
    }

    @inline(never) private func look(_ pool: Unmanaged<ThreadPool>) {
        counters.pointee.work = 0
        if Watch.now &- counters.pointee.asked >= Watch.pause { ask(pool) }
    }

    private static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
    }
}
