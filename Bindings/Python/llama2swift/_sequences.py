"""The sequences of a context, and their states."""

from __future__ import annotations

import ctypes as C
from collections.abc import Iterable
from typing import Any

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._context import ContextBase
from .adapter import Adapter


class Sequences(ContextBase):
    """What a context has evaluated, by sequence."""

    def sequence_length(self, sequence: int = 0) -> int:
        """Positions of `sequence`. Raises OutOfRangeError."""
        value = C.c_size_t()
        lib.call("sequence_length", self._handle, A.signed("sequence", sequence), C.byref(value))
        return value.value

    def truncate(self, length: int, sequence: int = 0) -> None:
        """Removes the positions of `sequence` from `length` on, and forgets the logits. Raises OutOfRangeError."""
        number, wanted = A.signed("sequence", sequence), A.position("length", length)
        self._check_exports()
        lib.call("sequence_remove", self._handle, number, wanted)

    def copy_sequence(self, source: int, target: int, length: int | None = None) -> None:
        """`target` becomes the first `length` positions (None: all) of `source`, which share their memory until one of them
        goes on. The logits stay, unless `target` had positions. Raises OutOfRangeError, InvalidArgumentError."""
        first, second = A.signed("source", source), A.signed("target", target)
        count = self.sequence_length(first) if length is None else A.position("length", length)
        if self.sequence_length(second):
            self._check_exports()
        lib.call("sequence_copy", self._handle, first, second, count)

    def adopt(self, tokens: A.TokenIds, sequence: int = 0) -> int:
        """Starts `sequence`, which is empty, with the longest beginning of `tokens` that is stored anywhere in the context, in
        other sequences or in what is left of removed ones, but for the last token. Returns its length: evaluate the tokens
        from there on. Raises InvalidArgumentError, InvalidTokenError, OutOfRangeError."""
        ids, number, found = A.tokens("tokens", tokens), A.signed("sequence", sequence), C.c_size_t()
        lib.call("sequence_adopt", self._handle, number, ids.pointer, ids.count, C.byref(found))
        return found.value

    def shift(self, drop: int, sequence: int = 0, *, keep: int = 4) -> None:
        """Drops `drop` positions behind the first `keep`; the rest moves up, and there is room at the end. The logits, which are
        forgotten, are then not those of a fresh context, but the same bits after the same evals and shifts. Raises
        OutOfRangeError, ContextFullError."""
        number, head, gone = A.signed("sequence", sequence), A.position("keep", keep), A.position("drop", drop)
        self._check_exports()
        lib.call("sequence_shift", self._handle, number, head, gone)

    def set_adapters(self, sequence: int, adapters: Iterable[tuple[Adapter, float]]) -> None:
        """`sequence`, which is empty or has these already, has these (adapter, scale) from now on, until others are set; [] for none. What
        it has in the cache is found by `adopt` under the same adapters only. Raises InvalidArgumentError (more than 64, one twice, one of
        another model, a scale that is not finite, a sequence with positions), OutOfRangeError."""
        number = A.signed("sequence", sequence)
        array, count = scaled_adapters(adapters)
        lib.call("sequence_set_adapters", self._handle, number, array, count)

    def save_state(self, path: A.Path, sequence: int | None = None) -> None:
        """Writes the state of `sequence`, or of the whole context with its logits (None), to a file that is then complete or as
        it was. Format: STATE.md. Raises OutOfRangeError, InputOutputError."""
        name, number = A.path("path", path), _which(sequence)
        self._run(lambda: lib.call_naming((name,), "state_save", self._handle, number, name))

    def load_state(self, path: A.Path, sequence: int | None = None) -> None:
        """Takes a state over: of one sequence into `sequence`, which is empty, or (None) of a whole context in place of all that
        this one has. The next logits are the same bits as where it was saved. All or nothing. Raises InvalidArgumentError (another
        model or type of keys and values, a sequence that is not empty), FormatError, CorruptFileError, UnsupportedError,
        ContextFullError, OutOfRangeError, InputOutputError."""
        name, number = A.path("path", path), _which(sequence)
        self._run(lambda: lib.call_naming((name,), "state_load", self._handle, number, name))

    def state(self, sequence: int | None = None) -> bytes:
        """What `save_state` would write."""
        number, size, needed = _which(sequence), C.c_uint64(), C.c_size_t()
        lib.call("state_size", self._handle, number, C.byref(size))
        buffer = bytearray(size.value)
        raw = (C.c_char * max(len(buffer), 1)).from_buffer(buffer)
        self._run(lambda: lib.call("state_save_memory", self._handle, number, raw, len(buffer), C.byref(needed)))
        del raw
        return bytes(buffer)

    def set_state(self, state: bytes, sequence: int | None = None) -> None:
        """`load_state` from what `state` gave."""
        data, number = A.saved("state", state), _which(sequence)
        self._run(lambda: lib.call("state_load_memory", self._handle, number, data, len(data)))

    def reset(self) -> None:
        """Empties all sequences. What they had stays known to `adopt` as long as nobody needs the room."""
        self._check_exports()
        lib.call("context_reset", self._handle)


def scaled_adapters(adapters: object) -> tuple[Any, int]:
    """An array of them for C, and how many."""
    if isinstance(adapters, (str, bytes)) or not isinstance(adapters, Iterable):
        raise A.refuse("adapters", adapters, "a list of (adapter, scale)")
    rows = [_scaled(f"adapters[{i}]", entry) for i, entry in enumerate(adapters)]
    return (S.ScaledAdapter * max(len(rows), 1))(*(S.ScaledAdapter(adapter._handle, scale, 0) for adapter, scale in rows)), len(rows)


def _scaled(name: str, entry: object) -> tuple[Adapter, float]:
    if not isinstance(entry, (tuple, list)):
        raise A.refuse(name, entry, "(adapter, scale)")
    if len(entry) != 2:
        raise ValueError(f"{name} has {len(entry)} elements, expected (adapter, scale)")
    return A.instance(f"{name}[0]", entry[0], Adapter), A.real(f"{name}[1]", entry[1])


def _which(sequence: int | None) -> int:
    return K.ALL_SEQUENCES if sequence is None else A.signed("sequence", sequence)
