"""A text that grows by a token at a time, until an end token, a stop or enough of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .vocabulary import Vocabulary


class WrittenText:
    """text: without what ended it. reason: why it ended, "end", "stop" or "max_tokens"; "" until then. tokens: all of them, the end token too."""

    def __init__(self, vocabulary: Vocabulary, stops: Sequence[str], max_tokens: int, is_end: Callable[[int], bool] | None = None):
        self.text, self.reason = "", ""
        self.tokens: list[int] = []
        self._stops, self._max_tokens, self._is_end = stops, max_tokens, is_end or vocabulary.is_end
        self._decoder = vocabulary.decoder()
        self._longest = max((len(s) for s in stops), default=0)

    def take(self, token: int) -> None:
        """The next token."""
        self.tokens.append(token)
        if self._is_end(token):
            self.text += self._decoder.finish()
            self.reason = "end"
            return
        before = len(self.text)
        self.text += self._decoder.append(token)
        window = max(0, before - self._longest)
        found = [at for at in (self.text.find(stop, window) for stop in self._stops) if at >= 0]
        if found:
            self.text, self.reason = self.text[: min(found)], "stop"
        elif len(self.tokens) >= self._max_tokens:
            self.text += self._decoder.finish()
            self.reason = "max_tokens"
