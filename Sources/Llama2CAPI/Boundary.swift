internal import CLlama2Swift
internal import LinuxSystem
internal import Llama2Core
internal import Llama2Engine

// The convention of the boundary, in one place: a body that throws becomes a status and sentences, and it computes in the
// usual floating-point mode.

/// Runs `body`; its error becomes the status, and the sentence goes to the thread's last error and to
/// `error` (capacity bytes), if there is one.
func call(
    _ error: UnsafeMutablePointer<CChar>? = nil, _ capacity: Int = 0, _ body: () throws(Llama2Error) -> Void
) -> Int32 {
    call(error, capacity) { (_: FloatMode) throws(Llama2Error) in try body() }
}

/// The same for a body that calls the host back, in the host's floating-point mode.
func call(
    _ error: UnsafeMutablePointer<CChar>? = nil, _ capacity: Int = 0, _ body: (FloatMode) throws(Llama2Error) -> Void
) -> Int32 {
    let host = FloatMode.enter()
    defer { host.restore() }
    var memory = l2s_call()
    l2s_call_begin(&memory)
    defer { l2s_call_end(&memory) }
    do {
        try body(host)
        if let error, capacity > 0 || capacity < 0 { error[0] = 0 }
        return LLAMA2_OK
    } catch let failure {
        if let text = l2s_thread_text(1) { copy(failure.message, to: text, Int(L2S_THREAD_TEXT_CAPACITY)) }
        l2s_set_thread_error(failure.systemError)
        if let error { copy(failure.message, to: error, capacity < 0 ? Int.max : capacity) }
        return failure.kind.status
    }
}

/// Runs `body` with the context behind `handle` and nobody else inside; its error is remembered there too.
func call(context handle: OpaquePointer?, _ body: (Context) throws(Llama2Error) -> Void) -> Int32 {
    call { (host: FloatMode) throws(Llama2Error) in
        let context = try Handles.context(handle)
        try context.exclusively { () throws(Llama2Error) in
            context.hostMode = host
            do throws(Llama2Error) {
                try body(context)
            } catch {
                copy(error.message, to: context.errorText, Context.errorCapacity)
                throw error
            }
        }
    }
}

/// Terminated; cut at the end of a UTF-8 character. One line that does nothing to a terminal and reads as it is written,
/// whatever names from a file are in it: what is no visible character becomes U+FFFD. Those are control characters, separators
/// of lines and paragraphs, format characters (U+202E turns the rest of a line around, U+200B is nothing at all), and what
/// is private or assigned to nothing.
func copy(_ message: String, to target: UnsafeMutablePointer<CChar>, _ capacity: Int) {
    guard capacity > 0 else { return }
    let capacity = min(capacity, Int(L2S_THREAD_TEXT_CAPACITY))  // a name of 10 MB is no sentence
    var count = 0
    for scalar in message.unicodeScalars {
        let bytes = (isVisible(scalar) ? scalar : "\u{fffd}").utf8
        guard bytes.count < capacity - count else { break }
        for byte in bytes {
            target[count] = CChar(bitPattern: byte)
            count += 1
        }
    }
    target[count] = 0
}

private func isVisible(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return scalar.value >= 0x20 && scalar.value != 0x7f }
    return switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: false
    default: true
    }
}

func required<T>(_ pointer: T?, _ name: StaticString) throws(Llama2Error) -> T {
    guard let pointer else { throw Llama2Error(.nullArgument, "\(name) is NULL") }
    return pointer
}

/// `count` elements at `pointer`, which may be NULL when there are none.
func elements<T>(_ pointer: UnsafePointer<T>?, _ count: Int, _ name: StaticString) throws(Llama2Error)
    -> UnsafeBufferPointer<T>
{
    // size_t beyond 2^63 arrives as a negative number
    guard count >= 0, count <= Int.max / max(1, MemoryLayout<T>.stride) else {
        throw Llama2Error(.invalidArgument, "the count of \(name) is \(UInt(bitPattern: count)), more than memory can hold")
    }
    guard count == 0 || pointer != nil else { throw Llama2Error(.nullArgument, "\(name) is NULL") }
    return UnsafeBufferPointer(start: pointer, count: count)
}

