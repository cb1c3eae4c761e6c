"""Options that models and contexts have in common, and what they would take."""

from __future__ import annotations

import ctypes as C
import math
from dataclasses import dataclass

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._calls import Calls, run
from .results import Memory

# of each machine the best last
KERNELS = {
    "best": K.KERNELS_BEST, "reference": K.KERNELS_REFERENCE, "avx2": K.KERNELS_AVX2, "avxvnni": K.KERNELS_AVX_VNNI, "avx512": K.KERNELS_AVX512,
    "avx512vbmi": K.KERNELS_AVX512_VBMI, "neon": K.KERNELS_NEON, "dotprod": K.KERNELS_DOTPROD, "i8mm": K.KERNELS_I8MM,
}  # fmt: skip
ROPE = {"none": K.ROPE_NONE, "linear": K.ROPE_LINEAR, "ntk": K.ROPE_NTK, "yarn": K.ROPE_YARN, "llama3": K.ROPE_LLAMA3}
KV = {"f16": K.KV_F16, "f32": K.KV_F32, "q8_0": K.KV_Q8_0, "q4_0": K.KV_Q4_0}
POOLING = {"mean": K.POOLING_MEAN, "last": K.POOLING_LAST, "first": K.POOLING_FIRST}


@dataclass(frozen=True)
class RoPE:
    """RoPE scaling that a context has in place of the file's.

    scaling: "none", "linear" (positions divided by factor), "ntk" (the base times factor^(d / (d - 2))), "yarn", "llama3", or None for the file's
    with another base. base: None for the file's. attention: what queries and keys are multiplied by, with YaRN beside its own factor.
    trained_length, beta_fast, beta_slow: of YaRN and llama3 (its high_freq_factor and low_freq_factor); None for what the file says, 32 (4) and 1. Raises ValueError for values that cannot be.
    """

    scaling: str | None = None
    factor: float | None = None
    base: float | None = None
    attention: float | None = None
    trained_length: int | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None

    def __post_init__(self) -> None:
        self._fields()

    def _fields(self) -> dict[str, float]:
        """Of llama2_context_options."""
        fields: dict[str, float] = {"rope_scaling": 0 if self.scaling is None else ROPE[A.choice("scaling", self.scaling, ROPE)]}
        fields["rope_trained_length"] = 0 if self.trained_length is None else A.unsigned("trained_length", self.trained_length, 32)
        for name in ("factor", "base", "attention", "beta_fast", "beta_slow"):
            value = getattr(self, name)
            number = 0.0 if value is None else A.real(name, value)
            if value is not None and not 0 < number < math.inf:
                raise ValueError(f"{name} is {A.shown(value)}, expected a positive number")
            fields["rope_" + name] = number
        return fields


def context_options(
    length: object, threads: object, sequences: object, batch_size: object, kv: object, kernels: object, deterministic: object,
    embeddings: object = False, rope: object = None,
    kv_values: object = None, pin_threads: object = False,
) -> S.ContextOptions:  # fmt: skip
    """The options of a context for the library, checked."""
    o = S.sized(S.ContextOptions)
    o.type_k = KV[A.choice("kv", kv, KV)]
    o.type_v = o.type_k if kv_values is None else KV[A.choice("kv_values", kv_values, KV)]
    o.flags = K.CONTEXT_KV_F32 if o.type_k == o.type_v == K.KV_F32 else 0
    o.flags |= (K.CONTEXT_DETERMINISTIC if A.flag("deterministic", deterministic) else 0)
    o.flags |= K.CONTEXT_PIN_THREADS if A.flag("pin_threads", pin_threads) else 0
    o.flags |= K.CONTEXT_EMBEDDINGS if A.flag("embeddings", embeddings) else 0
    if rope is not None:
        for name, value in A.instance("rope", rope, RoPE)._fields().items():
            setattr(o, name, value)
    o.context_length = A.unsigned("length", length, 32)
    o.max_sequences = A.unsigned("sequences", sequences, 32)
    o.batch_size = A.unsigned("batch_size", batch_size, 32)
    o.threads = A.unsigned("threads", threads, 32)
    o.kernels = KERNELS[A.choice("kernels", kernels, KERNELS)]
    return o


def preflight(
    path: A.Path, length: int = 0, threads: int = 0, *, sequences: int = 1, batch_size: int = 0, kv: str = "f16",
    kernels: str = "best", embeddings: bool = False, rope: RoPE | None = None,
    kv_values: str | None = None,
) -> Memory:  # fmt: skip
    """The bytes that a model and a context would take, before anything of it is allocated. Raises as `Model` and `Context` do."""
    options = context_options(length, threads, sequences, batch_size, kv, kernels, False, embeddings, rope, kv_values)
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
