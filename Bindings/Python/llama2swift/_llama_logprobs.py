"""The log-probabilities of a completion of `Llama`, as llama-cpp-python lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .results import TokenReport
from .vocabulary import Vocabulary


class Shown:
    """Tokens one after the other, each with its place in prompt and answer together: what a stop string holds back moves none. With echo
    the prompt's come first, but for BOS, and the first has no probability."""

    def __init__(self, model: Vocabulary, prompt: str, echo: bool, count: int | None):
        self._model, self._count, self._begins = model, count, echo
        self._decoder, self._at = model.decoder(text_start=echo), 0 if echo else len(prompt)

    def lists(self, reports: Sequence[TokenReport]) -> dict[str, Any] | None:
        """The four lists of the next tokens, None where nobody asked."""
        if self._count is None:
            return None
        out: dict[str, Any] = {"tokens": [], "text_offset": [], "token_logprobs": [], "top_logprobs": []}
        for report in reports:
            if report.prompt and self._begins and report.token == self._model.special_tokens.bos:
                continue
            name = self._name(report.token)
            top: dict[str, float] = {}
            for token, p in [*report.best, (report.token, report.logprob)]:  # of those that are written alike the most probable one's
                top.setdefault(self._name(token), p)
            out["tokens"].append(name)
            out["text_offset"].append(self._at)
            out["token_logprobs"].append(None if self._begins else report.logprob)
            out["top_logprobs"].append(None if self._begins else top)
            self._begins = False
            self._at += len(self._decoder.append(report.token))
        return out

    def _name(self, token: int) -> str:
        return self._model.piece(token).decode("utf-8", "replace")
