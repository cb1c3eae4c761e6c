"""`Llama` token by token: evaluation, sampling, states."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np

from . import _arguments as A
from ._common import common_length
from ._engine import Event
from ._llama import LlamaBase
from ._llama_arguments import NEUTRAL_SAMPLERS, only_neutral
from .context import Context
from .grammar import Grammar
from .llama_cache import LlamaState
from .llama_grammar import LlamaGrammar
from .sampler import Sampler


class ByHand(LlamaBase):
    """A context that is worked on by hand, between answers."""

    # what the context holds, as far as it is known
    _inside: list[int] = []

    @property
    def context(self) -> Context:
        """The context, for calls by hand: it holds what the last answer left, but for its last token. Ends the answers under way."""
        if self._scheduler is not None:
            self._scheduler.close()
            self._scheduler = None
            self._inside = self._last[: self._context.adopt(self._last)] if self._last else []
        return self._context

    # Caches

    cache: Any = None  # see `set_cache`

    def set_cache(self, cache: Any) -> None:
        """Where the states of answers are kept beyond what the context has room for: a `LlamaRAMCache`, or what has `[tokens]`; None: nowhere. No text
        depends on it. An answer that is asked for while another is under way neither looks there nor is kept."""
        if cache is not None and not (hasattr(cache, "__getitem__") and hasattr(cache, "__setitem__")):
            raise A.refuse("cache", cache, "a cache, as LlamaRAMCache, or None")
        self.cache = cache

    def _events(self, tokens: list[int], *arguments: Any, **options: Any) -> Iterator[Event]:
        kept = self.cache is not None and not self._is_answering
        if kept:
            self._find(tokens)
        return self._kept(super()._events(tokens, *arguments, **options), kept)

    def _kept(self, events: Iterator[Event], kept: bool) -> Iterator[Event]:
        yield from events
        if kept and self.cache is not None and not self._is_answering:
            state = self.context.state(0)
            if self._inside:
                self.cache[tuple(self._inside)] = LlamaState(state)

    def _find(self, tokens: list[int]) -> None:
        """Brings back what the cache has of their beginning, where the context has less."""
        if not tokens or any(not 0 <= t < self.n_vocab() for t in tokens):
            return
        self.reset()
        if self.context.adopt(tokens) >= len(tokens) - 1:
            return
        try:
            state = self.cache[tuple(tokens)]
        except KeyError:
            return
        self.reset()
        self.context.set_state(state, 0)
        self._inside = []

    # Evaluation

    def eval(self, tokens: Sequence[int]) -> None:
        """Appends tokens to the context."""
        ids = A.token_list("tokens", tokens)
        self.context.eval(ids)
        self._inside = [*self._inside, *ids]

    def reset(self) -> None:
        """Empties the context."""
        self.context.reset()
        self._inside = []

    def sample(
        self, top_k: int = 40, top_p: float = 0.95, min_p: float = 0.05, typical_p: float = 1.0, temp: float = 0.8, repeat_penalty: float = 1.0,
        frequency_penalty: float = 0.0, presence_penalty: float = 0.0, tfs_z: float = 1.0, mirostat_mode: int = 0, mirostat_eta: float = 0.1,
        mirostat_tau: float = 5.0, penalize_nl: bool = True, logits_processor: Any = None, grammar: Grammar | LlamaGrammar | None = None, idx: int | None = None,
        **others: Any,
    ) -> int:  # fmt: skip
        """A token from the last logits. Penalties count what was evaluated since the context was empty, or given a state; a grammar is at its beginning."""
        only_neutral({**others, "tfs_z": tfs_z, "penalize_nl": penalize_nl, "logits_processor": logits_processor, "idx": idx}, NEUTRAL_SAMPLERS, "sample")
        mirostat = mirostat_mode, mirostat_tau, mirostat_eta
        context, sampler = self.context, self._sampler(temp, top_p, min_p, top_k, frequency_penalty, presence_penalty, repeat_penalty, None, None, typical_p, mirostat)
        first = max(len(self._inside) - self._last_n, 0) if self._last_n >= 0 else 0
        for token in self._inside[first:] if repeat_penalty != 1 or frequency_penalty or presence_penalty else ():
            sampler.accept(token)
        self._hold(sampler, grammar)
        return context.sample(sampler)

    def _hold(self, sampler: Sampler, grammar: Grammar | LlamaGrammar | None) -> None:
        held = grammar.of(self.model) if isinstance(grammar, LlamaGrammar) else grammar
        if held is not None:
            sampler.set_grammar(held)

    def generate(
        self, tokens: Sequence[int], top_k: int = 40, top_p: float = 0.95, min_p: float = 0.05, typical_p: float = 1.0, temp: float = 0.8,
        repeat_penalty: float = 1.0, reset: bool = True, frequency_penalty: float = 0.0, presence_penalty: float = 0.0, tfs_z: float = 1.0, mirostat_mode: int = 0,
        mirostat_tau: float = 5.0, mirostat_eta: float = 0.1, penalize_nl: bool = True, logits_processor: Any = None, stopping_criteria: Any = None,
        grammar: Grammar | LlamaGrammar | None = None, **others: Any,
    ) -> Generator[int, Sequence[int] | None, None]:  # fmt: skip
        """Tokens behind `tokens`, for as long as they are asked for: an end token is one of them, and what `send` is given stands behind the last one. reset: they
        begin a text, of which nothing that the context holds is evaluated again; else they go on with what is there. Raises ContextFullError."""
        others |= {"tfs_z": tfs_z, "penalize_nl": penalize_nl, "logits_processor": logits_processor, "stopping_criteria": stopping_criteria}
        only_neutral(others, NEUTRAL_SAMPLERS, "generate")
        mirostat = mirostat_mode, mirostat_tau, mirostat_eta
        sampler = self._sampler(temp, top_p, min_p, top_k, frequency_penalty, presence_penalty, repeat_penalty, None, None, typical_p, mirostat)
        self._hold(sampler, grammar)
        wanted = A.token_list("tokens", tokens)
        if not wanted:
            raise ValueError("tokens: there are none")
        return self._tokens(wanted, sampler, A.flag("reset", reset))

    def _tokens(self, tokens: list[int], sampler: Any, reset: bool) -> Generator[int, Sequence[int] | None, None]:
        if reset:
            self.reset()
            found = self.context.adopt(tokens)
            self._inside, tokens = tokens[:found], tokens[found:]
        self.eval(tokens)
        while True:
            token = self.context.sample(sampler)
            more = yield token
            self.eval([token, *(() if more is None else A.token_list("what send was given", more))])

    @property
    def n_tokens(self) -> int:
        """Positions in use."""
        return self.context.sequence_length()

    @property
    def eval_tokens(self) -> deque[int]:
        """What was evaluated since the context was empty, or given a state."""
        return deque(self._inside, maxlen=self.n_ctx())

    @property
    def eval_logits(self) -> deque[list[float]]:
        """The logits of the last token: there are no others."""
        context = self.context
        return deque([context.logits().tolist()] if context.sequence_length() else [], maxlen=1)

    @staticmethod
    def logits_to_logprobs(logits: Any, axis: int = -1) -> Any:
        """Natural logarithms of the probabilities that logits stand for."""
        given = np.asarray(logits, np.float32)
        most = given.max(axis=axis, keepdims=True)
        given = given - np.where(np.isfinite(most), most, np.float32(0))
        with np.errstate(divide="ignore"):  # where nothing is possible
            return given - np.log(np.exp(given).sum(axis=axis, keepdims=True))

    @staticmethod
    def longest_token_prefix(a: Sequence[int], b: Sequence[int]) -> int:
        """How many tokens both begin with."""
        return common_length(a, b)

    def save_state(self) -> LlamaState:
        """All of the context, for `load_state`."""
        return LlamaState(self.context.state())

    def load_state(self, state: bytes) -> None:
        """The context as it was: the next logits are the same bits."""
        self.context.set_state(state)
        self._inside = []
