internal import Glibc
internal import LinuxSystem

/// Where the bytes of a file lie while they are used.
public enum FileMemory: Sendable {
    /// Where they are: in a mapping of the file, or in the caller's memory.
    case view
    /// In memory of its own.
    case copy
    /// The same, its pages in turn on each memory node that the process may use. Panels of weights go to whichever thread is free, so
    /// that no node is the right one for any of them; spread, every node's memory gives its share of the bandwidth.
    case interleavedCopy

    public var isView: Bool { self == .view }

    /// Whether this system interleaves memory, found out on a page of it.
    public static func checkInterleaving() throws(Llama2Error) {
        _ = try AlignedBuffer<UInt8>(count: 1, interleaved: true, of: "a page")
    }
}

/// Spreads pages of a mapping that are not there yet.
func interleave(_ mapping: UnsafeMutableRawPointer, _ size: Int) throws(Llama2Error) {
    guard l2s_interleave(mapping, size) != 0 else { return }
    let code = errno
    if code == ENOMEM { throw Llama2Error(.noMemory, "the system refused memory to interleave \(size) bytes", systemError: code) }
    throw Llama2Error(
        .unsupported,
        "weights cannot be interleaved over memory nodes: this system refuses mbind (\(String(cString: strerror(code)))); containers need the capability SYS_NICE for it",
        systemError: code)
}
