"""The process in which one program of a model's runs: limits, then what it may read, then a filter of system calls, none of which can be taken off again, then
the program.

It is started by `sandbox.py` as a script of its own, with nothing of this package in it. seccomp(2): a list of what is allowed, all else fails with EPERM, which
Python shows as PermissionError. landlock(7), where the kernel has it: files that can be read are Python's own and the system's libraries.
"""

import ctypes
import os
import platform
import resource
import struct
import sys
import time

# What a Python that only computes asks of the kernel, by machine. Neither sockets, processes, threads, signals to others, nor
# anything that changes a file: open is looked at more closely below.
_COMMON = """read write close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn pread64 readv writev mremap
dup getpid gettid getuid getgid geteuid getegid getppid exit exit_group uname getcwd gettimeofday times futex sched_yield sched_getaffinity
getdents64 clock_gettime clock_getres clock_nanosleep nanosleep getrandom newfstatat readlinkat faccessat faccessat2 sysinfo getrusage getrlimit sigaltstack
set_robust_list rseq set_tid_address statx restart_syscall ppoll pselect6 membarrier"""
_X86 = dict(
    read=0, write=1, close=3, fstat=5, lseek=8, mmap=9, mprotect=10, munmap=11, brk=12, rt_sigaction=13, rt_sigprocmask=14, rt_sigreturn=15, ioctl=16, pread64=17,
    readv=19, writev=20, madvise=28, mremap=25, dup=32, getpid=39, gettid=186, getuid=102, getgid=104, geteuid=107, getegid=108, getppid=110, exit=60,
    exit_group=231, uname=63, fcntl=72, getcwd=79, gettimeofday=96, times=100, futex=202, sched_yield=24, sched_getaffinity=204, getdents64=217, clock_gettime=228,
    clock_getres=229, clock_nanosleep=230, nanosleep=35, getrandom=318, newfstatat=262, readlinkat=267, faccessat=269, faccessat2=439, sysinfo=99, getrusage=98,
    getrlimit=97, sigaltstack=131, set_robust_list=273, rseq=334, set_tid_address=218, statx=332, restart_syscall=219, ppoll=271, pselect6=270, membarrier=324,
)  # fmt: skip
_ARM = dict(
    read=63, write=64, close=57, fstat=80, lseek=62, mmap=222, mprotect=226, munmap=215, brk=214, rt_sigaction=134, rt_sigprocmask=135, rt_sigreturn=139, ioctl=29,
    pread64=67, readv=65, writev=66, madvise=233, mremap=216, dup=23, getpid=172, gettid=178, getuid=174, getgid=176, geteuid=175, getegid=177, getppid=173, exit=93,
    exit_group=94, uname=160, fcntl=25, getcwd=17, gettimeofday=169, times=153, futex=98, sched_yield=124, sched_getaffinity=123, getdents64=61, clock_gettime=113,
    clock_getres=114, clock_nanosleep=115, nanosleep=101, getrandom=278, newfstatat=79, readlinkat=78, faccessat=48, faccessat2=439, sysinfo=179, getrusage=165,
    getrlimit=163, sigaltstack=132, set_robust_list=99, rseq=293, set_tid_address=96, statx=291, restart_syscall=128, ppoll=73, pselect6=72, membarrier=283,
)  # fmt: skip
# AUDIT_ARCH, numbers, openat, and calls that only x86-64 has: access, stat, lstat, readlink, arch_prctl; open with its flags second
_MACHINES = {"x86_64": (0xC000003E, _X86, 257, (21, 4, 6, 89, 158, 7), 2), "aarch64": (0xC00000B7, _ARM, 56, (), None)}

# Of three calls only what is told here, by the number of the argument that says it. ioctl: whether this is a terminal, its size, bytes that wait, close-on-exec (others
# change a file's attributes, write into terminals, freeze a file system). fcntl: copies of descriptors and their flags (others have the kernel send signals to any
# process of this user). madvise: what Linux calls advice (beyond are orders to take memory away from the machine).
_ARGUMENTS = {"ioctl": (1, (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5451, 0x5450)), "fcntl": (1, (0, 1, 2, 3, 1030)), "madvise": (2, tuple(range(26)))}

# What may be read beside the folders that Python imports from.
_LIBRARIES = "/lib /lib64 /usr/lib /usr/lib64 /usr/local/lib /etc/ld.so.cache /etc/localtime /etc/ssl/openssl.cnf /usr/share/zoneinfo /dev/null /dev/zero /dev/random /dev/urandom".split()
_READ_FILE, _READ_DIR, _EVERYTHING = 4, 8, (1 << 13) - 1  # LANDLOCK_ACCESS_FS_

_READY = 125
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with EPERM
_O_ACCMODE, _O_CREAT, _O_TRUNC, _O_APPEND, _O_TMPFILE = 3, 0o100, 0o1000, 0o2000, 0o20000000
_WRITES = _O_ACCMODE | _O_CREAT | _O_TRUNC | _O_TMPFILE & ~0o200000  # O_TMPFILE holds O_DIRECTORY, which is harmless


