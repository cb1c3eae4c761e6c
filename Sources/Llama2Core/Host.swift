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

/// The host's answer to whether a call that it made is still wanted. Asked on the thread that called, in the host's mode.
/// Plain memory: what the threads of a pool share may hold it.
public struct CancelCallback {
    public typealias Function = @convention(c) (UnsafeMutableRawPointer?) -> Int32
    private let function: Function, data: UnsafeMutableRawPointer?, host: FloatMode

    public init(_ function: @escaping Function, _ data: UnsafeMutableRawPointer?, _ host: FloatMode) {
        self.function = function
        self.data = data
        self.host = host
    }

    public var isCancelled: Bool { host.callback { function(data) } != 0 }
}

/// A flag that one thread sets and others see soon, without a lock.
public struct SharedFlag {
    private let number: UnsafeMutablePointer<Int32>

    /// number: 0, and there as long as this is used.
    public init(_ number: UnsafeMutablePointer<Int32>) { self.number = number }

    public var isSet: Bool { l2s_load(number) != 0 }
    public func set() { l2s_store(number, 1) }
    public func clear() { l2s_store(number, 0) }

    /// What a host keeps as an int32_t, wherever it lies.
    public static func isSet(at number: UnsafeRawPointer) -> Bool { l2s_load(number) != 0 }
}

/// The process that something was made in: after a fork the child is another one, without the parent's threads.
public struct Process: Equatable, Sendable {
    private let number: UInt64

    public static var current: Process { Process(number: l2s_process_number()) }
}
