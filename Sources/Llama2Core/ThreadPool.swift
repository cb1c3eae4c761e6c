internal import Glibc
internal import LinuxSystem
internal import Synchronization

/// A context's own threads. The caller is thread 0; the others are started at creation, named, and
/// joined at the end.
///
/// `run` gives every thread the same function; inside it the threads meet at `barrier`. So a whole
/// forward pass is one wake-up. Whoever waits looks for a moment and then sleeps in the kernel (a futex: futex(2);
/// Drepper, Futexes Are Tricky, 2011): an idle context uses no CPU, and a caller of any priority lets the thread run that it
/// waits for, also where both have one CPU. How long the moment is depends on whether every thread has a CPU: with more
/// threads than CPUs looking only keeps the others from working.
///
/// Threads do not survive a fork. In a child the pool is an orphan: nothing may wait for its threads.
public final class ThreadPool: @unchecked Sendable {
    /// What all threads run: (context, thread, threads).
    public typealias Body = @convention(c) (UnsafeMutableRawPointer, Int, Int) -> Void

    public let threads: Int
    private let process = Process.current
    private var handles: [pthread_t] = []

    // The job; written by thread 0 before a thread's `epoch` is changed.
    private var body: Body?
    private var context: UnsafeMutableRawPointer?
    private let stopping = Atomic<Bool>(false)
    /// Threads that take part in the run under way: see `share`.
    private var active = 1

    /// Words that threads wait for or fight for, each on a cache line of its own and with an address, which a futex needs:
    /// those of the pool, then one a thread.
    private let words: UnsafeMutableRawPointer
    private static let line = 128  // two of 64: they are fetched in pairs
    private enum Word: Int { case finished, tickets, arrived, phase, count }

