"""Samplers: how a token is chosen from logits."""

from __future__ import annotations

import ctypes as C
import math
import os
import weakref
from collections.abc import Mapping
from typing import Any

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from .errors import InvalidArgumentError
from .grammar import Grammar


class Sampler:
    """Bias, penalties, top-k, top-p, min-p, temperature, draw: llama.cpp's order and defaults.

    Here every value means itself: ``temperature=0`` is greedy, ``top_k=0``, ``top_p=1`` and ``min_p=0`` are off.
    The same seed gives the same tokens on every machine; None draws one, which `seed` then says. Raises InvalidArgumentError for
    a value outside its range. grammar: what every token is held to, before all other steps (`Model.grammar`).
    """

    def __init__(
        self, *, temperature: A.Number = 0.8, top_k: int = 40, top_p: A.Number = 0.95, min_p: A.Number = 0.05,
        repetition_penalty: A.Number = 1.0, frequency_penalty: A.Number = 0.0, presence_penalty: A.Number = 0.0,
        penalty_last_n: int = 64, logit_bias: Mapping[int, A.Number] | None = None, seed: int | None = 0,
        grammar: Grammar | None = None,
    ):  # fmt: skip
        o = S.sized(S.SamplerOptions)
        o.seed = int.from_bytes(os.urandom(8), "little") if seed is None else A.unsigned("seed", seed)
        # zero is the library's default; here it is what it says. A number too small for a float of 32 bits is zero.
        o.temperature = A.real("temperature", temperature)
        o.flags = K.SAMPLER_GREEDY if o.temperature == 0 else 0
        k = A.signed("top_k", top_k)
        o.top_k = -1 if k == 0 else k if k > 0 else _refuse("top_k", k)
        p = A.real("top_p", top_p)
        o.top_p = p if p != 0 else 1e-30  # only the best
        m = A.real("min_p", min_p)
        o.min_p = -1 if m == 0 else m if not m < 0 else _refuse("min_p", m)
        r = A.real("repetition_penalty", repetition_penalty)
        o.repetition_penalty = r if r != 0 else _refuse("repetition_penalty", 0)
        o.frequency_penalty = A.real("frequency_penalty", frequency_penalty)
        o.presence_penalty = A.real("presence_penalty", presence_penalty)
        o.penalty_last_n = A.signed("penalty_last_n", penalty_last_n)
        if o.penalty_last_n == 0:  # none at all is what was asked for
            o.repetition_penalty, o.frequency_penalty, o.presence_penalty = 1, 0, 0
        if not isinstance(logit_bias, Mapping) and logit_bias is not None:
            raise A.refuse("logit_bias", logit_bias, "a dict {token: number}")
        pairs = [(A.token("a token of logit_bias", t), A.real(f"logit_bias[{t}]", b)) for t, b in (logit_bias or {}).items()]
        o.logit_bias = (S.LogitBias * max(len(pairs), 1))(*(S.LogitBias(*pair) for pair in pairs))
        o.logit_bias_count = len(pairs)
        handle = C.c_void_p()
        lib.call("sampler_create", C.byref(o), C.byref(handle), None, 0)
        self._seed = int(o.seed)
        self._handle = handle.value
        self._finalizer = weakref.finalize(self, lib.free, "sampler", self._handle)
        if grammar is not None:
            self.set_grammar(grammar)

    def set_grammar(self, grammar: Grammar | None) -> None:
        """Holds what is sampled to `grammar`, from its beginning; None: to nothing. `reset`, and a generation with a prompt,
        begin it anew."""
        if not isinstance(grammar, Grammar) and grammar is not None:
            raise A.refuse("grammar", grammar, "a Grammar or None")
        lib.call("sampler_set_grammar", self._handle, None if grammar is None else grammar._handle)

    @property
    def seed(self) -> int:
        """The seed, also one that was drawn."""
        return self._seed

    def reset(self) -> None:
        """Back to the seed, nothing accepted."""
        lib.call("sampler_reset", self._handle)

    def accept(self, token: int) -> None:
        """Counts `token` for the penalties, as if it had been sampled. Raises InvalidTokenError for a negative one."""
        lib.call("sampler_accept", self._handle, A.token("token", token))

    def close(self) -> None:
        """Frees it."""
        self._finalizer()

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Sampler cannot be pickled or copied: it stands in the midst of its random numbers; make one of the same seed")


def _refuse(name: str, value: float) -> Any:
    raise InvalidArgumentError(f"{name} is {'nan' if math.isnan(value) else value}")
