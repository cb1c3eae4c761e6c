"""What a caller passed, checked before it travels: ctypes would cut numbers to their low bits and texts at a NUL, and str()
and float() take what was never meant.

TypeError: not of the kind that is wanted. OverflowError: a number that the header's type cannot hold. ValueError: one that this
parameter cannot have. What only the library can know (the size of the vocabulary, the length of a context) it refuses itself.
"""

from __future__ import annotations

import array
import ctypes as C
import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, SupportsIndex, Union, cast

import numpy as np

# What parameters are declared as.
Number = Union[float, SupportsIndex, "np.floating[Any]"]
Text = Union[str, bytes, bytearray, memoryview]
Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
TokenIds = Union[Iterable[SupportsIndex], "np.ndarray[Any, np.dtype[np.integer[Any]]]"]


def shown(value: object) -> str:
    """A value in a sentence, not more than a line of it."""
    try:
        text = ascii(value)
    except Exception:  # somebody's __repr__
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def refuse(name: str, value: object, expected: str) -> TypeError:
    """The exception for a value of the wrong kind."""
    return TypeError(f"{name} is {shown(value)}, expected {expected}")


def whole(name: str, value: object) -> int:
    """Integers of Python's and numpy's. No floats, no texts; no booleans, which as a number are a mistake."""
    if type(value) is int:
        return value
    if isinstance(value, (bool, np.bool_)):
        raise refuse(name, value, "an integer")
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise refuse(name, value, "an integer") from None


def signed(name: str, value: object, bits: int = 32) -> int:
    """An integer that intN_t holds."""
    number = whole(name, value)
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise OverflowError(f"{name} is {shown(number)}, which is beyond {bits} bits")
    return number


def unsigned(name: str, value: object, bits: int = 64) -> int:
    """A count: an integer of at least 0 that uintN_t holds."""
    number = whole(name, value)
    if number < 0:
        raise ValueError(f"{name} is {shown(number)}, expected 0 or more")
    if number >> bits:
        raise OverflowError(f"{name} is {shown(number)}, which is beyond {bits} bits")
    return number


def position(name: str, value: object) -> int:
    """Where a sequence is cut. Of what is negative no size_t can tell the library; it gets one that is in no sequence, and refuses."""
    number = whole(name, value)
    if number >> 64 not in (0, -1):
        raise OverflowError(f"{name} is {shown(number)}, which is beyond 64 bits")
    return number if number >= 0 else 1 << 63


def double(name: str, value: object) -> float:
    """A number as C's double; infinities and NaN stay what they are."""
    # booleans, texts and what only looks like a number (an array of one element) are none
    if type(value) is not float:
        if isinstance(value, (bool, np.bool_, np.ndarray, str, bytes)) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
            raise refuse(name, value, "a number")
        try:
            value = float(value)  # type: ignore[arg-type]
        except TypeError:
            raise refuse(name, value, "a number") from None
    return value


def real(name: str, value: object) -> float:
    """A number as the float of C that is nearest to it; infinities and NaN stay what they are."""
    value = double(name, value)
    nearest = C.c_float(value).value
    if math.isinf(nearest) and not math.isinf(value):
        raise OverflowError(f"{name} is {shown(value)}, which is beyond a float of 32 bits")
    return nearest


def flag(name: str, value: object) -> bool:
    """True or False, numpy's too, or 1 or 0."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)) and value in (0, 1):
        return bool(value)
    raise refuse(name, value, "True or False")


def text(name: str, value: object) -> bytes:
    """The bytes of a text; of bytes, these. What `os.fsdecode` made of bytes that are no UTF-8 becomes these again."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise refuse(name, value, "a str or bytes")


def string(name: str, value: object) -> str:
    """A str and nothing else."""
    if not isinstance(value, str):
        raise refuse(name, value, "a str")
    return value


def terminated(name: str, value: object) -> bytes:
    """A str for a `const char *` of C, which ends at the first NUL."""
    raw = string(name, value).encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise ValueError(f"{name} is {shown(value)}, which holds a NUL")
    return raw


