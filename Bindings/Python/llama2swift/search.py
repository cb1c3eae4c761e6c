"""Several texts at once on one context, as forks of sequences that share their pages: beam search, best of n, guidance."""

from __future__ import annotations

import ctypes as C
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from .errors import CancelledError, InvalidArgumentError
from .modelfile import ModelFile
from .sampler import Sampler

Row = np.ndarray[Any, np.dtype[np.float32]]


class Sequences(Protocol):
    """What is needed of a Context."""

    model: ModelFile
    _handle: Any

    @property
    def info(self) -> Any:
        """See Context.info."""
        ...
    def eval_batch(self, entries: Any) -> None:
        """See Context.eval_batch."""
        ...
    def logits(self) -> Any:
        """See Context.logits."""
        ...
    def truncate(self, length: int, sequence: int = 0) -> None:
        """See Context.truncate."""
        ...
    def sequence_length(self, sequence: int = 0) -> int:
        """See Context.sequence_length."""
        ...
    def _run(self, call: Callable[[], None]) -> None: ...


@dataclass(frozen=True)
class Found:
    """A text that was found. score: the sum of its tokens' log-probabilities, divided by its length^length_penalty (beam search), or
    their mean (best of n). The end token, where there is one, is among the tokens and not in the text."""

    tokens: list[int]
    text: str
    score: float
    ended: bool


def _found(model: ModelFile, prompt: list[int], raw: S.Found, ids: Any) -> Found:
    tokens = ids[raw.first : raw.first + raw.count]
    plain = tokens[:-1] if tokens and model.is_end(tokens[-1]) else tokens
    # behind the prompt, so that the first space stays
    whole, head = model.detokenize(prompt + plain), model.detokenize(prompt)
    text = whole[len(head) :] if whole.startswith(head) else model.detokenize(plain)
    return Found(tokens, text, raw.score, raw.reason == K.END_TOKEN)


def _tokens(context: Sequences, name: str, prompt: Any) -> list[int]:
    if isinstance(prompt, str):
        tokens = context.model.tokenize_prompt(A.text(name, prompt).decode("utf-8", "surrogateescape"))
    else:
        tokens = A.token_list(name, prompt)
    if not tokens:
        raise InvalidArgumentError(f"{name} is empty; begin with BOS")
    return tokens


def _finite(name: str, number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}, expected a finite number")
    return number


def _options(context: Sequences, prompt: list[int], limit: int) -> S.SearchOptions:
    o = S.sized(S.SearchOptions)
    ids = A.tokens("prompt", prompt)
    o.prompt, o.prompt_count = ids.pointer, ids.count
    o.max_tokens = min(limit, context.info.context_length)  # no text is longer
    return o


def beam_search(
    context: Sequences, prompt: Any, width: int, max_tokens: int, length_penalty: A.Number, early_stopping: bool | str, count: int
) -> list[Found]:
    """transformers' beam search without sampling. Uses `width` empty sequences."""
    n = A.unsigned("width", width, 16)
    limit, wanted, penalty = A.unsigned("max_tokens", max_tokens), A.unsigned("count", count, 16), _finite("length_penalty", A.double("length_penalty", length_penalty))
    if n < 1 or limit < 1 or not 1 <= wanted <= n:
        raise ValueError(f"width is {n}, max_tokens {limit} and count {wanted}, expected at least 1, and count at most width")
    if not (early_stopping is True or early_stopping is False or early_stopping == "never"):
        raise A.refuse("early_stopping", early_stopping, "True, False or 'never'")
    start = _tokens(context, "prompt", prompt)
    o = _options(context, start, limit)
    o.width, o.length_penalty = n, penalty
    o.flags = K.SEARCH_STOP_FULL if early_stopping is True else K.SEARCH_STOP_EXACT if early_stopping == "never" else 0
    found, ids, needed = (S.Found * wanted)(), (C.c_int32 * (wanted * o.max_tokens))(), C.c_size_t()
    context._run(lambda: lib.call("beam_search", context._handle, C.byref(o), found, wanted, ids, len(ids), C.byref(needed)))
    return [_found(context.model, start, raw, ids) for raw in found[: needed.value]]


