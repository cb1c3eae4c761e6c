"""Tests/run itself: what its options do with a test that takes the whole process with it."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

RUN = (Path(__file__).parents[1] / "run").read_text()
OPTIONS = next(shlex.split(line)[1:] for line in RUN.splitlines() if line.startswith("python_tests ") and "loadfile" in line)

DIES = """
import os, pytest

@pytest.mark.parametrize("number", range(4))
def test_dies(number):
    if number == 2:
        os._exit(3)
"""
LIVES = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_lives(number):
    pass
"""


def test_a_worker_that_dies_is_a_failure_and_ends_the_run(tmp_path):
    pytest.importorskip("xdist")
    for i in range(8):
        (tmp_path / f"test_{i}.py").write_text(DIES if i == 3 else LIVES)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *OPTIONS, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    # where xdist was just sending work to the worker that died, it ends with an error of its own: a failure too
    if found.returncode == 3:
        assert "INTERNALERROR" in found.stdout and "cannot send" in found.stdout
    else:
        assert found.returncode == 1
        assert "crashed while running" in found.stdout and "test_3.py::test_dies[2]" in found.stdout
