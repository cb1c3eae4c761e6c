"""Files: quantizing and converting."""

from __future__ import annotations

import ctypes as C
import os
from collections.abc import Callable, Mapping

from . import _library as lib
from . import _structs as S

Path = str | os.PathLike


def quantize(
    path: Path, output: Path, type: str = "Q4_K_M", *, overrides: Mapping[str, str] | None = None, importance: Path | None = None,
    threads: int = 0, progress: Callable[[float], bool | None] | None = None,
) -> None:  # fmt: skip
    """Writes the model at `path`, of any format, to `output` as GGUF with smaller weights.

    type: F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q6_K, or llama.cpp's mixes Q3_K_S/M/L Q4_K_S/M Q5_K_S/M. overrides:
    {part of a tensor's name: type}, the first that fits counts. importance: a file of `Context.importance`. progress: called with 0 to 1; True stops (CancelledError).
    `output` is replaced when all is written and on the disk, and stays as it was after an error.
    """
    _run("quantize", path, output, type, overrides, importance, threads, progress)


def convert(
    path: Path, output: Path, type: str = "F16", *, threads: int = 0,
    progress: Callable[[float], bool | None] | None = None,
) -> None:  # fmt: skip
    """Writes the model at `path`, of any format, to `output` as GGUF in F32, F16, BF16 or Q8_0. See `quantize`."""
    _run("convert", path, output, type, None, None, threads, progress)


def _run(name, path, output, type_, overrides, importance, threads, progress) -> None:
    options = S.sized(S.QuantizeOptions)
    options.type = type_.encode()
    options.threads = max(0, threads)
    options.importance = os.fsencode(importance) if importance is not None else None
    rules = [S.TypeOverride(k.encode(), v.encode()) for k, v in (overrides or {}).items()]
    options.overrides, options.override_count = (S.TypeOverride * max(len(rules), 1))(*rules), len(rules)
    problems: list[BaseException] = []

    def callback(part, _):
        try:
            return 1 if progress(part) else 0
        except BaseException as problem:  # goes on in the caller, not in C
            problems.append(problem)
            return 1

    kept = lib.ProgressCallback(callback) if progress else None
    options.progress = C.cast(kept, C.c_void_p) if kept else None
    try:
        lib.call(name, os.fsencode(path), os.fsencode(output), C.byref(options), None, 0)
    except lib.Llama2Error:
        if problems:
            raise problems[0] from None
        raise
