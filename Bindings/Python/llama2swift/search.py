"""Several texts at once on one context, as forks of sequences that share their pages: beam search, best of n, guidance."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from . import _arguments as A
from .errors import InvalidArgumentError
from .modelfile import ModelFile
from .sampler import Sampler

Row = np.ndarray[Any, np.dtype[np.float64]]
# What stands for a score that nothing has: transformers'.
_NONE = -1.0e9


class Sequences(Protocol):
    """What is needed of a Context."""

    model: ModelFile

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
    def copy_sequence(self, source: int, target: int, length: int | None = None) -> None:
        """See Context.copy_sequence."""
        ...
    def truncate(self, length: int, sequence: int = 0) -> None:
        """See Context.truncate."""
        ...
    def sequence_length(self, sequence: int = 0) -> int:
        """See Context.sequence_length."""
        ...
    def adopt(self, tokens: Any, sequence: int = 0) -> int:
        """See Context.adopt."""
        ...


@dataclass(frozen=True)
class Found:
    """A text that was found. score: the sum of its tokens' log-probabilities, divided by its length^length_penalty (beam search), or
    their mean (best of n). The end token, where there is one, is among the tokens and not in the text."""

    tokens: list[int]
    text: str
    score: float
    ended: bool


def log_softmax(row: Any) -> Row:
    """Of one row of logits, in float64."""
    x = row.astype(np.float64)
    x -= x.max()
    result: Row = x - np.log(np.exp(x).sum())
    return result


def _found(model: ModelFile, prompt: list[int], tokens: list[int], score: float) -> Found:
    ended = bool(tokens) and model.is_end(tokens[-1])
    plain = tokens[:-1] if ended else tokens
    # behind the prompt, so that the first space stays
    whole, head = model.detokenize(prompt + plain), model.detokenize(prompt)
    return Found(tokens, whole[len(head) :] if whole.startswith(head) else model.detokenize(plain), score, ended)


def _tokens(context: Sequences, name: str, prompt: Any) -> list[int]:
    if isinstance(prompt, str):
        tokens = context.model.tokenize_prompt(A.text(name, prompt).decode("utf-8", "surrogateescape"))
    else:
        tokens = A.token_list(name, prompt)
    if not tokens:
        raise InvalidArgumentError(f"{name} is empty; begin with BOS")
    return tokens


def _finite(name: str, value: Any) -> float:
    number = A.real(name, value)
    if not np.isfinite(number):
        raise ValueError(f"{name} is {number}, expected a finite number")
    return number


def _free(context: Sequences, needed: int) -> list[int]:
    """So many sequences that are empty."""
    have = context.info.max_sequences
    free = [i for i in range(have) if not context.sequence_length(i)]
    if len(free) < needed:
        raise InvalidArgumentError(f"{needed} empty sequences are needed, and {len(free)} of the context's {have} are: Context(sequences=...)")
    return free[:needed]


def _begin(context: Sequences, prompt: list[int], sequence: int) -> None:
    found = context.adopt(prompt, sequence)
    rest = prompt[found:]
    context.eval_batch([(t, sequence, i == len(rest) - 1) for i, t in enumerate(rest)])


def _rows(context: Sequences) -> Any:
    return np.atleast_2d(np.array(context.logits()))


def _empty(context: Sequences, sequences: list[int]) -> None:
    for sequence in sequences:
        context.truncate(0, sequence)


def beam_search(
    context: Sequences, prompt: Any, width: int, max_tokens: int, length_penalty: A.Number, early_stopping: bool | str, count: int
) -> list[Found]:
    """transformers' beam search without sampling. Uses 2 * width empty sequences."""
    n = A.unsigned("width", width, 16)
    limit, wanted, penalty = A.unsigned("max_tokens", max_tokens), A.unsigned("count", count, 16), _finite("length_penalty", length_penalty)
    if n < 1 or limit < 1 or not 1 <= wanted <= n:
        raise ValueError(f"width is {n}, max_tokens {limit} and count {wanted}, expected at least 1, and count at most width")
    if not (early_stopping is True or early_stopping is False or early_stopping == "never"):
        raise A.refuse("early_stopping", early_stopping, "True, False or 'never'")
    model, start = context.model, _tokens(context, "prompt", prompt)
    sequences = _free(context, 2 * n)
    ends = [t for t in range(model.hyperparameters.vocabulary_size) if model.is_end(t)]
    kept = max(2, 1 + len(ends)) * n
    try:
        _begin(context, start, sequences[0])
        # live: (score, tokens), on the sequences `home`; done: (score, tokens), the best first
        home, other = sequences[:n], sequences[n:]
        live: list[tuple[float, list[int]]] = [(0.0, [])]
        done: list[tuple[float, list[int]]] = []
        improvable = True
        while True:
            rows = _rows(context)
            size = rows.shape[1]
            total = np.concatenate([log_softmax(row) + score for row, (score, _) in zip(rows, live)])
            order = np.argsort(-total, kind="stable")[:kept]
            best = [(float(total[i]), int(i) // size, int(i) % size) for i in order]
            # 1. What ends is done, if it is among the best `width`; the best others go on.
            length = len(live[0][1]) + 1
            is_last = length >= limit
            finished = [is_last or t in ends for _, _, t in best]
            full = len(done) == n and early_stopping is True
            for (score, beam, token), ends_here in list(zip(best, finished))[:n]:
                if ends_here and improvable and not full:
                    done.append((score / length**penalty, [*live[beam][1], token]))
            done = heapq.nlargest(n, done, key=lambda pair: pair[0])
            going = [(score, beam, token) for (score, beam, token), ends_here in zip(best, finished) if not ends_here][:n]
            # 2. Is there anything to be gained?
            if is_last or not going:
                break
            longest = limit if early_stopping == "never" and penalty > 0 else length
            worst = done[-1][0] if len(done) == n else _NONE
            improvable = improvable and going[0][0] / longest**penalty > worst
            if not improvable or (len(done) == n and early_stopping is True):
                break
            # 3. Forks: each beam goes on where its parent stands.
            for place, (_, beam, _) in enumerate(going):
                context.copy_sequence(home[beam], other[place])
            for beam in range(len(live)):
                context.truncate(0, home[beam])
            live = [(score, [*live[beam][1], token]) for score, beam, token in going]
            home, other = other, home
            context.eval_batch([(tokens[-1], home[place], True) for place, (_, tokens) in enumerate(live)])
    finally:
        _empty(context, sequences)
    return [_found(model, start, tokens, score) for score, tokens in done[:wanted]]


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
    n, model, start = len(samplers), context.model, _tokens(context, "prompt", prompt)
    sequences = _free(context, n)
    texts: list[list[int]] = [[] for _ in range(n)]
    sums = [0.0] * n
    try:
        _begin(context, start, sequences[0])
        for sequence in sequences[1:]:
            context.copy_sequence(sequences[0], sequence)
        first = _rows(context)[0]
        rows, living = [first] * n, list(range(n))
        while living:
            going = []
            for row, i in zip(rows, living):
                token = samplers[i].sample(row)
                sums[i] += float(log_softmax(row)[token])
                texts[i].append(token)
                if not model.is_end(token) and len(texts[i]) < limit:
                    going.append(i)
            living = going
            if living:
                context.eval_batch([(texts[i][-1], sequences[i], True) for i in living])
                rows = list(_rows(context))
    finally:
        _empty(context, sequences)
    found = [_found(model, start, tokens, total / len(tokens)) for tokens, total in zip(texts, sums)]
    return sorted(found, key=lambda f: -f.score)


def guided(
    context: Sequences, prompt: Any, negative: Any, scale: A.Number, sampler: Sampler, max_tokens: int
) -> Iterator[int]:
    """Classifier-free guidance (Sanchez et al. 2023): tokens from scale * log p(prompt) - (scale - 1) * log p(negative). Uses two
    empty sequences."""
    limit, strength = A.unsigned("max_tokens", max_tokens), _finite("scale", scale)
    if limit < 1:
        raise ValueError("max_tokens is 0, expected at least 1")
    model, start, against = context.model, _tokens(context, "prompt", prompt), _tokens(context, "negative", negative)
    _free(context, 2)
    return _guided(context, model, start, against, strength, sampler, limit)


def _guided(
    context: Sequences, model: ModelFile, start: list[int], against: list[int], strength: float, sampler: Sampler, limit: int
) -> Iterator[int]:
    first, second = _free(context, 2)
    try:
        entries = [(t, first, i == len(start) - 1) for i, t in enumerate(start)]
        context.eval_batch(entries + [(t, second, i == len(against) - 1) for i, t in enumerate(against)])
        for made in range(limit):
            wanted, unwanted = (log_softmax(row) for row in _rows(context))
            with np.errstate(invalid="ignore"):
                mixed = unwanted + strength * (wanted - unwanted)
            mixed[~np.isfinite(wanted)] = -np.inf  # what cannot come stays so
            token = sampler.sample(np.maximum(mixed, -3e38, where=np.isfinite(mixed), out=mixed).astype(np.float32))
            yield token
            if model.is_end(token) or made == limit - 1:
                return
            context.eval_batch([(token, first, True), (token, second, True)])
    finally:
        _empty(context, [first, second])


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
