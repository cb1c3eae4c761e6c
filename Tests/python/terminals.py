"""A program on a pseudo terminal: what a person sees and types."""

import os
import pty
import select
import signal
import subprocess
import sys
import time


class Terminal:
    """`arguments` of the command line on a terminal of its own; `screen` is all that it printed so far."""

    def __init__(self, *arguments, **environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "dumb", **environment})
            os.execv(sys.executable, [sys.executable, "-m", "llama2swift", *map(str, arguments)])
        self.screen, self._seen = "", 0

    def type(self, text: str) -> None:
        time.sleep(0.3)  # readline shows its prompt before it listens; a person is slower than that
        os.write(self.fd, text.encode())

    def wait_for(self, text: str, timeout: float = 120) -> str:
        """Reads until `text` was printed after what earlier calls waited for; what came before it."""
        end = time.monotonic() + timeout
        while (at := self.screen.find(text, self._seen)) < 0:
            assert self._read(end), f"{text!r} did not come; the screen: {self.screen[-2000:]!r}"
        before, self._seen = self.screen[self._seen : at], at + len(text)
        return before

    def _read(self, end: float) -> str:
        ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
        try:
            text = os.read(self.fd, 65536).decode("utf-8", "replace") if ready else ""
        except OSError:  # the program has ended
            text = ""
        self.screen += text
        return text

    def status(self, timeout: float = 60) -> int:
        """Reads the rest; the exit status."""
        end = time.monotonic() + timeout
        while self._read(end):
            pass
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        raise AssertionError(f"it did not end; the screen: {self.screen[-2000:]!r}")

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def command(*arguments, **options):
    """The command line without a terminal."""
    options = {"capture_output": True, "text": True, "timeout": 120, **options}
    return subprocess.run([sys.executable, "-m", "llama2swift", *map(str, arguments)], **options)


def sentence(done) -> str:
    """The one line on standard error that an error is."""
    lines = done.stderr.splitlines()
    assert done.returncode in (1, 2) and len(lines) == 1 and lines[0].startswith("llama2swift"), (done.returncode, done.stderr)
    return lines[0]
