/// Arithmetic on numbers that come from a file or a caller. A result that does not fit is an
/// error with a sentence, never a trap: a trap would end the host process. `kind`: corrupt where a file says the numbers,
/// noMemory where they are the size of what is to be allocated.

@inlinable
public func checkedAdd(_ a: Int, _ b: Int, _ what: @autoclosure () -> String, _ kind: Llama2Error.Kind = .corrupt) throws(Llama2Error) -> Int {
    let (sum, overflow) = a.addingReportingOverflow(b)
    guard !overflow else { throw Llama2Error(kind, "\(what()): \(a) + \(b) does not fit 63 bits") }
    return sum
}

@inlinable
public func checkedMultiply(_ a: Int, _ b: Int, _ what: @autoclosure () -> String, _ kind: Llama2Error.Kind = .corrupt) throws(Llama2Error) -> Int {
    let (product, overflow) = a.multipliedReportingOverflow(by: b)
    guard !overflow else { throw Llama2Error(kind, "\(what()): \(a) * \(b) does not fit 63 bits") }
    return product
}

/// A 64-bit count or offset from a file as `Int`; values of 2^63 and above are refused.
@inlinable
public func checkedInt(_ value: UInt64, _ what: @autoclosure () -> String) throws(Llama2Error) -> Int {
    guard let small = Int(exactly: value) else {
        throw Llama2Error(.corrupt, "\(what()): \(value) does not fit 63 bits")
    }
    return small
}

/// `value` rounded up to a multiple of `alignment`, a power of two.
@inlinable
public func alignUp(_ value: Int, _ alignment: Int, _ what: @autoclosure () -> String, _ kind: Llama2Error.Kind = .corrupt) throws(Llama2Error) -> Int {
    try checkedAdd(value, alignment &- 1, what(), kind) & ~(alignment &- 1)
}
