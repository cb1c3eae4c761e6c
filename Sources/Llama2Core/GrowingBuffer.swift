/// An owned array of trivial elements whose growth is checked: a refused allocation is an error, where Swift's own
/// arrays end the process. Capacity doubles; what is removed keeps its memory.
public struct GrowingBuffer<Element: BitwiseCopyable>: ~Copyable {
    private var memory: AlignedBuffer<Element>
    public private(set) var count = 0
    private let what: StaticString

    /// what: for the error. `capacity` elements need no further allocation.
    public init(capacity: Int = 0, of what: StaticString) throws(Llama2Error) {
        memory = try AlignedBuffer(count: capacity, of: "\(what)")
        self.what = what
    }

    /// What is there as bytes, as long as nobody changes the buffer: the compiler sees to it.
    public var rawSpan: RawSpan {
        @_lifetime(borrow self)
        get { _overrideLifetime(RawSpan(_unsafeStart: UnsafeRawPointer(memory.pointer), byteCount: count &* MemoryLayout<Element>.stride), borrowing: self) }
    }

    /// For those that keep it: valid until the buffer grows or ends.
    public var elements: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: memory.pointer, count: count) }
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(elements) }
    public var isEmpty: Bool { count == 0 }
    /// Elements that need no further allocation.
    public var capacity: Int { memory.count }

    @inlinable
    public subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count)
            return elements[index]
        }
        nonmutating set {
            precondition(index >= 0 && index < count)
            start[index] = newValue
        }
    }

    @usableFromInline var start: UnsafeMutablePointer<Element> { memory.pointer }

    public mutating func append(_ element: Element) throws(Llama2Error) {
        if count == memory.count { try grow(count + 1) }
        memory.pointer[count] = element
        count += 1
    }

    public mutating func append(contentsOf list: UnsafeBufferPointer<Element>) throws(Llama2Error) {
        guard list.count > 0, let source = list.baseAddress else { return }
        if memory.count - count < list.count { try grow(try checkedAdd(count, list.count, "\(what)", .noMemory)) }
        (memory.pointer + count).update(from: source, count: list.count)
        count += list.count
    }

    public mutating func popLast() -> Element? {
        guard count > 0 else { return nil }
        count -= 1
        return memory.pointer[count]
    }

    public mutating func removeAll() { count = 0 }

    /// Keeps the first `length`, which is not more than there are.
    public mutating func truncate(to length: Int) {
        precondition(length >= 0 && length <= count)
        count = length
    }

    /// So that there is room for `capacity` elements in all.
    public mutating func reserve(_ capacity: Int) throws(Llama2Error) {
        if capacity > memory.count { try move(to: capacity) }
    }

    private mutating func grow(_ needed: Int) throws(Llama2Error) {
        try move(to: max(needed, 16, try checkedMultiply(memory.count, 2, "\(what)", .noMemory)))
    }

    private mutating func move(to capacity: Int) throws(Llama2Error) {
        try memory.grow(to: capacity, keeping: count, of: "\(what)")
    }
}

extension GrowingBuffer<UInt8> {
    public mutating func append(_ text: UnsafeRawBufferPointer) throws(Llama2Error) {
        try append(contentsOf: text.bindMemory(to: UInt8.self))
    }

    public mutating func append(_ text: RawSpan) throws(Llama2Error) {
        try text.withUnsafeBytes { (text) throws(Llama2Error) in try append(text) }
    }

    public mutating func append(_ text: StaticString) throws(Llama2Error) {
        try append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}
