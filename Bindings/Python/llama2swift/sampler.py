"""Samplers: how a token is chosen from logits."""

from __future__ import annotations

import ctypes as C
import math
import os
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._closing import Handle
from .errors import CancelledError, InvalidArgumentError
from .grammar import Grammar
from .vocabulary import Vocabulary

# A function that sees the candidates, ids and logits, and may change the logits.
Step = Callable[["np.ndarray[Any, np.dtype[np.int32]]", "np.ndarray[Any, np.dtype[np.float32]]"], None]


class Sampler(Handle):
    """Bias, penalties, DRY, filters, temperature, draw: llama.cpp's order and defaults.

    Here every value means itself: ``temperature=0`` is greedy, ``top_k=0``, ``top_p=1`` and ``min_p=0`` are off.
    The same seed gives the same tokens on every machine; None draws one, which `seed` then says. Raises InvalidArgumentError for
    a value outside its range. grammar: what every token is held to, before all other steps (`Model.grammar`).

    steps: the order, of the names in `Sampler.STEPS` and of functions; what is not in it is not done. A function is called with the
    candidates that the steps before it have left, as arrays without a copy: ids (n,) int32, read-only, and logits (n,) float32, which
    it may change (-inf takes a candidate out). What it raises ends the sample. The arrays are of the moment: one that is kept
    raises BufferError.

    model: whose tokens are meant by text_bias ({text: bias}, for every token that the text is made of), min_tokens (that many are
    sampled before the text may end), banned (texts of which none comes, however the tokens lie) and the sequence breakers of DRY (dry_breakers, None: llama.cpp's four).
    """

    _not_copied = ": it stands in the midst of its random numbers; make one of the same seed"
    STEPS = {name[len("STEP_") :].lower(): number for name, number in vars(K).items() if name.startswith("STEP_") and name != "STEP_OWN"}

    def __init__(
        self, *, temperature: A.Number = 0.8, top_k: int = 40, top_p: A.Number = 0.95, min_p: A.Number = 0.05,
        repetition_penalty: A.Number = 1.0, frequency_penalty: A.Number = 0.0, presence_penalty: A.Number = 0.0,
        penalty_last_n: int = 64, logit_bias: Mapping[int, A.Number] | None = None, seed: int | None = 0,
        grammar: Grammar | None = None, typical_p: A.Number = 1.0, top_a: A.Number = 0.0, top_n_sigma: A.Number = 0.0,
        epsilon_cutoff: A.Number = 0.0, eta_cutoff: A.Number = 0.0, xtc_probability: A.Number = 0.0, xtc_threshold: A.Number = 0.1,
        dynamic_range: A.Number = 0.0, dynamic_exponent: A.Number = 1.0, smoothing_factor: A.Number = 0.0, smoothing_curve: A.Number = 1.0,
        mirostat: int = 0, mirostat_tau: A.Number = 5.0, mirostat_eta: A.Number = 0.1, dry_multiplier: A.Number = 0.0,
        dry_base: A.Number = 1.75, dry_allowed_length: int = 2, dry_last_n: int = 64, dry_breakers: Sequence[str] | None = None,
        no_repeat_ngram: int = 0, min_tokens: int = 0, text_bias: Mapping[str, A.Number] | None = None, banned: Sequence[str] = (),
        steps: Sequence[str | Step] | None = None, model: Vocabulary | None = None,
    ):  # fmt: skip
        o = S.sized(S.SamplerOptions)
        o.seed = int.from_bytes(os.urandom(8), "little") if seed is None else A.unsigned("seed", seed)
        # zero is the library's default; here it is what it says. A number too small for a float of 32 bits is zero.
        o.temperature = A.real("temperature", temperature)
        o.flags = K.SAMPLER_GREEDY if o.temperature == 0 else 0
        k = A.signed("top_k", top_k)
        o.top_k = -1 if k == 0 else k if k > 0 else _refuse("top_k", k)
        p = A.real("top_p", top_p)
        o.top_p = p if p != 0 else _LEAST  # only the best
        m = A.real("min_p", min_p)
        o.min_p = -1 if m == 0 else m if not m < 0 else _refuse("min_p", m)
        r = A.real("repetition_penalty", repetition_penalty)
        o.repetition_penalty = r if r != 0 else _refuse("repetition_penalty", 0)
        o.frequency_penalty = A.real("frequency_penalty", frequency_penalty)
        o.presence_penalty = A.real("presence_penalty", presence_penalty)
        o.penalty_last_n = A.signed("penalty_last_n", penalty_last_n)
        if o.penalty_last_n == 0:  # none at all is what was asked for
            o.repetition_penalty, o.frequency_penalty, o.presence_penalty = 1, 0, 0
        pairs = _pairs("logit_bias", logit_bias, "a dict {token: number}", A.token)
        o.logit_bias = (S.LogitBias * max(len(pairs), 1))(*(S.LogitBias(*pair) for pair in pairs))
        o.logit_bias_count = len(pairs)

        given = {
            "top_a": top_a, "top_n_sigma": top_n_sigma, "epsilon_cutoff": epsilon_cutoff, "eta_cutoff": eta_cutoff,
            "xtc_probability": xtc_probability, "dynamic_range": dynamic_range, "smoothing_factor": smoothing_factor,
            "dry_multiplier": dry_multiplier,
        }  # fmt: skip
        for name, value in given.items():
            setattr(o, name, A.real(name, value))
        if o.top_n_sigma < 0:
            _refuse("top_n_sigma", o.top_n_sigma)
        # those that are not off at zero
        nonzero = {
            "typical_p": typical_p, "xtc_threshold": xtc_threshold, "dynamic_exponent": dynamic_exponent,
            "mirostat_tau": mirostat_tau, "mirostat_eta": mirostat_eta,
        }  # fmt: skip
        for name, value in nonzero.items():
            setattr(o, name, A.real(name, value) or _LEAST)
        for name, value in {"smoothing_curve": smoothing_curve, "dry_base": dry_base}.items():
            number = A.real(name, value)
            setattr(o, name, number if number != 0 else _refuse(name, 0))
        o.mirostat = A.unsigned("mirostat", mirostat, 32)
        length = A.signed("dry_allowed_length", dry_allowed_length)
        o.dry_allowed_length = -1 if length == 0 else length if length > 0 else _refuse("dry_allowed_length", length)
        o.dry_last_n = A.signed("dry_last_n", dry_last_n)
        if o.dry_last_n == 0:
            o.dry_multiplier = 0
        o.no_repeat_ngram = A.unsigned("no_repeat_ngram", no_repeat_ngram, 32)
        o.min_tokens = A.unsigned("min_tokens", min_tokens)

        if dry_breakers is not None:
            breakers = _texts("dry_breakers", dry_breakers)
            o.dry_breakers, o.dry_breaker_count = (S.Text * max(len(breakers), 1))(*(S.Text(b, len(b)) for b in breakers)), len(breakers)
            if not breakers:
                o.flags |= K.SAMPLER_NO_DRY_BREAKERS
        none = _texts("banned", banned)
        o.banned_texts, o.banned_text_count = (S.Text * max(len(none), 1))(*(S.Text(b, len(b)) for b in none)), len(none)
        biased = _pairs("text_bias", text_bias, "a dict {text: number}", A.text)
        o.text_bias = (S.TextBias * max(len(biased), 1))(*(S.TextBias(t, len(t), b, 0) for t, b in biased))
        o.text_bias_count = len(biased)
        if model is not None:
            o.model = A.instance("model", model, Vocabulary)._handle
        self._own = _Steps()
        if steps is not None:
            self._own.order(steps, self.STEPS, o)
        handle = C.c_void_p()
        lib.call("sampler_create", C.byref(o), C.byref(handle), None, 0)
        self._seed = int(o.seed)
        self._hold("sampler", handle.value)
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

    def sample(self, logits: np.ndarray[Any, np.dtype[np.floating[Any]]]) -> int:
        """Chooses a token from a row of logits, (vocabulary,), -inf for tokens that must not come, and accepts it."""
        row, token = _row(logits), C.c_int32()
        self._run(lambda: lib.call("sample_logits", self._handle, row.ctypes.data_as(C.POINTER(C.c_float)), row.size, C.byref(token)))
        return token.value

    def distribution(
        self, logits: np.ndarray[Any, np.dtype[np.floating[Any]]]
    ) -> tuple[np.ndarray[Any, np.dtype[np.int32]], np.ndarray[Any, np.dtype[np.float32]]]:
        """What `sample` would draw from: ids (n,) and the natural logarithms of their probabilities (n,), the most probable first.
        Nothing is chosen, and the sampler is as before."""
        row, needed = _row(logits), C.c_size_t()
        found = (S.Candidate * max(row.size, 1))()
        pointer = row.ctypes.data_as(C.POINTER(C.c_float))
        self._run(lambda: lib.call("sampler_distribution", self._handle, pointer, row.size, found, len(found), C.byref(needed)))
        table = np.frombuffer(memoryview(found).cast("B"), _CANDIDATE, needed.value)
        return table["token"].copy(), table["logit"].copy()

    def _run(self, call: Callable[[], None]) -> None:
        """Makes a call that may call own steps."""
        self._own.check()
        problem = None
        try:
            call()
        except CancelledError:
            problem = self._own.take_problem()
            if problem is None:
                raise
        if problem is not None:
            raise problem

    def accept(self, token: int) -> None:
        """Counts `token` for the penalties, as if it had been sampled. Raises InvalidTokenError for a negative one."""
        lib.call("sampler_accept", self._handle, A.token("token", token))

    def state(self) -> bytes:
        """All that the next token depends on beside options, grammar and logits, for `set_state`. Format: STATE.md."""
        return lib.call_text("sampler_save", self._handle)

    def set_state(self, state: bytes) -> None:
        """Goes on where `state` was called, in another process too: on a sampler of the same options (its own steps are the host's) and grammar. The seed
        may be another, `reset` goes back to it. All or nothing. Raises InvalidArgumentError, FormatError, CorruptFileError, UnsupportedError."""
        data = A.saved("state", state)
        lib.call("sampler_load", self._handle, data, len(data))


