"""A server of its own process on a port that is free, for the tests of it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STORIES = ROOT / "Tests/fixtures/stories260K.bin"


def needs():
    """The server's packages, and a client."""
    for name in ("fastapi", "uvicorn", "prometheus_client", "httpx"):
        pytest.importorskip(name, reason="pip install -r Tests/requirements.txt")


class Served:
    """The process, and the address at which it said to be."""

    def __init__(self, *arguments, models=(STORIES,), **environment):
        command = [sys.executable, "-m", "llama2swift", "serve", *map(str, models), "--port", "0", *map(str, arguments)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
        said = []
        for line in self.process.stderr:
            said.append(line)
            found = re.search(r" at (http://\S+)", line)
            if found:
                self.url = found[1]
                break
        else:
            raise RuntimeError("".join(said))

    def stop(self, with_signal=signal.SIGTERM, seconds=20):
        """Tells it to end; its exit status and what it said."""
        self.process.send_signal(with_signal)
        said = self.process.communicate(timeout=seconds)[1]
        return self.process.returncode, said


@contextlib.contextmanager
def served(*arguments, **more):
    server = Served(*arguments, **more)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()