func text(_ pointer: UnsafePointer<CChar>?, _ count: Int, _ name: StaticString) throws(Llama2Error)
    -> UnsafeRawBufferPointer
{
    UnsafeRawBufferPointer(try elements(pointer, count, name))
}

func checkFlags(_ flags: UInt32, _ known: UInt32, _ function: StaticString) throws(Llama2Error) {
    guard flags & ~known == 0 else {
        throw Llama2Error(.invalidArgument, "\(function): flags 0x\(String(flags, radix: 16)); known are 0x\(String(known, radix: 16))")
    }
}

// MARK: Output of unknown size

func give<T: BitwiseCopyable>(
    _ result: UnsafeBufferPointer<T>, to buffer: UnsafeMutablePointer<T>?, _ capacity: Int,
    _ needed: UnsafeMutablePointer<Int>?
) throws(Llama2Error) {
    let needed = try required(needed, "the pointer for the size")
    let capacity = capacity < 0 ? Int.max : capacity
    guard capacity == 0 || buffer != nil else { throw Llama2Error(.nullArgument, "the buffer is NULL, but its capacity is \(capacity)") }
    needed.pointee = result.count
    guard result.count <= capacity else {
        throw Llama2Error(.bufferTooSmall, "the result has \(result.count) elements, the buffer \(capacity)")
    }
    if let buffer, let base = result.baseAddress { buffer.update(from: base, count: result.count) }
}

func give(
    _ bytes: [UInt8], to buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) throws(Llama2Error) {
    // The closures of the standard library would erase the error's type: a Result carries it.
    let result = bytes.withUnsafeBytes { raw -> Result<Void, Llama2Error> in
        do throws(Llama2Error) { return .success(try give(raw.bindMemory(to: CChar.self), to: buffer, capacity, needed)) } catch { return .failure(error) }
    }
    try result.get()
}

/// What was saved, as bytes.
func give(
    _ saved: consuming GrowingBuffer<UInt8>, to data: UnsafeMutableRawPointer?, _ capacity: Int, _ needed: UnsafeMutablePointer<Int>?
) throws(Llama2Error) {
    try give(saved.elements, to: data?.assumingMemoryBound(to: UInt8.self), capacity, needed)
}

// MARK: Structs with struct_size

/// A copy of the options at `pointer` on top of zeros, which stand for what an older caller does not have; all zero
/// for NULL.
func options<T: SizedCStruct & BitwiseCopyable>(_ pointer: UnsafePointer<T>?, zero: T, _ name: StaticString) throws(Llama2Error) -> T {
    guard let pointer else { return zero }
    var value = zero
    let result = withUnsafeMutableBytes(of: &value) { target -> Result<Void, Llama2Error> in
        do throws(Llama2Error) { return .success(try SizedStruct.read(pointer, into: target, first: T.firstSize, name)) } catch { return .failure(error) }
    }
    try result.get()
    return value
}

/// Refuses what `fill` would refuse, and writes nothing.
func checkFill<T: SizedCStruct & BitwiseCopyable>(_ pointer: UnsafeMutablePointer<T>?, _ name: StaticString) throws(Llama2Error) {
    _ = try SizedStruct.statedSize(
        UnsafeRawPointer(try required(pointer, name)), first: T.firstSize, known: MemoryLayout<T>.size, name)
}

/// Writes `value` to `pointer` as far as the struct there reaches; its struct_size stays.
func fill<T: SizedCStruct & BitwiseCopyable>(_ pointer: UnsafeMutablePointer<T>?, with value: T, _ name: StaticString) throws(Llama2Error) {
    let raw = UnsafeMutableRawPointer(try required(pointer, name))
    let result = withUnsafeBytes(of: value) { source -> Result<Void, Llama2Error> in
        do throws(Llama2Error) { return .success(try SizedStruct.fill(raw, with: source, first: T.firstSize, name)) } catch { return .failure(error) }
    }
    try result.get()
}

/// What the _init functions do that older programs and dlsym() find: they are not told sizeof, so they keep to the bytes of
/// the struct's first version, which is all that an older program has there. The header's macros of the same names call
/// llama2_struct_init, which is told.
func initialize<T: SizedCStruct & BitwiseCopyable>(_ options: UnsafeMutablePointer<T>?) {
    guard let options else { return }
    try? SizedStruct.initialize(options, size: T.firstSize)
}
