"""Files that are written: nothing that is there is replaced without --force, and never what the same command reads."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator

from .. import _whole


class OutputError(ValueError):
    """An output that is not written."""


def check(output: str, inputs: Iterable[str | None], force: bool) -> None:
    """Raises OutputError when `output` may not be written."""
    if output == "-":
        raise OutputError("- would be a file of that name, which ./- says; standard output is no place for what is written whole or not at all")
    if not os.path.lexists(output):
        return
    if os.path.isdir(output):
        raise OutputError(f"{output} is a folder; the output is a file")
    if kind := _whole.special(output):
        raise OutputError(f"{output} is {kind}, not a regular file: it is not replaced")
    for given in inputs:
        for name in _files(given) if given else ():
            if _same(name, output):
                raise OutputError(f"{output} is read by this command; it is not overwritten")
    if not force:
        raise OutputError(f"{output} is there already; --force replaces it")


def check_place(output: str, others: Iterable[str]) -> None:
    """Raises OutputError when there is no folder in which `output` could be written, or when it is one of `others`, which are written too: known before hours of work."""
    place = os.path.dirname(os.path.realpath(output))
    if not os.path.isdir(place):
        raise OutputError(f"{output} cannot be written: {place} is no folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{output} cannot be written: {place} does not permit it")
    if os.path.realpath(output) in map(os.path.realpath, others):
        raise OutputError(f"{output} is named for two outputs")


def _files(given: str) -> Iterator[str]:
    """What a command reads when `given` names a model: the file, all files of a folder, all parts of a split GGUF."""
    yield given
    if os.path.isdir(given):
        for folder, _, names in os.walk(given):
            yield from (os.path.join(folder, name) for name in names)
        return
    split = re.fullmatch(r"(.*)-\d{5}-of-(\d{5})\.gguf", given, re.DOTALL)
    if split:
        for part in range(1, min(int(split[2]), 99999) + 1):
            yield f"{split[1]}-{part:05}-of-{split[2]}.gguf"


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def write_json(path: str, value: object, force: bool, inputs: Iterable[str | None] = ()) -> None:
    """Writes `value` to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n", force, inputs)  # ASCII: bytes that were no text come back as they were


def write_text(path: str, text: str, force: bool, inputs: Iterable[str | None] = ()) -> None:
    """Writes `text` to `path`, whole or not at all."""
    check(path, inputs, force)
    _whole.write_text(path, text)
