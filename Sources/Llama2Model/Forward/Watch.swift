internal import Glibc
internal import Llama2Core

/// Whether the host still wants the pass under way: thread 0, which is the host's, asks; all threads hear of it.
///
/// A thread that hears of it does no more work on matrices but goes on meeting the others at the barriers, so that all of them
/// leave at the same place, the beginning of a layer. What was computed by then is rubbish: the cache takes it back.
struct Watch {
    /// Thread 0's alone, in memory of its own: what the others read lies on another cache line, and no access to a part
    /// of this is one to the flag.
    struct Memory: BitwiseCopyable {
        /// The pass goes on in a child, which a callback has forked: without the other threads.
        var isAlone = false
        var work = 0, asked = 0
    }

    /// Multiplications of thread 0 between two looks at the clock (a tenth of a millisecond, or as much of a slow disk as
    /// gives the weights), and nanoseconds between two questions.
    private static let looks = 1 << 23, pause = 2_000_000

    private let flag: SharedFlag
    private let memory: UnsafeMutablePointer<Memory>
    var cancel: CancelCallback?

    /// flag: whether it is given up, seen by all threads.
    init(flag: UnsafeMutablePointer<Int32>, _ memory: UnsafeMutablePointer<Memory>) {
        self.flag = SharedFlag(flag)
        self.memory = memory
    }

    var isGivenUp: Bool { flag.isSet }
    var isAlone: Bool { memory.pointee.isAlone }

    /// Before every pass.
    func begin() {
        flag.clear()
        memory.pointee = Memory()
    }

    /// Thread 0 asks the host.
    func ask(_ pool: Unmanaged<ThreadPool>) {
        guard let cancel else { return }
        if cancel.isCancelled { flag.set() }
        if pool._withUnsafeGuaranteedRef({ $0.isOrphan }) {
            memory.pointee.isAlone = true
            flag.set()
        }
        memory.pointee.work = 0
        memory.pointee.asked = Watch.now
    }

    /// The host was asked something else, on thread 0, and wants no more, or has forked.
    func giveUp(_ isUnwanted: Bool, _ pool: Unmanaged<ThreadPool>) -> Bool {
        if isUnwanted { flag.set() }
        if pool._withUnsafeGuaranteedRef({ $0.isOrphan }) {
            memory.pointee.isAlone = true
            flag.set()
        }
        return flag.isSet
    }

    /// `work` multiplications of a thread are about to begin: false when they are no longer wanted.
    @inline(__always)
    func allows(_ work: Int, _ thread: Int, _ pool: Unmanaged<ThreadPool>) -> Bool {
        if thread == 0, cancel != nil {
            memory.pointee.work &+= work
            if memory.pointee.work >= Watch.looks { look(pool) }
        }
        return !flag.isSet
    }

    @inline(never) private func look(_ pool: Unmanaged<ThreadPool>) {
        memory.pointee.work = 0
        if Watch.now &- memory.pointee.asked >= Watch.pause { ask(pool) }
    }

    private static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
    }
}