def _filter(machine: str) -> bytes:
    """The filter as the kernel's instructions: (code, jump if true, jump if false, number)."""
    arch, numbers, openat, more, old_open = _MACHINES[machine]
    load, equal, bits, end, least = 0x20, 0x15, 0x45, 0x06, 0x35
    allowed = sorted({numbers[name] for name in _COMMON.split()} | set(more))
    out = [(load, 0, 0, 4), (equal, 1, 0, arch), (end, 0, 0, _REFUSE), (load, 0, 0, 0), (least, 0, 1, 0x40000000), (end, 0, 0, _REFUSE)]  # the other ABI of x86-64 is none of ours
    for number, flags in ((openat, 2), (old_open, 1)):
        if number is not None:
            # the flags are the low half of an argument of 64 bits
            out += [(equal, 0, 4, number), (load, 0, 0, 16 + 8 * flags), (bits, 0, 1, _WRITES), (end, 0, 0, _REFUSE), (end, 0, 0, _ALLOW)]
    for name, (argument, values) in _ARGUMENTS.items():
        out += [(equal, 0, 2 * len(values) + 2, numbers[name]), (load, 0, 0, 16 + 8 * argument)]
        for value in values:
            out += [(equal, 0, 1, value), (end, 0, 0, _ALLOW)]
        out.append((end, 0, 0, _REFUSE))
    for number in allowed:
        out += [(equal, 0, 1, number), (end, 0, 0, _ALLOW)]
    out.append((end, 0, 0, _REFUSE))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in out)


def _close_the_library(libc: ctypes.CDLL) -> None:
    """From here on nothing is read but what a program imports: not the host's files, not /proc, where the environment of other processes stands."""
    create, add, restrict = 444, 445, 446  # landlock_create_ruleset, _add_rule, _restrict_self, on every machine
    if libc.syscall(create, None, ctypes.c_size_t(0), 1) < 1:
        return  # a kernel without it
    handled = ctypes.c_uint64(_EVERYTHING)
    rules = libc.syscall(create, ctypes.byref(handled), ctypes.c_size_t(8), 0)
    for path in dict.fromkeys([*sys.path, os.path.join(sys.prefix, "lib"), os.path.join(sys.base_prefix, "lib"), os.getcwd(), *_LIBRARIES]):
        if path in ("", "/") or not os.path.exists(path):
            continue
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0), place)
        if libc.syscall(add, rules, 1, rule, 0) != 0:
            raise OSError(f"the kernel refuses a rule for {path} (landlock: {os.strerror(ctypes.get_errno())})")
        os.close(place)
    if libc.syscall(restrict, rules, 0) != 0:
        raise OSError(f"the kernel refuses rules for files (landlock: {os.strerror(ctypes.get_errno())})")
    os.close(rules)


def _close_the_door() -> None:
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _MACHINES:
        raise OSError(f"the sandbox knows Linux on x86-64 and arm64, this is {sys.platform} on {machine}")
    libc = ctypes.CDLL(None, use_errno=True)
    code = _filter(machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(buffer)), 16)
    # of root's rights none is left: version 3 of the sets, this process
    if libc.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24)) != 0:
        raise OSError(f"the kernel does not take capabilities away (capset: {os.strerror(ctypes.get_errno())})")
    # PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE to 0, PR_SET_SECCOMP with SECCOMP_MODE_FILTER
    for call in ((38, 1, 0, 0, 0), (4, 0, 0, 0, 0), (22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0)):
        if call[0] == 22:
            _close_the_library(libc)
        if libc.prctl(*(a if not isinstance(a, int) else ctypes.c_ulong(a) for a in call)) != 0:
            raise OSError(f"the kernel refuses a filter of system calls (prctl {call[0]}: {os.strerror(ctypes.get_errno())})")


def _limit(seconds: float, megabytes: int) -> None:
    cpu = int(time.process_time() + seconds + 0.999)  # what Python's start took is not the program's
    for what, most in (
        (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_AS, megabytes << 20), (resource.RLIMIT_FSIZE, 1 << 20), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64),
    ):  # fmt: skip
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def main() -> None:
    answer, seconds, megabytes = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    secret, _, program = sys.stdin.buffer.read().partition(b"\n")
    try:
        code = compile(program, "program", "exec", dont_inherit=True)
        _limit(seconds, megabytes)
    except SyntaxError as problem:
        print(f"SyntaxError: {problem}", file=sys.stderr)
        raise SystemExit(1) from None
    try:
        _close_the_door()
    except OSError as problem:
        print(problem, file=sys.stderr)
        raise SystemExit(_READY) from None
    sys.argv[:] = ["program"]
    # what decides is bound before the program runs, which may put something else in the place of each name; there is no way from a failure to the secret
    write, leave = os.write, os._exit
    write(answer, b"begun")
    try:
        exec(code, {})  # as HumanEval's own grader does: no name is "__main__"
    except BaseException as problem:
        try:
            print(f"{type(problem).__name__}: {problem}"[:500], file=sys.stderr)
        finally:
            leave(1)
    else:
        write(answer, secret)
    finally:
        leave(0)


main()
