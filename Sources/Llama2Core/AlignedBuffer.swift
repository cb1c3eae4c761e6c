internal import Glibc
internal import LinuxSystem

/// Owned, zero-filled memory for `count` trivial elements, aligned to a cache line.
///
/// The allocation is checked: a size that overflows or that the system refuses is an error. One
/// cache line beyond the end is allocated too, so that a kernel may read (never write) a full
/// vector at the last element.
public struct AlignedBuffer<Element: BitwiseCopyable>: ~Copyable, @unchecked Sendable {
    public private(set) var pointer: UnsafeMutablePointer<Element>
    public private(set) var count: Int

    /// interleaved: its pages in turn on each memory node.
    public init(count: Int, interleaved: Bool = false, of what: @autoclosure () -> String) throws(Llama2Error) {
        let size = try Self.size(count, what()), isMapped = interleaved || size >= mappingThreshold
        guard let raw = allocateZeroed(size, mapped: isMapped) else {
            throw Llama2Error(.noMemory, "\(what()): the system refused \(size) bytes")
        }
        if interleaved {
            do throws(Llama2Error) {
                try interleave(raw, size)
            } catch {
                deallocate(raw, size, mapped: isMapped)
                throw error
            }
        }
        self.size = size
        self.isMapped = isMapped
        pointer = raw.bindMemory(to: Element.self, capacity: count)
        self.count = count
    }

    /// The bytes of so many elements and of the line behind them.
    private static func size(_ count: Int, _ what: @autoclosure () -> String) throws(Llama2Error) -> Int {
        guard count >= 0 else { throw Llama2Error(.invalidArgument, "\(what()): negative element count \(count)") }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        guard !overflow, bytes < Int.max - 128 else {
            throw Llama2Error(.noMemory, "\(what()): \(count) elements do not fit the address space")
        }
        return (bytes + 2 * 64 - 1) & ~63
    }

    /// For more elements, with what is there. Large memory moves by its pages: the old and the new are never there together.
    public mutating func grow(to wanted: Int, keeping used: Int, of what: @autoclosure () -> String) throws(Llama2Error) {
        precondition(used >= 0 && used <= count && count <= wanted)
        let larger = try Self.size(wanted, what())
        if isMapped, let raw = l2s_resize_mapping(pointer, size, larger) {
            pointer = raw.bindMemory(to: Element.self, capacity: wanted)
            (size, count) = (larger, wanted)
            return
        }
        let other = try AlignedBuffer(count: wanted, of: what())
        other.pointer.update(from: pointer, count: used)
        self = other
    }

    deinit { deallocate(pointer, size, mapped: isMapped) }

    private var size: Int
    private let isMapped: Bool

    @inlinable
    public subscript(index: Int) -> Element {
        get { precondition(index >= 0 && index < count); return pointer[index] }
        nonmutating set {
            precondition(index >= 0 && index < count)
            let start = pointer
            start[index] = newValue
        }
    }
}

/// From here on memory is mapped: fresh pages are zero already, cost nothing until touched, and go back to the system at once;
/// malloc would keep what lies under its newest block. Below that are little tables.
private let mappingThreshold = 1 << 17

private func allocateZeroed(_ size: Int, mapped: Bool) -> UnsafeMutableRawPointer? {
    if mapped {
        let raw = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        return raw == MAP_FAILED ? nil : raw
    }
    return l2s_checked_allocation(64, size)
}

private func deallocate(_ raw: UnsafeMutableRawPointer, _ size: Int, mapped: Bool) {
    if mapped { munmap(raw, size) } else { free(raw) }
}
