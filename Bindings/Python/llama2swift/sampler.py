"""Samplers: how a token is chosen from logits."""

from __future__ import annotations

import ctypes as C
import math
import weakref
from collections.abc import Mapping

from . import _library as lib
from . import _structs as S

_GREEDY = 1


class Sampler:
    """Bias, penalties, top-k, top-p, min-p, temperature, draw: llama.cpp's order and defaults.

    Here every value means itself: ``temperature=0`` is greedy, ``top_k=0``, ``top_p=1`` and ``min_p=0`` are off.
    The same seed gives the same tokens on every machine. Raises InvalidArgumentError for a value outside its range.
    """

    def __init__(
        self, *, temperature: float = 0.8, top_k: int = 40, top_p: float = 0.95, min_p: float = 0.05,
        repetition_penalty: float = 1.0, frequency_penalty: float = 0.0, presence_penalty: float = 0.0,
        penalty_last_n: int = 64, logit_bias: Mapping[int, float] | None = None, seed: int = 0,
    ):  # fmt: skip
        o = S.sized(S.SamplerOptions)
        o.flags = _GREEDY if temperature == 0 else 0
        o.seed = seed & (2**64 - 1)
        o.temperature = temperature
        o.top_k = -1 if top_k == 0 else top_k if top_k > 0 else _refuse("top_k", top_k)
        o.top_p = top_p if top_p != 0 else 1e-30  # only the best
        o.min_p = -1 if min_p == 0 else min_p if not min_p < 0 else _refuse("min_p", min_p)
        o.repetition_penalty = repetition_penalty if repetition_penalty != 0 else _refuse("repetition_penalty", 0)
        o.frequency_penalty, o.presence_penalty = frequency_penalty, presence_penalty
        o.penalty_last_n = penalty_last_n
        if penalty_last_n == 0:  # zero is the library's default; none at all is what was asked for
            o.repetition_penalty, o.frequency_penalty, o.presence_penalty = 1, 0, 0
        pairs = [(t, b) for t, b in (logit_bias or {}).items()]
        o.logit_bias = (S.LogitBias * max(len(pairs), 1))(*(S.LogitBias(t, b) for t, b in pairs))
        o.logit_bias_count = len(pairs)
        handle = C.c_void_p()
        lib.call("sampler_create", C.byref(o), C.byref(handle), None, 0)
        self._handle = handle.value
        self._finalizer = weakref.finalize(self, lib.free, "sampler", self._handle)

    def reset(self) -> None:
        """Back to the seed, nothing accepted."""
        lib.call("sampler_reset", self._handle)

    def accept(self, token: int) -> None:
        """Counts `token` for the penalties, as if it had been sampled."""
        lib.call("sampler_accept", self._handle, token)

    def close(self) -> None:
        self._finalizer()

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _refuse(name: str, value: float):
    from .errors import InvalidArgumentError

    what = "nan" if isinstance(value, float) and math.isnan(value) else value
    raise InvalidArgumentError(f"{name} is {what}")
