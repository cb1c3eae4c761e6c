"""What has been answered so far, a line for each item, so that a run that ended early goes on where it was.

The first line says what the items depend on (model, seed and so on), each item how it was asked; lines are only ever appended, and a last one that was cut by
the end of the process or of the disk is dropped. One run at a time has the file.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
from collections.abc import Iterable
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

FORMAT = 1


class JournalError(ValueError):
    """A file of another run, or none of a run."""


class Journal:
    """path: None for a run that is kept in memory only. settings: what the items depend on. again: one of other settings is replaced."""

    def __init__(self, path: Path | None, settings: dict[str, Any], *, again: bool = False):
        self.path = path
        self.items: dict[tuple[str, int], dict[str, Any]] = {}
        self.data: dict[str, str] = {}
        self.took: list[dict[str, Any]] = []
        self._file: FileIO | None = None
        if path is None:
            return
        if path.exists() and not path.is_file():
            raise JournalError(f"{path} is no file in which answers could be kept")  # a device would be read for ever
        head = {"llama2swift": "evaluation", "format": FORMAT, **settings}
        file = open(path, "r+b" if path.exists() else "x+b", buffering=0)  # a line that is written is in the file
        try:
            _lock(file, path)
            whole = self._read(file, head, again)
            file.seek(whole)
            file.truncate()
        except BaseException:
            file.close()
            raise
        self._file = file
        if not whole:
            self._line(head)

    def _read(self, file: FileIO, head: dict[str, Any], again: bool) -> int:
        """Takes over what is there; how many bytes of it are whole lines."""
        reader = BufferedReader(file)
        try:
            return self._read_lines(reader, head, again)
        finally:
            reader.detach()

    def _read_lines(self, lines: Iterable[bytes], head: dict[str, Any], again: bool) -> int:
        whole = 0
        for number, line in enumerate(lines):
            is_whole = line.endswith(b"\n")
            try:
                entry = json.loads(line) if is_whole else None
            except (ValueError, RecursionError):
                entry = None
            if number == 0:
                differing = _difference(entry, head)
                if differing is not None:
                    if again or entry is None and not is_whole:
                        return 0
                    raise JournalError(f"{self.path} is of another run ({differing}); --force begins anew")
            elif not is_whole:
                break
            elif not self._take(entry):
                raise JournalError(f"{self.path} line {number + 1} is none that a run writes; the others are kept when it is taken out, and --force begins anew")
            whole += len(line)
        return whole

    def _take(self, entry: Any) -> bool:
        """Whether a line is one that was written here."""
        if not isinstance(entry, dict):
            return False
        if "took" in entry:
            self.took.append(entry["took"])
            return _is_took(entry["took"])
        task = entry.get("task")
        if not isinstance(task, str):
            return False
        if "data" in entry:
            self.data[task] = entry["data"]
            return isinstance(entry["data"], str)
        item, value = entry.get("item"), entry.get("value", math.nan)
        if type(item) is not int or not (value is None or _is_number(value) and 0 <= value <= 1) or not ("chosen" in entry or isinstance(entry.get("text"), str)):
            return False
        self.items[task, item] = entry
        return True

    def check_data(self, task: str, fingerprint: str) -> None:
        """The items of a task are those of the data file that they were begun with. Raises JournalError."""
        if self.data.get(task, fingerprint) != fingerprint:
            raise JournalError(f"{self.path}: the data of {task} is not what this run began with; --force begins anew")
        if task not in self.data:
            self.data[task] = fingerprint
            self._line({"task": task, "data": fingerprint})

    def check_asked(self, task: str, item: int, asked: str, *, choices: int, is_judged: bool) -> None:
        """An item that is kept was asked as it would be now, and its entry is what a run writes of such a one; `asked` says how, choices: answers that were
        given, 0 for a text that was written; is_judged: elsewhere. Raises JournalError."""
        kept = self.items.get((task, item))
        if kept is None:
            return
        if kept.get("asked") != asked:
            raise JournalError(f"{self.path}: item {item} of {task} was asked otherwise (another tokenizer, chat template or protocol); --force begins anew")
        chosen = kept.get("chosen")
        right = type(chosen) is int and 0 <= chosen < choices if choices else isinstance(kept.get("text"), str)
        if not right or (kept["value"] is None) != is_judged:
            raise JournalError(f"{self.path}: item {item} of {task} is none that a run writes; the others are kept when its line is taken out, and --force begins anew")

    def add(self, task: str, item: int, **values: Any) -> None:
        """An item's result, written at once."""
        entry = {"task": task, "item": item, **values}
        self._line(entry)
        self.items[task, item] = entry

    def add_took(self, took: dict[str, Any]) -> None:
        """What a stretch of the run took."""
        self.took.append(took)
        self._line({"took": took})

    def _line(self, entry: dict[str, Any]) -> None:
        if self._file is not None:
            line = memoryview(json.dumps(entry).encode() + b"\n")
            try:
                while line:
                    line = line[self._file.write(line) :]
            except OSError as problem:
                raise OSError(problem.errno, f"{problem.strerror}; the items before are kept, and the same command goes on", str(self.path)) from None

    def close(self) -> None:
        """Closes the file; what was written stays."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()


def _difference(entry: Any, head: dict[str, Any]) -> str | None:
    if not isinstance(entry, dict) or entry.get("llama2swift") != "evaluation":
        return "it is no journal of an evaluation"
    for name in sorted(head.keys() | entry.keys()):
        if entry.get(name) != head.get(name):
            return f"{name} was {json.dumps(entry.get(name))}, now it is {json.dumps(head.get(name))}"
    return None


def _lock(file: FileIO, path: Path) -> None:
    """Until the file is closed. A file system that knows no locks has none."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise JournalError(f"{path} is what another run writes into; it is that one's until it ends") from None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_amount(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_took(took: Any) -> bool:
    def work(kind: Any) -> bool:
        if not isinstance(kind, dict) or kind.keys() != {"tokens", "seconds", "cpu_seconds", "joules"}:
            return False
        return all(_is_amount(kind[name]) for name in ("tokens", "seconds", "cpu_seconds")) and (kind["joules"] is None or _is_amount(kind["joules"]))

    return isinstance(took, dict) and took.keys() == {"seconds", "prompt", "generated"} and _is_amount(took["seconds"]) and work(took["prompt"]) and work(took["generated"])
