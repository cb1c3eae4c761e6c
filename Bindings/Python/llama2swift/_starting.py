"""Ctrl-C while modules are loaded for the command line: an exception there would be a traceback, or be taken for a broken numpy by whoever
catches it. As nothing has been begun the process ends at once, with the status that Ctrl-C has."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


def end_quietly(*_: object) -> NoReturn:
    os._exit(130)


def is_the_program() -> bool:
    """Whether this is `python -m llama2swift`, which loads the package before any of its code could catch an exception."""
    if sys.argv[:1] != ["-m"]:
        return False
    words = getattr(sys, "orig_argv", None)  # from Python 3.10 on
    if words is None:
        try:
            with open("/proc/self/cmdline", "rb") as file:
                words = [os.fsdecode(word) for word in file.read().split(b"\0")]
        except OSError:
            return False
    return any(pair == ("-m", "llama2swift") for pair in zip(words, words[1:]))


def quiet() -> None:
    """From here on Ctrl-C ends the process, unless the host has something else in mind."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_quietly)


def loud() -> None:
    """From here on it is an exception again. By its name: the console command has a function of its own, as it lies outside the package."""
    if getattr(signal.getsignal(signal.SIGINT), "__name__", None) == end_quietly.__name__:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def loading() -> Iterator[None]:
    """For large modules that a command loads when it is asked for. Of the main thread."""
    quiet()
    try:
        yield
    finally:
        loud()


# when this module is loaded, which is before all others of the package
if is_the_program():
    quiet()
