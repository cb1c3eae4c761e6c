internal import Glibc
internal import LinuxSystem

/// Repeats a system call that a signal interrupted: the host's signals are none of the caller's business.
func uninterrupted<T: SignedInteger>(_ call: () -> T) -> T {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}

/// Closes; false when the system reports that something was not stored. Linux has closed the descriptor also then,
/// so this is never repeated, and an interruption says nothing about the data.
func closeDescriptor(_ descriptor: Int32) -> Bool { close(descriptor) == 0 || errno == EINTR }

/// Lets the system write what a file got from `from` on to the disk, and waits for what lies before `until`. False, and errno,
/// when the disk refused.
func writeBehind(_ descriptor: Int32, from: Int, until: Int) -> Bool {
    uninterrupted { l2s_write_behind(descriptor, Int64(from), Int64(until)) } == 0
}

/// Runs a write, which beyond the process's limit for files (RLIMIT_FSIZE) fails with EFBIG, and does so alone: the signal
/// that would end the process is held back and taken away, unless it was the host's before.
func withoutFileSizeSignal<T>(_ body: () -> T) -> T {
    var signal = sigset_t(), before = sigset_t(), pending = sigset_t()
    sigemptyset(&signal)
    sigaddset(&signal, SIGXFSZ)
    sigemptyset(&pending)
    sigpending(&pending)
    let wasPending = sigismember(&pending, SIGXFSZ) == 1
    guard pthread_sigmask(SIG_BLOCK, &signal, &before) == 0 else { return body() }
    let result = body(), code = errno
    if !wasPending {
        // the signal of a write goes to its thread, and this one takes it
        var now = timespec()
        while sigtimedwait(&signal, nil, &now) < 0, errno == EINTR {}
    }
    pthread_sigmask(SIG_SETMASK, &before, nil)
    errno = code
    return result
}
