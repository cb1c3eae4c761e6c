internal import Glibc
internal import LinuxSystem

/// Repeats a system call that a signal interrupted: the host's signals are none of the caller's business.
public func uninterrupted<T: SignedInteger>(_ call: () -> T) -> T {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}

/// Closes; false when the system reports that something was not stored. Linux has closed the descriptor also then,
/// so this is never repeated, and an interruption says nothing about the data.
public func closeDescriptor(_ descriptor: Int32) -> Bool { close(descriptor) == 0 || errno == EINTR }

/// Lets the system write what a file got from `from` on to the disk, and waits for what lies before `until`. False, and errno,
/// when the disk refused.
public func writeBehind(_ descriptor: Int32, from: Int, until: Int) -> Bool {
    uninterrupted { l2s_write_behind(descriptor, Int64(from), Int64(until)) } == 0
}
