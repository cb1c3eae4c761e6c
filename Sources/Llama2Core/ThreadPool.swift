internal import Glibc
internal import LinuxSystem
internal import Synchronization

/// A context's own threads. The caller is thread 0; the others are started at creation, named, and
/// joined at the end.
///
/// `run` gives every thread the same function; inside it the threads meet at `barrier`. So a whole
/// forward pass is one wake-up. Between runs the threads spin for a moment and then sleep on a
/// condition variable: an idle context uses no CPU.
///
/// Threads do not survive a fork. In a child the pool is an orphan: nothing may wait for its threads, nor touch a
/// mutex or condition variable that they may have been inside of.
public final class ThreadPool: @unchecked Sendable {
    /// What all threads run: (context, thread, threads).
    public typealias Body = @convention(c) (UnsafeMutableRawPointer, Int, Int) -> Void

    public let threads: Int
    private let process = Process.current
    private var handles: [pthread_t] = []
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let wake: UnsafeMutablePointer<pthread_cond_t>

    // The job; written by thread 0 before `epoch` is released.
    private var body: Body?
    private var context: UnsafeMutableRawPointer?
    private let epoch = Atomic<Int>(0)
    private let finished = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)

    private let tickets = Atomic<Int>(0)
    private let arrived = Atomic<Int>(0)
    private let phase = Atomic<Int>(0)

    /// How often a waiting thread looks before it gives up its CPU: about 20 microseconds.
    private static let spins = 20_000

    public init(threads: Int) throws(Llama2Error) {
        guard (1...1024).contains(threads) else {
            throw Llama2Error(.invalidArgument, "\(threads) threads; expected 1 to 1024")
        }
        self.threads = threads
        handles.reserveCapacity(threads)
        mutex = .allocate(capacity: 1)
        wake = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
        for index in 1..<max(threads, 1) {
            let start = Unmanaged.passRetained(Start(pool: self, index: index))
            var handle = pthread_t()
            let code = l2s_start_thread(&handle, "llama2-\(index)", { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                // The pool outlives its threads: `shutdown` joins them.
                let pool = start.pool, index = start.index
                pool.work(index)
                return nil
            }, start.toOpaque())
            guard code == 0 else {
                start.release()
                shutdown()
                throw Llama2Error(.thread, "cannot start thread \(index) of \(threads): \(String(cString: strerror(code)))")
            }
            handles.append(handle)
        }
    }

    /// A thread's argument. Does not retain the pool, or the pool would never end.
    private final class Start {
        unowned(unsafe) let pool: ThreadPool
        let index: Int
        init(pool: ThreadPool, index: Int) {
            self.pool = pool
            self.index = index
        }
    }

    deinit {
        shutdown()
        if !isOrphan {
            pthread_mutex_destroy(mutex)
            pthread_cond_destroy(wake)
        }
        mutex.deallocate()
        wake.deallocate()
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
        pthread_mutex_lock(mutex)
        _ = epoch.add(1, ordering: .releasing)
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(mutex)
        for handle in handles { pthread_join(handle, nil) }
        handles = []
    }

    /// Runs `body` on all threads and returns when all have returned from it. Allocates nothing. Not for an orphan;
    /// but if `body` returns in a child (from a callback that forked), so does this.
    public func run(_ context: UnsafeMutableRawPointer, _ body: Body) {
        guard threads > 1 else { return body(context, 0, 1) }
        self.body = body
        self.context = context
        finished.store(1, ordering: .relaxed)
        tickets.store(0, ordering: .relaxed)
        pthread_mutex_lock(mutex)
        _ = epoch.add(1, ordering: .releasing)
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(mutex)
        body(context, 0, threads)
        if isOrphan { return }
        var looks = 0
        while finished.load(ordering: .acquiring) < threads { pause(&looks) }
    }

    /// Returns when all threads of the current `run` have called it.
    @inline(__always)
    public func barrier() {
        guard threads > 1 else { return }
        let current = phase.load(ordering: .acquiring)
        if arrived.add(1, ordering: .acquiringAndReleasing).newValue == threads {
            arrived.store(0, ordering: .relaxed)
            tickets.store(0, ordering: .relaxed)
            phase.store(current &+ 1, ordering: .releasing)
        } else {
            var looks = 0
            while phase.load(ordering: .acquiring) == current { pause(&looks) }
        }
    }

    /// 0, 1, 2, ... to whichever thread asks; from 0 again after each barrier.
    @inline(__always)
    public func ticket() -> Int { tickets.add(1, ordering: .relaxed).oldValue }

    /// Spins at first; later gives the CPU to whoever else is ready (more threads than CPUs).
    @inline(__always)
    private func pause(_ looks: inout Int) {
        looks &+= 1
        if looks > ThreadPool.spins { sched_yield() }
    }

    private func work(_ index: Int) {
        var seen = 0
        while true {
            var looks = 0
            while epoch.load(ordering: .acquiring) == seen, looks < ThreadPool.spins { looks &+= 1 }
            if epoch.load(ordering: .acquiring) == seen {
                pthread_mutex_lock(mutex)
                while epoch.load(ordering: .acquiring) == seen { pthread_cond_wait(wake, mutex) }
                pthread_mutex_unlock(mutex)
            }
            seen &+= 1
            if stopping.load(ordering: .acquiring) { return }
            if let body, let context { body(context, index, threads) }
            _ = finished.add(1, ordering: .acquiringAndReleasing)
        }
    }

    /// The number of CPUs that this process may run on; at least 1.
    public static var allowedCPUs: Int { Int(l2s_allowed_cpus()) }
}
