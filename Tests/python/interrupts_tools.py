"""What test_interrupts.py and test_interrupted_generation.py have in common."""

import os
import signal
import threading
import time

import pytest

LIMIT = 0.2
TEXT = "Once upon a time there was a little girl named Lily. She had a red ball and a big dog. " * 400


@pytest.fixture(scope="module")
def tokens(smollm2):
    return smollm2.tokenize(TEXT)


@pytest.fixture
def context(smollm2):
    with smollm2.context(length=8192, threads=2) as context:
        yield context


def clocks():
    """(of the wall, of this process): on a machine that others keep busy the first says little, and four seconds are enough."""
    return time.perf_counter(), time.process_time()


def since(then):
    wall, process = (b - a for a, b in zip(then, clocks()))
    return min(wall, process) if wall < 4 else wall


def interrupted(call, interrupt, expected, after=0.3, until=None):
    """Seconds from the interrupt, which comes after so many or as soon as `until` says so, to the exception."""
    times = []

    def later():
        if until is None:
            time.sleep(after)
        while until is not None and not until():
            time.sleep(0.001)
        times.append(clocks())
        interrupt()

    thread = threading.Thread(target=later)
    thread.start()
    try:
        with pytest.raises(expected):
            call()
        return since(times[0])
    finally:
        thread.join()


def soon(attempt):
    """A machine that has other things to do may be late once."""
    seconds = [attempt()]
    while seconds[-1] >= LIMIT and len(seconds) < 4:
        seconds.append(attempt())
    assert min(seconds) < LIMIT, seconds


def control_c():
    os.kill(os.getpid(), signal.SIGINT)
