"""What a task asks, and how an answer counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Union

from .data import Item


@dataclass(frozen=True)
class Choice:
    """Given answers, of which the most probable one is taken.

    pairs: (context, continuation) each. right: indices of what is right. by: what the log-probability is divided by or compared with:
    "characters" of the continuation, "nothing", or "answer", the probability after `baseline` alone (Brown et al., GPT-3, 2020).
    mass: what counts is the share of the probability that is on right answers, not which one is the best.
    """

    pairs: tuple[tuple[str, str], ...]
    right: frozenset[int]
    by: str = "characters"
    baseline: str = ""
    mass: bool = False

    def value(self, log_probabilities: Sequence[float], baselines: Sequence[float] = ()) -> tuple[float, int]:
        """(what it counts, the answer that is taken)."""
        if self.mass:
            top = max(log_probabilities)
            weights = [math.exp(p - top) for p in log_probabilities]
            share = sum(weights[i] for i in self.right) / sum(weights)
            return share, max(range(len(weights)), key=weights.__getitem__)
        if self.by == "characters":
            scores = [p / max(len(text.strip()), 1) for p, (_, text) in zip(log_probabilities, self.pairs)]
        elif self.by == "answer":
            scores = [p - b for p, b in zip(log_probabilities, baselines)]
        else:
            scores = list(log_probabilities)
        best = max(range(len(scores)), key=scores.__getitem__)  # of equals the first
        return float(best in self.right), best


@dataclass(frozen=True)
class Open:
    """A text to go on with, until one of `stops`, an end token, or max_tokens. temperature 0: the most probable token each time.
    chat_stops: those of an answer in a chat, where they are others."""

    prompt: str
    stops: tuple[str, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    chat_stops: tuple[str, ...] | None = None


Question = Union[Choice, Open]


@dataclass(frozen=True)
class Task:
    """name, file: of the task and of its items. fields: what an item has. shots: examples before a question. shots_file: where they
    are from; None: the file's first items (of the same part), which then are not counted; "": `ask` has them itself. shots_fields: what
    they have, if it is something else. part: the field by which items belong
    together. macro: the figure is the average over parts. key: the field that no two items share. more(items): items that follow from the file's, behind them. ask(item, shots). grade(item, text): what an answer to an Open question
    counts, None for one that is judged elsewhere. program(item, text): for tasks whose answers are run. keep: which items
    are counted at all, is_shot: which are examples, where the file says so. note: how it is done, for the card."""

    name: str
    file: str
    fields: dict[str, str]
    ask: Callable[[Item, Sequence[Item]], Question]
    metric: str = "accuracy"
    shots: int = 0
    shots_file: str | None = None
    shots_fields: dict[str, str] | None = None
    part: str | None = None
    macro: bool = False
    key: str | None = None
    more: Callable[[Sequence[Item]], list[Item]] | None = None
    grade: Callable[[Item, str], float] | None = None
    program: Callable[[Item, str], str] | None = None
    keep: Callable[[Item], bool] | None = None
    is_shot: Callable[[Item], bool] | None = None
    less_is_better: bool = False
    note: str = ""
