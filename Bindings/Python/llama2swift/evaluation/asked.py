"""What an engine is asked about texts, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._common import common_length


@dataclass(frozen=True)
class Scored:
    """tokens of a whole text; those from `start` on (at least 1) are asked about."""

    tokens: tuple[int, ...]
    start: int


@dataclass(frozen=True)
class Answer:
    """The logarithm of the probability of what was asked about, and whether each of its tokens was the most probable one."""

    log_probability: float
    is_greedy: bool


@dataclass(frozen=True)
class Prompt:
    """tokens to go on from. seed: of the draws, where temperature is not 0."""

    tokens: tuple[int, ...]
    stops: tuple[str, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: str = ""


@dataclass(frozen=True)
class Written:
    """A text that was generated, without what ended it; why it ended: "end", "stop" or "max_tokens"."""

    text: str
    reason: str
    tokens: int


def beginning(group: Sequence[Scored]) -> tuple[int, ...]:
    """What the texts of a group begin with alike, as far as it is evaluated: of each text the last token is only asked about."""
    alike = group[0].tokens[:-1]
    for scored in group[1:]:
        alike = alike[: common_length(alike, scored.tokens[:-1])]
    return alike
