"""Programs that a model wrote, run in a process that can do nothing but compute.

What it may not do is enforced by the kernel (see `sandboxed.py`, which is that process): no network, no other process or thread, no signal to one, no file
opened for writing, renamed, removed or changed in its attributes anywhere, none read that is not Python's or the system's libraries (where the kernel has
Landlock, Linux 5.13), no right of root's, bounded memory and CPU time; after the wall clock's limit it is killed. A program has passed when its last line was
reached: then the process says a secret that the program was not told. Exits that say success, exceptions and patched functions are no pass; a program that looks for
the secret in its own process's memory on purpose could find it there, as tests that run beside a program are always in its hands (it can as well give objects that
equal everything).
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_CHILD = Path(__file__).with_name("sandboxed.py")
_BEGUN = b"begun"
_START = 120.0  # seconds in which Python must have started, on a machine that has other work too
READY = 125  # the child's exit status when the kernel does not do what is asked of it


class SandboxError(RuntimeError):
    """There is no sandbox on this machine."""


@dataclass(frozen=True)
class Outcome:
    """passed; why not: "wrong" (it raised, exited or was refused something), "time" or "memory"; said: the last line of its error."""

    passed: bool
    why: str
    said: str = ""


def run(program: str, *, seconds: float = 5.0, megabytes: int = 1024) -> Outcome:
    """Runs a program to its end or to a limit. seconds: of CPU time, and four times as many by the clock, counted from the moment when
    Python has started. Raises SandboxError where the machine cannot hold it."""
    secret = secrets.token_hex(16)
    reading, writing = os.pipe()
    try:
        with tempfile.TemporaryDirectory(prefix="llama2swift-sandbox-") as folder, tempfile.TemporaryFile() as said:
            child = subprocess.Popen(
                [sys.executable, "-I", "-B", str(_CHILD), str(writing), str(seconds), str(megabytes)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                stderr=said, cwd=folder, env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}, pass_fds=[writing], start_new_session=True,
            )  # fmt: skip
            os.close(writing)
            writing = -1
            try:
                _give(child, secret.encode() + b"\n" + program.encode("utf-8", "replace"))
                begun = _read(reading, _START)
                answer: bytes | None = (begun or b"")[len(_BEGUN) :]  # a short program may have ended already
                until = time.monotonic() + 4 * seconds
                if begun and not answer:
                    answer = _read(reading, 4 * seconds)
                late = answer is None or begun is None
                # one that said something else, or closed what it answers by, may go on all the same
                late = late or answer != secret.encode() and not _ends(child, until - time.monotonic() if begun else _START)
            finally:
                _end(child)
            said.seek(0, os.SEEK_END)
            said.seek(max(0, said.tell() - 2000))
            lines = said.read().decode("utf-8", "replace").strip().splitlines()
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
    last = lines[-1][:200] if lines else ""
    if child.returncode == READY:
        raise SandboxError(f"programs cannot be run here: {last}")
    if answer == secret.encode():
        return Outcome(True, "")
    if late or child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return Outcome(False, "time", last)
    return Outcome(False, "memory" if last.startswith("MemoryError") else "wrong", last)


def _give(child: subprocess.Popen[bytes], text: bytes) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(text)
        child.stdin.close()
    except BrokenPipeError:
        pass  # it did not start; its status says why


def _read(descriptor: int, seconds: float) -> bytes | None:
    """What the child says next: empty when it has ended, None when it says nothing for so long."""
    ready, _, _ = select.select([descriptor], [], [], seconds)
    return os.read(descriptor, 64) if ready else None


def _ends(child: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        child.wait(max(seconds, 1.0))
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
    if child.stdin is not None and not child.stdin.closed:
        child.stdin.close()


def check() -> None:
    """Raises SandboxError unless a program runs here, and one that opens a socket, forks or writes is refused it."""
    if not run("assert sum(range(10)) == 45\n", seconds=10).passed:
        raise SandboxError("programs cannot be run here: one that adds numbers did not pass")
    for what, program in (
        ("the network", "import socket\nsocket.socket()\n"),
        ("other processes", "import os\nif os.fork() == 0: os._exit(0)\n"),
        ("files", "open('a', 'w')\n"),
    ):
        if run(program, seconds=10).passed:
            raise SandboxError(f"programs cannot be run here: {what} cannot be kept from them")
