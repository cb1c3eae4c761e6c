"""Options that models and contexts have in common, and what they would take."""

from __future__ import annotations

import ctypes as C

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._calls import Calls, run
from .results import Memory

KERNELS = {
    "best": K.KERNELS_BEST, "reference": K.KERNELS_REFERENCE, "avx2": K.KERNELS_AVX2, "avx512": K.KERNELS_AVX512,
}  # fmt: skip
KV = {"f16": 0, "f32": K.CONTEXT_KV_F32}


def context_options(
    length: object, threads: object, sequences: object, batch_size: object, kv: object, kernels: object, deterministic: object
) -> S.ContextOptions:  # fmt: skip
    """The options of a context for the library, checked."""
    o = S.sized(S.ContextOptions)
    o.flags = KV[A.choice("kv", kv, KV)] | (K.CONTEXT_DETERMINISTIC if A.flag("deterministic", deterministic) else 0)
    o.context_length = A.unsigned("length", length, 32)
    o.max_sequences = A.unsigned("sequences", sequences, 32)
    o.batch_size = A.unsigned("batch_size", batch_size, 32)
    o.threads = A.unsigned("threads", threads, 32)
    o.kernels = KERNELS[A.choice("kernels", kernels, KERNELS)]
    return o


def preflight(
    path: A.Path, length: int = 0, threads: int = 0, *, sequences: int = 1, batch_size: int = 0, kv: str = "f16",
    kernels: str = "best",
) -> Memory:  # fmt: skip
    """The bytes that a model and a context would take, before anything of it is allocated. Raises as `Model` and `Context` do."""
    options = context_options(length, threads, sequences, batch_size, kv, kernels, False)
    raw, memory = A.path("path", path), S.sized(S.Memory)

    def call() -> None:
        lib.call_files("preflight", (raw,), None, C.byref(options), C.byref(memory), None, 0)

    run(Calls(), call, late=lambda _: None)
    return Memory(memory.model_bytes, memory.kv_bytes, memory.work_bytes, memory.logits_bytes)


def kernels_available() -> list[str]:
    """The kernels that this machine can run, best last."""
    mask = C.c_uint32()
    lib.call("kernels_available", C.byref(mask))
    return [name for name, k in KERNELS.items() if k and mask.value >> k & 1]
