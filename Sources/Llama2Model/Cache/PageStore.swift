internal import Glibc
internal import LinuxSystem
internal import Llama2Core

/// The memory of a cache in pages, who has them, and what is known of those that nobody has.
///
///     a page is     owners   known
///     free          0        no       on the stack of free pages
///     cached        0        yes      given out again when no free page is left, the one unused for longest first
///     in use        1        soon     written by its sequence; known to the index after the eval
///     shared        2...     yes      read by all; written by none but the one that goes furthest
///
/// "Known" is what `PrefixIndex` keeps of it: its tokens and those before it.
final class PageStore {
    struct Page: BitwiseCopyable {
        var owners: Int32 = 0
        /// Positions from the first on that an owner has: the most of all owners.
        var filled: Int32 = 0
        /// When it was last in use, by `clock`.
        var lastUse: UInt64 = 0
    }

    let format: PageFormat
    let count: Int
    let index: PrefixIndex
    /// (count, bytes of a page)
    private let memory: AlignedBuffer<UInt8>
    private let pages: AlignedBuffer<Page>  // (count)
    /// A stack of free pages, (count), and its height. The lowest lies on top at first, so that memory is touched from the front.
    private let free: AlignedBuffer<Int32>
    private var freeCount: Int
    private(set) var cachedCount = 0
    /// Positions in use; what several sequences share counts once.
    private(set) var used = 0
    private var clock: UInt64 = 1
    /// Pages that came out of use at this time or later stay: a journal may want them back.
    private var keepsSince = UInt64.max

    init(_ format: PageFormat, count: Int) throws(Llama2Error) {
        self.format = format
        self.count = count
        memory = try AlignedBuffer(count: try checkedMultiply(format.bytes, count, "KV cache", .noMemory), of: "KV cache")
        pages = try AlignedBuffer(count: count, of: "pages")
        free = try AlignedBuffer(count: count, of: "free pages")
        index = try PrefixIndex(pages: count)
        freeCount = count
        for i in 0..<count {
            pages.pointer[i] = Page()
            free.pointer[i] = Int32(count - 1 - i)
        }
    }

    /// Before anything is written, for threads that stay on their CPUs: on a machine of several memory nodes a page of the system's lies on the node
    /// of the thread that first writes it. A large one (2 MiB, where the system gives them unasked) holds parts of many heads, and so of all
    /// threads: small ones are asked for. Advice: where it is not taken, pages lie farther away.
    func keepPartsNearTheirThreads() {
        if l2s_memory_nodes() > 1 { madvise(base, format.bytes * count, MADV_NOHUGEPAGE) }
    }

    var base: UnsafeMutableRawPointer { UnsafeMutableRawPointer(memory.pointer) }
    /// The pages that nobody has and nothing is known of, the next one to be taken last.
    var freePages: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(start: free.pointer, count: freeCount) }
    /// Pages that can be taken.
    var spare: Int { freeCount + cachedCount }
    var sharedCount: Int { (0..<count).count { pages.pointer[$0].owners > 1 } }

    func owners(_ page: Int32) -> Int { Int(pages.pointer[Int(page)].owners) }
    func filled(_ page: Int32) -> Int { Int(pages.pointer[Int(page)].filled) }

    func setFilled(_ page: Int32, _ positions: Int) {
        used += positions - filled(page)
        pages.pointer[Int(page)].filled = Int32(positions)
    }

    /// A page with one owner, of which nothing is known; nil when there is none.
    func take() -> Int32? {
        var page: Int32
        if freeCount > 0 {
            freeCount -= 1
            page = free.pointer[freeCount]
        } else {
            guard let oldest = leastRecentlyUsed() else { return nil }
            page = oldest
            index.forget(page)
            cachedCount -= 1
        }
        pages.pointer[Int(page)].owners = 1
        return page
    }

    private func leastRecentlyUsed() -> Int32? {
        var found: Int32?, time = keepsSince
        for i in 0..<count where pages.pointer[i].owners == 0 && pages.pointer[i].lastUse < time {
            time = pages.pointer[i].lastUse
            found = Int32(i)
        }
        return found
    }

    /// One more owner.
    func retain(_ page: Int32) {
        if pages.pointer[Int(page)].owners == 0 { cachedCount -= 1 }
        pages.pointer[Int(page)].owners += 1
    }

    /// One owner less. True when others are left, who may not fill it as far.
    func release(_ page: Int32) -> Bool {
        pages.pointer[Int(page)].owners -= 1
        guard pages.pointer[Int(page)].owners == 0 else { return true }
        setFilled(page, 0)
        if index.knows(page) {
            pages.pointer[Int(page)].lastUse = clock
            clock += 1
            cachedCount += 1
        } else {
            free.pointer[freeCount] = page
            freeCount += 1
        }
        return false
    }

    /// Until `letReleasedGo` no page that comes out of use is given out again.
    func keepReleased() { keepsSince = clock }
    func letReleasedGo() { keepsSince = .max }
}
