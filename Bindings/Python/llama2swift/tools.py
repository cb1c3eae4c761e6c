"""Files: quantizing and converting."""

from __future__ import annotations

import ctypes as C
from collections.abc import Callable, Mapping

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._calls import Calls, Progress, library_flag, run


def quantize(
    path: A.Path, output: A.Path, type: str = "Q4_K_M", *, overrides: Mapping[str, str] | None = None, importance: A.Path | None = None,
    threads: int = 0, progress: Callable[[float], object] | None = None, keep_wider: bool = False, context_length: int = 0,
    adapter: A.Path | None = None, adapter_scale: float = 1.0,
) -> None:  # fmt: skip
    """Writes the model at `path`, of any format, to `output` as GGUF with smaller weights.

    type: F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q6_K, or llama.cpp's mixes Q3_K_S/M/L Q4_K_S/M Q5_K_S/M. overrides:
    {part of a tensor's name: type}, the first that fits counts. importance: a file of `Context.importance`. progress: called
    with 0 to 1; True stops (CancelledError). Ctrl-C does so within some milliseconds. keep_wider: a matrix with a weight that
    would be infinite in its type is kept in BF16 or F32, instead of a CorruptFileError that names it. context_length: see `Model`.
    adapter: a LoRA adapter (see `Model.adapter`) that becomes part of the weights, adapter_scale: what it counts, not 0.
    `output` is replaced when all is written and on the disk, and stays as it was after an error.
    """
    _run("quantize", path, output, type, overrides, importance, threads, progress, keep_wider, context_length, adapter, adapter_scale)


def convert(
    path: A.Path, output: A.Path, type: str = "F16", *, threads: int = 0, progress: Callable[[float], object] | None = None,
    keep_wider: bool = False, context_length: int = 0, adapter: A.Path | None = None, adapter_scale: float = 1.0,
) -> None:  # fmt: skip
    """Writes the model at `path`, of any format, to `output` as GGUF in F32, F16, BF16 or Q8_0. See `quantize`."""
    _run("convert", path, output, type, None, None, threads, progress, keep_wider, context_length, adapter, adapter_scale)


def _run(
    name: str, path: object, output: object, type_: object, overrides: object, importance: object, threads: object,
    progress: Callable[[float], object] | None, keep_wider: object, context_length: object, adapter: object, adapter_scale: object,
) -> None:  # fmt: skip
    paths = A.path("path", path), A.path("output", output)
    options = S.sized(S.QuantizeOptions)
    options.type = A.terminated("type", type_)
    options.flags = K.QUANTIZE_KEEP_WIDER if A.flag("keep_wider", keep_wider) else 0
    options.context_length = A.unsigned("context_length", context_length, 32)
    options.threads = A.unsigned("threads", threads, 32)
    options.importance = A.path("importance", importance) if importance is not None else None
    options.adapter = A.path("adapter", adapter) if adapter is not None else None
    scale = A.real("adapter_scale", adapter_scale)
    if scale == 0:
        raise ValueError("adapter_scale is 0: then there is nothing to merge")
    if adapter is None and scale != 1:
        raise ValueError(f"adapter_scale is {scale} without an adapter")
    options.adapter_scale = 0 if adapter is None else scale
    if overrides is not None and not isinstance(overrides, Mapping):
        raise A.refuse("overrides", overrides, "a dict {part of a name: type}")
    rules = [(A.terminated("a key of overrides", k), A.terminated(f"overrides[{k!r}]", v)) for k, v in (overrides or {}).items()]
    options.overrides = (S.TypeOverride * max(len(rules), 1))(*(S.TypeOverride(*rule) for rule in rules))
    options.override_count = len(rules)
    asks = Progress.of(A.function("progress", progress))
    kept = lib.ProgressCallback((lambda part, _: asks.ask(part)) if asks else 0)
    options.progress = C.cast(kept, C.c_void_p) if asks else None
    calls = Calls()
    cancel, options.cancel_data = library_flag(calls)
    options.cancel = C.cast(cancel, C.c_void_p)

    def call() -> None:
        # the options hold addresses only: what they point at lives as long as this
        assert kept is not None and cancel is not None
        lib.call_naming((*paths, *(p for p in (options.importance, options.adapter) if p)), name, *paths, C.byref(options), None, 0)

    run(calls, call, progress=asks)
