"""What a person types: line editing and history where they can be had, several lines as one message, and pipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

MAX_HISTORY = 1000
_FENCE = '"""'


def messages(read: Callable[[str], str | None]) -> Iterator[str]:
    '''Messages from lines: a line that ends in "\\" goes on in the next one; lines between two """ are one message.'''
    while True:
        line = read("> ")
        if line is None:
            return
        if line.lstrip().startswith(_FENCE):
            yield _fenced(line.lstrip()[len(_FENCE) :], read)
            continue
        parts = []
        while line is not None and line.endswith("\\"):
            parts.append(line[:-1])
            line = read(". ")
        yield "\n".join([*parts, *([] if line is None else [line])]).strip()


def _fenced(line: str | None, read: Callable[[str], str | None]) -> str:
    parts: list[str] = []
    while line is not None:
        text, fence, _ = line.partition(_FENCE)
        parts.append(text)
        if fence:
            break
        line = read(". ")
    return "\n".join(parts).strip("\n")


def from_pipe(_: str) -> str | None:
    line = sys.stdin.readline()
    return line.rstrip("\r\n") if line else None


def history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(state) / "llama2swift" / "history"


def editor(keep_history: bool) -> Callable[[str], str | None]:
    """A function that asks for a line: prompt_toolkit if it is installed, else readline, else plain. None at the end of input."""
    history = _private(history_file()) if keep_history else None
    ask = _prompt_toolkit(history) or _readline(history)

    def read(prompt: str) -> str | None:
        try:
            return ask(prompt)
        except EOFError:
            return None

    return read


def _private(path: Path) -> Path | None:
    """The file, for its owner alone; None where it cannot be kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NONBLOCK, 0o600))
    except OSError:
        return None
    return path if path.is_file() else None


def _prompt_toolkit(history: Path | None) -> Callable[[str], str] | None:
    try:  # by name: whoever checks types need not have it
        toolkit, kinds = import_module("prompt_toolkit"), import_module("prompt_toolkit.history")
    except ImportError:
        return None
    session = toolkit.PromptSession(history=kinds.FileHistory(str(history)) if history else kinds.InMemoryHistory())
    ask: Callable[[str], str] = session.prompt
    return ask


def _readline(history: Path | None) -> Callable[[str], str]:
    try:
        import atexit
        import readline
    except ImportError:
        return input
    if history:
        try:
            readline.read_history_file(history)
        except (OSError, UnicodeError):
            pass  # none yet, or none of ours
        readline.set_history_length(MAX_HISTORY)
        atexit.register(_write_history, readline, history)
    return input


def _write_history(readline: Any, history: Path) -> None:
    try:
        readline.write_history_file(history)
    except OSError:
        pass