def best_of(context: Sequences, prompt: Any, samplers: Sequence[Sampler], max_tokens: int) -> list[Found]:
    """A text of each sampler, the most probable (by the mean of log-probabilities) first; the prompt is evaluated once. Uses as many
    empty sequences."""
    limit = A.unsigned("max_tokens", max_tokens)
    if not isinstance(samplers, (list, tuple)):
        raise A.refuse("samplers", samplers, "a list of Samplers")
    if not samplers or limit < 1:
        raise ValueError(f"{len(samplers)} samplers and max_tokens {limit}, expected at least 1 of each")
    for i, sampler in enumerate(samplers):
        A.instance(f"samplers[{i}]", sampler, Sampler)
        sampler._own.check()
    n, start = len(samplers), _tokens(context, "prompt", prompt)
    o = _options(context, start, limit)
    handles, found, ids = (C.c_void_p * n)(*(s._handle for s in samplers)), (S.Found * n)(), (C.c_int32 * (n * o.max_tokens))()
    problem = None
    try:
        context._run(lambda: lib.call("best_of", context._handle, C.byref(o), handles, n, found, ids, len(ids)))
    except CancelledError:
        problem = next((p for s in samplers if (p := s._own.take_problem()) is not None), None)
        if problem is None:
            raise
    if problem is not None:
        raise problem
    return [_found(context.model, start, raw, ids) for raw in found]


def _free(context: Sequences, needed: int) -> list[int]:
    """So many sequences that are empty."""
    have = context.info.max_sequences
    free = [i for i in range(have) if not context.sequence_length(i)]
    if len(free) < needed:
        raise InvalidArgumentError(f"{needed} empty sequences are needed, and {len(free)} of the context's {have} are: Context(sequences=...)")
    return free[:needed]


def guided(
    context: Sequences, prompt: Any, negative: Any, scale: A.Number, sampler: Sampler, max_tokens: int
) -> Iterator[int]:
    """Classifier-free guidance (Sanchez et al. 2023): tokens from scale * log p(prompt) - (scale - 1) * log p(negative). Uses two
    empty sequences."""
    limit, strength = A.unsigned("max_tokens", max_tokens), _finite("scale", A.real("scale", scale))
    if limit < 1:
        raise ValueError("max_tokens is 0, expected at least 1")
    model, start, against = context.model, _tokens(context, "prompt", prompt), _tokens(context, "negative", negative)
    _free(context, 2)
    return _guided(context, model, start, against, strength, sampler, limit)


def _guided(
    context: Sequences, model: ModelFile, start: list[int], against: list[int], strength: float, sampler: Sampler, limit: int
) -> Iterator[int]:
    first, second = _free(context, 2)
    size = model.hyperparameters.vocabulary_size
    mixed: Row = np.empty(size, np.float32)
    try:
        entries = [(t, first, i == len(start) - 1) for i, t in enumerate(start)]
        context.eval_batch(entries + [(t, second, i == len(against) - 1) for i, t in enumerate(against)])
        for made in range(limit):
            rows = np.array(context.logits())
            with_it, without = (rows[i].ctypes.data_as(C.POINTER(C.c_float)) for i in range(2))
            lib.call("guide_logits", with_it, without, size, strength, mixed.ctypes.data_as(C.POINTER(C.c_float)))
            token = sampler.sample(mixed)
            yield token
            if model.is_end(token) or made == limit - 1:
                return
            context.eval_batch([(token, first, True), (token, second, True)])
    finally:
        for sequence in (first, second):
            context.truncate(0, sequence)


def pieces(model: ModelFile, tokens: Iterator[int]) -> Iterator[str]:
    """The text of tokens as they come."""
    decoder = model.decoder()
    for token in tokens:
        piece = "" if model.is_end(token) else decoder.append(token)
        if piece:
            yield piece
    rest = decoder.finish()
    if rest:
        yield rest
