internal import LinuxSystem

/// Swift's own values (arrays, strings, dictionaries) end the process when the system has no memory for them. Where
/// their size follows from a file or an argument, the call first covers it: see LinuxSystem/memory_reserve.h.
public enum MemoryReserve {
    /// Sees to it that such Swift values can be made until the call ends. Address space only, which is touched when the system
    /// refuses the values themselves.
    public static func cover(_ memory: SwiftMemory, for what: @autoclosure () -> String) throws(Llama2Error) {
        guard l2s_cover(memory.bytes) == 0 else { throw Llama2Error(.noMemory, "\(what()): the system refused \(memory.bytes) bytes") }
    }

    /// Whether the system refused something since this thread's call began, so that the reserve is in use.
    public static var wasUsed: Bool { l2s_has_drawn() != 0 }
}
