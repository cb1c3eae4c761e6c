"""Adapters: small matrices beside a model's own, which some sequences have and others do not."""

from __future__ import annotations

import ctypes as C
from typing import Protocol

from . import _arguments as A
from . import _library as lib
from . import _structs as S
from ._closing import Handle


class HasWeights(Protocol):
    """A model, seen from here: models load adapters, so that adapters cannot import them."""

    _handle: int | None


class Adapter(Handle):
    """A LoRA adapter for one model: a GGUF file as llama.cpp's converter writes it, or a folder of PEFT's. Never changes; any number of
    contexts and threads share it. `Context.set_adapters` gives it to a sequence; when it is closed, sequences that have it go on.

    Loaded by `Model.adapter`.
    """

    _not_copied = "; load it again"

    def __init__(self, model: HasWeights, path: A.Path):
        if not isinstance(getattr(model, "_handle", None), int):
            raise A.refuse("model", model, "a Model")
        raw, handle = A.path("path", path), C.c_void_p()
        lib.call_naming((raw,), "adapter_load", model._handle, raw, C.byref(handle), None, 0)
        self._hold("adapter", handle.value)

    def _info(self) -> S.AdapterInfo:
        info = S.sized(S.AdapterInfo)
        lib.call("adapter_get_info", self._handle, C.byref(info))
        return info

    @property
    def products(self) -> int:
        """Of the model that it adds to."""
        return int(self._info().products)

    @property
    def rank(self) -> int:
        """The largest."""
        return int(self._info().rank)

    @property
    def bytes(self) -> int:
        """Of memory."""
        return int(self._info().bytes)

    @property
    def fingerprint(self) -> int:
        """A hash of what it computes: the same in every process."""
        return int(self._info().fingerprint)
