"""Programs that a model wrote: what they may not do, and that nothing of it counts as passed."""

import ctypes
import os
import time

import pytest

from llama2swift.evaluation import sandbox

PASS = [
    "assert sorted([3, 1, 2]) == [1, 2, 3]",
    "import math, re, collections, json, datetime, heapq, itertools\nassert math.gcd(12, 18) == 6 and json.loads('[1]') == [1]",
    "print('x' * 10**7)",
    "import hashlib, decimal, fractions, statistics, random, string, unicodedata, zoneinfo, ctypes, typing, functools, bisect, copy, os, sys\nassert hashlib.md5(b'').hexdigest()[:4] == 'd41d'",
    "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    a: int\nassert A(1) == A(1)",
    "if __name__ == '__main__': input()",  # as HumanEval's own grader
]
FAIL = {
    "a wrong answer": ("assert 1 + 1 == 3", "wrong"),
    "no program": ("def f(:", "wrong"),
    "an exit that says success": ("import os\nos._exit(0)", "wrong"),
    "another exit": ("import sys\nsys.exit(0)", "wrong"),
    "a fork": ("import os\nos.fork()", "wrong"),
    "a program": ("import subprocess\nsubprocess.run(['true'])", "wrong"),
    "a thread": ("import threading\nthreading.Thread(target=print).start()", "wrong"),
    "a socket": ("import socket\nsocket.create_connection(('127.0.0.1', 80))", "wrong"),
    "a file that is written outside": ("open('{outside}', 'w').write('x')", "wrong"),
    "a file that is written in its own folder": ("open('x', 'a')", "wrong"),
    "a file that is removed": ("import os\nos.remove('{outside}')", "wrong"),
    "a file that is moved": ("import os\nos.rename('{outside}', '{outside}2')", "wrong"),
    "a file that is cut": ("import os\nos.truncate('{outside}', 0)", "wrong"),
    "a mode": ("import os\nos.chmod('{outside}', 0)", "wrong"),
    "a folder": ("import os\nos.mkdir('a')", "wrong"),
    "a link": ("import os\nos.symlink('{outside}', 'a')", "wrong"),
    "a signal to the host": ("import os\nos.kill(os.getppid(), 9)", "wrong"),
    "limits that are raised": ("import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))", "wrong"),
    "a crash": ("import ctypes\nctypes.string_at(0)", "wrong"),
    "an exit that is patched": ("import os\nos._exit = lambda status: None\nassert False", "wrong"),
    "functions that are patched": ("import builtins, os, sys\nbuiltins.print = builtins.type = os.write = os._exit = sys.exit = lambda *a, **k: None\nassert False", "wrong"),
    "an error that cannot be shown": ("class E(Exception):\n    def __str__(self): raise E\nraise E", "wrong"),
    "attributes of a file": ("import fcntl, os, struct\nfcntl.ioctl(os.open('.', os.O_RDONLY), 0x40086602, struct.pack('l', 64))", "wrong"),
    "a signal by way of a descriptor": ("import fcntl, os\nfcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())", "wrong"),
    "a terminal that is written into": ("import fcntl\nfcntl.ioctl(0, 0x5412, b'x')", "wrong"),
    "memory that is taken from the machine": ("import ctypes, mmap\nm = mmap.mmap(-1, 4096)\na = ctypes.addressof(ctypes.c_char.from_buffer(m))\nassert ctypes.CDLL(None).madvise(ctypes.c_void_p(a), ctypes.c_size_t(4096), 101) == 0", "wrong"),
    "a socket of this machine": ("import socket\nsocket.socketpair()", "wrong"),
    "a debugger": ("import ctypes, os\nassert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0", "wrong"),
    "memory": ("a = [0] * 10**10", "memory"),
}  # fmt: skip


@pytest.mark.parametrize("program", PASS)
def test_a_program_that_computes_passes(program):
    assert sandbox.run(program, seconds=10) == sandbox.Outcome(True, "")


@pytest.mark.parametrize("name", FAIL)
def test_a_program_that_does_more_does_not(name, tmp_path):
    program, why = FAIL[name]
    outside = tmp_path / "outside"
    outside.write_text("kept")
    outcome = sandbox.run(program.format(outside=outside), seconds=10)
    assert (outcome.passed, outcome.why) == (False, why)
    assert outside.read_text() == "kept" and [p.name for p in tmp_path.iterdir()] == ["outside"]


@pytest.mark.parametrize("path", ["{outside}", "/proc/{parent}/environ", "/proc/self/environ", "/etc/passwd", "~"])
def test_nothing_of_the_host_is_read(path, tmp_path):
    if not _has_landlock():
        pytest.skip("this kernel has no Landlock")
    outside = tmp_path / "outside"
    outside.write_text("secret")
    path = os.path.expanduser(path.format(outside=outside, parent=os.getpid()))
    outcome = sandbox.run(f"import os\nos.listdir({path!r}) if {os.path.isdir(path)} else open({path!r}).read()", seconds=10)
    assert not outcome.passed and outcome.said.startswith("PermissionError: [Errno 13]")


def _has_landlock() -> bool:
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 1


@pytest.mark.parametrize("says", ["os.closerange(3, 64)", "[fd for fd in range(3, 64) if writes(fd)]"])
@pytest.mark.parametrize("then", ["time.sleep(100)", "while True: pass"])
def test_an_answer_that_is_none_holds_nothing_up(says, then):
    begin = time.monotonic()
    program = f"import os, time\ndef writes(fd):\n    try: return os.write(fd, b'x')\n    except OSError: return 0\n{says}\n{then}"
    outcome = sandbox.run(program, seconds=0.3)
    assert (outcome.passed, outcome.why) == (False, "time") and time.monotonic() - begin < 60


@pytest.mark.parametrize("program", ["while True: pass", "import time\ntime.sleep(100)", "try:\n    while True: pass\nexcept BaseException: pass"])
def test_a_program_without_an_end_is_ended(program):
    begin = time.monotonic()
    outcome = sandbox.run(program, seconds=0.3)
    assert (outcome.passed, outcome.why) == (False, "time") and time.monotonic() - begin < 60


def test_a_machine_without_a_sandbox_is_told(monkeypatch, tmp_path):
    sandbox.check()
    broken = tmp_path / "sandboxed.py"
    broken.write_text(sandbox._CHILD.read_text().replace("platform.machine()", "'sparc'"))
    monkeypatch.setattr(sandbox, "_CHILD", broken)
    with pytest.raises(sandbox.SandboxError, match="programs cannot be run here: the sandbox knows Linux on x86-64 and arm64, this is linux on sparc"):
        sandbox.check()
