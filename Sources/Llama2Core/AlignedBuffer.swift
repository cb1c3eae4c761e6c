internal import Glibc

/// Owned, zero-filled memory for `count` trivial elements, aligned to a cache line.
///
/// The allocation is checked: a size that overflows or that the system refuses is an error. One
/// cache line beyond the end is allocated too, so that a kernel may read (never write) a full
/// vector at the last element.
public struct AlignedBuffer<Element: BitwiseCopyable>: ~Copyable, @unchecked Sendable {
    public let pointer: UnsafeMutablePointer<Element>
    public let count: Int

    public static var alignment: Int { 64 }

    public init(count: Int, of what: @autoclosure () -> String) throws(Llama2Error) {
        guard count >= 0 else { throw Llama2Error(.invalidArgument, "\(what()): negative element count \(count)") }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        guard !overflow, bytes < Int.max - 128 else {
            throw Llama2Error(.noMemory, "\(what()): \(count) elements do not fit the address space")
        }
        // Fresh pages from the system are zero already: calloc-like cost, but aligned.
        let size = (bytes + 2 * 64 - 1) & ~63
        var raw: UnsafeMutableRawPointer?
        guard posix_memalign(&raw, 64, size) == 0, let raw else {
            throw Llama2Error(.noMemory, "\(what()): the system refused \(size) bytes")
        }
        memset(raw, 0, size)
        pointer = raw.bindMemory(to: Element.self, capacity: count)
        self.count = count
    }

    deinit { free(pointer) }

    @inlinable
    public subscript(index: Int) -> Element {
        get { precondition(index >= 0 && index < count); return pointer[index] }
        nonmutating set { precondition(index >= 0 && index < count); pointer[index] = newValue }
    }
}