def choice(name: str, value: object, allowed: Iterable[str]) -> str:
    """One of some words."""
    word = string(name, value)
    if word not in allowed:
        raise ValueError(f"{name} is {shown(word)}, expected one of {', '.join(allowed)}")
    return word


def path(name: str, value: object) -> bytes:
    """The bytes of a path."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise refuse(name, value, "a path: a str, bytes or os.PathLike")
    raw = os.fsencode(value)
    if b"\0" in raw:
        raise ValueError(f"{name} is {shown(value)}, which holds a NUL")
    return raw


def saved(name: str, value: object) -> bytes:
    """What was saved."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise refuse(name, value, "bytes")
    return bytes(value)


def function(name: str, value: object) -> Callable[..., Any] | None:
    """Something to call, or None."""
    if value is not None and not callable(value):
        raise refuse(name, value, "a function or None")
    return cast("Callable[..., Any] | None", value)


def instance(name: str, value: object, kind: type[Any]) -> Any:
    """An object of this package."""
    if not isinstance(value, kind):
        raise refuse(name, value, f"a llama2swift.{kind.__name__}")
    return value


class Tokens:
    """Ids as C takes them: an array of int32_t, which must be held as long as it is used, and how many there are."""

    __slots__ = ("count", "pointer")

    def __init__(self, pointer: Any, count: int):
        self.pointer = pointer
        self.count = count


_OneId = C.c_int32 * 1  # ctypes takes an array of any length for a pointer; a type for each length would be made anew
_EMPTY = Tokens((C.c_int32 * 1)(), 0)


def token(name: str, value: object) -> int:
    """One id."""
    return signed(name, value)


def tokens(name: str, value: object) -> Tokens:
    """Ids out of any sequence, iterator or array of integers."""
    if isinstance(value, np.ndarray):
        return _tokens_of_array(name, value)
    # a view of bytes is a text's, as bytes are
    if isinstance(value, (str, bytes, bytearray, Mapping, Set)) or isinstance(value, memoryview) and value.format in ("B", "b", "c"):
        raise refuse(name, value, "token ids: a sequence of integers")
    if isinstance(value, memoryview) and value.ndim != 1:
        raise ValueError(f"{name} is a view of shape {value.shape}, expected one dimension")
    if type(value) is not list:
        try:
            iterator = iter(value)  # type: ignore[call-overload]
        except TypeError:
            raise refuse(name, value, "token ids: a sequence of integers") from None
        value = list(iterator)
    if not value:
        return _EMPTY
    if set(map(type, value)) != {int}:
        value = [signed(f"{name}[{i}]", t) for i, t in enumerate(value)]
    try:
        packed = array.array("i", value)
    except OverflowError:
        packed = array.array("i", [signed(f"{name}[{i}]", t) for i, t in enumerate(value)])
    return Tokens(_OneId.from_buffer(packed), len(packed))


def token_list(name: str, value: object) -> list[int]:
    """The same for Python's own use."""
    held = tokens(name, value)
    return list(C.cast(held.pointer, C.POINTER(C.c_int32))[: held.count])


def _tokens_of_array(name: str, value: np.ndarray[Any, Any]) -> Tokens:
    if value.ndim != 1:
        raise ValueError(f"{name} is an array of shape {value.shape}, expected one dimension")
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: give what is not masked (compressed())")
    if value.dtype.kind == "O":
        return tokens(name, value.tolist())
    if value.dtype.kind not in "iu":
        raise TypeError(f"{name} is an array of {value.dtype}, expected integers")
    if value.size == 0:
        return _EMPTY
    for extreme in (value.min(), value.max()):
        if not -(2**31) <= int(extreme) < 2**31:
            index = int(np.flatnonzero(value == extreme)[0])
            raise OverflowError(f"{name}[{index}] is {extreme}, which is beyond 32 bits")
    copy = np.array(value, dtype=np.int32, order="C")  # what the caller does to the array later is nothing to us
    return Tokens(copy.ctypes.data_as(C.POINTER(C.c_int32)), int(copy.size))
