"""Vectors of texts, beside the scheduler: in a context of their own, of which there is one at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .. import Context, Model
from .errors import ApiError
from .settings import Settings

Rows = list[list[float]]
SIDE_BY_SIDE = 64


class Embedder:
    """A model's vectors."""

    def __init__(self, model: Model, settings: Settings):
        self.model, self.settings = model, settings
        self._maker = ThreadPoolExecutor(1, "embeddings")

    async def rows(self, texts: Sequence[list[int]]) -> Rows:
        """Of each text its tokens' mean, of length 1. Whoever goes away while it is made ends it. Raises ApiError where the server's time is over."""
        work = _Work(self.model, self.settings, texts)
        seconds = self.settings.timeout or None
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._maker, work.rows), seconds)
        except asyncio.TimeoutError:
            raise ApiError(504, f"the answer took more than this server's {seconds:g} seconds", kind="timeout", code="timeout") from None
        finally:
            work.end()

    def close(self) -> None:
        """Ends what is under way."""
        self._maker.shutdown(cancel_futures=True)


class _Work:
    """What a request wants, which may be wanted no longer."""

    def __init__(self, model: Model, settings: Settings, texts: Sequence[list[int]]):
        self.model, self.settings, self.texts = model, settings, texts
        self._lock, self._ended = threading.Lock(), False
        self._context: Context | None = None  # the one to be ended

    def rows(self) -> Rows:
        """In a thread."""
        longest = max(map(len, self.texts))
        with self.model.context(max(longest, 256), self.settings.threads, sequences=min(len(self.texts), SIDE_BY_SIDE), embeddings=True) as context:
            out: Rows = []
            for begin in range(0, len(self.texts), SIDE_BY_SIDE):
                with self._lock:
                    if self._ended:
                        return []
                    self._context = context
                rows = context.embed(self.texts[begin : begin + SIDE_BY_SIDE], pooling="mean", normalize=True)
                out += [[float(x) for x in row] for row in rows]
            with self._lock:
                self._context = None
            return out

    def end(self) -> None:
        """Nobody waits for it."""
        with self._lock:
            self._ended = True
            if self._context is not None:
                self._context.cancel()
