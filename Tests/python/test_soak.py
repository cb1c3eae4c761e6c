"""Five seconds of Tests/c/soak.c; `make soak` is the long form."""

import os
import subprocess

from header import ROOT


def test_eight_threads_at_random_lose_nothing_and_get_no_unexpected_error():
    done = subprocess.run([ROOT / "Tests/trust/soak.sh"], env=os.environ | {"SOAK_SECONDS": "5"}, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 errors unexpected, " in done.stdout and "TRUST | 13 |" in done.stdout
