"""What every context is: its handle, calls that may be long, the logits, and facts."""

from __future__ import annotations

import ctypes as C
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from . import _arguments as A
from . import _library as lib
from . import _structs as S
from ._calls import SHORT, Calls, Progress, library_flag, run
from ._closing import Handle
from .errors import BusyError
from .layers import RowsMemory
from .modelfile import ModelFile
from .options import KERNELS, KV, RoPE, context_options
from .results import ContextInfo, Timings

Result = TypeVar("Result")
Logits = np.ndarray[Any, np.dtype[np.float32]]


class ContextBase(Handle):
    """Memory and threads on a model, without what is done with them."""

    _not_copied = ": it is threads and memory of this process; make one of its model"

    def __init__(
        self, model: ModelFile, *, length: int = 0, threads: int = 0, sequences: int = 1, batch_size: int = 0,
        kv: str = "f16", kernels: str = "best", deterministic: bool = False, energy: A.Path | None = None,
        embeddings: bool = False, rope: RoPE | None = None, kv_values: str | None = None, pin_threads: bool = False,
    ):  # fmt: skip
        A.instance("model", model, ModelFile)
        options = context_options(length, threads, sequences, batch_size, kv, kernels, deterministic, embeddings, rope, kv_values, pin_threads)
        options.energy_path = None if energy is None else A.path("energy", energy)
        handle = C.c_void_p()
        lib.call("context_create", model._handle, C.byref(options), C.byref(handle), None, 0)
        self._hold("context", handle.value)
        self.model = model
        self._exports: weakref.WeakSet[_LogitsMemory | RowsMemory] = weakref.WeakSet()
        self._calls = Calls()
        self._cancel = library_flag(self._calls)
        self._layers = S.LayerCallback(0)
        lib.call("context_set_cancel", self._handle, *self._cancel)
        shape = model.hyperparameters
        # a pass reads the file once, whatever its tokens, and multiplies once for each
        self._bytes, self._weights, self._width = shape.file_bytes, shape.parameter_count, shape.embedding_length
        self._is_warm, self._is_slow = False, self.info.kernels == "reference"

    def _run(self, call: Callable[[], Result], *, tokens: int | None = None, progress: Progress | None = None) -> Result:
        """Makes a call that may be long. tokens: evaluated by it; None: it is long."""
        self._check_exports()
        # the first eval may have to read the file from the disk
        short = tokens is not None and self._is_warm and not self._is_slow and self._weights * max(tokens, 1) < SHORT and self._bytes < SHORT
        try:
            result = run(self._calls, call, short=short, progress=progress)
        except BusyError:
            lib.call("logits_rows", self._handle, C.byref(C.c_size_t()))  # after a fork, or when it is closed, that is the reason
            raise
        self._is_warm = True
        return result

    def logits(self) -> Logits:
        """The logits of the last eval: (vocabulary,) for one row, (rows, vocabulary) for several; float32, read-only.

        It is the context's own memory, not a copy. While such an array is alive, whatever would change that memory is
        refused with BufferError, as for a bytearray with exports: copy it, or let it go. Raises NoLogitsError.
        """
        rows, count, pointer = C.c_size_t(), C.c_size_t(), C.POINTER(C.c_float)()
        lib.call("logits_rows", self._handle, C.byref(rows))
        lib.call("logits", self._handle, 0, C.byref(pointer), C.byref(count))
        memory = _LogitsMemory(self, C.addressof(pointer.contents), rows.value, count.value)
        self._exports.add(memory)
        array: Logits = np.asarray(memory)
        return array[0] if rows.value == 1 else array

    def _check_exports(self) -> None:
        if len(self._exports):
            raise BufferError("an array from logits() or of a LayerView is still in use; copy it or delete it before the next eval")

    def cancel(self) -> None:
        """Ends the call under way in another thread, if there is one: that raises CancelledError, or a generation's `reason`
        becomes "cancelled". From any thread."""
        self._calls.cancel()

    def set_cancel(self, callback: Callable[[], object] | None) -> None:
        """`callback` is asked between the layers of every eval, by the thread that works; a true value cancels it (CancelledError),
        and the context is as before; what it raises does so, too. None removes it. Where `cancel` from another thread
        will do, that costs nothing."""
        A.function("callback", callback)
        calls = self._calls

        def ask(_: object) -> int:
            if calls.flag.value:
                return 1
            try:
                return 1 if callback is not None and callback() else 0
            except BaseException as problem:  # goes on in whoever made the call
                calls.problem = problem
                return 1

        cancel = (lib.CancelCallback(ask), None) if callback is not None else library_flag(calls)
        lib.call("context_set_cancel", self._handle, *cancel)
        self._cancel = cancel  # ctypes frees a callback that nobody holds

    @property
    def info(self) -> ContextInfo:
        """What this context is made of."""
        i = S.sized(S.ContextInfo)
        lib.call("context_get_info", self._handle, C.byref(i))
        kernels = next(name for name, number in KERNELS.items() if number == i.kernels)
        names = {number: name for name, number in KV.items()}
        return ContextInfo(
            i.context_length, i.max_sequences, i.batch_size, i.threads, kernels, names[i.type_k], i.memory_bytes, i.pages, i.pages_used,
            i.pages_shared, i.pages_cached, i.positions, names[i.type_v],
        )  # fmt: skip

    @property
    def timings(self) -> Timings:
        """Tokens and seconds since creation or the last reset."""
        t = S.sized(S.Timings)
        lib.call("context_timings", self._handle, C.byref(t))
        return Timings(
            t.prefill_tokens, t.prefill_nanoseconds / 1e9, t.decode_tokens, t.decode_nanoseconds / 1e9, t.prefill_cpu_nanoseconds / 1e9,
            t.decode_cpu_nanoseconds / 1e9, t.prefill_microjoules / 1e6, t.decode_microjoules / 1e6, t.energy_zones,
        )  # fmt: skip

    def close(self) -> None:
        """Frees cache and threads; a call under way in another thread ends soon, with CancelledError. Raises BufferError while an
        array of `logits()` is alive."""
        self._check_exports()
        self._calls.cancel()
        super().close()

    def __exit__(self, *_: object) -> None:
        if len(self._exports):
            self._calls.cancel()  # with arrays alive it ends with the last of them
        else:
            self.close()


class _LogitsMemory:
    """Stands behind every array of `logits()` and all its views: keeps the context alive, and is known to it."""

    def __init__(self, context: ContextBase, address: int, rows: int, count: int):
        self.context = context
        self.__array_interface__ = {
            "version": 3, "shape": (rows, count), "typestr": "<f4", "data": (address, True),
        }  # fmt: skip
