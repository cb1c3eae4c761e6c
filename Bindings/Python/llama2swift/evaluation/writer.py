"""A token from a row of logits, as often as a text goes on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._written import WrittenText
from .asked import Prompt

if TYPE_CHECKING:
    from .engine import Engine, Sink


class Rows:
    """Logits as log-probabilities, in a buffer of its own."""

    def __init__(self, vocabulary: int):
        self._room = np.empty(vocabulary, np.float32)

    def best(self, logits: np.ndarray[Any, Any]) -> int:
        """The most probable token. Raises ValueError where there are no probabilities."""
        best = int(logits.argmax())
        if not math.isfinite(logits[best]):
            raise ValueError(f"the largest logit is {logits[best]}: this model gives no probabilities")
        return best

    def best_and_scale(self, logits: np.ndarray[Any, Any]) -> tuple[int, float]:
        """(most probable token, logarithm of the sum of e^logit). Raises ValueError where there are no probabilities."""
        best = self.best(logits)
        np.subtract(logits, logits[best], out=self._room)
        np.exp(self._room, out=self._room)
        return best, float(logits[best]) + math.log(float(self._room.sum(dtype=np.float64)))


class Writer:
    """A text that is being written."""

    def __init__(self, engine: Engine, index: int, prompt: Prompt, sequence: int, found: int):
        self.engine, self.index, self.prompt, self.sequence = engine, index, prompt, sequence
        self.pending: Sequence[int] = prompt.tokens[found:]
        self.written = WrittenText(engine.model, prompt.stops, prompt.max_tokens, engine.is_end)

    @property
    def left(self) -> int:
        return self.prompt.max_tokens - len(self.written.tokens)

    def entries(self) -> list[tuple[int, int, Sink | None]]:
        last = len(self.pending) - 1
        return [(token, self.sequence, self.take if i == last else None) for i, token in enumerate(self.pending)]

    def go_on(self) -> None:
        """After an eval that failed: what is pending is what the sequence does not have."""
        self.pending = [*self.prompt.tokens, *self.written.tokens][self.engine.context.sequence_length(self.sequence) :]

    def take(self, row: np.ndarray[Any, Any]) -> None:
        token = self._choose(row, len(self.written.tokens))
        self.pending = [token]
        self.written.take(token)

    def _choose(self, row: np.ndarray[Any, Any], number: int) -> int:
        best = self.engine.rows.best(row)
        if self.prompt.temperature == 0:
            return best
        # the nucleus: the most probable tokens whose probabilities add up to top_p (Holtzman et al., 2020)
        weights = np.exp((row.astype(np.float64) - float(row[best])) / self.prompt.temperature)
        weights /= weights.sum()
        order = np.flatnonzero(weights > 1e-6)  # a thousandth part of the vocabulary, as a rule
        order = order[np.argsort(-weights[order], kind="stable")]
        if float(weights[order].sum()) < self.prompt.top_p:
            order = np.argsort(-weights, kind="stable")
        sums = np.cumsum(weights[order])
        count = int(np.searchsorted(sums, self.prompt.top_p)) + 1
        sums = sums[:count]
        digest = hashlib.sha256(f"{self.prompt.seed}/{number}".encode()).digest()
        draw = int.from_bytes(digest[:7], "big") / 256**7 * float(sums[-1])
        return int(order[min(int(np.searchsorted(sums, draw, side="right")), len(sums) - 1)])
