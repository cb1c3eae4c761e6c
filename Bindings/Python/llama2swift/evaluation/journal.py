"""What has been answered so far, a line for each item, so that a run that ended early goes on where it was.

The first line says what the items depend on (model, seed and so on); lines are only ever appended, and one that was cut by the end of
the process or of the disk is dropped.
"""

from __future__ import annotations

import json
import os
from io import FileIO
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
        whole = self._read(path, head, again) if path.exists() else 0
        self._file = open(path, "r+b" if whole else "wb", buffering=0)  # a line that is written is in the file
        self._file.seek(whole)
        self._file.truncate()
        if not whole:
            self._line(head)

    def _read(self, path: Path, head: dict[str, Any], again: bool) -> int:
        """Takes over what is there; how many bytes of it are whole lines."""
        whole = 0
        with open(path, "rb") as file:
            for number, line in enumerate(file):
                try:
                    entry = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    entry = None
                if number == 0:
                    differing = _difference(entry, head)
                    if differing is None:
                        whole += len(line)
                        continue
                    if again or os.path.getsize(path) == 0 or entry is None and not line.endswith(b"\n"):
                        return 0
                    raise JournalError(f"{path} is of another run ({differing}); --force begins anew")
                if not isinstance(entry, dict):
                    break
                self._take(entry)
                whole += len(line)
        return whole

    def _take(self, entry: dict[str, Any]) -> None:
        if "item" in entry:
            self.items[entry["task"], entry["item"]] = entry
        elif "data" in entry:
            self.data[entry["task"]] = entry["data"]
        elif "took" in entry:
            self.took.append(entry["took"])

    def check_data(self, task: str, fingerprint: str) -> None:
        """The items of a task are those of the data file that they were begun with. Raises JournalError."""
        if self.data.get(task, fingerprint) != fingerprint:
            raise JournalError(f"{self.path}: the data of {task} is not what this run began with; --force begins anew")
        if task not in self.data:
            self.data[task] = fingerprint
            self._line({"task": task, "data": fingerprint})

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