# Stands for zero where zero would be the default.
_LEAST = 1e-30
_CANDIDATE = np.dtype([("token", np.int32), ("logit", np.float32)])


class _Steps:
    """The host's own steps. The library's side of them holds this object and not the sampler."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.problem: BaseException | None = None
        self.views: weakref.WeakSet[_Memory] = weakref.WeakSet()

    def order(self, steps: Sequence[str | Step], names: Mapping[str, int], o: S.SamplerOptions) -> None:
        if isinstance(steps, (str, bytes, Mapping)) or not hasattr(steps, "__iter__"):
            raise A.refuse("steps", steps, "a list of names and functions")
        numbers: list[int] = []
        own: list[S.OwnStep] = []
        for i, step in enumerate(steps):
            if isinstance(step, str):
                numbers.append(names[A.choice(f"steps[{i}]", step, names)])
            elif callable(step):
                numbers.append(K.STEP_OWN + len(own))
                callback = S.StepCallback(self._called(step))
                self.kept.append(callback)
                own.append(S.OwnStep(C.cast(callback, C.c_void_p), None))
            else:
                raise A.refuse(f"steps[{i}]", step, "a name or a function")
        if not numbers:
            raise ValueError("steps is empty, expected at least one")
        o.steps, o.step_count = (C.c_uint32 * len(numbers))(*numbers), len(numbers)
        o.own_steps, o.own_step_count = (S.OwnStep * max(len(own), 1))(*own), len(own)

    def _called(self, function: Step) -> Callable[[Any, Any, Any], int]:
        def call(candidates: Any, count: Any, _: Any) -> int:
            try:
                result = self._give(function, C.addressof(candidates.contents), count[0])
                if result is not None:
                    raise TypeError(f"a step returned {A.shown(result)}, expected None: it changes the logits that it is given")
                self.check()
                return 0
            except BaseException as problem:  # goes on in whoever made the call, not in C
                # the arrays of what failed are not kept by how it failed
                traceback.clear_frames(problem.__traceback__)
                self.problem = problem
                return 1

        return call

    def _give(self, function: Callable[..., object], address: int, count: int) -> object:
        memory = _Memory(self, address, count)
        self.views.add(memory)
        table = np.asarray(memory)
        ids, logits = table["token"], table["logit"]
        ids.flags.writeable = False
        return function(ids, logits)

    def check(self) -> None:
        if len(self.views):
            raise BufferError("a step has kept an array of candidates; copy it")

    def take_problem(self) -> BaseException | None:
        """What a step raised, once."""
        problem, self.problem = self.problem, None
        return problem


class _Memory:
    """Stands behind the arrays that a step is given and all their views."""

    def __init__(self, owner: _Steps, address: int, count: int):
        self.owner = owner
        self.__array_interface__ = {
            "version": 3, "shape": (count,), "typestr": "|V8", "descr": [("token", "<i4"), ("logit", "<f4")], "data": (address, False),
        }  # fmt: skip


def _row(logits: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    if not isinstance(logits, np.ndarray) or logits.ndim != 1 or logits.dtype.kind != "f":
        shown = f"an array of {logits.dtype}, shape {logits.shape}" if isinstance(logits, np.ndarray) else A.shown(logits)
        raise TypeError(f"logits is {shown}, expected an array of floats of one dimension")
    return np.ascontiguousarray(logits, np.float32)


def _texts(name: str, value: Any) -> list[bytes]:
    if isinstance(value, (str, bytes, bytearray, memoryview, Mapping)) or not hasattr(value, "__iter__"):
        raise A.refuse(name, value, "a list of str")
    return [A.string(f"{name}[{i}]", s).encode() for i, s in enumerate(value)]


def _pairs(name: str, value: Any, expected: str, key: Callable[[str, object], Any]) -> list[tuple[Any, float]]:
    if not isinstance(value, Mapping) and value is not None:
        raise A.refuse(name, value, expected)
    return [(key(f"a key of {name}", k), A.real(f"{name}[{A.shown(k)}]", v)) for k, v in (value or {}).items()]


def _refuse(name: str, value: float) -> Any:
    raise InvalidArgumentError(f"{name} is {'nan' if math.isnan(value) else value}")
