"""What is printed, and how: text from files is made harmless, terminals that have only ASCII are served, progress is shown."""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
import time
import unicodedata
from collections.abc import Iterable
from importlib import import_module
from typing import Protocol

_DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def harmless(text: str, keep: str = "") -> str:
    """`text` with all that could steer a terminal or hide what it says written as an escape: control characters (but those in
    `keep`), separators of lines, and marks that change the direction of writing."""
    return "".join(c if c in keep or not _steers(c) else c.encode("unicode_escape").decode() for c in text)


def _steers(c: str) -> bool:
    # Cc: ESC, BEL, CSI ...; Zl and Zp: lines that are none; embeddings, overrides and isolates of the bidirectional algorithm
    return unicodedata.category(c) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(c) in _DIRECTIONS


def sentence(problem: BaseException) -> str:
    """An exception as one line."""
    if isinstance(problem, OSError) and problem.strerror and problem.filename is not None:
        text = f"{os.fsdecode(problem.filename) or repr('')}: {problem.strerror}"
    else:
        text = str(problem) or type(problem).__name__
    return " ".join(text.split())


# Streams


def _show(problem: UnicodeError) -> tuple[str | bytes, int]:
    """What an encoding lacks: bytes that were no text (surrogateescape) as they came, characters as escapes."""
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    part = problem.object[problem.start : problem.end]
    out = b"".join(
        bytes([ord(c) - 0xDC00]) if "\udc80" <= c <= "\udcff" else c.encode("unicode_escape") for c in part
    )  # fmt: skip
    return out, problem.end


def prepare() -> None:
    """Makes the three streams take any text; a stream that is closed becomes one that is empty."""
    codecs.register_error("llama2swift", _show)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "llama2swift"), (sys.stderr, "llama2swift")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def interactive() -> bool:
    """Whether a person sits there."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def write(text: str) -> None:
    """A model's text: to a terminal made harmless, to a file or pipe as it is."""
    print(harmless(text, keep="\n\t") if sys.stdout.isatty() else text, end="", flush=True)


def stream(pieces: Iterable[str]) -> None:
    """A text as it comes; a line of its own ends it, however it ends."""
    try:
        for piece in pieces:
            write(piece)
    finally:
        write("\n")


def line(text: str = "") -> None:
    """A line of a report, whatever file its words came from."""
    print(harmless(text))


def say(text: str) -> None:
    """A line on standard error."""
    try:
        print(harmless(text), file=sys.stderr, flush=True)
    except OSError:
        pass  # nobody can be told


def end_line() -> None:
    """After what was interrupted, so that the shell's prompt begins a line."""
    if sys.stderr.isatty():
        say("")


def flush() -> None:
    sys.stdout.flush()


def silence(within: float | None = None) -> None:
    """What is still in the buffers is for nobody: the interpreter's own flush at the end would complain, or wait for a reader who does not
    read. within: seconds that such a reader has."""
    if within is not None:
        signal.signal(signal.SIGALRM, _give_up)
        signal.setitimer(signal.ITIMER_REAL, within)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    finally:
        if within is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _give_up(*_: object) -> None:
    raise TimeoutError


# Progress


class Progress:
    """How far a long step is, on standard error, from its third second on: a bar of `rich` or `tqdm` where one of them is
    installed and a person looks, otherwise a plain line at most every ten seconds.

        with Progress("quantize") as progress:
            llama2swift.quantize(..., progress=progress)
    """

    patience, pause = 2.0, 10.0

    def __init__(self, what: str):
        self.what = what
        self._begin = time.monotonic()
        self._next = self._begin + self.patience
        self._bar: Bar | None = None

    def __call__(self, part: float, note: str = "") -> None:
        now = time.monotonic()
        if now < self._next:
            return
        if self._bar is None and sys.stderr.isatty():
            self._bar = _rich(self.what) or _tqdm(self.what) or _plain(self.what)
        elif self._bar is None:
            self._bar = _plain(self.what)
        self._next = now + (self.pause if self._bar.slow else 0.1)
        self._bar.show(part, note)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


class Bar(Protocol):
    """What shows how far something is; slow: not more often than some seconds."""

    slow: bool

    def show(self, part: float, note: str) -> None: ...

    def close(self) -> None: ...


class _plain:
    slow = True

    def __init__(self, what: str):
        self.what = what

    def show(self, part: float, note: str) -> None:
        say(f"{self.what}: {100 * part:.0f} %{' ' + note if note else ''}")

    def close(self) -> None:
        pass


def _rich(what: str) -> Bar | None:
    try:  # by name: whoever checks types need not have it
        console, progress = import_module("rich.console"), import_module("rich.progress")
    except ImportError:
        return None

    class Rich:
        slow = False

        def __init__(self) -> None:
            text = progress.TextColumn
            columns = text("{task.description}"), progress.BarColumn(), progress.TaskProgressColumn(), progress.TimeRemainingColumn(), text("{task.fields[note]}")
            self.bar = progress.Progress(*columns, console=console.Console(stderr=True), transient=True)
            self.bar.start()
            self.task = self.bar.add_task(what, total=1.0, note="")

        def show(self, part: float, note: str) -> None:
            self.bar.update(self.task, completed=part, note=note)

        def close(self) -> None:
            self.bar.stop()

    return Rich()


def _tqdm(what: str) -> Bar | None:
    try:
        tqdm = import_module("tqdm").tqdm
    except ImportError:
        return None

    class Tqdm:
        slow = False

        def __init__(self) -> None:
            self.bar = tqdm(total=100, desc=what, unit="%", leave=False, file=sys.stderr, bar_format="{desc} {percentage:3.0f}% |{bar}| {remaining} {postfix}")

        def show(self, part: float, note: str) -> None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.n = 100 * part
            self.bar.refresh()

        def close(self) -> None:
            self.bar.close()

    return Tqdm()