    private typealias Cell = UnsafeMutablePointer<Atomic<UInt32>>
    private func cell(_ word: Word) -> Cell { cell(word.rawValue, 0) }
    /// How many sleep until `word` changes.
    private func sleepers(_ word: Word) -> Cell { cell(word.rawValue, 1) }
    /// The number of the last run that thread `index` was called to, and whether it sleeps.
    private func epoch(_ index: Int) -> Cell { cell(Word.count.rawValue &+ index, 0) }
    private func isAsleep(_ index: Int) -> Cell { cell(Word.count.rawValue &+ index, 1) }
    /// The kernel's number of a thread, 0 until it runs.
    private func number(_ index: Int) -> Cell { cell(Word.count.rawValue &+ index, 2) }
    private func cell(_ line: Int, _ part: Int) -> Cell {
        let offset = line &* ThreadPool.line &+ 4 &* part
        return (words + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// Whether there are more active threads than CPUs for them.
    private let isCrowded = Atomic<Bool>(false)
    /// How often a thread looks (and pauses, 20 to 40 nanoseconds) before it sleeps: about 20 microseconds, which is longer
    /// than threads that work side by side miss each other. Who is missing longer has no CPU now, and may be waiting for ours.
    private static let looks = 500, looksInCrowd = 16
    /// Threads a CPU that take part at most. A few more than one do no harm, and a host may know that it will give them
    /// more CPUs; many more would spend their time waking each other up.
    private static let threadsPerCPU = 2

    /// CPUs at creation, where every thread but the caller's stays on one of them; else nil.
    private let pinnedTo: Int?

    /// pinned: each thread that is started stays on one CPU, the first on the second of those that the caller may run on, and so on.
    public init(threads: Int, pinned: Bool = false) throws(Llama2Error) {
        guard (1...1024).contains(threads) else {
            throw Llama2Error(.invalidArgument, "\(threads) threads; expected 1 to 1024")
        }
        self.threads = threads
        pinnedTo = pinned ? Int(l2s_allowed_cpus()) : nil
        handles.reserveCapacity(threads)
        // at most 1028 lines
        guard let words = l2s_checked_allocation(ThreadPool.line, (Word.count.rawValue + threads) * ThreadPool.line) else {
            throw Llama2Error(.noMemory, "the system refused memory for \(threads) threads")
        }
        self.words = words
        for index in 1..<max(threads, 1) {
            let start = Unmanaged.passRetained(Start(pool: .passUnretained(self), index: index))
            var handle = pthread_t()
            let code = l2s_start_thread(
                &handle, "llama2-\(index)",
                { argument in
                    guard let argument else { return nil }
                    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                    // The pool outlives its threads, as `shutdown` joins them, and no thread may hold it: a pool that nobody else
                    // holds has to end.
                    let index = start.index
                    start.pool._withUnsafeGuaranteedRef { $0.work(index) }
                    return nil
                }, start.toOpaque())
            guard code == 0 else {
                start.release()
                shutdown()
                throw Llama2Error(.thread, "cannot start thread \(index) of \(threads): \(String(cString: strerror(code)))")
            }
            handles.append(handle)
        }
        active = share()
    }

    /// A thread's argument. Does not retain the pool, or the pool would never end.
    private final class Start {
        let pool: Unmanaged<ThreadPool>
        let index: Int
        init(pool: Unmanaged<ThreadPool>, index: Int) {
            self.pool = pool
            self.index = index
        }
    }

    deinit {
        shutdown()
        free(words)
    }

    /// Whether this is a child of the process that made the pool: its threads are not here.
    public var isOrphan: Bool { process != Process.current }

    /// Ends and joins the threads. Afterwards `run` must not be called.
    public func shutdown() {
        guard !handles.isEmpty else { return }
        guard !isOrphan else {
            handles = []
            return
        }
        stopping.store(true, ordering: .releasing)
        for index in 1...handles.count { call(index) }
        for handle in handles { pthread_join(handle, nil) }
        handles = []
    }

    /// Runs `body` on the threads and returns when all have returned from it. Allocates nothing. Not for an orphan;
    /// but if `body` returns in a child (from a callback that forked), so does this.
    public func run(_ context: UnsafeMutableRawPointer, _ body: Body) {
        if isCrowded.load(ordering: .relaxed) { active = share() }  // the CPUs may be others than the last time
        guard active > 1 else { return body(context, 0, 1) }
        self.body = body
        self.context = context
        cell(.finished).pointee.store(1, ordering: .relaxed)
        cell(.tickets).pointee.store(0, ordering: .relaxed)
        for index in 1..<active { call(index) }
        body(context, 0, active)
        if isOrphan { return }
        while true {
            let finished = cell(.finished).pointee.load(ordering: .acquiring)
            if finished >= UInt32(active) { return }
            wait(cell(.finished), while: finished, sleepers(.finished), isInRun: true)
        }
    }

    /// Returns when all threads of the current `run` have called it.
    @inline(__always)
    public func barrier() {
        guard active > 1 else { return }
        let phase = cell(.phase), current = phase.pointee.load(ordering: .acquiring)
        if cell(.arrived).pointee.add(1, ordering: .acquiringAndReleasing).newValue == UInt32(active) {
            cell(.arrived).pointee.store(0, ordering: .relaxed)
            cell(.tickets).pointee.store(0, ordering: .relaxed)
            change(phase, to: current &+ 1, sleepers(.phase))
        } else {
            wait(phase, while: current, sleepers(.phase), isInRun: true)
        }
    }

    /// 0, 1, 2, ... to whichever thread asks; from 0 again after each barrier. A thread asks once more than there is work,
    /// so this stays far below 2^32.
    @inline(__always)
    public func ticket() -> Int { Int(cell(.tickets).pointee.add(1, ordering: .relaxed).oldValue) }

    /// CPU time that the calling thread and the pool's own have used, in nanoseconds.
    public var cpuNanoseconds: Int {
        var sum = Int(clamping: l2s_thread_nanoseconds(0))
        for index in 1..<max(threads, 1) {
            let number = number(index).pointee.load(ordering: .relaxed)
            if number != 0 { sum &+= Int(clamping: l2s_thread_nanoseconds(number)) }  // years of CPU time stay far below 63 bits
        }
        return sum
    }

    // MARK: Waiting

    /// Stores `value` and wakes whoever sleeps until then. Both orders are sequentially consistent: either this sees the
    /// sleeper that `wait` counted, or the kernel sees the new value there and lets nobody sleep.
    @inline(__always)
    private func change(_ cell: Cell, to value: UInt32, _ sleepers: Cell) {
        cell.pointee.store(value, ordering: .sequentiallyConsistent)
        if sleepers.pointee.load(ordering: .sequentiallyConsistent) != 0 { l2s_wake(cell) }
    }

    /// Returns when `cell` has another value than `value`.
    @inline(__always)
    private func wait(_ cell: Cell, while value: UInt32, _ sleepers: Cell, isInRun: Bool) {
        var left = isCrowded.load(ordering: .relaxed) ? ThreadPool.looksInCrowd : ThreadPool.looks
        while cell.pointee.load(ordering: .acquiring) == value {
            left &-= 1
            if left > 0 { l2s_pause() } else { sleep(cell, value, sleepers, isInRun: isInRun) }
        }
    }

    @inline(never)
    private func sleep(_ cell: Cell, _ value: UInt32, _ sleepers: Cell, isInRun: Bool) {
        // Long waits for the others are what a lack of CPUs looks like, if it came after the threads.
        if isInRun && !isCrowded.load(ordering: .relaxed) { _ = share() }
        _ = sleepers.pointee.add(1, ordering: .sequentiallyConsistent)
        l2s_sleep(cell, value)  // returns at once if it is another value, and sometimes for no reason
        _ = sleepers.pointee.subtract(1, ordering: .relaxed)
    }

    /// Calls thread `index` to the next run.
    private func call(_ index: Int) {
        let epoch = epoch(index)
        change(epoch, to: epoch.pointee.load(ordering: .relaxed) &+ 1, isAsleep(index))
    }

    private func work(_ index: Int) {
        if pinnedTo != nil { l2s_pin_thread(Int32(truncatingIfNeeded: index)) }
        number(index).pointee.store(l2s_thread_number(), ordering: .relaxed)
        var seen: UInt32 = 0
        while true {
            wait(epoch(index), while: seen, isAsleep(index), isInRun: false)
            seen &+= 1
            if stopping.load(ordering: .acquiring) { return }
            let active = active  // afterwards thread 0 may be in its next run
            if let body, let context { body(context, index, active) }
            if cell(.finished).pointee.add(1, ordering: .sequentiallyConsistent).newValue == UInt32(active),
                sleepers(.finished).pointee.load(ordering: .sequentiallyConsistent) != 0
            {
                l2s_wake(cell(.finished))
            }
        }
    }

    /// How many threads should take part, by the CPUs that they and the caller may run on now.
    private func share() -> Int {
        guard threads > 1 else { return threads }
        let cpus = pinnedTo ?? Int(l2s_cpus_of_threads(number(1).pointee.load(ordering: .relaxed)))
        isCrowded.store(threads > cpus, ordering: .relaxed)
        return threads <= ThreadPool.threadsPerCPU * cpus ? threads : cpus
    }

    /// The number of CPUs that this process may run on, and of those whose time its control groups give it; at least 1.
    public static var allowedCPUs: Int { Int(min(l2s_allowed_cpus(), l2s_quota_cpus(""))) }
}
