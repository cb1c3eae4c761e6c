internal import LinuxSystem

/// The floating-point mode of a thread. A host may flush small numbers to zero, round in another direction or trap;
/// the library computes in the mode that every program starts with, and gives the host's back.
public struct FloatMode: Equatable, Sendable {
    private let bits: UInt64

    /// Sets the usual mode for this thread; returns the one before, with its flags.
    public static func enter() -> FloatMode {
        let before = l2s_float_mode()
        if before & ~UInt64(L2S_FLOAT_FLAGS) != UInt64(L2S_FLOAT_USUAL) { l2s_set_float_mode(UInt64(L2S_FLOAT_USUAL)) }
        return FloatMode(bits: before)
    }

    /// The mode of this thread as it is.
    public static var current: FloatMode { FloatMode(bits: l2s_float_mode()) }

    /// Sets this mode, with its flags.
    public func restore() {
        if l2s_float_mode() != bits { l2s_set_float_mode(bits) }
    }

    /// Runs a callback of the host's in the host's mode.
    public func callback<T>(_ body: () -> T) -> T {
        let ours = FloatMode.current
        restore()
        defer { ours.restore() }
        return body()
    }
}

/// The process that something was made in: after a fork the child is another one, without the parent's threads.
public struct Process: Equatable, Sendable {
    private let number: UInt64

    public static var current: Process { Process(number: l2s_process_number()) }
}
