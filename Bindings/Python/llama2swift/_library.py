"""Finds the shared library, declares its functions, and turns statuses into exceptions."""

from __future__ import annotations

import ctypes as C
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import _constants as K
from . import _structs as S
from ._functions import SIGNATURES
from ._structs import CancelCallback, PerplexityCallback, PieceCallback, ProgressCallback, ReadCallback
from .errors import InputOutputError, Llama2Error, error_for

size = C.c_size_t


def _candidates() -> Iterator[str]:
    """Where the library may be, in order."""
    given = os.environ.get("LLAMA2SWIFT_LIBRARY")
    if given:
        yield given
        return
    here = Path(__file__).resolve().parent
    yield from (str(p) for p in sorted(here.glob("libllama2swift.so*")))
    built = here.parents[2] / ".build" / "release" / "libllama2swift.so"
    if built.exists():
        yield str(built)
    yield "libllama2swift.so.0"


def _load() -> C.CDLL:
    tried = []
    for path in _candidates():
        try:
            return C.CDLL(path)
        except OSError as problem:
            tried.append(str(problem))
    raise ImportError(
        "libllama2swift.so was not found; build it with `make lib` in the checkout, install it with `make install`, "
        "or set LLAMA2SWIFT_LIBRARY to its path. Tried: " + "; ".join(tried)
    )


_cdll = _load()


def _declare() -> None:
    for name, (result, arguments) in SIGNATURES.items():
        try:
            function = getattr(_cdll, "llama2_" + name)
        except AttributeError:
            raise ImportError(
                f"the library {_cdll._name} has no llama2_{name}: the library and the binding are of different versions"
            ) from None
        function.argtypes, function.restype = arguments, result


def _check_layout() -> None:
    """Structs that state their size may be longer in a later library, which then reads as far as they reach."""
    for number, kind in S.NUMBERS.items():
        expected = size()
        call("struct_size", number, C.byref(expected))
        grown = hasattr(kind, "struct_size") and expected.value > C.sizeof(kind)
        if expected.value != C.sizeof(kind) and not grown:
            raise ImportError(
                f"the library's {kind.__name__} has {expected.value} bytes, this binding's {C.sizeof(kind)}: "
                "the library and the binding are of different versions"
            )


def last_error() -> str:
    """The sentence of this thread's last failed call."""
    return (_cdll.llama2_last_error() or b"").decode("utf-8", "replace")


def _error(status: int) -> Llama2Error:
    return error_for(status, last_error(), _cdll.llama2_last_system_error() if status == K.E_IO else 0)


def call(name: str, *arguments: Any) -> None:
    """Calls a function that returns a status; the GIL is released meanwhile. Raises on failure."""
    status = getattr(_cdll, "llama2_" + name)(*arguments)
    if status != 0:
        raise _error(status)


def call_files(name: str, paths: tuple[bytes, ...], *arguments: Any) -> None:
    """The same for one whose first arguments are paths: see `call_naming`."""
    call_naming(paths, name, *paths, *arguments)


def call_naming(paths: tuple[bytes, ...], name: str, *arguments: Any) -> None:
    """The same; an error of the system's gets the name of that of these files that it is about."""
    try:
        call(name, *arguments)
    except InputOutputError as problem:
        # the last that the sentence names: an output may lie in the folder that is the input
        named = [p for p in paths if os.fsdecode(p) in str(problem)]
        problem.filename = os.fsdecode((named or list(paths))[-1 if named else 0])
        raise


def call_text(name: str, *arguments: Any) -> bytes:
    """Calls a function whose last three parameters are (text, capacity, needed)."""
    needed, capacity = size(), 256
    while True:
        buffer = C.create_string_buffer(capacity)
        status = getattr(_cdll, "llama2_" + name)(*arguments, buffer, capacity, C.byref(needed))
        if status == K.E_BUFFER_TOO_SMALL and needed.value > capacity:
            capacity = needed.value
            continue
        if status != 0:
            raise _error(status)
        return buffer.raw[: needed.value]


def call_tokens(name: str, *arguments: Any, capacity: int) -> list[int]:
    """The same for tokens; `capacity` is a first guess."""
    needed = size()
    while True:
        buffer = (C.c_int32 * capacity)()
        status = getattr(_cdll, "llama2_" + name)(*arguments, buffer, capacity, C.byref(needed))
        if status == K.E_BUFFER_TOO_SMALL and needed.value > capacity:
            capacity = needed.value
            continue
        if status != 0:
            raise _error(status)
        return buffer[: needed.value]


def text(struct: C.Structure, field: Any, length: int) -> bytes:
    """The text of `length` bytes that a field points to, S.Event.piece for instance: read as it is declared, it would have to be terminated."""
    return C.string_at(C.c_void_p.from_address(C.addressof(struct) + field.offset).value or 0, length) if length else b""


def free(kind: str, value: int | None) -> None:
    """Frees a handle; what is none does nothing."""
    getattr(_cdll, f"llama2_{kind}_free")(value)


_declare()
_check_layout()
version: str = _cdll.llama2_version().decode()
# A C function: no Python runs in the midst of an eval.
cancel_flag: int = C.cast(_cdll.llama2_cancel_flag, C.c_void_p).value or 0

__all__ = [
    "CancelCallback", "Llama2Error", "PerplexityCallback", "PieceCallback", "ProgressCallback", "ReadCallback", "call",
    "call_files", "call_naming", "call_text", "call_tokens", "cancel_flag", "free", "last_error", "text", "version",
]  # fmt: skip
